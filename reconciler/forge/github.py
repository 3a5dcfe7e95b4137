"""GitHub's REST API, as much of it as a pipeline needs. Errors say what to do; the token is in none of them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from urllib.parse import quote

from reconciler.clock import Clock
from reconciler.errors import ForgeError
from reconciler.vectorize.credentials import REDACTED, checked_base_url
from reconciler.vectorize.headers import retry_after

if TYPE_CHECKING:
    import httpx

#: What a workflow's own token calls itself. It may not ask who it is (403).
WORKFLOW_AUTHOR = "github-actions[bot]"

_VERSION = "2022-11-28"
_TIMEOUT = 30.0
_ATTEMPTS = 5
_LONGEST_WAIT = 120.0  # of one request, all pauses together; a job that waits longer is better run again
_PER_PAGE = 100
_MOST_PAGES = 200
_LONGEST_MESSAGE = 300
_LARGEST_ARTIFACT = 256 * 1024 * 1024


#: What a refusal means, and what to do; `{needs}` is the permission.
_EXPLAINED = {
    401: ("GitHub does not accept the token", "It may have expired, or belong to another server."),
    403: (
        "GitHub does not let this token do that",
        "It needs the {needs}. The token of a pull request from a fork may only read.",
    ),
    404: (
        "GitHub does not know it, or hides it from this token",
        "Check the repository and the number, and that the token has the {needs}.",
    ),
    410: ("GitHub has it no more", "Are issues switched off in this repository?"),
    422: ("GitHub cannot use what was sent", "A comment may have at most 65,536 characters."),
}


class _Asked(NamedTuple):
    """A request. `what` completes the sentence "cannot …"."""

    method: str
    path: str
    what: str
    query: Mapping[str, str] | None
    body: Mapping[str, str] | None
    permission: str


class _Refused(NamedTuple):
    """Why, and how many seconds to wait before another attempt; None: there is no use in one."""

    failure: ForgeError
    pause: float | None


class GitHub:
    """One repository. A context manager. Items are GitHub's own JSON objects, and untrusted.

    Args:
        api_url: without a slash at its end.
        token: sent there and nowhere else.
        repository: OWNER/NAME.
        clock: waits between attempts.
        transport: of httpx, for tests; None = the network.

    Every method raises ForgeError when it was refused or not answered.
    """

    def __init__(
        self,
        api_url: str,
        token: str,
        repository: str,
        *,
        clock: Clock,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        import httpx  # noqa: PLC0415 - no help needs it

        self._httpx = httpx
        self._api_url = api_url
        self._token = token
        self._repository = repository
        self._clock = clock
        self._client = httpx.Client(
            transport=transport,
            timeout=_TIMEOUT,
            follow_redirects=False,  # the token goes to the API alone
            headers={
                "Accept": "application/vnd.github+json",
                "X-GitHub-Api-Version": _VERSION,
                "User-Agent": "vectorize-reconciler",
            },
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    # Who and what.

    def login(self) -> str:
        """The name that this token writes under."""
        try:
            answer = self._call("GET", "/user", what="say whose token this is")
        except ForgeError as refused:
            if refused.status == 403:
                return WORKFLOW_AUTHOR
            raise
        return str(_object(answer.json()).get("login", ""))

    def comments(self, number: int) -> Iterator[dict[str, Any]]:
        """The comments of a pull request, the oldest first."""
        path = f"{self._repo}/issues/{number}/comments"
        return self._pages(path, what=f"list the comments of #{number}", permission="pull-requests")

    def create_comment(self, number: int, body: str) -> None:
        """Add a comment to a pull request or an issue. Never sent twice: an unknown outcome is raised."""
        path = f"{self._repo}/issues/{number}/comments"
        self._call("POST", path, body={"body": body}, what=f"comment on #{number}", permission="pull-requests")

    def update_comment(self, comment: int, body: str) -> None:
        """Replace the text of a comment."""
        path = f"{self._repo}/issues/comments/{comment}"
        self._call(
            "PATCH", path, body={"body": body}, what=f"update comment {comment}", permission="pull-requests"
        )

    def open_issues(self, author: str) -> Iterator[dict[str, Any]]:
        """The open issues by `author`, the oldest first; pull requests are not among them."""
        query = {"state": "open", "creator": author, "sort": "created", "direction": "asc"}
        found = self._pages(f"{self._repo}/issues", query=query, what="list the open issues", permission="issues")
        return (each for each in found if "pull_request" not in each)

    def create_issue(self, title: str, body: str) -> int:
        """Open an issue; returns its number. Never sent twice: an unknown outcome is raised."""
        document = {"title": title, "body": body}
        answer = self._call(
            "POST", f"{self._repo}/issues", body=document, what="open an issue", permission="issues"
        )
        return int(_object(answer.json()).get("number") or 0)

    def update_issue(self, number: int, **changes: str) -> None:
        """Change the title, the body or the state of an issue."""
        path = f"{self._repo}/issues/{number}"
        self._call("PATCH", path, body=changes, what=f"update issue #{number}", permission="issues")

    def pull_requests_of(self, commit: str) -> list[dict[str, Any]]:
        """The pull requests that brought `commit`, or have it in their branch."""
        path = f"{self._repo}/commits/{quote(commit, safe='')}/pulls"
        return list(self._pages(path, what=f"find the pull request of {commit[:12]}", permission="pull-requests"))

    def reviews(self, number: int) -> list[dict[str, Any]]:
        """The reviews of a pull request, the oldest first."""
        path = f"{self._repo}/pulls/{number}/reviews"
        return list(self._pages(path, what=f"list the reviews of #{number}", permission="pull-requests"))

    def may_write(self, login: str) -> bool:
        """Whether somebody may write to the repository; False where this token may not ask."""
        path = f"{self._repo}/collaborators/{quote(login, safe='')}/permission"
        try:
            answer = self._call("GET", path, what="ask what a reviewer may do", permission="metadata")
        except ForgeError as refused:
            if refused.status in (403, 404):
                return False
            raise
        return _object(answer.json()).get("permission") in ("admin", "write")

    def artifact(self, name: str) -> bytes | None:
        """The single file in the newest artifact called `name`; None when there is none any more.

        Runs of pull requests from forks upload artifacts, too, under any name: those are passed over.
        """
        path = f"{self._repo}/actions/artifacts"
        what = f"find the artifact {name}"
        answer = self._call("GET", path, query={"name": name, "per_page": "100"}, what=what, permission="actions")
        listed = _object(answer.json()).get("artifacts")
        kept = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
        kept = [each for each in kept if each.get("name") == name and not each.get("expired") and _of_own(each)]
        if not kept:
            return None
        newest = max(kept, key=lambda each: str(each.get("created_at", "")))
        answer = self._call("GET", f"{path}/{int(newest['id'])}/zip", what=what, permission="actions")
        return _only_member(self._elsewhere(answer.headers.get("location", ""), what), name)

    # How.

    @property
    def _repo(self) -> str:
        return f"/repos/{self._repository}"

    def _pages(
        self, path: str, *, what: str, query: Mapping[str, str] | None = None, permission: str = ""
    ) -> Iterator[dict[str, Any]]:
        for page in range(1, _MOST_PAGES + 1):
            asked = {**(query or {}), "per_page": str(_PER_PAGE), "page": str(page)}
            answer = self._call("GET", path, query=asked, what=what, permission=permission)
            items = answer.json()
            if not isinstance(items, list):
                raise ForgeError(f"GitHub's answer is no list: cannot {what}")
            yield from (each for each in items if isinstance(each, dict))
            if "next" not in answer.links:  # its address is not followed: the token goes to the API alone
                return
        raise ForgeError(f"more than {_MOST_PAGES * _PER_PAGE:,} items: cannot {what}")

    def _call(
        self,
        method: str,
        path: str,
        *,
        what: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, str] | None = None,
        permission: str = "",
    ) -> httpx.Response:
        asked = _Asked(method, path, what, query, body, permission)
        waited = 0.0
        for attempt in range(1, _ATTEMPTS + 1):
            answer = self._attempt(asked)
            if not isinstance(answer, _Refused):
                return answer
            repeated_blindly = answer.failure.may_have_happened and method == "POST"
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
                headers={"Authorization": f"Bearer {self._token}"},
            )
        except httpx.RequestError as failed:
            before = isinstance(failed, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
            told = ForgeError(
                f"GitHub did not answer ({type(failed).__name__}): cannot {asked.what}",
                hint="Run the job again.",
                may_have_happened=not before,
            )
            return _Refused(told, 0.0)
        if answer.status_code < 300 or (answer.status_code == 302 and asked.path.endswith("/zip")):
            return _checked(answer, asked.what)
        pause = self._pause(answer)
        return _Refused(self._failure(answer, asked, limited=pause is not None), pause)

    def _pause(self, answer: httpx.Response) -> float | None:
        limited = answer.status_code == 429 or (
            answer.status_code == 403
            and (answer.headers.get("x-ratelimit-remaining") == "0" or "retry-after" in answer.headers)
        )
        if not limited and answer.status_code < 500:
            return None
        asked = retry_after(answer.headers.get("retry-after"), answer.headers.get("date"), self._clock.now)
        reset = answer.headers.get("x-ratelimit-reset", "")
        if asked is None and limited and reset.isdigit() and len(reset) < 12:
            asked = max(0.0, float(reset) - self._clock.now().timestamp())
        return 1.0 if asked is None else asked

    def _failure(self, answer: httpx.Response, asked: _Asked, *, limited: bool) -> ForgeError:
        status = answer.status_code
        happened, hint = "GitHub refused", ""
        if status >= 500:
            happened, hint = "GitHub failed", "Run the job again."
        elif limited:
            happened, hint = "GitHub's rate limit is used up", "Run the job again later."
        elif status in _EXPLAINED:
            happened, hint = _EXPLAINED[status]
        said = self._said(answer)
        needs = (
            f"permission `{asked.permission}: write`" if asked.body else f"permission `{asked.permission}: read`"
        )
        return ForgeError(
            f"{happened} ({status}): cannot {asked.what}" + (f": {said}" if said else ""),
            hint=hint.format(needs=needs if asked.permission else "permissions that it lacks"),
            status=status,
            may_have_happened=status >= 500,
        )

    def _said(self, answer: httpx.Response) -> str:
        try:
            document = _object(answer.json())
        except (ValueError, RecursionError):
            return ""
        listed = document.get("errors")
        errors = listed if isinstance(listed, list) else []
        parts = [str(document.get("message", "")), *(_told(each) for each in errors)]
        said = "; ".join(part for part in parts if part).replace(self._token, REDACTED)
        return said if len(said) <= _LONGEST_MESSAGE else f"{said[:_LONGEST_MESSAGE]}…"

    def _elsewhere(self, url: str, what: str) -> bytes:
        """What lies at an address that GitHub pointed to; it is signed, and gets no token."""
        checked_base_url(url.partition("?")[0], "the address of the artifact")
        try:
            with self._client.stream("GET", url) as answer:
                if answer.status_code != 200:
                    raise ForgeError(f"the artifact's address answers {answer.status_code}: cannot {what}")
                data = bytearray()
                for chunk in answer.iter_bytes():
                    data += chunk
                    if len(data) > _LARGEST_ARTIFACT:
                        raise ForgeError(f"the artifact is larger than any plan: cannot {what}")
                return bytes(data)
        except self._httpx.RequestError as failed:
            raise ForgeError(f"no answer ({type(failed).__name__}): cannot {what}") from None


def _checked(answer: httpx.Response, what: str) -> httpx.Response:
    if answer.status_code in (204, 302):
        return answer
    try:
        answer.json()
    except (ValueError, RecursionError):
        raise ForgeError(
            f"GitHub's answer is not JSON: cannot {what}",
            hint="Is GITHUB_API_URL the address of the API?",
            status=answer.status_code,
        ) from None
    return answer


def _object(document: Any) -> dict[str, Any]:
    return document if isinstance(document, dict) else {}


def _of_own(artifact: Mapping[str, Any]) -> bool:
    """Made by a run of a branch of the repository itself."""
    run = _object(artifact.get("workflow_run"))
    return run.get("head_repository_id") == run.get("repository_id")


def _told(error: object) -> str:
    if isinstance(error, dict):
        return str(error.get("message") or error.get("code") or "")
    return str(error)


def _only_member(data: bytes, name: str) -> bytes:
    """The one file of an archive; never more of it than a plan can be."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [each for each in archive.infolist() if not each.is_dir()]
            if len(members) != 1 or members[0].file_size > _LARGEST_ARTIFACT:
                raise ForgeError(f"the artifact {name} does not hold one plan")
            with archive.open(members[0]) as file:
                return file.read(_LARGEST_ARTIFACT)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, RecursionError, EOFError):
        raise ForgeError(f"the artifact {name} does not hold a plan") from None
