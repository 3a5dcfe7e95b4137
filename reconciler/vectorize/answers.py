"""What the API answers, read strictly: an answer of another shape is a fault, never an empty result.

A proof of absence rests on these readers. So nothing here has a default for a field that a proof needs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, TypeGuard

#: The service's mutation ids have 36 characters. Something much longer is not one.
_MUTATION_ID_MAXIMUM = 256
#: A cursor travels in a URL; one of this many characters is none that a server would take back.
_CURSOR_MAXIMUM = 8192
#: Beyond what JSON numbers carry exactly, nothing is a count of vectors.
_COUNT_MAXIMUM = 2**53
_MESSAGES_SHOWN = 20
_TEXT_SHOWN = 500
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


class Unusable(ValueError):
    """An answer that is not what the API describes; the text says in what."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The service took a delete: it is logged under `mutation_id`, not yet done. `messages` are to be shown."""

    mutation_id: str
    messages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """How far an index has come. The last two are None until a first mutation is processed."""

    dimensions: int
    vector_count: int
    processed_up_to_mutation: str | None
    processed_up_to_datetime: str | None


@dataclass(frozen=True, slots=True)
class IndexDescription:
    """Which index it is. `created_on` tells it from an earlier one of the same name."""

    name: str
    created_on: str
    modified_on: str | None


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list.

    Attributes:
        ids: the ids of this page, in the service's order.
        total_count: vectors in the whole list.
        truncated: more pages follow; then `next_cursor` is never None.
        next_cursor: what to ask for next; None on the last page.
        cursor_expires: until when that works, as the service wrote it.
    """

    ids: tuple[str, ...]
    total_count: int
    truncated: bool
    next_cursor: str | None
    cursor_expires: str | None


def plain(text: str) -> str:
    """`text` of a stranger on one line: at most 500 characters, controls, bidi marks and surrogates replaced."""
    line = " ".join(text[: _TEXT_SHOWN * 4].split())
    shown = line if len(line) <= _TEXT_SHOWN else line[: _TEXT_SHOWN - 1] + "…"
    return "".join(character if character.isprintable() else _REPLACEMENT for character in shown)


def json_of(body: bytes) -> Any:
    """The document in `body`.

    Raises:
        Unusable: not JSON.
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise Unusable("it is not JSON" if body else "it is empty") from None


def result_of(document: Any, *, errors_allowed: bool = False) -> Any:
    """The `result` of a successful envelope.

    Raises:
        Unusable: no envelope, `success` is not true, or errors beside it.
    """
    if not isinstance(document, dict):
        raise Unusable("it is not a JSON object")
    if document.get("success") is not True:
        raise Unusable("`success` is not true")
    if document.get("errors") and not errors_allowed:
        raise Unusable("it reports errors beside `success: true`")
    return document.get("result")


def accepted(document: Any, redact: Callable[[str], str]) -> Accepted:
    """Reads the answer to delete_by_ids; `redact` takes secrets out of the messages.

    Errors beside a mutation id become messages: the id proves that the mutation was logged, and losing it
    would turn a known outcome into an unknown one.
    """
    result = _fields(result_of(document, errors_allowed=True))
    mutation_id = result.get("mutationId")
    if not _name(mutation_id) or len(mutation_id) > _MUTATION_ID_MAXIMUM:
        raise Unusable("it names no mutation id")
    _hold_no_secret(mutation_id, redact)
    messages = texts(document.get("errors"), redact) + texts(document.get("messages"), redact)
    return Accepted(mutation_id, messages)


def present(document: Any, asked: Collection[str]) -> frozenset[str]:
    """Reads the answer to get_by_ids: which of `asked` are there."""
    result = result_of(document)
    if not isinstance(result, list):
        raise Unusable("`result` is not an array")
    found = frozenset(_id_of(item) for item in result)
    if not found <= frozenset(asked):
        raise Unusable("it holds ids that were not asked for")
    return found


def page(document: Any, cursor: str | None) -> Page:
    """Reads one page of a list; `cursor` is the one that was asked with."""
    result = _fields(result_of(document))
    vectors, truncated, following = result.get("vectors"), result.get("isTruncated"), result.get("nextCursor")
    if not isinstance(vectors, list):
        raise Unusable("`vectors` is not an array")
    if not isinstance(truncated, bool):
        raise Unusable("`isTruncated` is not true or false")
    ids = tuple([_id_of(vector) for vector in vectors])
    if len(set(ids)) != len(ids):
        raise Unusable("it names an id twice")
    if _count(result, "count") != len(ids):
        raise Unusable(f"`count` is not the number of vectors on the page ({len(ids)})")
    if truncated and not (_name(following) and len(following) <= _CURSOR_MAXIMUM):
        raise Unusable("it is truncated, but has no usable cursor")
    if truncated and following == cursor:
        raise Unusable("its cursor is the one that was asked with: the list would never end")
    return Page(
        ids=ids,
        total_count=_count(result, "totalCount"),
        truncated=truncated,
        next_cursor=following if truncated else None,
        cursor_expires=_optional(result, "cursorExpirationTimestamp"),
    )


def index_info(document: Any) -> IndexInfo:
    """Reads the answer to info."""
    result = _fields(result_of(document))
    return IndexInfo(
        dimensions=_count(result, "dimensions"),
        vector_count=_count(result, "vectorCount"),
        processed_up_to_mutation=_optional(result, "processedUpToMutation"),
        processed_up_to_datetime=_optional(result, "processedUpToDatetime"),
    )


def index_description(document: Any, name: str, redact: Callable[[str], str]) -> IndexDescription:
    """Reads the answer to the index of that `name`; `redact` as in `accepted`."""
    result = _fields(result_of(document))
    created_on = result.get("created_on")
    if result.get("name") != name:
        raise Unusable("it describes an index of another name")
    if not _name(created_on):
        raise Unusable("`created_on` is missing")
    _hold_no_secret(created_on, redact)
    return IndexDescription(name, created_on, _optional(result, "modified_on"))


def texts(items: Any, redact: Callable[[str], str]) -> tuple[str, ...]:
    """The `message` texts of an envelope's `errors` or `messages`, made plain; what is not one is left out."""
    if not isinstance(items, list):
        return ()
    found = (item.get("message") if isinstance(item, dict) else item for item in items)
    return tuple(plain(redact(text)) for text in found if isinstance(text, str) and text)[:_MESSAGES_SHOWN]


def _fields(result: Any) -> dict[str, Any]:
    if not isinstance(result, dict):
        raise Unusable("`result` is not an object")
    return result


def _name(value: Any) -> TypeGuard[str]:
    # Printable: half of a surrogate pair passes JSON and could not be written to the state afterwards.
    return isinstance(value, str) and bool(value.strip()) and value.isprintable()


def _id_of(item: Any) -> str:
    value = item.get("id") if isinstance(item, dict) else None
    if not isinstance(value, str) or not value:
        raise Unusable("a vector has no id")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Unusable("an id is not valid Unicode") from None
    return value


def _hold_no_secret(value: str, redact: Callable[[str], str]) -> None:
    """What is recorded may not be a credential that the service, or somebody in between, sends back."""
    if redact(value) != value:
        raise Unusable("it holds the credentials where a name is expected")


def _count(result: dict[str, Any], name: str) -> int:
    value = result.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _COUNT_MAXIMUM:
        raise Unusable(f"`{name}` is not a count")
    return value


def _optional(result: dict[str, Any], name: str) -> str | None:
    value = result.get(name)
    if value is None or value == "":
        return None
    if not _name(value):
        raise Unusable(f"`{name}` is not a string")
    return value
