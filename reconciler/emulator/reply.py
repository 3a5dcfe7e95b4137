"""Answers, and what ordered faults make of them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from reconciler.emulator import errors
from reconciler.emulator.errors import ApiError, envelope
from reconciler.emulator.faults import Fault
from reconciler.emulator.request import Call

_JSON = "application/json"

_GATEWAY_PAGE = (
    "<!DOCTYPE html>\n<html><head><title>{status}: Bad gateway</title></head>"
    "<body><h1>Error {status}</h1><p>The web server reported a bad gateway error.</p></body></html>\n"
)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, complete but for the connection.

    Attributes:
        status: HTTP status.
        content: the body.
        headers: response headers besides Content-Length.
        code: code of the first error; None on success.
        performed: whether the request was performed, whatever the answer says.
        document: the envelope, while the answer is still a successful one that faults may reshape.
    """

    status: int
    content: bytes
    headers: dict[str, str] = field(default_factory=dict)
    code: int | None = None
    performed: bool = False
    document: dict[str, Any] | None = None

    @classmethod
    def succeeded(cls, result: Any, headers: Mapping[str, str]) -> "Reply":
        """200 with a result."""
        document = envelope(result)
        all_headers = {"content-type": _JSON, **headers}
        return cls(200, _encode(document), all_headers, performed=True, document=document)

    @classmethod
    def refused(cls, error: ApiError, headers: Mapping[str, str], *, performed: bool = False) -> "Reply":
        """A refusal."""
        content = _encode(envelope(None, errors=error.errors()))
        return cls(error.status, content, {"content-type": _JSON, **headers}, code=error.code, performed=performed)


def _encode(document: dict[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")


def make_refusal(fault: Fault, call: Call, headers: Mapping[str, str], *, performed: bool = False) -> Reply:
    """The answer of a fault that stands in for the operation's."""
    if fault.kind == "raw":
        status = fault.status or 502
        text = _GATEWAY_PAGE.format(status=status) if fault.body is None else fault.body
        content_type = {"content-type": fault.content_type}
        return Reply(status, text.encode(), {**content_type, **headers, **fault.headers}, performed=performed)
    if fault.kind == "redirect":
        location = {"location": fault.location or ""}
        return Reply(fault.status or 307, b"", {**headers, **location, **fault.headers})
    error = _ordered_error(fault, call)
    return Reply.refused(error, {**headers, **error.headers, **fault.headers}, performed=performed)


def _ordered_error(fault: Fault, call: Call) -> ApiError:
    if fault.kind == "id_limit":
        return errors.too_many_ids(fault.limit or 0, len(call.claimed_ids))
    if fault.kind == "index_missing":
        error = errors.index_not_found(call.route.index or "", fault.status or 404)
        return ApiError(error.status, fault.code or error.code, fault.message or error.message)
    status = fault.status or 500
    code, message = {
        429: (errors.RATE_LIMITED, "Please wait and consider throttling your request speed"),
        401: (errors.AUTHENTICATION, "Authentication error"),
        403: (errors.AUTHENTICATION, "Authentication error"),
    }.get(status, (errors.INTERNAL, "Internal server error"))
    retry_after = {} if fault.retry_after is None else {"retry-after": str(fault.retry_after)}
    if fault.code == errors.MUTATIONS_THROTTLED:
        message = "Too Many Requests"
    return ApiError(status, fault.code or code, fault.message or message, headers=retry_after)


def shape(reply: Reply, met: tuple[Fault, ...], call: Call) -> Reply:
    """What the faults leave of the answer of a request that was performed. Refusals only gain headers."""
    for fault in met:
        if fault.kind == "headers":
            names = {name.lower() for name in fault.headers}
            kept = {name: value for name, value in reply.headers.items() if name.lower() not in names}
            reply = replace(reply, headers={**kept, **fault.headers})
        elif reply.document is not None:
            reply = _reshape(reply, fault, call)
    return reply


def _reshape(reply: Reply, fault: Fault, call: Call) -> Reply:
    document = dict(reply.document or {})
    match fault.kind:
        case "error" | "raw":
            headers = {name: value for name, value in reply.headers.items() if name != "content-type"}
            return make_refusal(fault, call, headers, performed=True)
        case "null_mutation":
            document["result"] = {"mutationId": None}
        case "missing_result":
            document["result"] = None
        case "result":
            document["result"] = fault.result
        case "message":
            text = fault.message or "emulated message"
            document["messages"] = [*document["messages"], {"code": fault.code or 10000, "message": text}]
        case "truncate":
            return replace(reply, content=reply.content[: len(reply.content) // 2], document=None)
        case _:
            return reply
    return replace(reply, content=_encode(document), document=document)
