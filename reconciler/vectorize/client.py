"""The calls of the API, typed. One attempt a call: whether to try again is the dispatcher's to say."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import quote, urlencode

from reconciler.clock import Clock, SystemClock
from reconciler.errors import ServiceError
from reconciler.model.limits import ANSWER_SECONDS, CONNECT_SECONDS, GET_BY_IDS_MAXIMUM, LIST_PAGE_MAXIMUM
from reconciler.model.target import Target
from reconciler.vectorize import answers
from reconciler.vectorize.answers import Accepted, IndexDescription, IndexInfo, Page, Unusable
from reconciler.vectorize.classify import Answer, Asked, failure, unanswered, unusable
from reconciler.vectorize.credentials import Credentials, checked_base_url
from reconciler.vectorize.headers import RateHeaders, retry_after

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")


_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))

#: Bytes of UTF-8 in an id; documented.
ID_BYTES_MAXIMUM = 64


class Client:
    """A connection to the API. Thread-safe; use it as a context manager, or close it.

    Every method makes one attempt and raises a `ServiceError` of reconciler.errors when it fails. The error's
    `may_have_been_accepted` is only ever True for `delete_by_ids`: a read changes nothing.

    Args:
        credentials: whom to be.
        base_url: as `base_url_from` gives it.
        transport: what sends the requests instead of the network, for tests.
        connect_timeout: seconds until a connection stands.
        read_timeout: seconds without a byte of the answer; also for its whole body, and for sending.
        user_agent: what the requests call this program; None = its name and version.
        on_answer: called with each answer's rate headers, in the thread of the call (`Budget.observe`).
        clock: tells the time when a `Retry-After` date comes without a `Date`.

    Raises:
        UsageError: credentials would be sent in the clear to `base_url`, it is not a URL, or the environment
            names a proxy or certificates that cannot be used.
    """

    def __init__(
        self,
        credentials: Credentials,
        base_url: str,
        *,
        transport: httpx.BaseTransport | None = None,
        connect_timeout: float = CONNECT_SECONDS,
        read_timeout: float = ANSWER_SECONDS,
        user_agent: str | None = None,
        on_answer: Callable[[RateHeaders], None] | None = None,
        clock: Clock | None = None,
    ) -> None:
        from reconciler.vectorize.wire import Unanswered, Wire  # noqa: PLC0415 - httpx takes 120 ms to import

        if transport is None:
            base_url = checked_base_url(base_url, "the base URL")
        self._unanswered = Unanswered
        self._redact = credentials.redact
        self._on_answer = on_answer
        self._clock = clock or SystemClock()
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "User-Agent": user_agent or _user_agent(),
            **credentials.headers(),
        }
        self._wire = Wire(
            base_url.rstrip("/"),
            headers,
            transport=transport,
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
        )

    def close(self) -> None:
        """Closes the connections; calls in flight fail."""
        self._wire.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def delete_by_ids(self, target: Target, ids: Sequence[str]) -> Accepted:
        """Asks for the deletion of `ids`: at least one, each once, each 1 to 64 bytes.

        How many the service takes (100, measured) is not checked here, so that a changed limit can be learned.

        Raises:
            TooManyIds: nothing of it was accepted; `maximum` says how many are.
            ServiceError: see `may_have_been_accepted`.
            ValueError: `ids` is nothing to be sent.
        """
        return self.deletion(target, ids)()

    def deletion(self, target: Target, ids: Sequence[str]) -> Callable[[], Accepted]:
        """`delete_by_ids` in two steps: what can be done before it is its turn is done now, the rest when called.

        Raises:
            ValueError: `ids` is nothing to be sent.
        """
        body = _body(ids)
        asked = Asked("delete_by_ids", target, self._redact, changes=True, ids=len(ids))

        def read(document: Any) -> Accepted:
            return answers.accepted(document, self._redact)

        return lambda: self._ask(asked, "POST", "/delete_by_ids", read, body)

    def get_by_ids(self, target: Target, ids: Sequence[str]) -> frozenset[str]:
        """Which of `ids` (1 to 20, each once) are in the index now. Anything doubtful is an error, never absence.

        Raises:
            ServiceError: no answer that could be a proof.
            ValueError: `ids` is nothing to be sent.
        """
        if len(ids) > GET_BY_IDS_MAXIMUM:
            raise ValueError(f"get_by_ids takes {GET_BY_IDS_MAXIMUM} ids, not {len(ids)}")
        body = _body(ids)
        asked = Asked("get_by_ids", target, self._redact, ids=len(ids))
        return self._ask(asked, "POST", "/get_by_ids", lambda document: answers.present(document, ids), body)

    def list_page(self, target: Target, *, cursor: str | None = None, count: int = LIST_PAGE_MAXIMUM) -> Page:
        """One page of at most `count` (1 to 1000) ids; the first without a `cursor`, then with each page's next.

        Raises:
            CursorExpired: begin the list again, and keep nothing of this one: two lists are two snapshots.
            ServiceError: anything else.
        """
        if not 1 <= count <= LIST_PAGE_MAXIMUM:
            raise ValueError(f"a page has 1 to {LIST_PAGE_MAXIMUM} ids, not {count}")
        query = {"count": str(count)} | ({} if cursor is None else {"cursor": cursor})
        asked = Asked("list", target, self._redact, cursor=cursor is not None)
        return self._ask(
            asked, "GET", f"/list?{urlencode(query)}", lambda document: answers.page(document, cursor)
        )

    def info(self, target: Target) -> IndexInfo:
        """How far the index has come. Neither its count nor its pointer proves anything about an id.

        Raises:
            ServiceError: no usable answer.
        """
        return self._ask(Asked("info", target, self._redact), "GET", "/info", answers.index_info)

    def index(self, target: Target) -> IndexDescription:
        """Which index bears the name now.

        Raises:
            ServiceError: no usable answer.
        """
        asked = Asked("get index", target, self._redact)
        return self._ask(
            asked, "GET", "", lambda document: answers.index_description(document, target.index, self._redact)
        )

    def _ask(
        self, asked: Asked, method: str, suffix: str, read: Callable[[Any], T], body: bytes | None = None
    ) -> T:
        answer = self._exchange(asked, method, _path(asked.target) + suffix, body)
        if not 200 <= answer.status < 300:
            raise failure(asked, answer)
        if answer.broken:
            raise unusable(asked, answer, answer.broken)
        try:
            return read(answers.json_of(answer.body))
        except Unusable as problem:
            raise unusable(asked, answer, str(problem)) from None

    def _exchange(self, asked: Asked, method: str, path: str, body: bytes | None) -> Answer:
        try:
            response = self._wire.exchange(method, path, body)
        except self._unanswered as problem:
            raise _no_answer(
                asked, problem.reason, sent=problem.sent, certificate=problem.certificate
            ) from problem
        headers = response.headers
        if self._on_answer is not None:
            self._on_answer(RateHeaders.parse(headers.get("ratelimit")))
        wait = None
        if response.status >= 300:
            wait = retry_after(headers.get("retry-after"), headers.get("date"), self._clock.now)
        return Answer(response.status, response.body, response.broken, wait)


def _no_answer(asked: Asked, reason: str, *, sent: bool, certificate: bool) -> ServiceError:
    if certificate:
        hint = "the server's certificate is not trusted here; a company's own can be named in SSL_CERT_FILE"
        return unanswered(asked, reason, sent=sent, hint=hint, passing=False)
    if sent and asked.changes:
        return unanswered(
            asked, reason, sent=sent, hint="it is not known whether the service accepted the request"
        )
    return unanswered(asked, reason, sent=sent)


@lru_cache(maxsize=1024)  # thousands of requests go to the same few
def _path(target: Target) -> str:
    return f"/accounts/{_segment(target.account_id)}/vectorize/v2/indexes/{_segment(target.index)}"


def _segment(name: str) -> str:
    quoted = quote(name, safe="")
    # "." and ".." stay as they are when quoted, and would climb out of the path.
    return quoted.replace(".", "%2E") if not name.strip(".") else quoted


def _body(ids: Sequence[str]) -> bytes:
    """`{"ids": […]}`. No empty list, repeated or overlong ids: what the service makes of them is unknown."""
    if not ids:
        raise ValueError("no ids to send")
    if len(set(ids)) != len(ids):
        raise ValueError("an id is there twice")
    sizes = set(map(len, ids if "".join(ids).isascii() else [id_.encode() for id_ in ids]))
    if min(sizes) == 0 or max(sizes) > ID_BYTES_MAXIMUM:
        raise ValueError(f"an id is empty or longer than {ID_BYTES_MAXIMUM} bytes")
    return _JSON.encode({"ids": list(ids)}).encode()


def _user_agent() -> str:
    try:
        return f"vectorize-reconciler/{version('vectorize-reconciler')}"
    except PackageNotFoundError:
        return "vectorize-reconciler"
