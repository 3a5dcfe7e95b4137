"""429 in the middle of a list, of a poll, of a wave of deletes or reads: waited out as it asks, nothing is concluded."""

from __future__ import annotations

import pytest

from reconciler.errors import ExitCode

WAIT = 90


@pytest.mark.fault(22)
@pytest.mark.parametrize(
    ("operation", "nth", "declared"),
    [("list", 2, 100), ("info", 1, 100), ("delete_by_ids", 2, 250), ("get_by_ids", 2, 40), ("index_get", 2, 100)],
)
def test_a_429_in_the_middle_is_waited_out_and_costs_one_request(make_world, operation, nth, declared):
    world = make_world()
    names = [f"doc-{n:04}" for n in range(declared)]
    world.seed([*names, *(f"stays-{n:04}" for n in range(2_300))])
    world.declare(names)
    world.configure(api={"concurrency": 2})
    quiet = len(make_quiet(make_world, names))
    world.fault("error", operation=operation, nth=nth, status=429, code=971, retry_after=WAIT)
    began = world.clock.elapsed()
    result = world.apply()
    assert result.exit_code is ExitCode.DONE
    assert result.verified == declared
    assert world.clock.elapsed() - began >= WAIT
    assert len(world.requests()) == quiet + 1
    assert world.actions() == {}


def make_quiet(make_world, names):
    """The requests of the same story without a fault."""
    world = make_world()
    world.seed([*names, *(f"stays-{n:04}" for n in range(2_300))])
    world.declare(names)
    world.configure(api={"concurrency": 2})
    assert world.apply().exit_code is ExitCode.DONE
    return world.requests()
