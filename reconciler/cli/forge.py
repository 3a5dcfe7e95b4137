"""`reconciler forge …`: what pipelines tell people on GitHub, of which `action.yml` is made, and on GitLab."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from reconciler.cli import introducing, output
from reconciler.cli.failures import say
from reconciler.cli.noting import STATES, note
from reconciler.cli.options import PATH, checked_name, format_option
from reconciler.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from reconciler.forge.comment import Comment, Status
    from reconciler.forge.github import GitHub
    from reconciler.forge.outcome import Outcome
    from reconciler.forge.surroundings import Surroundings

_name = click.option(
    "--name",
    default="",
    callback=checked_name,
    metavar="NAME",
    help="Tells several plans of one pull request, or several states, apart.",
)
_author = click.option(
    "--author",
    metavar="LOGIN",
    help="Who the token writes as; it is asked, and github-actions[bot] where it may not say.",
)
_number = click.option(
    "--pull-request",
    "number",
    type=click.IntRange(min=1),
    metavar="NUMBER",
    help="Default: that of the event in GITHUB_EVENT_PATH.",
)


@click.group(
    epilog="""\b
Examples:
  reconciler forge comment --plan plan.json --markdown plan.md
  reconciler forge approved --save approved.plan.json
  reconciler forge issue verify.jsonl
  reconciler plan --format markdown | reconciler forge note --markdown -
"""
)
def forge() -> None:
    """Tell people on GitHub or GitLab what a pipeline did.

    One comment on a pull request, one note on a merge request, one issue of what is back.

    Reads the variables that GitHub's runner sets: GITHUB_TOKEN, GITHUB_REPOSITORY, GITHUB_API_URL,
    GITHUB_EVENT_PATH; for note those of GitLab's.
    """


forge.add_command(note)
forge.add_command(introducing.introduced)


@forge.command(
    short_help="Create or update the one comment of a pull request.",
    epilog="""\b
Examples:
  reconciler forge comment --plan plan.json --markdown plan.md
  reconciler forge comment --pull-request 12 --status applied --detail outcome.txt
""",
)
@click.option("--plan", "planfile", type=PATH, metavar="PLANFILE", help="The plan that the comment is about.")
@click.option("--markdown", type=PATH, metavar="FILE", help="Its Markdown: show PLANFILE --format markdown.")
@click.option("--introduced", type=PATH, metavar="FILE", help="What stands above the plan: forge introduced.")
@click.option("--status", "state", type=click.Choice(STATES), help="What became of the plan.")
@click.option("--detail", type=PATH, metavar="FILE", help="Lines that say more about the status.")
@_number
@_name
@_author
def comment(
    *,
    planfile: str | None,
    markdown: str | None,
    introduced: str | None,
    state: str | None,
    detail: str | None,
    number: int | None,
    name: str,
    author: str | None,
) -> int:
    """Create or update the one comment of a pull request.

    With --plan and --markdown it shows a new plan, below what --introduced holds, and remembers which commit was
    planned with which fingerprint; with --status it says what became of the plan. It is found again by its first
    line and its author.
    """
    from reconciler.cli.showing import read_whole
    from reconciler.clock import SystemClock
    from reconciler.forge.comment import PlanMade, Status
    from reconciler.forge.posting import moment, put_comment, put_plan

    if (planfile is None) != (markdown is None):
        raise click.UsageError("--plan and --markdown go together")
    if introduced is not None and planfile is None:
        raise click.UsageError("--introduced goes with --plan and --markdown")
    if planfile is None and state is None:
        raise click.UsageError("nothing to say: give --plan with --markdown, or --status")
    where = _surroundings()
    asked = where.pull_request(number)
    now = moment(SystemClock().now())
    fingerprint, text = "", ""
    above = "" if introduced is None else read_text(introduced)
    if planfile is not None and markdown is not None:
        plan = read_whole(planfile).plan
        # What could not be planned whole cannot be approved: it is shown, not remembered.
        fingerprint = plan.fingerprint if where.head and not plan.errored else ""
        text = read_text(markdown)
    told: Status | None = None
    if state is not None:
        told = Status(state, now, where.run_url, "" if detail is None else read_text(detail))

    def change(before: Comment) -> Comment:
        after = before.planned(text, above) if text else before
        return after if told is None else replace(after, status=told)

    with _github(where) as github:
        place = (github, asked, name, author or github.login(), change)
        if fingerprint:
            done = put_plan(*place, remember=lambda seen: PlanMade(seen or now, where.head, fingerprint))
        else:
            done = put_comment(*place)
    output.tell(f"The comment on #{asked} was {done}.")
    return ExitCode.DONE


@forge.command(
    short_help="Say which plan was approved.",
    epilog="""\b
Examples:
  reconciler forge approved
  reconciler forge approved --require-review --save approved.plan.json >> "$GITHUB_OUTPUT"
""",
)
@click.option("--commit", metavar="SHA", help="That the merge made (default GITHUB_SHA).")
@click.option("--branch", metavar="BRANCH", help="Merged into (default: the repository's default branch).")
@click.option("--require-review", is_flag=True, help="A merge without an approving review approves nothing.")
@click.option(
    "--save", type=PATH, metavar="FILE", help="Also fetch the approved plan, if its artifact is still there."
)
@_name
@_author
def approved(
    *,
    commit: str | None,
    branch: str | None,
    require_review: bool,
    save: str | None,
    name: str,
    author: str | None,
) -> int:
    """Say which plan was approved by the pull request whose merge made a commit, as NAME=VALUE lines.

    It is the last plan of the reviewed commit that was in the comment when the approving review was given; without
    a review, when it was merged. Exit 6 when there is none: nothing was approved.
    """
    from reconciler.forge.approval import approval_of, approved_plan, merged_pull_request
    from reconciler.forge.posting import find_comment

    where = _surroundings()
    sha, target = commit or where.commit, branch or _default_branch(where)
    if not re.fullmatch(r"[0-9a-f]{40,64}", sha):
        raise UsageError("no commit to look for", hint="Name it with --commit, in full.")
    with _github(where) as github:
        pull_request = merged_pull_request(github.pull_requests_of(sha), sha, target)
        number = int(pull_request["number"])
        output.tell(f"pull-request={number}")  # even if nothing was approved: where to say so
        reviews = github.reviews(number)
        approval = approval_of(pull_request, reviews, may_write=github.may_write, require_review=require_review)
        found = find_comment(github, number, name, author or github.login())
        plan = approved_plan(None if found is None else found[1], approval)
        output.tell(f"fingerprint={plan.fingerprint}")
        if save is not None:
            output.tell(f"approved-plan={_fetch(github, plan.fingerprint, save)}")
    return ExitCode.DONE


@forge.command(
    short_help="Say what the artifact of a plan is called.",
    epilog="""\b
Example:
  reconciler forge artifact plan.json >> "$GITHUB_OUTPUT"
""",
)
@click.argument("planfile", type=PATH)
def artifact(planfile: str) -> int:
    """Say what an artifact with PLANFILE must be called so that `forge approved --save` finds it."""
    from reconciler.cli.showing import read_whole

    plan = read_whole(planfile).plan
    if plan.errored:
        raise UsageError(f"{planfile} is of manifests that cannot be used: it is nothing to approve")
    output.tell(f"artifact-name={artifact_name(plan.fingerprint)}")
    return ExitCode.DONE


@forge.command(
    short_help="Open, update or close the one issue of what is back.",
    epilog="""\b
Example:
  reconciler verify --all --format json > verify.jsonl; reconciler forge issue verify.jsonl
""",
)
@click.argument("events", type=PATH)
@_name
@_author
def issue(events: str, name: str, author: str | None) -> int:
    """Open or update one issue when EVENTS, of `verify --format json`, say that ids are back; else close it."""
    from reconciler.clock import SystemClock
    from reconciler.forge.posting import put_issue

    where, outcome = _surroundings(), _outcome(events)
    if outcome.summary is None:
        raise UsageError(f"{events} has no summary: the run did not come to its end")
    with _github(where) as github:
        who = author or github.login()
        now = SystemClock().now()
        output.tell(put_issue(github, outcome, name=name, author=who, at=now, run_url=where.run_url))
    return ExitCode.DONE


@forge.command(
    short_help="Show JSON events on stdin as lines, and keep them.",
    epilog="""\b
Example:
  reconciler verify --all --format json | reconciler forge log --keep verify.jsonl
""",
)
@click.option("--keep", type=PATH, required=True, metavar="FILE", help="Where the events go, as they came.")
def log(keep: str) -> int:
    """Show the events of `apply` or `verify --format json` on stdin as lines, and keep them in a file."""
    from reconciler.forge.outcome import parse_event
    from reconciler.render.escape import line

    if sys.stdin is None:
        raise UsageError("there is no stdin to read events from")
    with _kept(keep) as file:
        for number, text in enumerate(sys.stdin, 1):
            file.write(text)
            file.flush()
            with suppress(UsageError):  # whoever reads the file says so; the run goes on meanwhile
                output.tell(line(str(parse_event(text, number).get("message", ""))))
    return ExitCode.DONE


@forge.command(
    short_help="Say what a run did, as outputs or as Markdown.",
    epilog="""\b
Examples:
  reconciler forge outcome apply.jsonl >> "$GITHUB_OUTPUT"
  reconciler forge outcome apply.jsonl --format markdown >> "$GITHUB_STEP_SUMMARY"
""",
)
@click.argument("events", type=PATH)
@format_option("outputs", "markdown", "text", "github")
def outcome(events: str, form: str) -> int:
    """Say what a run did, from its JSON events: NAME=VALUE lines, Markdown, lines of text, or annotations."""
    from reconciler.forge import outcome as outcomes

    found = _outcome(events)
    forms = {
        "outputs": outcomes.outputs,
        "markdown": outcomes.markdown,
        "text": outcomes.text,
        "github": outcomes.annotated,
    }
    output.tell(*forms[form](found))
    return ExitCode.DONE


def _surroundings() -> Surroundings:
    from reconciler.forge.surroundings import surroundings_from

    return surroundings_from(os.environ)


def _github(where: Surroundings) -> GitHub:
    from reconciler.clock import SystemClock
    from reconciler.forge.github import GitHub
    from reconciler.forge.surroundings import token_from

    return GitHub(where.api_url, token_from(os.environ), where.repository, clock=SystemClock())


def _default_branch(where: Surroundings) -> str:
    repository = where.event.get("repository")
    branch = repository.get("default_branch") if isinstance(repository, dict) else None
    if not isinstance(branch, str) or not branch:
        raise UsageError("the event does not name the default branch", hint="Name it with --branch.")
    return branch


def _fetch(github: GitHub, fingerprint: str, save: str) -> str:
    """The artifact of the approved plan in the file `save`; "" when it is gone, or something else stands there.

    That is no reason to stop: the fingerprint alone says what was approved.
    """
    from reconciler.errors import ForgeError, PlanFileError
    from reconciler.operations.approval import check_whole
    from reconciler.planfile import decode

    name = artifact_name(fingerprint)
    try:
        data = github.artifact(name)
    except ForgeError as failed:
        say(f"Note: the approved plan cannot be fetched, so differences are not shown: {failed.message}")
        return ""
    if data is None:
        say(f"Note: the artifact {name} is not there any more, so differences are not shown.")
        return ""
    try:
        plan = decode(data, path=f"the artifact {name}")
        check_whole(plan)
    except PlanFileError as failed:
        say(f"Note: differences are not shown: {failed.message}")
        return ""
    if plan.plan.fingerprint != fingerprint:
        say(f"Note: the artifact {name} holds another plan, so differences are not shown.")
        return ""
    try:
        Path(save).write_bytes(data)
    except OSError as failed:
        raise UsageError(f"{save} cannot be written: {failed.strerror}") from None
    return save


def artifact_name(fingerprint: str) -> str:
    """What the artifact with a plan of this fingerprint is called."""
    return f"reconciler-plan-{fingerprint.removeprefix('sha256:')[:16]}"


def _outcome(events: str) -> Outcome:
    from reconciler.forge.outcome import read_events

    return read_events(read_text(events).splitlines())


def read_text(path: str) -> str:
    """What is in a file; what is no UTF-8 is shown as an escape.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return Path(path).read_text("utf-8", errors="backslashreplace")
    except OSError as failed:
        raise UsageError(f"{path} cannot be read: {failed.strerror}") from None


@contextmanager
def _kept(path: str) -> Iterator[TextIO]:
    try:
        file = Path(path).open("w", encoding="utf-8")  # noqa: SIM115 - closed below; only opening is an error of usage
    except OSError as failed:
        raise UsageError(f"{path} cannot be written: {failed.strerror}") from None
    with file:
        yield file
