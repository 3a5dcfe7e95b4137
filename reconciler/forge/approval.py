"""Which plan was approved: read from the pull request, its reviews, and the record in our comment. Pure.

What was approved is what the reviewer could see: the last plan of the reviewed commit that was in the comment when
the review was given. A plan that came later was not approved, and neither was that of another commit. Without an
approving review the merge is the approval, of the last commit of the pull request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.errors import PlanStale
from reconciler.forge.comment import Comment, PlanMade

_HINT = "Nothing was sent. Review the plan as it is now, and apply it by its fingerprint."


@dataclass(frozen=True, slots=True)
class Approval:
    """An approval: of `commit`, at `at` (RFC 3339, UTC), by `who` ("the merge" when nobody reviewed)."""

    at: str
    commit: str
    who: str


def merged_pull_request(found: Iterable[Mapping[str, Any]], commit: str, branch: str) -> Mapping[str, Any]:
    """The pull request whose merge into `branch` made `commit`.

    Raises:
        PlanStale: none, or no single one: nothing was approved.
    """
    merged = [each for each in found if each.get("merged_at") and _inner(each, "base", "ref") == branch]
    exact = [each for each in merged if each.get("merge_commit_sha") == commit]
    chosen = exact or merged
    if len(chosen) != 1:
        many = "no merged pull request" if not chosen else f"{len(chosen)} merged pull requests"
        raise PlanStale(f"{many} for {commit[:12]}: nothing was approved", hint=_HINT)
    return chosen[0]


def approval_of(
    pull_request: Mapping[str, Any],
    reviews: Iterable[Mapping[str, Any]],
    *,
    may_write: Callable[[str], bool],
    require_review: bool,
) -> Approval:
    """The latest approving review that stands, by somebody who may write to the repository, else the merge.

    A review stands until its reviewer asks for changes or it is dismissed; comments change nothing. Nobody
    approves a pull request of their own.

    Raises:
        PlanStale: no such review, and one is required.
    """
    author = _inner(pull_request, "user", "login")
    latest: dict[str, Mapping[str, Any]] = {}
    for review in reviews:
        who = _inner(review, "user", "login")
        if review.get("state") in ("APPROVED", "CHANGES_REQUESTED", "DISMISSED") and who:
            latest[who] = review
    standing = [
        Approval(str(review.get("submitted_at", "")), str(review.get("commit_id", "")), who)
        for who, review in latest.items()
        if review.get("state") == "APPROVED" and who != author
    ]
    # Asked one by one: what a review itself says of its author depends on who may see that membership.
    for each in sorted(standing, key=lambda each: each.at, reverse=True):
        if may_write(each.who):
            return each
    if require_review:
        raise PlanStale(f"pull request #{pull_request.get('number')} has no approving review", hint=_HINT)
    return Approval(str(pull_request["merged_at"]), _inner(pull_request, "head", "sha"), "the merge")


def approved_plan(comment: Comment | None, approval: Approval) -> PlanMade:
    """The plan that could be seen when it was approved.

    Raises:
        PlanStale: there was none of that commit then.
    """
    plans = () if comment is None else comment.plans
    # Whole seconds: what came in the same one may have come after it.
    seen = [each for each in plans if each.commit == approval.commit and each.at < approval.at]
    if not seen:
        raise PlanStale(
            f"no plan of {approval.commit[:12]} was there when it was approved ({approval.at}, {approval.who})",
            hint=_HINT,
        )
    return seen[-1]


def _inner(document: Mapping[str, Any], key: str, inner: str) -> str:
    found = document.get(key)
    return str(found.get(inner) or "") if isinstance(found, dict) else ""
