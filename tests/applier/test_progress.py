"""What progress tells is what the lanes hold, though it is counted as it comes."""

from __future__ import annotations

from math import ceil

import pytest

from reconciler.applier import Applier
from reconciler.errors import ExitCode
from reconciler.model.notices import Progress
from reconciler.operations.applying import ApplyOptions, apply
from reconciler.settler import Settler


def numbered(count):
    return [f"id-{n:04}" for n in range(count)]


@pytest.fixture
def added_up(monkeypatch):
    """After every turn: what progress would tell, beside the sums over all lanes."""
    pairs = []
    step = Applier._step

    def checked(self):
        going_on = step(self)
        lanes = self._lanes
        told = (self._accepted_ids, self._accepted_batches, self._unformed)
        summed = (
            sum(lane.result.accepted for lane in lanes),
            sum(lane.result.batches for lane in lanes),
            sum(ceil(lane.left / self._size) for lane in lanes),
        )
        pairs.append((told, summed))
        return going_on

    monkeypatch.setattr(Applier, "_step", checked)
    return pairs


@pytest.mark.parametrize("fault", [None, ("id_limit", 30), ("error", 500), ("error", 400)])
@pytest.mark.parametrize("concurrency", [1, 3])
def test_what_is_told_is_what_the_lanes_hold_whatever_fails(make_world, added_up, fault, concurrency):
    world = make_world()
    for index in ("one", "two"):
        world.seed(numbered(350), index)
        world.declare(numbered(350), index, name=f"{index}.yaml")
    world.configure(api={"concurrency": concurrency})
    if fault is not None and fault[0] == "id_limit":
        world.fault("id_limit", limit=fault[1], times=None)
    elif fault is not None:
        world.fault("error", status=fault[1], times=2, operation="delete_by_ids")
    world.apply()
    assert len(added_up) >= 4
    assert all(told == summed for told, summed in added_up)


def test_what_settling_tells_is_what_its_targets_hold(make_world, monkeypatch):
    pairs = []
    until_done, advance = Settler._until_done, Settler._advance

    def remembering(self, cases):
        self.cases = cases
        until_done(self, cases)
        assert self._tally.open == 0

    def checked(self, case):
        advance(self, case)
        tally = self._tally
        told = (tally.done, tally.total, tally.batches_done, tally.batches_total)
        summed = (
            sum(each.result.verified for each in self.cases),
            sum(len(each.ids) + len(each.absent_ids) + len(each.audit) for each in self.cases),
            sum(len(each.numbers) - len(each.waiting) for each in self.cases),
            sum(len(each.numbers) for each in self.cases),
        )
        pairs.append((told, summed))

    monkeypatch.setattr(Settler, "_until_done", remembering)
    monkeypatch.setattr(Settler, "_advance", checked)
    world = make_world(lag=20)
    for index in ("one", "two", "three"):
        world.seed([*numbered(250), "stays"], index)
        world.declare(numbered(250), index, name=f"{index}.yaml")
    told = []
    result = apply(world.context(), options=ApplyOptions(timeout=3000), notify=told.append)
    assert result.exit_code is ExitCode.DONE
    assert all(told == summed for told, summed in pairs)
    assert pairs[-1][0] == (750, 750, 9, 9)
    progress = [each for each in told if isinstance(each, Progress)]
    assert {(each.total, each.batches_total) for each in progress} == {(750, 9)}
    sending = [each for each in progress if each.phase == "sending"]
    assert (sending[0].done, sending[-1].done, sending[-1].batches_done) == (0, 750, 9)
