"""Finds, writes and updates the one comment and the one issue."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from reconciler.errors import ForgeError
from reconciler.forge import issue as issues
from reconciler.forge.comment import Comment, parse
from reconciler.forge.github import GitHub
from reconciler.forge.outcome import Outcome

_TRIES = 3


def moment(at: datetime) -> str:
    """RFC 3339, UTC, whole seconds: as GitHub writes its own, so that the two compare."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def find_comment(github: GitHub, number: int, name: str, author: str) -> tuple[int, Comment] | None:
    """Our comment of a pull request: its number and what it says. The first, should there be several."""
    for each in github.comments(number):
        if not _is_by(each, author):
            continue
        found = parse(str(each.get("body") or ""), name)
        if found is not None:
            return int(each["id"]), found
    return None


def put_comment(github: GitHub, number: int, name: str, author: str, change: Callable[[Comment], Comment]) -> str:
    """Create or update our comment; `change` gets what it says now. Returns "created" or "updated".

    Raises:
        ForgeError: it could not be found, or not written.
    """
    for attempt in range(1, _TRIES + 1):
        found = find_comment(github, number, name, author)
        comment = change(Comment(name) if found is None else found[1])
        text = comment.text()
        if found is not None:
            github.update_comment(found[0], text)
            return "updated"
        try:
            github.create_comment(number, text)
        except ForgeError as failed:
            # It may be there all the same: looked for again, so that there are never two.
            if not failed.may_have_happened or attempt == _TRIES:
                raise
            continue
        return "created"
    raise AssertionError("the last attempt returns or raises")


def put_issue(github: GitHub, outcome: Outcome, *, name: str, author: str, at: datetime, run_url: str) -> str:
    """Open, update or close the one issue of what is back. Returns what was done, in words.

    It is closed only by an outcome that read everything and found nothing.

    Raises:
        ForgeError: it could not be found, or not written.
    """
    count = outcome.count("reappeared")
    when = moment(at)
    for attempt in range(1, _TRIES + 1):
        found = _find_issue(github, name, author)
        if not count:
            return _close(github, found, outcome, when, run_url)
        title, text = issues.title(count), issues.body(outcome, name=name, at=when, run_url=run_url)
        if found is None:
            try:
                return f"opened issue #{github.create_issue(title, text)}"
            except ForgeError as failed:
                if not failed.may_have_happened or attempt == _TRIES:
                    raise
                continue
        number = int(found["number"])
        github.update_issue(number, title=title, body=text)
        if str(found.get("title", "")) != title:
            github.create_comment(number, f"Now {count:,} ids ({when}). The list above is updated.")
        return f"updated issue #{number}"
    raise AssertionError("the last attempt returns or raises")


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
        if lines and lines[0].strip() == first and _is_by(each, author):
            return each
    return None


def _is_by(item: dict[str, Any], author: str) -> bool:
    user = item.get("user")
    return isinstance(user, dict) and user.get("login") == author
