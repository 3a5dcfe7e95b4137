"""Two writers, killed, cut off and refused by the disk in any order, against a model: the list of acknowledged lines."""

from __future__ import annotations

import errno
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.clock import ManualClock
from reconciler.errors import StateDamaged, StateError
from reconciler.state.journal import Journal
from support.disk import AFTER_EIO, Disk, Halted
from support.power import NEVER_FAIL, PATH, Watched, check, go_on

pytestmark = pytest.mark.fault(2)

#: What a system call may say.
FAULTS = {name: getattr(errno, name) for name in ("EINTR", "ENOSPC", "EIO")}

STEPS = st.lists(
    st.tuples(
        st.integers(0, 1),  # who
        st.sampled_from([0, 100, 700, 1600]),  # writes how much
        st.sampled_from(["", "", "killed", "cut", "cut", *FAULTS]),  # and what happens
        st.integers(1, 45),  # at which call of it
    ),
    min_size=1,
    max_size=12,
)


class Machine:
    """Two processes on one disk, and the model: the lines that were acknowledged."""

    def __init__(self, how, seed):
        self.how, self.chance = how, random.Random(seed)
        self.disk, self.writers, self.sent, self.acknowledged = Disk(PATH.parent), {}, [], []

    def step(self, who, size, what, at):
        store, journal = self.writers.pop(who, None) or self.arrive()
        process = store.process
        at += len(process.log)
        process.dies_at = at if what in ("killed", "cut") else 0
        number = FAULTS.get(what)
        process.fail = lambda name, count: number if count == at and name not in NEVER_FAIL else None
        store.acknowledged = self.acknowledged
        refused = self.write(store, str(who) * size, journal)
        assert refused is None or number is not None, "nothing failed"
        assert not isinstance(refused, StateDamaged)
        if not process.dead:
            if refused is None and self.chance.random() < 0.8:
                self.writers[who] = store, journal
            else:
                store.close()
        self.acknowledged = store.acknowledged
        self.sent += store.sent
        store.sent = []
        if process.dead and what == "cut":
            self.disk, self.writers = self.disk.some_state(self.chance), {}
        self.read()
        return what if process.dead or number is not None else "nothing"

    def write(self, store, actor, journal):
        """What was raised instead, if anything."""
        try:
            go_on(store, actor, journal)
        except Halted:
            pass
        except StateError as error:
            return error
        return None

    def arrive(self):
        store = Watched(self.disk, after_eio=self.how)
        return store, Journal(store, ManualClock())

    def read(self):
        """What every reader sees."""
        store, journal = self.arrive()
        journal.load()
        lines = list(store.read(0))
        assert lines[: len(self.acknowledged)] == self.acknowledged
        assert set(lines) <= {*self.acknowledged, *self.sent}


@pytest.mark.parametrize("how", AFTER_EIO)
def test_whatever_two_writers_do_and_the_disk_does_to_them_what_was_acknowledged_is_there(how, cases):
    seen = Counter()

    @settings(max_examples=150, deadline=None, derandomize=True, database=None)
    @given(STEPS, st.integers(0, 2**32))
    def any_order(steps, seed):
        machine = Machine(how, seed)
        for step in steps:
            seen[machine.step(*step)] += 1
        for state in machine.disk.states(40, seed):
            check(state, machine.acknowledged, machine.sent)

    any_order()
    assert set(seen) == {"nothing", "killed", "cut", *FAULTS}
    cases(seen["killed"] + seen["cut"])
