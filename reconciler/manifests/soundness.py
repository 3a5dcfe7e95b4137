"""Files whose structure was found sound before, byte for byte: their schema need not be asked again.

The schema checker is most of the time that a small command takes. What it found is kept in the cache, by the
digest of the file and of the schemas, and only if it found nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any

from reconciler import resources
from reconciler.cache import Cache, Writer
from reconciler.manifests.yaml_events import Node
from reconciler.model.diagnostic import Diagnostic

_NAME = "sound structures"
_SCHEMAS = ("manifest", "config")

#: So many files are remembered besides those of the last load.
MOST = 1_000

_Checked = tuple[str, str]


@dataclass
class Soundness:
    """What is known of the structure of files. Ask it once for each, and let it remember at the end.

    Args:
        cache: where it is kept.
    """

    cache: Cache
    _met: dict[_Checked, None] = field(default_factory=dict)  # sound, in this load

    def problems(self, root: Node, schema: str, digest: str) -> list[Diagnostic]:
        """Everything in which a file differs from its JSON Schema.

        Args:
            root: what it holds.
            schema: "manifest" or "config".
            digest: SHA-256 (hex) of the file.
        """
        found: list[Diagnostic] = []
        if (schema, digest) not in self._known:
            from reconciler.manifests.structure import check  # noqa: PLC0415 - brings the schema checker

            found = check(root, schema)
        if not found:
            self._met[schema, digest] = None
        return found

    def remember(self) -> None:
        """Keep what was found in this load, if it was not known."""
        if self._met.keys() <= self._known.keys():
            return
        others = [each for each in self._known if each not in self._met][-MOST:]

        def write(_: Writer) -> Mapping[str, Any]:
            return {"sound": [*others, *self._met]}

        self.cache.keep(_NAME, self._key, write)

    @cached_property
    def _key(self) -> dict[str, str]:
        return {each: sha256(resources.schema_text(each).encode()).hexdigest() for each in _SCHEMAS}

    @cached_property
    def _known(self) -> dict[_Checked, None]:
        kept = self.cache.find(_NAME)
        if kept is None or any(kept.key.get(each) != self._key[each] for each in _SCHEMAS):
            return {}
        return dict.fromkeys((str(schema), str(digest)) for schema, digest in kept.document["sound"])
