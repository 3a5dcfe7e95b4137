"""Finds, writes and updates the one comment and the one issue."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from reconciler.forge import issue as issues
from reconciler.forge.comment import Comment, PlanMade
from reconciler.forge.github import GitHub
from reconciler.forge.once import find_or_create, find_ours, is_by
from reconciler.forge.outcome import Outcome

_WHO = ("user", "login")


def moment(at: datetime) -> str:
    """RFC 3339, UTC, whole seconds: as GitHub writes its own, so that the two compare."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def find_comment(github: GitHub, number: int, name: str, author: str) -> tuple[int, Comment] | None:
    """Our comment of a pull request: its number and what it says. The first, should there be several."""
    return find_ours(github.comments(number), name, author, _WHO)


def put_comment(github: GitHub, number: int, name: str, author: str, change: Callable[[Comment], Comment]) -> str:
    """Create or update our comment; `change` gets what it says now. Returns "created" or "updated".

    Raises:
        ForgeError: it could not be found, or not written.
    """
    return _put(github, number, name, author, change)[0]


def put_plan(
    github: GitHub,
    number: int,
    name: str,
    author: str,
    change: Callable[[Comment], Comment],
    *,
    remember: Callable[[str], PlanMade],
) -> str:
    """As `put_comment` with a new plan; then, once it is there to be seen, remember it as of that moment.

    An approval that was given while the comment was still being written is none of this plan: the moment is that
    of the forge's clock, which is also the clock of approvals. Where another plan stands there by then, nothing is
    remembered.

    Args:
        change: shows the plan.
        remember: what to remember, by when it could be seen (RFC 3339; "" when the forge does not say).
    """
    shown: list[str] = []

    def show(before: Comment) -> Comment:
        after = change(before)
        shown[:] = [after.marker]
        return after

    done, at = _put(github, number, name, author, show)
    made = remember(at)
    _put(github, number, name, author, lambda now: now.remembering(made) if [now.marker] == shown else now)
    return done


def _put(
    github: GitHub, number: int, name: str, author: str, change: Callable[[Comment], Comment]
) -> tuple[str, str]:
    found, at = find_or_create(
        lambda: find_comment(github, number, name, author),
        lambda: github.create_comment(number, change(Comment(name)).text()),
    )
    if found is None:
        return "created", at or ""
    return "updated", github.update_comment(found[0], change(found[1]).text())


def put_issue(github: GitHub, outcome: Outcome, *, name: str, author: str, at: datetime, run_url: str) -> str:
    """Open, update or close the one issue of what is back. Returns what was done, in words.

    It is closed only by an outcome that read everything and found nothing.

    Raises:
        ForgeError: it could not be found, or not written.
    """
    count = outcome.count("reappeared")
    when = moment(at)
    if not count:
        return _close(github, _find_issue(github, name, author), outcome, when, run_url)
    title, text = issues.title(count), issues.body(outcome, name=name, at=when, run_url=run_url)
    found, opened = find_or_create(
        lambda: _find_issue(github, name, author), lambda: github.create_issue(title, text)
    )
    if found is None:
        return f"opened issue #{opened}"
    number = int(found["number"])
    github.update_issue(number, title=title, body=text)
    if str(found.get("title", "")) != title:
        github.create_comment(number, f"Now {count:,} ids ({when}). The list above is updated.")
    return f"updated issue #{number}"


def _close(github: GitHub, found: dict[str, Any] | None, outcome: Outcome, when: str, run_url: str) -> str:
    if found is None:
        return "no issue is open, and none is needed"
    number = int(found["number"])
    if not outcome.complete:
        return f"issue #{number} stays open: not everything could be read"
    run = f" in [this run]({run_url})" if run_url else ""
    github.create_comment(number, f"`reconciler verify` finds none of these ids any more ({when}){run}.")
    github.update_issue(number, state="closed", state_reason="completed")
    return f"closed issue #{number}"


def _find_issue(github: GitHub, name: str, author: str) -> dict[str, Any] | None:
    first = issues.marker(name)
    for each in github.open_issues(author):
        lines = str(each.get("body") or "").splitlines()
        if lines and lines[0].strip() == first and is_by(each, author, _WHO):
            return each
    return None
