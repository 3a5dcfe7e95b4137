"""GitLab's API v4, as much of it as one note needs. Errors say what to do; the token is in none of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from reconciler.clock import Clock
from reconciler.errors import ForgeError
from reconciler.forge.requests import Asked, Dialect, Requests, object_in

if TYPE_CHECKING:
    import httpx

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


def _refused(_asked: Asked, status: int) -> tuple[str, str]:
    if 300 <= status < 400:
        hint = "It answers with another address, which gets no token: is CI_API_V4_URL the one of the API?"
        return "GitLab refused", hint
    return _EXPLAINED.get(status, ("GitLab refused", ""))


def _said(document: Mapping[str, Any]) -> list[str]:
    """`message` (a text, or lists of texts by field), or OAuth's `error_description`."""
    parts = [*_texts(document.get("message")), *_texts(document.get("error_description"))]
    return parts or _texts(document.get("error"))


def _texts(found: object) -> list[str]:
    if isinstance(found, dict):
        return [f"{field} {', '.join(_texts(said))}" for field, said in found.items()]
    if isinstance(found, list):
        return [str(each) for each in found]
    return [str(found)] if found else []


_DIALECT = Dialect(
    name="GitLab",
    variable="CI_API_V4_URL",
    accept="application/json",
    headers={},
    authorization=lambda token: {"PRIVATE-TOKEN": token},
    reset="ratelimit-reset",
    limited=lambda answer: answer.status_code == 429,
    more=lambda answer: bool(answer.headers.get("x-next-page", "").strip()),
    refused=_refused,
    said=_said,
)


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
        self._project = f"/projects/{project}"
        self._requests = Requests(_DIALECT, api_url, token, clock=clock, transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._requests.client.close()

    def login(self) -> str:
        """The name of the user that this token writes as: for a token of a project, that of its bot.

        Raises:
            ForgeError: as every method; or there is no name in the answer.
        """
        user = object_in(self._requests.call(Asked("GET", "/user", "say whose token this is")))
        if name := user.get("username"):
            return str(name)
        raise ForgeError("GitLab's answer names nobody: cannot say whose token this is")

    def notes(self, number: int) -> Iterator[dict[str, Any]]:
        """The notes of a merge request, the oldest first; what GitLab itself wrote there is not among them."""
        query = {"sort": "asc", "order_by": "created_at"}
        found = self._requests.pages(Asked("GET", self._notes(number), f"list the notes of !{number}", query))
        return (each for each in found if not each.get("system"))

    def create_note(self, number: int, body: str) -> None:
        """Add a note to a merge request. Never sent twice: an unknown outcome is raised."""
        self._requests.call(Asked("POST", self._notes(number), f"write a note on !{number}", body={"body": body}))

    def update_note(self, number: int, note: int, body: str) -> None:
        """Replace the text of a note."""
        what = f"update note {note} of !{number}"
        self._requests.call(Asked("PUT", f"{self._notes(number)}/{note}", what, body={"body": body}))

    def head(self, number: int) -> str:
        """The newest commit of a merge request; "" when GitLab does not say."""
        asked = Asked("GET", f"{self._project}/merge_requests/{number}", f"read !{number}")
        return str(object_in(self._requests.call(asked)).get("sha") or "")

    def merge_requests_of(self, commit: str) -> list[dict[str, Any]]:
        """The merge requests that brought `commit`, or have it in their branch."""
        path = f"{self._project}/repository/commits/{quote(commit, safe='')}/merge_requests"
        return list(self._requests.pages(Asked("GET", path, f"find the merge request of {commit[:12]}")))

    def _notes(self, number: int) -> str:
        return f"{self._project}/merge_requests/{number}/notes"
