"""A plan in the form that was asked for: the one place where `plan` and `show` meet their formats.

A new format is a name in FORMATS and a case in `present`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from reconciler.cli import output
from reconciler.cli.failures import say
from reconciler.errors import ExitCode, ReconcilerError, UsageError

if TYPE_CHECKING:
    from reconciler.model.plan import Plan
    from reconciler.planfile import SavedPlan

F = TypeVar("F", bound=Callable[..., Any])

FORMATS = ("text", "json", "markdown", "github", "gitlab", "html")

#: GitHub drops the summary of a step that is larger, all of it.
SUMMARY_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Presented:
    """What is presented, and how.

    Attributes:
        saved: the plan and how it was made.
        path: the file that it is in, "" when it was not saved.
        sha256: of that file, in hex.
        exit_code: of the command.
        verbose: name every id and every warning.
        max_bytes: of Markdown; None = the default.
    """

    saved: SavedPlan
    path: str = ""
    sha256: str = ""
    exit_code: ExitCode = ExitCode.DONE
    verbose: bool = False
    max_bytes: int | None = None


def max_bytes_option(command: F) -> F:
    """`--max-bytes`."""
    return click.option(
        "--max-bytes",
        type=int,
        metavar="N",
        help="Of --format markdown and of the step summary of --format github: at most so many bytes (default "
        "65000, which fits a comment on GitHub; 32000 fits Bitbucket). What is not named is counted.",
    )(command)


def check_max_bytes(max_bytes: int | None, form: str) -> None:
    """Refuse a number in which no plan fits before anything is read.

    Raises:
        UsageError: it is too small, or the format has no such limit.
    """
    if max_bytes is None:
        return
    from reconciler.render.plan_markdown import LEAST_BYTES

    if form not in ("markdown", "github"):
        raise UsageError(f"--max-bytes does not go with --format {form}", hint="It limits Markdown.")
    if max_bytes < LEAST_BYTES:
        raise UsageError(
            f"--max-bytes {max_bytes:,} is too small: no plan fits",
            hint=f"{LEAST_BYTES:,} hold every count of any plan.",
        )


def present(shown: Presented, form: str) -> None:
    """Write a plan to stdout in `form`, one of FORMATS; `github` writes to the files of the step too.

    Raises:
        ReconcilerError: stdout, or a file of the step, cannot be written.
    """
    plan = shown.saved.plan
    if form == "json":
        output.write(_document(shown.saved))
    elif form == "markdown":
        output.write([_markdown(shown)])
    elif form == "github":
        _github(shown)
    elif form == "gitlab":
        from reconciler.render.gitlab import terraform_report

        output.tell(terraform_report(plan))
    elif form == "html":
        output.write(_page(shown))
    else:
        show_plan(plan, verbose=shown.verbose)


def show_plan(plan: Plan, *, verbose: bool = False) -> None:
    """The plan on stdout as text, in colours on a terminal."""
    from reconciler.render import plan_text

    with output.writing():
        plan_text.write(plan, sys.stdout, verbose=verbose)
        sys.stdout.flush()


def _document(saved: SavedPlan) -> Any:
    from reconciler.planfile import encode

    return encode(
        saved.plan,
        tool_version=saved.tool_version,
        created_at=saved.created_at,
        paths=saved.paths,
        only=saved.only,
        expires_at=saved.expires_at,
    )


def _markdown(shown: Presented, most: int | None = None) -> str:
    from reconciler.render import plan_markdown

    file = plan_markdown.PlanFile(shown.path, shown.sha256) if shown.path else None
    origin = plan_markdown.Origin(shown.saved.paths, shown.saved.only, file, shown.saved.expires_at)
    limit = shown.max_bytes or plan_markdown.DEFAULT_BYTES
    limit = limit if most is None else min(limit, most)
    return plan_markdown.document(shown.saved.plan, origin, max_bytes=limit, verbose=shown.verbose)


def _page(shown: Presented) -> Iterator[str]:
    from reconciler.render.html import plan_page

    saved = shown.saved
    return plan_page(
        saved.plan,
        tool_version=saved.tool_version,
        created_at=saved.created_at,
        paths=saved.paths,
        only=saved.only,
        planfile=shown.path,
        digest=shown.sha256,
        expires_at=saved.expires_at,
    )


def _github(shown: Presented) -> None:
    import uuid

    from reconciler.render import github

    plan = shown.saved.plan
    output.tell(*github.plan_lines(plan))
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        _append_summary(shown, summary)
    if outputs := os.environ.get("GITHUB_OUTPUT"):
        values = github.outputs(plan, path=shown.path, exit_code=shown.exit_code)
        text = github.output_file(values, f"ghadelimiter_{uuid.uuid4()}")
        between = "" if _end(outputs, "GITHUB_OUTPUT")[1] in (b"", b"\n") else "\n"
        _append(outputs, between + text, "GITHUB_OUTPUT")


def _append_summary(shown: Presented, path: str) -> None:
    from reconciler.render.plan_markdown import LEAST_BYTES

    size, end = _end(path, "GITHUB_STEP_SUMMARY")
    between = "" if not size else "\n" if end == b"\n" else "\n\n"
    room = SUMMARY_BYTES - size - len(between)
    if room < LEAST_BYTES:
        say("Warning: the summary of this step is full: the plan is not in it.")
        return
    _append(path, between + _markdown(shown, room), "GITHUB_STEP_SUMMARY")


def _end(path: str, name: str) -> tuple[int, bytes]:
    """The size of a file, which need not be there yet, and its last byte."""
    try:
        with Path(path).open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - 1))
            return size, stream.read(1)
    except FileNotFoundError:
        return 0, b""
    except OSError as failed:
        raise _unwritable(name, path, failed) from None


def _append(path: str, text: str, name: str) -> None:
    try:
        with Path(path).open("ab") as stream:
            stream.write(text.encode("utf-8", "surrogateescape"))
    except OSError as failed:
        raise _unwritable(name, path, failed) from None


def _unwritable(name: str, path: str, failed: OSError) -> ReconcilerError:
    from reconciler.render.escape import plain

    return ReconcilerError(f"{name}: {plain(path)} cannot be written: {failed.strerror}")
