"""Rows of a foreign log: numbers that do not ascend, gaps, and numbers no column can hold."""

from __future__ import annotations

import pytest

from reconciler.state import events as ev

RUN = "r1"


@pytest.fixture
def log(make_log):
    made = make_log()
    made.add(RUN, ev.RunStarted("apply", "loopback"), ev.TargetSeen(1, "loopback", "a", "i"))
    made.add(RUN, ev.Declared(1, 1, "m.yaml", 1, 0, "r"))
    return made


def intent(number, *ids):
    return ev.Intent(number, 1, [[[1], len(ids)]], list(ids))


def test_numbers_that_do_not_ascend_are_found_all_the_same(log):
    for number, id_ in ((5, "a"), (2, "b"), (9, "c"), (3, "d"), (4, "e")):
        log.add(RUN, intent(number, id_), ev.Accepted(number, f"m{number}"))
    log.add(RUN, ev.Verified(1, "get_by_ids", [[2, 5]]))
    assert {n: str(log.batch(n).status) for n in (2, 3, 4, 5, 9)} == {
        2: "verified", 3: "verified", 4: "verified", 5: "verified", 9: "accepted"
    }  # fmt: skip
    log.refuse(RUN, ev.Verified(1, "get_by_ids", [[2, 6]]))
    log.refuse(RUN, ev.Verified(1, "get_by_ids", [[1, 2]]))
    log.refuse(RUN, intent(5, "f"))


def test_a_span_with_a_gap_is_damage(log):
    for number in (1, 2, 4):
        log.add(RUN, intent(number, f"i{number}"), ev.Accepted(number, "m"))
    for span in ([1, 3], [2, 4], [3, 3], [4, 5], [0 + 1, 10**30]):
        log.refuse(RUN, ev.Processed(1, [span], "p"))
    log.add(RUN, ev.Processed(1, [[1, 2], [4, 4]], "p"))


@pytest.mark.parametrize("number", [2**63, 10**30])
def test_a_number_that_no_log_ever_reaches_is_damage(log, number):
    log.refuse(RUN, intent(number, "a"))
    log.add(RUN, intent(1, "a"))


def test_processed_after_verified_takes_nothing_back(log):
    log.add(RUN, intent(1, "a", "b"), ev.Accepted(1, "m"), ev.Verified(1, "get_by_ids", [[1, 1]], ["b"]))
    log.add(RUN, ev.Processed(1, [[1, 1]], "p"))
    record = log.fold.snapshot().targets[1]
    assert {str(status): list(ids) for status, ids in record.by_status.items()} == {
        "accepted": ["b"], "verified": ["a"]
    }  # fmt: skip
