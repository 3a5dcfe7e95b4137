"""`reconciler forge note`: the one note of a merge request of GitLab."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli import output
from reconciler.cli.options import PATH, checked_name
from reconciler.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from reconciler.forge.comment import Comment
    from reconciler.forge.gitlab import GitLab
    from reconciler.forge.note import Job

#: The keys of `reconciler.forge.comment.STATES`, which no help should have to load.
STATES = (
    "applied", "not-applied", "refused", "locked", "reappeared", "not-settled", "failed", "interrupted",
    "plan-failed",
)  # fmt: skip


@click.command(
    short_help="Create or update the one note of a merge request of GitLab.",
    epilog="""\b
Examples:
  reconciler plan --format markdown | reconciler forge note --markdown -
  reconciler forge note --exit-code 6 --detail said.txt
  reconciler forge note --merge-request 12 --status plan-failed
""",
)
@click.option(
    "--markdown",
    type=PATH,
    metavar="FILE",
    help="Of a plan, as plan or show --format markdown make it; - is stdin.",
)
@click.option("--status", "state", type=click.Choice(STATES), help="What became of the plan.")
@click.option(
    "--exit-code",
    "ended",
    type=click.IntRange(0, 255),
    metavar="CODE",
    help="Of the apply that carried the plan out, from which the status follows.",
)
@click.option("--detail", type=PATH, metavar="FILE", help="Lines that say more about the status.")
@click.option(
    "--merge-request",
    "number",
    type=click.IntRange(min=1),
    metavar="IID",
    help="Default: that of the pipeline, else the one whose merge made CI_COMMIT_SHA.",
)
@click.option(
    "--name",
    default="",
    callback=checked_name,
    metavar="NAME",
    help="Tells several plans of one merge request apart.",
)
@click.option("--author", metavar="USERNAME", help="Who the token writes as (default: GitLab is asked).")
def note(
    *,
    markdown: str | None,
    state: str | None,
    ended: int | None,
    detail: str | None,
    number: int | None,
    name: str,
    author: str | None,
) -> int:
    """Create or update the one note of a merge request of GitLab.

    With --markdown it shows a new plan; with --status or --exit-code it says what became of it. It is found again
    by its first line and its author. A job that is older than the merge request's newest commit writes nothing.

    RECONCILER_GITLAB_TOKEN holds an access token of the project or of its group: scope api, role Reporter.
    CI_JOB_TOKEN may not write notes. GitLab's runner sets the rest: CI_API_V4_URL, CI_PROJECT_ID,
    CI_MERGE_REQUEST_IID, CI_COMMIT_SHA, CI_COMMIT_BRANCH.
    """
    from reconciler.clock import SystemClock
    from reconciler.forge import note as notes
    from reconciler.forge.comment import Comment, Status
    from reconciler.forge.gitlab import GitLab
    from reconciler.forge.posting import moment

    if state is not None and ended is not None:
        raise click.UsageError("--status and --exit-code exclude each other")
    if markdown is None and state is None and ended is None:
        raise click.UsageError("nothing to say: give --markdown, --status or --exit-code")
    job, token = notes.job_from(os.environ), notes.token_from(os.environ)
    told = None
    if state is not None or ended is not None:
        said = "" if detail is None else notes.indented(_read(detail))
        told = Status(state or notes.state_of(ended or 0), moment(SystemClock().now()), job.url, said)
    text = None if markdown is None else _read(markdown)
    after_merge = number is None and job.merge_request is None

    def change(before: Comment) -> Comment:
        after = before if text is None else notes.planned(before, text, after_merge=after_merge)
        return after if told is None else replace(after, status=told)

    if text is not None:
        change(Comment(name)).text(notes.LONGEST, "GitLab")  # a slip is told before GitLab is asked anything
    with GitLab(job.api_url, token, job.project, clock=SystemClock()) as gitlab:
        found, why_not = _merge_request(gitlab, job, number)
        if found is None:
            output.tell(f"No note was written: {why_not}.")
            return ExitCode.DONE
        done = notes.put_note(gitlab, found, name, author or gitlab.login(), change)
    output.tell(f"The note on !{found} was {done}.")
    return ExitCode.DONE


def _merge_request(gitlab: GitLab, job: Job, asked: int | None) -> tuple[int | None, str]:
    """The merge request to write on; without one, why not."""
    if asked is not None:
        return asked, ""
    number = job.merge_request
    if number is not None:
        if job.head and gitlab.head(number) not in (job.head, ""):
            return None, f"!{number} has newer commits, whose pipeline writes it"
        return number, ""
    return _merged(gitlab, job)


def _merged(gitlab: GitLab, job: Job) -> tuple[int | None, str]:
    from reconciler.forge.note import merged

    if not job.commit or not job.branch:
        raise UsageError("this job is not for a merge request", hint="Name one with --merge-request IID.")
    found: Iterable[Mapping[str, Any]] = gitlab.merge_requests_of(job.commit)
    number = merged(found, job.commit, job.branch)
    return number, "" if number else f"no single merge request made {job.commit[:12]}"


def _read(path: str) -> str:
    from reconciler.cli.forge import read_text

    if path != "-":
        return read_text(path)
    if sys.stdin is None:
        raise UsageError("there is no stdin to read from")
    return sys.stdin.buffer.read().decode("utf-8", errors="backslashreplace")
