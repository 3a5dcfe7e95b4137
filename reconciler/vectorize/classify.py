"""Which error an answer is: by the service's code first, then by the status.

    code                       error                  try again
    10000 9106 9109 6003 6103  AuthenticationFailed   no
    7403                       PermissionDenied       no
    3000 3005                  IndexNotFound          no
    40007                      TooManyIds             no: split first
    971 40041                  Throttled              yes
    40008 40026 7003           RequestRejected        no
    none of these:
    401 / 403 / 429            AuthenticationFailed / PermissionDenied / Throttled
    408, 5xx                   ServiceFault           yes
    other 4xx, by the API      RequestRejected        no
    3xx                        ServiceFault           no: credentials follow no redirect
    anything else              ServiceFault           yes

A body may hold several errors, each with a chain; the first row that any of their codes fits decides, so that
what stops a run at once is never hidden behind something that passes.

The outcome of a delete is known only when the API itself refused it: a 4xx with the API's envelope, or a 429.
After every other failing answer it may have been accepted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NamedTuple

from reconciler.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    IndexNotFound,
    PermissionDenied,
    RequestRejected,
    ServiceError,
    ServiceFault,
    Throttled,
    TooManyIds,
)
from reconciler.model.target import Target
from reconciler.vectorize.answers import Unusable, json_of, plain

TOO_MANY_IDS = 40007

#: In the order in which they decide.
_BY_CODE: tuple[tuple[frozenset[int], type[ServiceError]], ...] = (
    (frozenset({10000, 9106, 9109, 6003, 6103}), AuthenticationFailed),
    (frozenset({7403}), PermissionDenied),
    (frozenset({3000, 3005}), IndexNotFound),
    (frozenset({TOO_MANY_IDS}), TooManyIds),
    (frozenset({971, 40041}), Throttled),
    (frozenset({40008, 40026, 7003}), RequestRejected),
)
_KNOWN_CODES = frozenset().union(*(codes for codes, _ in _BY_CODE))

_BY_STATUS: dict[int, type[ServiceError]] = {
    401: AuthenticationFailed,
    403: PermissionDenied,
    408: ServiceFault,
    429: Throttled,
}

#: What a cursor that is no longer good may be answered with; the service does not say which.
_CURSOR_STATUSES = frozenset({400, 404, 410})

_STATED_MAXIMUM = re.compile(r"\bmax(?:imum)?\b[^0-9]{0,60}([0-9]{1,9})\b", re.IGNORECASE)


class CursorExpired(RequestRejected):
    """A cursor is no longer accepted: the list has to start again, without one and from nothing."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, as far as its errors need to know it.

    Attributes:
        operation: its name in messages, such as "delete_by_ids".
        target: the index.
        redact: takes the secrets out of a text.
        changes: True when it changes the index: then an answer that was lost matters.
        ids: how many ids it carries.
        cursor: True when it continues a list.
    """

    operation: str
    target: Target
    redact: Callable[[str], str]
    changes: bool = False
    ids: int = 0
    cursor: bool = False

    def __str__(self) -> str:
        return f"{self.operation} on {plain(str(self.target))}"

    @property
    def permission(self) -> str:
        """The token's permission that the request needs."""
        return '"Vectorize Write"' if self.changes else '"Vectorize Read" (or "Vectorize Write")'


class Answer(NamedTuple):
    """A response. `broken` says why the body is not whole; empty when it is."""

    status: int
    body: bytes
    broken: str = ""
    retry_after: float | None = None


class _Stated(NamedTuple):
    code: int | None
    text: str


def failure(asked: Asked, answer: Answer) -> ServiceError:
    """The error that an answer with a status outside 200..299 is."""
    status = answer.status
    document = _document(answer)
    stated = list(_stated(document))
    kind, code = _kind(status, {each.code for each in stated}, definite=_is_refusal(document, stated))
    if code is None:
        code = next((each.code for each in stated if each.code is not None), None)
    said = "; ".join(plain(asked.redact(each.text)) for each in stated if each.text)
    message = f"{asked}: {_where(status, code)}" + (f": {plain(said)}" if said else answer.broken and ", cut off")
    unknown = asked.changes and status != 429 and not (_is_final(status) and _is_refusal(document, stated))
    if asked.cursor and status in _CURSOR_STATUSES and code not in _KNOWN_CODES:
        return CursorExpired(
            message,
            code=code,
            status=status,
            hint="the list's cursor is no longer good: list again from the start",
        )
    error = _made(kind, message, asked, stated, code=code, status=status)
    error.may_have_been_accepted = unknown
    error.retry_after = answer.retry_after
    if 300 <= status < 400:
        error.passing = False
        error.hint = "redirects are not followed, as credentials would travel along: check the base URL"
    return error


def unusable(asked: Asked, answer: Answer, problem: str) -> ServiceFault:
    """The error that an answer with a status in 200..299 is when it is not what the API describes."""
    stated = list(_stated(_document(answer)))
    said = "; ".join(plain(asked.redact(each.text)) for each in stated if each.text)
    code = next((each.code for each in stated if each.code is not None), None)
    return ServiceFault(
        f"{asked}: {_where(answer.status, code)}, but the answer is unusable: {problem}"
        + (f": {plain(said)}" if said else ""),
        code=code,
        status=answer.status,
        may_have_been_accepted=asked.changes,
        hint="it is not known whether the service accepted the request" if asked.changes else "",
    )


def unanswered(asked: Asked, reason: str, *, sent: bool, hint: str = "", passing: bool = True) -> ConnectionFailed:
    """The error that no answer is. `sent`: the request may have left."""
    error = ConnectionFailed(
        f"{asked}: no answer: {plain(asked.redact(reason))}",
        hint=hint,
        may_have_been_accepted=asked.changes and sent,
    )
    error.passing = passing
    return error


def _document(answer: Answer) -> Any:
    try:
        return None if answer.broken else json_of(answer.body)
    except Unusable:
        return None


def _stated(document: Any) -> Iterable[_Stated]:
    """The errors of an envelope, those of their chains behind each."""
    errors = document.get("errors") if isinstance(document, dict) else None
    for item in errors if isinstance(errors, list) else ():
        if not isinstance(item, dict):
            continue
        chain = item.get("error_chain")
        for each in (item, *(chain if isinstance(chain, list) else ())):
            if isinstance(each, dict):
                text = each.get("message")
                yield _Stated(_code(each.get("code")), text if isinstance(text, str) else "")


def _code(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _is_refusal(document: Any, stated: list[_Stated]) -> bool:
    """True when the body is the API's own "no", and not the page of something on the way."""
    if not isinstance(document, dict) or document.get("success") is True:
        return False
    return document.get("success") is False or any(each.code is not None for each in stated)


def _is_final(status: int) -> bool:
    return 400 <= status < 500 and status != 408


def _kind(status: int, codes: set[int | None], *, definite: bool) -> tuple[type[ServiceError], int | None]:
    """The class of the error, and the code that decided it (None: the status did)."""
    if 300 <= status < 400:
        return ServiceFault, None
    for known, kind in _BY_CODE:
        if matching := known & codes:
            return kind, min(matching)
    if status in _BY_STATUS:
        return _BY_STATUS[status], None
    return (RequestRejected if definite and _is_final(status) else ServiceFault), None


def _made(
    kind: type[ServiceError], message: str, asked: Asked, stated: list[_Stated], *, code: int | None, status: int
) -> ServiceError:
    if kind is TooManyIds:
        return TooManyIds(message, maximum=_maximum(stated, asked.ids), code=code, status=status, hint="split it")
    if kind is IndexNotFound:
        message += " (a misspelt name looks the same as a deleted index)"
    return kind(message, code=code, status=status, hint=_hint(kind, asked, code, status))


def _hint(kind: type[ServiceError], asked: Asked, code: int | None, status: int) -> str:
    if kind is AuthenticationFailed:
        return f"check the credentials: the token must be valid for this account and hold {asked.permission}"
    if kind is PermissionDenied:
        return f"the token needs the permission {asked.permission} on this account"
    if kind is IndexNotFound:
        return "check the index's name and the account id; if it was deleted for good, remove its declarations"
    if code == 7003:
        return "check the account id and the base URL"
    if kind is ServiceFault and _is_final(status):
        return "the answer is not the API's: check the base URL, and proxies on the way"
    return ""


def _maximum(stated: list[_Stated], sent: int) -> int | None:
    """The maximum of ids that the service states; None when it states none that is below what was `sent`."""
    for each in stated:
        found = _STATED_MAXIMUM.search(each.text) if each.code == TOO_MANY_IDS else None
        # A maximum that the refused request kept would make its sender split it into itself, for ever.
        if found and 1 <= int(found[1]) < sent:
            return int(found[1])
    return None


def _where(status: int, code: int | None) -> str:
    try:
        named = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        named = str(status)
    return named if code is None else f"{named}, code {code}"
