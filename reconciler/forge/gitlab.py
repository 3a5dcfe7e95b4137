"""GitLab's API v4, as much of it as one note needs. Errors say what to do; the token is in none of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from urllib.parse import quote

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

_SIZE = "A note may have at most 1,000,000 characters: make the Markdown with a smaller --max-bytes."

#: What a refusal means, and what to do.
_EXPLAINED = {
    400: ("GitLab cannot use what was sent", _SIZE),
    401: ("GitLab does not accept the token", "It may have expired, been revoked, or belong to another server."),
    403: (
        "GitLab does not let this token do that",
        "It needs the scope `api`, and the role Reporter in this project. Is the discussion locked?",
    ),
    404: (
        "GitLab does not know it, or hides it from this token",
        "Check the project and the number, and that the token is one of this project or of its group.",
    ),
    413: ("GitLab, or a proxy before it, finds what was sent too large", _SIZE),
    422: ("GitLab cannot use what was sent", _SIZE),
}


class _Asked(NamedTuple):
    """A request. `what` completes the sentence "cannot …"."""

    method: str
    path: str
    what: str
    query: Mapping[str, str] | None = None
    body: Mapping[str, str] | None = None


class _Refused(NamedTuple):
    """Why, and how many seconds to wait before another attempt; None: there is no use in one."""

    failure: ForgeError
    pause: float | None


class GitLab:
    """One project. A context manager. Items are GitLab's own JSON objects, and untrusted.

    Args:
        api_url: ends in /api/v4, without a slash behind it.
        token: of a project, a group or a person; sent there and nowhere else.
        project: its number.
        clock: waits between attempts.
        transport: of httpx, for tests; None = the network.

    Every method raises ForgeError when it was refused or not answered.
    """

    def __init__(
        self,
        api_url: str,
        token: str,
        project: int,
        *,
        clock: Clock,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        import httpx  # noqa: PLC0415 - no help needs it

        self._httpx = httpx
        self._api_url = api_url
        self._token = token
        self._project = f"/projects/{project}"
        self._clock = clock
        self._client = httpx.Client(
            transport=transport,
            timeout=_TIMEOUT,
            follow_redirects=False,  # the token goes to the API alone
            headers={"Accept": "application/json", "User-Agent": "vectorize-reconciler"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def login(self) -> str:
        """The name of the user that this token writes as: for a token of a project, that of its bot.

        Raises:
            ForgeError: as every method; or there is no name in the answer.
        """
        user = _object(self._call(_Asked("GET", "/user", "say whose token this is")).json())
        if name := user.get("username"):
            return str(name)
        raise ForgeError("GitLab's answer names nobody: cannot say whose token this is")

    def notes(self, number: int) -> Iterator[dict[str, Any]]:
        """The notes of a merge request, the oldest first; what GitLab itself wrote there is not among them."""
        query = {"sort": "asc", "order_by": "created_at"}
        found = self._pages(_Asked("GET", self._notes(number), f"list the notes of !{number}", query))
        return (each for each in found if not each.get("system"))

    def create_note(self, number: int, body: str) -> None:
        """Add a note to a merge request. Never sent twice: an unknown outcome is raised."""
        self._call(_Asked("POST", self._notes(number), f"write a note on !{number}", body={"body": body}))

    def update_note(self, number: int, note: int, body: str) -> None:
        """Replace the text of a note."""
        what = f"update note {note} of !{number}"
        self._call(_Asked("PUT", f"{self._notes(number)}/{note}", what, body={"body": body}))

    def head(self, number: int) -> str:
        """The newest commit of a merge request; "" when GitLab does not say."""
        asked = _Asked("GET", f"{self._project}/merge_requests/{number}", f"read !{number}")
        return str(_object(self._call(asked).json()).get("sha") or "")

    def merge_requests_of(self, commit: str) -> list[dict[str, Any]]:
        """The merge requests that brought `commit`, or have it in their branch."""
        path = f"{self._project}/repository/commits/{quote(commit, safe='')}/merge_requests"
        return list(self._pages(_Asked("GET", path, f"find the merge request of {commit[:12]}")))

    # How.

    def _notes(self, number: int) -> str:
        return f"{self._project}/merge_requests/{number}/notes"

    def _pages(self, asked: _Asked) -> Iterator[dict[str, Any]]:
        for page in range(1, _MOST_PAGES + 1):
            query = {**(asked.query or {}), "per_page": str(_PER_PAGE), "page": str(page)}
            answer = self._call(asked._replace(query=query))
            items = answer.json()
            if not isinstance(items, list):
                raise ForgeError(f"GitLab's answer is no list: cannot {asked.what}")
            yield from (each for each in items if isinstance(each, dict))
            # Only whether there is a next page is believed, no address: the token goes to the API alone.
            if not answer.headers.get("x-next-page", "").strip():
                return
        raise ForgeError(f"more than {_MOST_PAGES * _PER_PAGE:,} items: cannot {asked.what}")

    def _call(self, asked: _Asked) -> httpx.Response:
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

    def _attempt(self, asked: _Asked) -> httpx.Response | _Refused:
        httpx = self._httpx
        try:
            answer = self._client.request(
                asked.method,
                f"{self._api_url}{asked.path}",
                params=asked.query,
                json=asked.body,
                headers={"PRIVATE-TOKEN": self._token},
            )
        except httpx.RequestError as failed:
            before = isinstance(failed, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
            told = ForgeError(
                f"GitLab did not answer ({type(failed).__name__}): cannot {asked.what}",
                hint="Run the job again.",
                may_have_happened=not before,
            )
            return _Refused(told, 0.0)
        if answer.status_code < 300:
            return _checked(answer, asked.what)
        return _Refused(self._failure(answer, asked), self._pause(answer))

    def _pause(self, answer: httpx.Response) -> float | None:
        if answer.status_code != 429 and answer.status_code < 500:
            return None
        asked = retry_after(answer.headers.get("retry-after"), answer.headers.get("date"), self._clock.now)
        reset = answer.headers.get("ratelimit-reset", "")
        if asked is None and answer.status_code == 429 and reset.isdecimal() and len(reset) < 12:
            asked = max(0.0, float(reset) - self._clock.now().timestamp())
        return 1.0 if asked is None else asked

    def _failure(self, answer: httpx.Response, asked: _Asked) -> ForgeError:
        status = answer.status_code
        happened, hint = _EXPLAINED.get(status, ("GitLab refused", ""))
        if status >= 500:
            happened, hint = "GitLab failed", "Run the job again."
        elif status == 429:
            happened, hint = "GitLab's rate limit is used up", "Run the job again later."
        elif 300 <= status < 400:
            hint = "It answers with another address, which gets no token: is CI_API_V4_URL the one of the API?"
        said = self._said(answer)
        return ForgeError(
            f"{happened} ({status}): cannot {asked.what}" + (f": {said}" if said else ""),
            hint=hint,
            status=status,
            may_have_happened=status >= 500,
        )

    def _said(self, answer: httpx.Response) -> str:
        """What GitLab wrote: `message` (a text, or lists of texts by field), or OAuth's `error_description`."""
        try:
            document = _object(answer.json())
        except (ValueError, RecursionError):
            return ""
        parts = [*_texts(document.get("message")), *_texts(document.get("error_description"))]
        said = "; ".join(parts or _texts(document.get("error"))).replace(self._token, REDACTED)
        return said if len(said) <= _LONGEST_MESSAGE else f"{said[:_LONGEST_MESSAGE]}…"


def _checked(answer: httpx.Response, what: str) -> httpx.Response:
    if answer.status_code == 204:
        return answer
    try:
        answer.json()
    except (ValueError, RecursionError):
        raise ForgeError(
            f"GitLab's answer is not JSON: cannot {what}",
            hint="Is CI_API_V4_URL the address of the API?",
            status=answer.status_code,
        ) from None
    return answer


def _object(document: Any) -> dict[str, Any]:
    return document if isinstance(document, dict) else {}


def _texts(found: object) -> list[str]:
    if isinstance(found, dict):
        return [f"{field} {', '.join(_texts(said))}" for field, said in found.items()]
    if isinstance(found, list):
        return [str(each) for each in found]
    return [str(found)] if found else []
