"""Checking what a request carries: ids, uploads of vectors (NDJSON or multipart), index configurations."""

import json
import math
import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from reconciler.emulator import errors
from reconciler.emulator.errors import ApiError
from reconciler.emulator.log import PendingVector
from reconciler.emulator.request import Call
from reconciler.emulator.settings import Limits

METRICS = ("cosine", "euclidean", "dot-product")

PRESETS = {
    "@cf/baai/bge-small-en-v1.5": (384, "cosine"),
    "@cf/baai/bge-base-en-v1.5": (768, "cosine"),
    "@cf/baai/bge-large-en-v1.5": (1024, "cosine"),
    "openai/text-embedding-ada-002": (1536, "cosine"),
    "cohere/embed-multilingual-v2.0": (768, "dot-product"),
}
"""Dimensions and metric of each preset (documented)."""

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?")


def utf8_length(text: str) -> int:
    """Bytes of a text in UTF-8.

    Raises:
        ApiError: it holds a lone surrogate, which has no UTF-8.
    """
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        raise errors.invalid("invalid unicode in string") from error


def check_id(vector_id: Any, limits: Limits) -> str:
    """An id of 1 to 64 bytes.

    Raises:
        ApiError: 40008 if it is too long; another refusal if it is empty or no string.
    """
    if not isinstance(vector_id, str) or not vector_id:
        raise errors.invalid("invalid vector id; expected a non-empty string")
    length = utf8_length(vector_id)
    if length > limits.id_bytes:
        raise errors.id_too_long(limits.id_bytes, length)
    return vector_id


def ids_of(call: Call, maximum: int, limits: Limits) -> list[str]:
    """The `ids` of a delete_by_ids or get_by_ids body, without repetitions, in order.

    How the service answers an empty list is unknown. It is refused here, so that a client that sends one is
    noticed. Repeated ids count towards the maximum and are harmless otherwise.

    Raises:
        ApiError: 40026, 40007, 40008, or a refusal of an unknown code.
    """
    ids = call.document.get("ids")
    if not isinstance(ids, list):
        raise errors.invalid("invalid payload; expected `ids` to be an array of strings")
    if len(ids) > maximum:
        raise errors.too_many_ids(maximum, len(ids))
    if not ids:
        raise errors.invalid("invalid payload; `ids` is empty")
    return list(dict.fromkeys(check_id(each, limits) for each in ids))


def floats_of(values: Any) -> "array[float] | None":
    """A JSON array of finite numbers as float32; None for anything else."""
    if not isinstance(values, list):
        return None
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in values):
        return None
    try:
        stored = array("f", values)
    except OverflowError:
        return None
    return stored if all(map(math.isfinite, stored)) else None


def vectors_of(call: Call, dimensions: int, limits: Limits) -> list[PendingVector]:
    """The vectors of an insert or upsert, ready for the log.

    An id that comes twice: an upsert keeps the last, an insert the first (chosen; the service does not say).

    Raises:
        ApiError: 40045, 40023, 40012, 40016, 40008, or a refusal of an unknown code.
    """
    behaviour = call.query.get("unparsable-behavior", "error")
    if behaviour not in ("error", "discard"):
        raise errors.invalid("invalid unparsable-behavior; expected error or discard")
    vectors: dict[str, PendingVector] = {}
    count = 0
    for number, line in enumerate(_upload(call).split(b"\n")):
        if not line.strip():
            continue
        count += 1
        if count > limits.upsert_vectors:
            raise errors.invalid(f"too many vectors in payload; max vector count is {limits.upsert_vectors}")
        try:
            document, values = _parse_line(number, line)
        except ApiError:
            if behaviour == "discard":
                continue
            raise
        vector = _vector(document, values, dimensions, limits)
        if call.operation == "upsert" or vector[0] not in vectors:
            vectors[vector[0]] = vector
    if not count:
        raise errors.ndjson_parse(0, "no vectors")
    return list(vectors.values())


def _parse_line(number: int, line: bytes) -> "tuple[dict[str, Any], array[float]]":
    try:
        document = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise errors.ndjson_parse(number, "not JSON") from error
    if not isinstance(document, dict):
        raise errors.ndjson_parse(number, "not an object")
    if not isinstance(document.get("id"), str):
        raise errors.ndjson_parse(number, "`id` is not a string")
    values = floats_of(document.get("values"))
    if values is None:
        raise errors.ndjson_parse(number, "`values` is not an array of numbers")
    if not isinstance(document.get("namespace"), str | None):
        raise errors.ndjson_parse(number, "`namespace` is not a string")
    if not isinstance(document.get("metadata"), dict | None):
        raise errors.ndjson_parse(number, "`metadata` is not an object")
    return document, values


def _vector(document: dict[str, Any], values: "array[float]", dimensions: int, limits: Limits) -> PendingVector:
    vector_id = check_id(document["id"], limits)
    if len(values) != dimensions:
        raise ApiError(
            400,
            errors.WRONG_VECTOR_DIMENSIONS,
            f'invalid vector for id="{vector_id}", expected {dimensions} dimensions,'
            f" and got {len(values)} dimensions",
        )
    namespace = document.get("namespace")
    if namespace is not None and utf8_length(namespace) > limits.namespace_bytes:
        raise errors.invalid(f"namespace too long; max is {limits.namespace_bytes} bytes")
    metadata = document.get("metadata")
    if metadata is None:
        return vector_id, namespace, None, values.tobytes()
    size = utf8_length(json.dumps(metadata, ensure_ascii=False, separators=(",", ":")))
    if size > limits.metadata_bytes:
        raise ApiError(
            400,
            errors.METADATA_TOO_BIG,
            f'metadata for id="{vector_id}" too big; max is {limits.metadata_bytes} bytes, got {size} bytes',
        )
    return vector_id, namespace, json.dumps(metadata), values.tobytes()


def _upload(call: Call) -> bytes:
    """The NDJSON of an upload: the `vectors` part of a multipart body, or the body itself under any other type."""
    content_type = call.headers.get("content-type", "")
    if not content_type.lower().startswith("multipart/"):
        return call.body
    boundary = re.search(r'boundary=(?:"([^"]+)"|([^;\s]+))', content_type)
    if boundary is not None:
        for part in _parts(call.body, (boundary.group(1) or boundary.group(2)).encode("latin-1")):
            if part.name == "vectors":
                return part.content
    raise ApiError(400, errors.MULTIPART_WITHOUT_VECTORS, "expected a multipart part named `vectors`")


@dataclass(frozen=True, slots=True)
class _Part:
    name: str | None
    content: bytes


def _parts(body: bytes, boundary: bytes) -> Iterator[_Part]:
    """The parts of a multipart/form-data body (RFC 7578); what is malformed is skipped."""
    delimiter = b"--" + boundary
    for section in (b"\r\n" + body).split(b"\r\n" + delimiter)[1:]:
        if section.startswith(b"--"):
            return
        head, separator, content = section.partition(b"\r\n\r\n")
        if not separator:
            continue
        name = re.search(rb'(?im)^content-disposition:[^\r\n]*[;\s]name="?([^";\r\n]*)"?', head)
        yield _Part(None if name is None else name.group(1).decode("utf-8", "replace"), content)


@dataclass(frozen=True, slots=True)
class IndexRequest:
    """A checked body of index creation."""

    name: str
    description: str
    dimensions: int
    metric: str
    preset: str | None


def index_of(document: dict[str, Any], limits: Limits) -> IndexRequest:
    """The index that a creation asks for.

    Raises:
        ApiError: 3001 for the name, 3003 for the configuration.
    """
    name = document.get("name")
    # The exact rule is unpublished; what wrangler documents is letters, digits, hyphens and underscores.
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > limits.name_bytes:
        raise ApiError(400, errors.BAD_NAME, f"vectorize.index.bad_name - Index name {json.dumps(name)}")
    description = document.get("description", "")
    config = document.get("config")
    if not isinstance(description, str | None) or not isinstance(config, dict):
        raise _bad_config("expected `config` to be an object and `description` a string")
    preset = config.get("preset")
    if preset is not None:
        if not isinstance(preset, str) or preset not in PRESETS:
            raise _bad_config(f"unknown preset {json.dumps(preset)}")
        return IndexRequest(name, description or "", *PRESETS[preset], preset)
    dimensions, metric = config.get("dimensions"), config.get("metric")
    if not isinstance(dimensions, int) or not limits.min_dimensions <= dimensions <= limits.max_dimensions:
        raise _bad_config(f"dimensions must be {limits.min_dimensions} to {limits.max_dimensions}")
    if metric not in METRICS:
        raise _bad_config(f"metric must be one of {', '.join(METRICS)}")
    return IndexRequest(name, description or "", dimensions, metric, None)


def _bad_config(reason: str) -> ApiError:
    return ApiError(400, errors.BAD_CONFIG, f"vectorize.index.bad_config - {reason}")
