"""What an object store says, in words that help."""

from __future__ import annotations

import re

from reconciler.errors import StoreUnavailable
from reconciler.state.identity import printable

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>([A-Za-z0-9]{1,60})</Code>")
_MESSAGE = re.compile(r"<Message>([^<]{1,200})</Message>")
_LONGEST = 200

#: Statuses after which the same request may succeed: 408, 409, 429 and 5xx. Other refusals are final.
_PASSING = frozenset({408, 409, 425, 429})

#: What the library says of a redirect that names no address.
_ELSEWHERE = "redirect without LOCATION"
_REGION = "the bucket is in another region: set AWS_REGION"
_HINTS = {
    "NoSuchBucket": "create the bucket, or correct its name",
    "InvalidBucketName": "create the bucket, or correct its name",
    "PermanentRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "SignatureDoesNotMatch": "the secret key does not belong to the access key",
    "InvalidAccessKeyId": "the access key is not known to this store: is AWS_ENDPOINT_URL_S3 the right one?",
    "ExpiredToken": "the credentials have expired: renew them",
    "RequestTimeTooSkewed": "the clock of this machine is wrong",
}
_NOT_ALLOWED = "the credentials need s3:GetObject and s3:PutObject there, and s3:ListBucket on the bucket"


def explain(url: str, what: str, error: Exception) -> tuple[StoreUnavailable, bool]:
    """The error for a request that failed: the state `url` could not be `what`; and whether it may pass."""
    text = str(error)
    status = _status(text)
    code = _CODE.search(text)
    if _ELSEWHERE in text:
        return StoreUnavailable(f"the state {url} could not be {what}: it is elsewhere", hint=_REGION), False
    passing = status is None or status in _PASSING or status >= 500
    hint = _HINTS.get(code[1] if code else "", "")
    if not hint and status in (401, 403):
        hint = _NOT_ALLOWED
    return StoreUnavailable(
        f"the state {url} could not be {what}: {_said(text, status, code)}", hint=hint
    ), passing


def _status(text: str) -> int | None:
    found = _STATUS.search(text)
    return int(found[1]) if found else None


def _said(text: str, status: int | None, code: re.Match[str] | None) -> str:
    """One short printable line: the store's own code and message, else how the library begins."""
    if status is not None:
        message = _MESSAGE.search(text)
        parts = [f"status {status}", code[1] if code else "", message[1] if message else ""]
        return printable(": ".join(each for each in parts if each), _LONGEST)
    return printable(text.partition("\n")[0].strip(), _LONGEST) or "no reason was given"
