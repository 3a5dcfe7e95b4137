"""Rows of a foreign log: numbers that do not ascend, gaps, and numbers no column can hold."""

from __future__ import annotations

import pytest

from reconciler.model.batches import COLUMNS
from reconciler.model.pages import Pages
from reconciler.model.status import Status
from reconciler.state import events as ev
from reconciler.state.batchtable import BatchTable

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


class Interrupted(list):
    """A column during whose change somebody presses Ctrl-C."""

    pressed = True

    def __setitem__(self, row, value):
        super().__setitem__(row, value)
        if self.pressed:
            raise KeyboardInterrupt


@pytest.mark.parametrize("column", ["accepted_at", "mutation_id", "settled_at"])
def test_an_acceptance_that_was_interrupted_is_taken_back_as_far_as_it_came(column):
    undo = []
    table = BatchTable(1, Pages(), {}, undo)
    table.add(1, RUN, 1, "then", [((1,), ["a", "b"])])
    table.fail(0, 1, unknown=True)
    before = table.record(0)
    undo.clear()
    setattr(table, column, Interrupted(getattr(table, column)))
    with pytest.raises(KeyboardInterrupt):
        table.accept(0, 2, "now", "m")
    getattr(table, column).pressed = False
    for step in reversed(undo):
        step()
    assert table.record(0) == before
    table.accept(0, 2, "now", "m")
    assert (table.record(0).status, table.record(0).attempts, table.record(0).mutation_id) == ("accepted", 2, "m")


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


CHANGES = {
    "add": lambda table: table.add(9, RUN, 90, "now", [((1,), ["x", "y"])]),
    "accept": lambda table: table.accept(2, 91, "now", "m"),
    "fail": lambda table: table.fail(2, 1, unknown=True),
    "reject": lambda table: table.reject(2, "now"),
    "settle": lambda table: table.settle(range(2), Status.PROCESSED, "now"),
}


def rows(columns):
    return {name: list(getattr(columns, name)) for name in COLUMNS}


@pytest.mark.parametrize("handed_out", ["before the change", "before it is taken back"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_columns_that_were_handed_out_stay_as_they_were(change, handed_out):
    undo = []
    table = BatchTable(1, Pages(), {}, undo)
    for number in (1, 2, 3):
        table.add(number, RUN, number * 10, "then", [((1,), [f"a{number}", f"b{number}"])])
    for row in (0, 1):
        table.accept(row, row + 50, "then", "m")
    undo.clear()
    first = rows(table)
    before = table.frozen()
    change(table)
    changed = rows(table)
    assert changed != first
    after = table.frozen() if handed_out == "before it is taken back" else None
    for step in reversed(undo):
        step()
    assert rows(table) == first == rows(before)
    assert after is None or rows(after) == changed
