"""Which plan counts as approved: what the reviewer could see, of the commit that was reviewed, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.errors import PlanStale
from reconciler.forge.approval import Approval, approval_of, approved_plan, merged_pull_request
from reconciler.forge.comment import Comment, PlanMade

MERGED = "2026-11-27T12:00:00Z"
PULL: dict[str, Any] = {
    "number": 7, "merged_at": MERGED, "merge_commit_sha": "c" * 40, "base": {"ref": "main"},
    "head": {"sha": "b" * 40}, "user": {"login": "alice"},
}  # fmt: skip


def review(who: str, at: str, state: str = "APPROVED", commit: str = "b" * 40, **more: Any) -> dict[str, Any]:
    document = {"user": {"login": who}, "state": state, "submitted_at": at, "commit_id": commit}
    return {**document, **more}


def approval(reviews: list[dict[str, Any]], *, require_review: bool = True) -> Approval:
    """As of a repository to which alice, bob and carol may write."""
    return approval_of(
        PULL, reviews, may_write={"alice", "bob", "carol"}.__contains__, require_review=require_review
    )


def made(at: str, commit: str = "b" * 40, digit: str = "1") -> PlanMade:
    return PlanMade(at, commit, f"sha256:{digit * 64}")


def test_the_pull_request_is_the_one_whose_merge_made_the_commit():
    other = {**PULL, "number": 8, "merge_commit_sha": "d" * 40}
    assert merged_pull_request([other, PULL], "c" * 40, "main")["number"] == 7


@pytest.mark.parametrize(
    "found",
    [
        [],
        [{**PULL, "merged_at": None}],
        [{**PULL, "base": {"ref": "develop"}}],
        [{**PULL, "merge_commit_sha": "d" * 40}, {**PULL, "number": 8, "merge_commit_sha": "e" * 40}],
    ],
)
def test_a_commit_that_no_single_merge_made_was_approved_by_nobody(found):
    with pytest.raises(PlanStale, match="nothing was approved"):
        merged_pull_request(found, "c" * 40, "main")


def test_without_a_review_the_merge_approves_the_last_commit_unless_a_review_is_required():
    assert approval([], require_review=False) == Approval(MERGED, "b" * 40, "the merge")
    with pytest.raises(PlanStale, match="#7 has no approving review"):
        approval([])


@pytest.mark.parametrize(
    "reviews",
    [
        [review("bob", "2026-11-27T10:00:00Z"), review("bob", "2026-11-27T11:00:00Z", "CHANGES_REQUESTED")],
        [review("bob", "2026-11-27T10:00:00Z", "DISMISSED")],
        [review("bob", "2026-11-27T10:00:00Z", "COMMENTED")],
        [review("mallory", "2026-11-27T10:00:00Z")],
        [review("alice", "2026-11-27T10:00:00Z")],
        [{"state": "APPROVED", "user": None}],
    ],
)
def test_what_does_not_count_as_an_approving_review(reviews):
    with pytest.raises(PlanStale):
        approval(reviews)


def test_the_latest_approval_counts_and_a_later_comment_takes_nothing_back():
    reviews = [
        review("bob", "2026-11-27T10:00:00Z", commit="a" * 40),
        review("carol", "2026-11-27T11:00:00Z"),
        review("carol", "2026-11-27T11:30:00Z", "COMMENTED"),
    ]
    assert approval(reviews) == Approval("2026-11-27T11:00:00Z", "b" * 40, "carol")


def test_an_approval_of_a_passer_by_does_not_hide_an_earlier_one_that_counts():
    reviews = [review("bob", "2026-11-27T10:00:00Z"), review("mallory", "2026-11-27T11:00:00Z", commit="a" * 40)]
    assert approval(reviews).who == "bob"


def test_the_plan_is_the_last_that_could_be_seen_of_the_commit_that_was_approved():
    plans = (
        made("2026-11-27T09:00:00Z", digit="1"),
        made("2026-11-27T09:30:00Z", "a" * 40, digit="2"),
        made("2026-11-27T09:59:59Z", digit="3"),
        made("2026-11-27T10:00:00Z", digit="4"),
    )
    given = Approval("2026-11-27T10:00:00Z", "b" * 40, "bob")
    assert approved_plan(Comment(plans=plans), given).fingerprint == f"sha256:{'3' * 64}"


@pytest.mark.parametrize("plans", [(), (made("2026-11-27T10:00:00Z"),), (made("2026-11-27T09:00:00Z", "a" * 40),)])
def test_a_plan_that_nobody_could_see_was_not_approved(plans):
    with pytest.raises(PlanStale, match="was there when it was approved") as stale:
        approved_plan(Comment(plans=plans), Approval("2026-11-27T10:00:00Z", "b" * 40, "bob"))
    assert "Nothing was sent" in stale.value.hint


def test_without_a_comment_nothing_was_approved():
    with pytest.raises(PlanStale):
        approved_plan(None, Approval(MERGED, "b" * 40, "the merge"))
