"""GitHub's REST API, as much of it as a pipeline needs. Errors say what to do; the token is in none of them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from reconciler.clock import Clock
from reconciler.errors import ForgeError
from reconciler.forge.requests import Asked, Dialect, Requests, as_object, object_in
from reconciler.vectorize.credentials import checked_base_url

if TYPE_CHECKING:
    import httpx

#: What a workflow's own token calls itself. It may not ask who it is (403).
WORKFLOW_AUTHOR = "github-actions[bot]"

_VERSION = "2022-11-28"
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


def _limited(answer: httpx.Response) -> bool:
    return answer.status_code == 429 or (
        answer.status_code == 403
        and (answer.headers.get("x-ratelimit-remaining") == "0" or "retry-after" in answer.headers)
    )


def _refused(asked: Asked, status: int) -> tuple[str, str]:
    happened, hint = _EXPLAINED.get(status, ("GitHub refused", ""))
    needs = f"permission `{asked.permission}: {'write' if asked.body else 'read'}`"
    return happened, hint.format(needs=needs if asked.permission else "permissions that it lacks")


def _said(document: Mapping[str, Any]) -> list[str]:
    listed = document.get("errors")
    errors = listed if isinstance(listed, list) else []
    parts = [str(document.get("message", "")), *(_told(each) for each in errors)]
    return [part for part in parts if part]


def _told(error: object) -> str:
    if isinstance(error, dict):
        return str(error.get("message") or error.get("code") or "")
    return str(error)


_DIALECT = Dialect(
    name="GitHub",
    variable="GITHUB_API_URL",
    accept="application/vnd.github+json",
    headers={"X-GitHub-Api-Version": _VERSION},
    authorization=lambda token: {"Authorization": f"Bearer {token}"},
    reset="x-ratelimit-reset",
    limited=_limited,
    more=lambda answer: "next" in answer.links,
    refused=_refused,
    said=_said,
)


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
        self._repo = f"/repos/{repository}"
        self._requests = Requests(_DIALECT, api_url, token, clock=clock, transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._requests.client.close()

    def login(self) -> str:
        """The name that this token writes under."""
        try:
            answer = self._requests.call(Asked("GET", "/user", what="say whose token this is"))
        except ForgeError as refused:
            if refused.status == 403:
                return WORKFLOW_AUTHOR
            raise
        return str(object_in(answer).get("login", ""))

    def comments(self, number: int) -> Iterator[dict[str, Any]]:
        """The comments of a pull request, the oldest first."""
        path = f"{self._repo}/issues/{number}/comments"
        return self._requests.pages(
            Asked("GET", path, what=f"list the comments of #{number}", permission="pull-requests")
        )

    def create_comment(self, number: int, body: str) -> str:
        """Add a comment to a pull request or an issue. Never sent twice: an unknown outcome is raised.

        Returns:
            when it was there, by GitHub's own clock (RFC 3339); "" when GitHub does not say.
        """
        path = f"{self._repo}/issues/{number}/comments"
        answer = self._requests.call(
            Asked("POST", path, body={"body": body}, what=f"comment on #{number}", permission="pull-requests")
        )
        return _written_at(answer)

    def update_comment(self, comment: int, body: str) -> str:
        """Replace the text of a comment. Returns as `create_comment`."""
        path = f"{self._repo}/issues/comments/{comment}"
        answer = self._requests.call(
            Asked("PATCH", path, body={"body": body}, what=f"update comment {comment}", permission="pull-requests")
        )
        return _written_at(answer)

    def open_issues(self, author: str) -> Iterator[dict[str, Any]]:
        """The open issues by `author`, the oldest first; pull requests are not among them."""
        query = {"state": "open", "creator": author, "sort": "created", "direction": "asc"}
        found = self._requests.pages(
            Asked("GET", f"{self._repo}/issues", query=query, what="list the open issues", permission="issues")
        )
        return (each for each in found if "pull_request" not in each)

    def create_issue(self, title: str, body: str) -> int:
        """Open an issue; returns its number. Never sent twice: an unknown outcome is raised."""
        document = {"title": title, "body": body}
        answer = self._requests.call(
            Asked("POST", f"{self._repo}/issues", body=document, what="open an issue", permission="issues")
        )
        return int(object_in(answer).get("number") or 0)

    def update_issue(self, number: int, **changes: str) -> None:
        """Change the title, the body or the state of an issue."""
        path = f"{self._repo}/issues/{number}"
        self._requests.call(
            Asked("PATCH", path, body=changes, what=f"update issue #{number}", permission="issues")
        )

    def pull_requests_of(self, commit: str) -> list[dict[str, Any]]:
        """The pull requests that brought `commit`, or have it in their branch."""
        path = f"{self._repo}/commits/{quote(commit, safe='')}/pulls"
        return list(
            self._requests.pages(
                Asked("GET", path, what=f"find the pull request of {commit[:12]}", permission="pull-requests")
            )
        )

    def reviews(self, number: int) -> list[dict[str, Any]]:
        """The reviews of a pull request, the oldest first."""
        path = f"{self._repo}/pulls/{number}/reviews"
        return list(
            self._requests.pages(
                Asked("GET", path, what=f"list the reviews of #{number}", permission="pull-requests")
            )
        )

    def may_write(self, login: str) -> bool:
        """Whether somebody may write to the repository; False where this token may not ask."""
        path = f"{self._repo}/collaborators/{quote(login, safe='')}/permission"
        try:
            answer = self._requests.call(
                Asked("GET", path, what="ask what a reviewer may do", permission="metadata")
            )
        except ForgeError as refused:
            if refused.status in (403, 404):
                return False
            raise
        return object_in(answer).get("permission") in ("admin", "write")

    def artifact(self, name: str) -> bytes | None:
        """The single file in the newest artifact called `name`; None when there is none any more.

        Runs of pull requests from forks upload artifacts, too, under any name: those are passed over.
        """
        path = f"{self._repo}/actions/artifacts"
        what = f"find the artifact {name}"
        answer = self._requests.call(
            Asked("GET", path, query={"name": name, "per_page": "100"}, what=what, permission="actions")
        )
        listed = object_in(answer).get("artifacts")
        kept = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
        kept = [each for each in kept if each.get("name") == name and not each.get("expired") and _of_own(each)]
        if not kept:
            return None
        newest = max(kept, key=lambda each: str(each.get("created_at", "")))
        answer = self._requests.call(
            Asked("GET", f"{path}/{int(newest['id'])}/zip", what=what, permission="actions", elsewhere=True)
        )
        return _only_member(self._elsewhere(answer.headers.get("location", ""), what), name)

    def _elsewhere(self, url: str, what: str) -> bytes:
        """What lies at an address that GitHub pointed to; it is signed, and gets no token."""
        import httpx  # noqa: PLC0415 - no help needs it

        checked_base_url(url.partition("?")[0], "the address of the artifact")
        try:
            with self._requests.client.stream("GET", url) as answer:
                if answer.status_code != 200:
                    raise ForgeError(f"the artifact's address answers {answer.status_code}: cannot {what}")
                data = bytearray()
                for chunk in answer.iter_bytes():
                    data += chunk
                    if len(data) > _LARGEST_ARTIFACT:
                        raise ForgeError(f"the artifact is larger than any plan: cannot {what}")
                return bytes(data)
        except httpx.RequestError as failed:
            raise ForgeError(f"no answer ({type(failed).__name__}): cannot {what}") from None


def _of_own(artifact: Mapping[str, Any]) -> bool:
    """Made by a run of a branch of the repository itself."""
    run = as_object(artifact.get("workflow_run"))
    return run.get("head_repository_id") == run.get("repository_id")


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


def _written_at(answer: httpx.Response) -> str:
    return str(object_in(answer).get("updated_at") or "")
