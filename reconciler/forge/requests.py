"""Requests to a forge's REST API: repeated where that is safe, waiting as asked, and no token in any error.

What GitHub and GitLab do differently is a `Dialect`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from reconciler.clock import Clock
from reconciler.errors import ForgeError
from reconciler.vectorize.credentials import REDACTED
from reconciler.vectorize.headers import retry_after

if TYPE_CHECKING:
    import httpx

_TIMEOUT = 30.0
_ATTEMPTS = 5
_LONGEST_WAIT = 120.0  # of one request, all pauses together; a job that waits longer is better run again
_PER_PAGE = 100
_MOST_PAGES = 200
_LONGEST_MESSAGE = 300


class Asked(NamedTuple):
    """A request.

    Attributes:
        path: behind the address of the API.
        what: completes the sentence "cannot …".
        permission: that the token needs, where the forge names such.
        elsewhere: an address to look at instead (302) is an answer, too. It is never followed with the token.
    """

    method: str
    path: str
    what: str
    query: Mapping[str, str] | None = None
    body: Mapping[str, str] | None = None
    permission: str = ""
    elsewhere: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """What one forge's API does in its own way.

    Attributes:
        name: of the forge, as errors call it.
        variable: that a runner sets to the address of the API.
        accept: the media type asked for.
        headers: further ones, of every request.
        authorization: the headers that carry a token.
        reset: the header that says when a rate limit ends, in seconds of Unix time.
        limited: whether an answer says that a rate limit is used up.
        more: whether an answer says that there is a next page.
        refused: what happened, and what to do, for a status that no further attempt can change.
        said: what the document of a refusal gives as its reasons; it may raise what odd JSON raises.
    """

    name: str
    variable: str
    accept: str
    headers: Mapping[str, str]
    authorization: Callable[[str], Mapping[str, str]]
    reset: str
    limited: Callable[[httpx.Response], bool]
    more: Callable[[httpx.Response], bool]
    refused: Callable[[Asked, int], tuple[str, str]]
    said: Callable[[Mapping[str, Any]], Iterable[str]]


class _Refused(NamedTuple):
    """Why, and how many seconds to wait before another attempt; None: there is no use in one."""

    failure: ForgeError
    pause: float | None


class Requests:
    """The requests to one API.

    Args:
        api_url: without a slash at its end; checked by who read it from the environment.
        token: sent there and nowhere else.
        clock: waits between attempts.
        transport: of httpx, for tests; None = the network.

    Attributes:
        client: carries no token of itself, and follows no redirect.
    """

    def __init__(
        self,
        dialect: Dialect,
        api_url: str,
        token: str,
        *,
        clock: Clock,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        import httpx  # noqa: PLC0415 - no help needs it

        self._httpx = httpx
        self._dialect = dialect
        self._api_url = api_url
        self._token = token
        self._clock = clock
        self.client = httpx.Client(
            transport=transport,
            timeout=_TIMEOUT,
            follow_redirects=False,  # the token goes to the API alone
            headers={"Accept": dialect.accept, "User-Agent": "vectorize-reconciler", **dialect.headers},
        )

    def pages(self, asked: Asked) -> Iterator[dict[str, Any]]:
        """The objects of a list, of all its pages.

        Raises:
            ForgeError: a page was refused or not answered, is no list, or there are too many.
        """
        for page in range(1, _MOST_PAGES + 1):
            query = {**(asked.query or {}), "per_page": str(_PER_PAGE), "page": str(page)}
            answer = self.call(asked._replace(query=query))
            items = answer.json()
            if not isinstance(items, list):
                raise ForgeError(f"{self._dialect.name}'s answer is no list: cannot {asked.what}")
            yield from (each for each in items if isinstance(each, dict))
            # Only whether there is a next page is believed, no address: the token goes to the API alone.
            if not self._dialect.more(answer):
                return
        raise ForgeError(f"more than {_MOST_PAGES * _PER_PAGE:,} items: cannot {asked.what}")

    def call(self, asked: Asked) -> httpx.Response:
        """The answer: JSON, or of anything but a GET no content. A POST of unknown outcome is never sent again.

        Raises:
            ForgeError: refused or not answered, after all attempts.
        """
        waited = 0.0
        for attempt in range(1, _ATTEMPTS + 1):
            answer = self._attempt(asked)
            if not isinstance(answer, _Refused):
                return answer
            repeated_blindly = answer.failure.may_have_happened and asked.method == "POST"
            if answer.pause is None or attempt == _ATTEMPTS or repeated_blindly:
                raise answer.failure
            pause = max(answer.pause, self._clock.jitter(min(8.0, 0.5 * 2**attempt)))
            waited += pause
            if waited > _LONGEST_WAIT:
                raise answer.failure
            self._clock.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def _attempt(self, asked: Asked) -> httpx.Response | _Refused:
        httpx = self._httpx
        try:
            answer = self.client.request(
                asked.method,
                f"{self._api_url}{asked.path}",
                params=asked.query,
                json=asked.body,
                headers=self._dialect.authorization(self._token),
            )
        except httpx.RequestError as failed:
            before = isinstance(failed, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
            told = ForgeError(
                f"{self._dialect.name} did not answer ({type(failed).__name__}): cannot {asked.what}",
                hint="Run the job again.",
                may_have_happened=not before,
            )
            return _Refused(told, 0.0)
        if asked.elsewhere and answer.status_code == 302:
            return answer
        if answer.status_code < 300:
            return self._checked(answer, asked)
        limited = self._dialect.limited(answer)
        return _Refused(self._failure(answer, asked, limited=limited), self._pause(answer, limited=limited))

    def _checked(self, answer: httpx.Response, asked: Asked) -> httpx.Response:
        if answer.status_code == 204 and asked.method != "GET":  # it was done; who asked to read needs something
            return answer
        try:
            answer.json()
        except (ValueError, RecursionError):
            raise ForgeError(
                f"{self._dialect.name}'s answer is not JSON: cannot {asked.what}",
                hint=f"Is {self._dialect.variable} the address of the API?",
                status=answer.status_code,
            ) from None
        return answer

    def _pause(self, answer: httpx.Response, *, limited: bool) -> float | None:
        if not limited and answer.status_code < 500:
            return None
        asked = retry_after(answer.headers.get("retry-after"), answer.headers.get("date"), self._clock.now)
        reset = answer.headers.get(self._dialect.reset, "")
        if asked is None and limited and reset.isdecimal() and len(reset) < 12:
            asked = max(0.0, float(reset) - self._clock.now().timestamp())
        return 1.0 if asked is None else asked

    def _failure(self, answer: httpx.Response, asked: Asked, *, limited: bool) -> ForgeError:
        status, name = answer.status_code, self._dialect.name
        if status >= 500:
            happened, hint = f"{name} failed", "Run the job again."
        elif limited:
            happened, hint = f"{name}'s rate limit is used up", "Run the job again later."
        else:
            happened, hint = self._dialect.refused(asked, status)
        said = self._said(answer)
        return ForgeError(
            f"{happened} ({status}): cannot {asked.what}" + (f": {said}" if said else ""),
            hint=hint,
            status=status,
            may_have_happened=status >= 500,
        )

    def _said(self, answer: httpx.Response) -> str:
        try:
            said = "; ".join(self._dialect.said(as_object(answer.json())))
        except (ValueError, RecursionError):
            return ""
        said = said.replace(self._token, REDACTED)
        return said if len(said) <= _LONGEST_MESSAGE else f"{said[:_LONGEST_MESSAGE]}…"


def object_in(answer: httpx.Response) -> dict[str, Any]:
    """The JSON object of an answer; {} when it is anything else, or nothing."""
    return as_object(answer.json() if answer.content else None)


def as_object(document: Any) -> dict[str, Any]:
    """A JSON object as it is; {} for anything else that a forge sent."""
    return document if isinstance(document, dict) else {}
