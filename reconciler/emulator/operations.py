"""The operations of the API, each a function from a request to its `result`.

They run under the emulator's lock, inside one transaction, after the request was authorised and counted. They
raise `ApiError` to refuse, and check everything before they write anything.
"""

import json
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from reconciler.emulator import errors, log, payload
from reconciler.emulator.errors import ApiError
from reconciler.emulator.log import Log, PendingVector
from reconciler.emulator.query import Filter, indexed_value, nearest, values_of
from reconciler.emulator.request import Call
from reconciler.emulator.settings import Settings
from reconciler.emulator.storage import IndexRow, Snapshot, Storage, VectorRow

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INDEX_TYPES = ("string", "number", "boolean")


def iso(seconds: float) -> str:
    """Clock seconds as the API writes times: ISO 8601, UTC, microseconds, `Z`."""
    return iso_us(round(seconds * 1_000_000))


def iso_us(microseconds: int) -> str:
    """Microseconds since 1970 as the API writes times."""
    return (_EPOCH + timedelta(microseconds=microseconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass(slots=True)
class Context:
    """What an operation works on, and what it reports besides its result."""

    call: Call
    account: str
    name: str
    now: float
    storage: Storage
    log: Log
    settings: Settings
    mutation_id: str | None = None

    def index(self) -> IndexRow:
        """The index that the path names.

        Raises:
            ApiError: 3005 if the last index of that name was deleted, 3000 if there never was one.
        """
        found = self.storage.find(self.account, self.name)
        if found is not None:
            return found
        status = self.settings.missing_index_status
        if self.storage.was_deleted(self.account, self.name):
            raise errors.index_deleted(self.name, status)
        raise errors.index_not_found(self.name, status)

    def accept(
        self,
        index: IndexRow,
        operation: str,
        *,
        vectors: list[PendingVector] | None = None,
        argument: str | None = None,
    ) -> dict[str, Any]:
        """Enter a mutation into the log; the `result` that answers it."""
        self.mutation_id = self.log.accept(index, operation, self.now, vectors=vectors or (), argument=argument)
        return {"mutationId": self.mutation_id}


def _index_document(index: IndexRow) -> dict[str, Any]:
    config: dict[str, Any] = {"dimensions": index.dimensions, "metric": index.metric}
    if index.preset is not None:
        config["preset"] = index.preset
    created_on = iso_us(index.created_us)
    # Writes of data do not move modified_on (measured), and nothing else of an index can be changed.
    return {
        "name": index.name,
        "description": index.description,
        "created_on": created_on,
        "modified_on": created_on,
        "config": config,
    }


def index_list(context: Context) -> Any:
    """GET indexes."""
    return [_index_document(index) for index in context.storage.indexes(context.account)]


def index_create(context: Context) -> Any:
    """POST indexes."""
    wanted = payload.index_of(context.call.document, context.settings.limits)
    if context.storage.find(context.account, wanted.name) is not None:
        raise ApiError(400, errors.DUPLICATE_NAME, f'vectorize.index.duplicate_name - Index name "{wanted.name}"')
    if len(context.storage.indexes(context.account)) >= context.settings.limits.indexes_per_account:
        raise errors.invalid("too many indexes in this account")
    index = context.storage.create(
        context.account,
        wanted.name,
        description=wanted.description,
        dimensions=wanted.dimensions,
        metric=wanted.metric,
        preset=wanted.preset,
        created_us=round(context.now * 1_000_000),
    )
    return _index_document(index)


def index_get(context: Context) -> Any:
    """GET indexes/{name}."""
    return _index_document(context.index())


def index_delete(context: Context) -> Any:
    """DELETE indexes/{name}. Done at once; what its log still held is lost with it."""
    context.storage.drop(context.index(), round(context.now * 1_000_000))


def info(context: Context) -> Any:
    """GET info."""
    index = context.index()
    count = index.shown_count
    if index.shown_due is not None and index.shown_due <= context.now:
        count = index.count
        context.storage.update(index.number, shown_count=count, shown_due=None)
    return {
        "dimensions": index.dimensions,
        "vectorCount": count,
        "processedUpToDatetime": None if index.pointer_at is None else iso(index.pointer_at),
        "processedUpToMutation": index.pointer,
    }


def write_vectors(context: Context) -> Any:
    """POST insert and POST upsert."""
    index = context.index()
    limits = context.settings.limits
    vectors = payload.vectors_of(context.call, index.dimensions, limits)
    # Whether the ids are new shows only when the log is applied; what is certain to be too many is refused here.
    if index.count + len(vectors) > limits.vectors_per_index:
        known = len(context.storage.get(index.number, [vector[0] for vector in vectors]))
        if index.count + len(vectors) - known > limits.vectors_per_index:
            raise errors.invalid(f"too many vectors in index; max is {limits.vectors_per_index}")
    return context.accept(index, context.call.operation or log.UPSERT, vectors=vectors)


def delete_by_ids(context: Context) -> Any:
    """POST delete_by_ids. Ids that do not exist are no error."""
    index = context.index()
    limits = context.settings.limits
    ids = payload.ids_of(context.call, limits.delete_ids, limits)
    return context.accept(index, log.DELETE, vectors=[(each, None, None, None) for each in ids])


def _vector_document(
    row: VectorRow, dimensions: int, *, values: bool = True, metadata: Any = None
) -> dict[str, Any]:
    document: dict[str, Any] = {"id": row.id}
    if row.namespace is not None:
        document["namespace"] = row.namespace
    if values:
        document["values"] = values_of(row, dimensions).tolist()
    if metadata:
        document["metadata"] = metadata
    return document


def get_by_ids(context: Context) -> Any:
    """POST get_by_ids. The result is a bare array; absent ids are missing from it."""
    index = context.index()
    limits = context.settings.limits
    ids = payload.ids_of(context.call, limits.get_ids, limits)
    return [
        _vector_document(
            row, index.dimensions, metadata=None if row.metadata is None else json.loads(row.metadata)
        )
        for row in context.storage.get(index.number, ids)
    ]


def list_vectors(context: Context) -> Any:
    """GET list. The first page takes a snapshot; its cursors read that snapshot until it expires."""
    index = context.index()
    storage = context.storage
    count = _page_size(context)
    storage.purge(context.now)
    cursor = context.call.query.get("cursor")
    if cursor:
        snapshot, after = _read_cursor(context, index, cursor)
    else:
        expires_at = context.now + context.settings.cursor_lifetime
        after = None
        snapshot = Snapshot(uuid.uuid4().hex, index.number, index.version, index.count, expires_at)
    # One more than asked tells whether there is a next page.
    ids = storage.page(index.number, snapshot.version, after, count + 1)
    truncated = len(ids) > count
    del ids[count:]
    if truncated and not cursor:
        storage.add_snapshot(snapshot)
    return {
        "count": len(ids),
        "totalCount": snapshot.total,
        "isTruncated": truncated,
        "nextCursor": f"{snapshot.token}.{_encode(ids[-1])}" if truncated else None,
        "cursorExpirationTimestamp": iso(snapshot.expires_at) if truncated else None,
        "vectors": [{"id": each} for each in ids],
    }


def _page_size(context: Context) -> int:
    limits = context.settings.limits
    text = context.call.query.get("count")
    if text is None:
        return limits.list_default_count
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= limits.list_count):
        raise errors.invalid(f"count must be between 1 and {limits.list_count}")
    return int(text)


def _read_cursor(context: Context, index: IndexRow, cursor: str) -> tuple[Snapshot, str]:
    token, _, position = cursor.partition(".")
    snapshot = context.storage.snapshot(token)
    try:
        after = urlsafe_b64decode(position).decode()
    except ValueError:
        after = ""
    if snapshot is None or not after or snapshot.number != index.number or snapshot.expires_at <= context.now:
        raise ApiError(
            context.settings.cursor_error_status, errors.CURSOR_INVALID, "cursor is invalid or has expired"
        )
    return snapshot, after


def _encode(vector_id: str) -> str:
    return urlsafe_b64encode(vector_id.encode()).decode()


def query(context: Context) -> Any:
    """POST query, by `vector` or, as wrangler does it, by the `vectorId` of a stored vector."""
    index = context.index()
    document = context.call.document
    limits = context.settings.limits
    want_values = document.get("returnValues", False)
    want_metadata = document.get("returnMetadata", "none")
    if isinstance(want_metadata, bool):  # the form before 2024, still sent by some clients
        want_metadata = "all" if want_metadata else "none"
    if not isinstance(want_values, bool) or want_metadata not in ("none", "indexed", "all"):
        raise errors.invalid("invalid returnValues or returnMetadata")
    namespace = document.get("namespace")
    if not isinstance(namespace, str | None):
        raise errors.invalid("namespace must be a string")
    vector = _query_vector(context, index, document)
    top_k = _top_k(
        document.get("topK", 5), limits.top_k_full if want_values or want_metadata == "all" else limits.top_k
    )
    indexed = context.storage.metadata_indexes(index.number)
    condition = document.get("filter")
    best = nearest(
        context.storage.scan(index.number, namespace),
        metric=index.metric,
        vector=vector,
        dimensions=index.dimensions,
        top_k=top_k,
        accepts=None if condition is None else Filter(condition, indexed, limits),
    )
    matches = []
    for score, row in best:
        metadata = {} if row.metadata is None or want_metadata == "none" else json.loads(row.metadata)
        if want_metadata == "indexed":
            values = {name: indexed_value(name, row, metadata, indexed) for name in indexed}
            metadata = {name: value for name, value in values.items() if value is not None}
        matches.append(
            {**_vector_document(row, index.dimensions, values=want_values, metadata=metadata), "score": score}
        )
    return {"count": len(matches), "matches": matches}


def _query_vector(context: Context, index: IndexRow, document: dict[str, Any]) -> list[float]:
    vector_id = document.get("vectorId")
    if vector_id is not None and "vector" not in document:
        rows = context.storage.get(index.number, [payload.check_id(vector_id, context.settings.limits)])
        if not rows:
            raise errors.invalid(f"vector {json.dumps(vector_id)} not found")
        return values_of(rows[0], index.dimensions).tolist()
    vector = payload.floats_of(document.get("vector"))
    if vector is None:
        raise errors.invalid("`vector` must be an array of numbers")
    if len(vector) != index.dimensions:
        raise ApiError(
            400,
            errors.WRONG_QUERY_DIMENSIONS,
            f"invalid query vector, expected {index.dimensions} dimensions, and got {len(vector)} dimensions",
        )
    return vector.tolist()


def _top_k(value: Any, maximum: int) -> int:
    # JSON from some clients has 5.0: the API declares a number, not an integer.
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 1 or value != int(value):
        raise errors.invalid("topK must be a positive whole number")
    if value > maximum:
        raise ApiError(
            400, errors.TOP_K_TOO_BIG, f"too many neighbours requested; max topK is {maximum}, got {value}"
        )
    return int(value)


def metadata_index_create(context: Context) -> Any:
    """POST metadata_index/create. Creating one twice succeeds (measured)."""
    index = context.index()
    name = _property(context)
    kind = context.call.document.get("indexType")
    if not isinstance(kind, str) or kind.lower() not in _INDEX_TYPES:
        raise errors.invalid(f"indexType must be one of {', '.join(_INDEX_TYPES)}")
    known = _expected_metadata(context, index)
    if name in known and known[name] != kind.lower():
        raise errors.invalid(f"metadata index {json.dumps(name)} exists with another type")
    if name not in known and len(known) >= context.settings.limits.metadata_indexes:
        raise errors.invalid(f"too many metadata indexes; max is {context.settings.limits.metadata_indexes}")
    return context.accept(index, log.METADATA_CREATE, argument=f"{kind.lower()} {name}")


def metadata_index_delete(context: Context) -> Any:
    """POST metadata_index/delete."""
    index = context.index()
    name = _property(context)
    if name not in _expected_metadata(context, index):
        raise ApiError(400, errors.METADATA_INDEX_NOT_FOUND, f"metadata index {json.dumps(name)} not found")
    return context.accept(index, log.METADATA_DELETE, argument=name)


def _property(context: Context) -> str:
    name = context.call.document.get("propertyName")
    if not isinstance(name, str) or not name or name.startswith("$") or len(name) > 512:
        raise errors.invalid("invalid propertyName")
    payload.utf8_length(name)
    return name


def _expected_metadata(context: Context, index: IndexRow) -> dict[str, str]:
    """The metadata indexes that there will be once the log is applied: property -> type."""
    known = {name: kind for name, (kind, _) in context.storage.metadata_indexes(index.number).items()}
    for operation, argument in context.log.pending_metadata(index.number):
        if operation == log.METADATA_DELETE:
            known.pop(argument, None)
        else:
            kind, _, name = argument.partition(" ")
            known.setdefault(name, kind)
    return known


def metadata_index_list(context: Context) -> Any:
    """GET metadata_index/list. Shows what was processed, not what waits in the log."""
    indexed = context.storage.metadata_indexes(context.index().number)
    return {"metadataIndexes": [{"propertyName": name, "indexType": kind} for name, (kind, _) in indexed.items()]}


TABLE: dict[str, Callable[[Context], Any]] = {
    "index_list": index_list,
    "index_create": index_create,
    "index_get": index_get,
    "index_delete": index_delete,
    "info": info,
    "insert": write_vectors,
    "upsert": write_vectors,
    "query": query,
    "get_by_ids": get_by_ids,
    "delete_by_ids": delete_by_ids,
    "list": list_vectors,
    "metadata_index_create": metadata_index_create,
    "metadata_index_delete": metadata_index_delete,
    "metadata_index_list": metadata_index_list,
}
"""Operation name -> what does it."""
