"""Files whose structure was found sound before, byte for byte: their schema need not be asked again.

The schema checker is most of the time that a small command takes. What it found is kept in the cache, by the
digest of the file and of the schemas, and only if it found nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from reconciler import resources
from reconciler.cache import Cache, Writer
from reconciler.manifests.yaml_events import Node
from reconciler.model.diagnostic import Diagnostic

_NAME = "sound structures"
_SCHEMAS = ("manifest", "config")

#: So many files are remembered, those that were checked last.
MOST = 1_000


def problems(root: Node, schema: str, digest: str, cache: Cache) -> list[Diagnostic]:
    """Everything in which a file differs from its JSON Schema.

    Args:
        root: what it holds.
        schema: "manifest" or "config".
        digest: SHA-256 (hex) of the file.
        cache: knows files in which nothing was found.
    """
    key = {each: sha256(resources.schema_text(each).encode()).hexdigest() for each in _SCHEMAS}
    kept = cache.find(_NAME)
    sound: list[list[str]] = []
    if kept is not None and all(kept.key.get(each) == key[each] for each in _SCHEMAS):
        sound = kept.document["sound"]
    if [schema, digest] in sound:
        return []
    from reconciler.manifests.structure import check  # noqa: PLC0415 - brings the schema checker

    found = check(root, schema)
    if not found:

        def write(_: Writer) -> Mapping[str, Any]:
            return {"sound": [*sound, [schema, digest]][-MOST:]}

        cache.keep(_NAME, key, write)
    return found
