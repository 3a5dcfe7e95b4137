"""Approvals in tests: the clause that a test holds the program to, an apply that is cut short, a refusal."""

from __future__ import annotations

import pytest

from reconciler.errors import ExitCode, PlanStale


def clause(text):
    """The clause that a test is about; shown when it fails."""
    return pytest.mark.parametrize("clause", [pytest.param(text, id=text)])


def interrupted(world, after, **options):
    """An apply that is interrupted when its request number `after` arrives."""
    seen = []

    def interrupt(ids):
        seen.append(ids)
        if len(seen) == after:
            world.interrupts.request()

    world.on_delete(interrupt)
    result = world.apply(**options)
    world.bridge.before.clear()
    assert result.exit_code is ExitCode.INTERRUPTED
    return result


def stale(world, **options):
    """The refusal of an apply that sends nothing."""
    before = len(world.deletes())
    with pytest.raises(PlanStale) as caught:
        world.apply(**options)
    assert caught.value.exit_code is ExitCode.STALE
    assert len(world.deletes()) == before
    return caught.value
