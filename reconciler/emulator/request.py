"""One API request: which operation its path names, and its body as the operations read it."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import unquote

from reconciler.emulator import errors

PREFIX = "/client/v4"

_ACCOUNT = re.compile(r"[0-9a-fA-F]{32}")

# (method, the path after .../indexes with * for an index name) -> operation
_ROUTES: dict[tuple[str, ...], dict[str, str]] = {
    (): {"GET": "index_list", "POST": "index_create"},
    ("*",): {"GET": "index_get", "DELETE": "index_delete"},
    ("*", "info"): {"GET": "info"},
    ("*", "insert"): {"POST": "insert"},
    ("*", "upsert"): {"POST": "upsert"},
    ("*", "query"): {"POST": "query"},
    ("*", "get_by_ids"): {"POST": "get_by_ids"},
    ("*", "delete_by_ids"): {"POST": "delete_by_ids"},
    ("*", "list"): {"GET": "list"},
    ("*", "metadata_index", "create"): {"POST": "metadata_index_create"},
    ("*", "metadata_index", "delete"): {"POST": "metadata_index_delete"},
    ("*", "metadata_index", "list"): {"GET": "metadata_index_list"},
}

OPERATIONS = tuple(name for methods in _ROUTES.values() for name in methods.values())

WRITES = frozenset(
    {
        "index_create",
        "index_delete",
        "insert",
        "upsert",
        "delete_by_ids",
        "metadata_index_create",
        "metadata_index_delete",
    }
)


@dataclass(frozen=True, slots=True)
class Route:
    """What a path names. `operation` is None where it names none; `known`: only the method is wrong."""

    operation: str | None
    account: str | None = None
    index: str | None = None
    known: bool = False


def route(method: str, raw_path: str) -> Route:
    """The operation behind a method and a path as it came over the wire, percent-encoding intact.

    Routing works on the encoded path, so that an index name may hold an encoded slash.
    """
    if not raw_path.startswith(f"{PREFIX}/"):
        return Route(None)
    parts = raw_path[len(PREFIX) + 1 :].split("/")
    if len(parts) < 5 or parts[0] != "accounts" or parts[2:5] != ["vectorize", "v2", "indexes"]:
        return Route(None)
    account, rest = parts[1], parts[5:]
    if not _ACCOUNT.fullmatch(account) or "" in rest:
        return Route(None)
    methods = _ROUTES.get(("*", *rest[1:]) if rest else ())
    if methods is None:
        return Route(None, account)
    return Route(methods.get(method), account, unquote(rest[0]) if rest else None, known=True)


@dataclass(frozen=True)
class Call:
    """One request with its whole body. `headers` have lower-case names; `query` keeps the first of each name."""

    method: str
    path: str
    route: Route
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    address: str

    @property
    def operation(self) -> str | None:
        """The operation, None if the path names none."""
        return self.route.operation

    @cached_property
    def document(self) -> dict[str, Any]:
        """The body as a JSON object.

        Raises:
            ApiError: 40026 for another content type, for what is not JSON, and for JSON that is not an
            object.
        """
        # Parameters do not matter: wrangler sends "application/json; charset=utf-8;" with a semicolon at its end.
        media_type = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json":
            raise errors.not_json()
        try:
            document = json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise errors.not_json() from error
        if not isinstance(document, dict):
            raise errors.not_json()
        return document

    @cached_property
    def claimed_ids(self) -> tuple[str, ...]:
        """The ids that the body names, as far as it can be read; for faults and the record, not for deciding."""
        if self.operation in ("insert", "upsert"):
            return tuple(self._uploaded_ids())
        try:
            ids = json.loads(self.body).get("ids")
        except (ValueError, AttributeError, RecursionError):
            return ()
        return tuple(each for each in ids if isinstance(each, str)) if isinstance(ids, list) else ()

    def _uploaded_ids(self) -> list[str]:
        found = []
        for line in self.body.splitlines():
            if not line.lstrip().startswith(b"{"):
                continue
            try:
                vector_id = json.loads(line).get("id")
            except (ValueError, RecursionError):
                continue
            if isinstance(vector_id, str):
                found.append(vector_id)
        return found
