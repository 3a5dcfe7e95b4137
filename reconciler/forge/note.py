"""The one note of a merge request: what GitLab's runner says of itself, and how the note is found and written.

As text it is what `comment` makes for GitHub, with more room. Which plan was approved is not read from it: on
GitLab the job that somebody presses play for carries out the plan file that the pipeline kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.errors import UsageError
from reconciler.forge.comment import Comment
from reconciler.forge.gitlab import GitLab
from reconciler.forge.once import find_or_create, find_ours
from reconciler.render.markdown import alert, code
from reconciler.vectorize.credentials import checked_base_url

TOKEN_VARIABLE = "RECONCILER_GITLAB_TOKEN"  # noqa: S105 - its name

#: GitLab counts characters, and refuses one more.
LONGEST = 1_000_000

#: What became of a plan by the exit code of the apply that carried it out; any other: it failed.
_ENDED = {
    0: "applied", 3: "refused", 4: "reappeared", 5: "locked", 6: "not-applied", 7: "not-settled",
    130: "interrupted",
}  # fmt: skip

_COMMIT = re.compile(r"[0-9a-f]{40,64}")
_URL = re.compile(r"https?://[A-Za-z0-9.:-]+(/[A-Za-z0-9._~/-]*)?")
_FINGERPRINT = re.compile(r" fingerprint=(sha256:[0-9a-f]{64}) ")


@dataclass(frozen=True)
class Job:
    """Where a pipeline's job runs.

    Attributes:
        api_url: of GitLab, without a slash at its end; https, or loopback.
        project: number of the project that has the merge request; for one from a fork, not that of the fork.
        merge_request: its number there, None when the pipeline is of none.
        head: the newest commit of the merge request when the pipeline began; "" when the runner does not say.
        commit: that the job is for; "" when the runner does not say.
        branch: that the commit was pushed to; "" in a pipeline of a merge request.
        url: address of the job for people; "" when the runner does not say.
    """

    api_url: str
    project: int
    merge_request: int | None = None
    head: str = ""
    commit: str = ""
    branch: str = ""
    url: str = ""


def job_from(env: Mapping[str, str]) -> Job:
    """Read the variables that GitLab's runner sets.

    Raises:
        UsageError: no project, or an address that the token must not be sent to.
    """
    number = env.get("CI_MERGE_REQUEST_IID", "")
    project = (env.get("CI_MERGE_REQUEST_PROJECT_ID", "") if number else "") or env.get("CI_PROJECT_ID", "")
    if not env.get("CI_API_V4_URL") or not _is_number(project):
        raise UsageError("CI_API_V4_URL and CI_PROJECT_ID do not say where", hint="GitLab's runner sets them.")
    commit = _commit(env.get("CI_COMMIT_SHA", ""))
    url = env.get("CI_JOB_URL", "")
    return Job(
        api_url=checked_base_url(env["CI_API_V4_URL"], "CI_API_V4_URL"),
        project=int(project),
        merge_request=int(number) if _is_number(number) else None,
        # Where the result of the merge is what runs, that is not the commit people see.
        head=_commit(env.get("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA", "")) or commit,
        commit=commit,
        branch=env.get("CI_COMMIT_BRANCH", ""),
        url=url if _URL.fullmatch(url) else "",
    )


def token_from(env: Mapping[str, str]) -> str:
    """The token; never shown.

    Raises:
        UsageError: none, or one that cannot be a header.
    """
    token = env.get(TOKEN_VARIABLE, "")
    if not token:
        raise UsageError(
            f"{TOKEN_VARIABLE} is not set: no note can be written",
            hint="It holds an access token of the project or of its group, scope `api`, role Reporter. "
            "CI_JOB_TOKEN may not write notes.",
        )
    if not all("!" <= character <= "~" for character in token):
        raise UsageError(f"{TOKEN_VARIABLE} holds characters that cannot be sent in a header")
    return token


def state_of(exit_code: int) -> str:
    """What became of a plan whose apply ended so, as a key of `comment.STATES`."""
    return _ENDED.get(exit_code, "failed")


def merged(found: Iterable[Mapping[str, Any]], commit: str, branch: str) -> int | None:
    """The number of the merge request whose merge into `branch` made `commit`; None: none, or no single one."""
    done = [each for each in found if each.get("state") == "merged" and each.get("target_branch") == branch]
    exact = [
        each
        for each in done
        if commit in (each.get("merge_commit_sha"), each.get("squash_commit_sha"), each.get("sha"))
    ]
    numbers = {each.get("iid") for each in exact or done}
    number = next(iter(numbers)) if len(numbers) == 1 else None
    return number if isinstance(number, int) and number > 0 else None


def planned(before: Comment, markdown: str, *, after_merge: bool) -> Comment:
    """With a new plan. After the merge, a plan that is not the one that stood here is said to be another."""
    after = before.planned(markdown)
    was, now = _FINGERPRINT.search(before.marker), _FINGERPRINT.search(after.marker)
    if not after_merge or was is None or (now is not None and was[1] == now[1]):
        return after
    told = f"**Planned again after the merge, and it is not the plan that stood here before** ({code(was[1])})."
    lines = [after.marker, "", *alert("WARNING", [told]), "", after.plan]
    return before.planned("\n".join(lines))


def indented(detail: str) -> str:
    """`detail` with no line that begins at the margin.

    Older versions of GitLab look for quick actions (`/close`) and quotations (`>>>`) at the starts of lines, by
    patterns that take a run of three backticks for the end of any block of code.
    """
    return "\n".join(f"  {each}" for each in detail.splitlines())


def find_note(gitlab: GitLab, number: int, name: str, author: str) -> tuple[int, Comment] | None:
    """Our note of a merge request: its id and what it says. The first, should there be several."""
    return find_ours(gitlab.notes(number), name, author, ("author", "username"))


def put_note(gitlab: GitLab, number: int, name: str, author: str, change: Callable[[Comment], Comment]) -> str:
    """Create or update our note; `change` gets what it says now. Returns "created" or "updated".

    Raises:
        ForgeError: it could not be found, or not written.
    """
    found, _ = find_or_create(
        lambda: find_note(gitlab, number, name, author),
        lambda: gitlab.create_note(number, change(Comment(name)).text(LONGEST, "GitLab")),
    )
    if found is None:
        return "created"
    gitlab.update_note(number, found[0], change(found[1]).text(LONGEST, "GitLab"))
    return "updated"


def _commit(text: str) -> str:
    return text if _COMMIT.fullmatch(text) else ""


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[1-9][0-9]{0,17}", text) is not None
