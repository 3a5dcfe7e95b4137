from __future__ import annotations

import json

import pytest

from reconciler.model import notices
from reconciler.model.diagnostic import Position, error
from reconciler.model.notices import (
    BatchFailed,
    BatchSubmitted,
    Notice,
    Problem,
    ProcessedIds,
    Progress,
    ReadFailed,
    ReappearedIds,
    RunBegan,
    VerifiedIds,
    Waiting,
    ignore,
)
from reconciler.model.target import Target

TARGET = Target("https://api.example", "a" * 32, "articles")
FAILED = BatchFailed(TARGET, 3, 100, 2, "unknown", False, "time-out", None, None, 1.25)

MESSAGES = [
    (RunBegan("r1"), "run r1 holds the state"),
    (RunBegan("r2", "r1"), "run r2 holds the state, took over from run r1, which starts nothing more"),
    (Waiting("r1 on host", 12.4), "waiting for the state: r1 on host (at most 12 s more)"),
    (BatchSubmitted(TARGET, 1, 100, "m-1", 1), "articles: batch 1: 100 ids accepted as m-1"),
    (BatchSubmitted(TARGET, 1, 100, "m-1", 2), "articles: batch 1: 100 ids accepted as m-1 (attempt 2)"),
    (
        FAILED,
        "articles: batch 3: attempt 2 failed: time-out (it may have been accepted all the same; trying again in 1.2 s)",
    ),
    (
        BatchFailed(TARGET, 3, 1, 5, "rejected", True, "no", 10000, 403, None),
        "articles: batch 3: attempt 5 failed: no (nothing was deleted; given up)",
    ),
    (
        Progress("sending", 100, 2350, 1, 24, 5, 1195, 3.6),
        "100 of 2,350 ids accepted, 1 of 24 batches, 5 requests, 1,195 left in the window, about 4 s to go",
    ),
    (Progress("settling", 1, 2, 0, 0, 7, None, None), "1 of 2 ids verified absent, 7 requests"),
    (ProcessedIds(TARGET, 24, "m-9"), "articles: 24 batches processed (pointer m-9)"),
    (
        ReadFailed(TARGET, 1, "list: 503", None, 503, 0.25),
        "articles: reading: attempt 1 failed: list: 503 (trying again in 0.2 s)",
    ),
    (VerifiedIds(TARGET, 2350, "list"), "articles: 2,350 ids verified absent (list)"),
    (ReappearedIds(TARGET, 1, ("x",)), "articles: 1 id is present again: x"),
    (ReappearedIds(TARGET, 1002, ("x", "y")), "articles: 1,002 ids are present again: x, y and 1,000 more"),
    (Problem(error("c", "broken", position=Position("m", 2))), "m:2: error: broken"),
    (Problem(error("c", "broken")), "error: broken"),
]


@pytest.mark.parametrize(("notice", "message"), MESSAGES)
def test_a_notice_says_in_one_line_what_happened(notice, message):
    assert notice.message == message
    assert ignore(notice) is None


@pytest.mark.parametrize("notice", [notice for notice, _ in MESSAGES])
def test_a_notice_as_json_begins_with_type_and_message_and_leaves_out_the_origin(notice):
    document = json.loads(json.dumps(notice.as_dict()))
    assert list(document)[:2] == ["type", "message"]
    assert "target" not in document
    assert "api.example" not in json.dumps(document)
    if hasattr(notice, "target"):
        assert (document["account_id"], document["index"]) == ("a" * 32, "articles")


def test_every_kind_of_notice_has_a_type_of_its_own():
    kinds = [each for each in vars(notices).values() if isinstance(each, type) and issubclass(each, Notice)]
    kinds.remove(Notice)
    assert len({kind.type for kind in kinds}) == len(kinds)
    assert all(kind.type for kind in kinds)
    assert {type(notice) for notice, _ in MESSAGES} == set(kinds)
