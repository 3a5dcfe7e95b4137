"""The power is cut at every system call of the file store; whatever the disk kept, no acknowledged frame is lost.

The disk is simulated: see support/disk.py for what it may keep of what was not synced.
"""

from __future__ import annotations

import errno
from collections import Counter
from contextlib import suppress
from functools import partial
from itertools import islice

import pytest

from reconciler.clock import ManualClock
from reconciler.errors import StateError
from reconciler.state import events as ev
from reconciler.state.chain import walk
from reconciler.state.journal import Journal, create
from reconciler.state.moving import migrate
from reconciler.state.repairing import find_damage, repair
from reconciler.state.run import Run
from reconciler.state.stores.memory import MemoryStore
from support.disk import AFTER_EIO, SECTOR, Disk, Halted
from support.power import LIMIT, NAME, NEVER_FAIL, PATH, Watched, aside, check, content, cuts, go_on, kills

pytestmark = pytest.mark.fault(2)


# What is done


def ids(batch, size):
    return [f"{batch}-{n:03}-{'é' * 14}" for n in range(size)]


def work(journal, clock, sizes):
    """A run that sends batches of so many ids."""
    settings = {"command": "apply", "origin": "loopback", "fingerprint": "", "prepare": lambda _: None}
    run, _ = Run.start(journal, clock, **settings)
    run.append([ev.TargetSeen(1, "loopback", "a" * 32, "docs", "2026"), ev.Declared(1, 1, "m.yaml", 3, 0, "r")])
    for number, size in enumerate(sizes, 1):
        run.append([ev.Intent(number, 1, [[[1], size]], ids(number, size))])
        run.append([ev.Accepted(number, f"m-{number}")])
    run.finish("done")


def create_and_work(store):
    clock = ManualClock()
    create(store, clock)
    work(Journal(store, clock), clock, (3, 40, 100))


def go_on_twice(store):
    go_on(store)
    go_on(store)


@pytest.fixture(scope="module")
def lines():
    """A log of ten frames: of less than a sector, of two, of eight."""
    store = Watched(Disk(PATH.parent))
    create_and_work(store)
    sizes = [-(-len(line) // SECTOR) for line in store.acknowledged]
    assert len(sizes) == 10
    assert {1, 2} < set(sizes)
    assert max(sizes) > 7
    return store.acknowledged


def check_all(disk, acknowledged, sent, seen):
    """Every state of `disk`; counts by kind what was left of the last append."""
    for state in disk.states(LIMIT):
        found = content(state)
        tail = check(state, acknowledged, sent)
        if not found:
            seen["nothing"] += 1
        elif not tail:
            seen["whole lines"] += 1
        elif not tail.strip(b"\0"):
            seen["zeros"] += 1
        else:
            seen["a piece" if any(tail.strip(b"\0") in line for line in sent) else "pieces"] += 1


# The tests


def test_a_log_that_is_created_and_written_survives_a_cut_at_every_call(cases):
    seen = Counter()
    for disk, store in cuts(lambda: Disk(PATH.parent), create_and_work):
        check_all(disk, store.acknowledged, store.sent, seen)
    assert set(seen) == {"nothing", "whole lines", "zeros", "a piece", "pieces"}
    cases(seen.total())


class Careless(Disk):
    """Its folder is never synced, whatever is asked."""

    def sync_names(self):
        pass


def creations(kind):
    """How often a log is there, and how often it is not, after the power was cut while it was created."""
    for disk, store in cuts(lambda: kind(PATH.parent), lambda store: create(store, ManualClock())):
        for state in disk.states(LIMIT):
            yield bool(store.acknowledged), NAME in state.names


@pytest.mark.fault(4)
def test_a_new_log_is_not_acknowledged_before_its_name_is_durable(cases):
    seen = Counter(creations(Disk))
    assert set(seen) == {(False, False), (False, True), (True, True)}
    assert (True, False) in set(creations(Careless)), "here an omitted sync of the folder would be noticed"
    cases(seen.total())


@pytest.mark.fault(4)
def test_a_log_whose_creator_died_before_it_synced_the_folder_is_durable_when_the_next_writer_is_answered(cases):
    seen = Counter()
    for disk, _ in kills(lambda: Disk(PATH.parent), lambda store: create(store, ManualClock())):
        before = NAME in next(disk.states(1)).names
        store = Watched(disk)
        frame = go_on(store)
        for state in disk.states(LIMIT):
            assert content(state).endswith(frame.line)
            check(state, store.acknowledged, store.sent)
            seen[before] += 1
    assert set(seen) == {True, False}
    cases(seen.total())


@pytest.mark.parametrize("torn", [b"", bytes(353), b'{"v":1,"pos":1,"pr', b'{"v":1,"po' + bytes(600)])
def test_a_log_whose_creation_was_cut_short_is_created_although_it_is_cut_again(torn, cases):
    seen = Counter()
    for disk, store in cuts(lambda: Disk(PATH.parent, {NAME: torn}), go_on_twice):
        check_all(disk, store.acknowledged, store.sent, seen)
    cases(seen.total())


def tails(line):
    """What an append of `line` may leave behind: what follows the last whole line."""
    half = len(line) // 2
    return {
        "a few bytes": line[:7],
        "all but its line end": line[:-1],
        "its line end reads as zero": line[:-1] + b"\0",
        "zeros": bytes(len(line)),
        "the first half, then zeros": line[:half] + bytes(len(line) - half),
        "zeros, then the second half": bytes(half) + line[half:-1],
        "a hole": line[:40] + bytes(len(line) - 80) + line[-40:-1],
        "bytes of something else": b"\xff\x00\r" * 500,
    }


@pytest.mark.parametrize("what", tails(bytes(100)))
def test_a_torn_tail_is_never_lost_although_the_power_is_cut_while_it_is_put_aside(lines, what, cases):
    good = lines[:5]
    tail = tails(lines[7])[what]
    seen = Counter()
    for disk, store in cuts(lambda: Disk(PATH.parent, {NAME: b"".join(good) + tail}), go_on_twice, good):
        for state in disk.states(LIMIT):
            kept = aside(state)
            assert tail in kept.values() or content(state) == b"".join(good) + tail, "bytes of the tail are gone"
            if len(store.acknowledged) > len(good):
                (said,) = [e for f in walk(store.acknowledged) for e in f.events if isinstance(e, ev.Recovered)]
                assert (said.size, kept[said.path]) == (len(tail), tail)
            check(state, store.acknowledged, store.sent)
            seen[len(kept)] += 1
    assert set(seen) == {0, 1}
    cases(seen.total())


def move(store, lines):
    """Move a log here from another store, which is remembered: a move that was interrupted is run again."""
    store.source = MemoryStore()
    store.source._lines[:] = lines
    migrate(store.source, store, ManualClock())
    store.acknowledged = list(store.source._lines)


def test_a_log_that_moves_here_is_here_as_a_whole_or_not_at_all(lines, cases):
    seen = Counter()
    for disk, store in cuts(lambda: Disk(PATH.parent), lambda store: move(store, lines)):
        for state in disk.states(LIMIT // 20):  # the copy that has no name yet is never read
            whole = [*store.source._lines]
            there = NAME in state.names
            assert content(state) == (b"".join(whole) if there else b""), "part of a log"
            assert there or not store.acknowledged
            seen[there] += 1
            again = Watched(state)
            migrate(store.source, again, ManualClock())
            assert content(state).splitlines(keepends=True) == store.source._lines
            check(next(state.states(1)), store.source._lines, ())
    assert set(seen) == {True, False}
    cases(seen.total())


def receive(store, lines):
    store.receive(iter(lines), lines[-1], ManualClock())
    store.acknowledged = lines


def test_a_log_that_is_received_is_durable_when_that_returns(lines, cases):
    seen = Counter()
    for disk, store in cuts(lambda: Disk(PATH.parent), lambda store: receive(store, lines)):
        for state in disk.states(LIMIT // 20):
            there = content(state).splitlines(keepends=True)
            assert there in ([], lines)
            assert there or not store.acknowledged
            seen[bool(there)] += 1
    assert set(seen) == {True, False}
    cases(seen.total())


def damaged(line):
    changed = bytearray(line)
    changed[-90] ^= 1
    return bytes(changed)


@pytest.mark.parametrize("behind", [b"", b'{"v":1,"pos":9,"and it was torn'])
def test_a_damaged_frame_that_is_put_aside_is_kept_although_the_power_is_cut_meanwhile(lines, behind, cases):
    good, bad = lines[:7], damaged(lines[7])
    seen = Counter()

    def act(store):
        repair(store, find_damage(store), ManualClock())

    for disk, store in cuts(lambda: Disk(PATH.parent, {NAME: b"".join([*good, bad, behind])}), act, good):
        for state in disk.states(LIMIT // 4):
            damage = find_damage(Watched(state))
            # Where half of a shortening arrived, its last sector reads as zeros: the copy was synced before.
            assert bad in [getattr(damage, "line", b""), *aside(state).values()], "the frame is gone"
            assert damage is None or (damage.last and not store.sent)
            assert behind in b"".join([content(state), *aside(state).values()])
            seen["there" if damage else "aside"] += 1
            if damage is not None:
                act(Watched(state))
                assert bad in aside(state).values()
                (after,) = state.states(LIMIT)
                check(after, content(state).splitlines(keepends=True), ())
            else:
                check(state, store.acknowledged, store.sent)
    assert set(seen) == {"there", "aside"}
    cases(seen.total())


@pytest.mark.parametrize(("known", "first", "second"), [(0, 0, 0), (5, 1500, 10), (5, 10, 1500), (5, 1500, 1400)])
def test_a_writer_is_killed_at_any_call_and_the_power_cut_at_any_call_of_the_next(
    lines, known, first, second, cases
):
    good, seen = lines[:known], Counter()

    def new():
        return Disk(PATH.parent, {NAME: b"".join(good)} if good else {})

    def write(store):
        go_on(store, "a" * first)

    for _, killed in kills(new, write, good):

        def begin(number):
            disk = new()
            with suppress(Halted):
                write(Watched(disk, good, dies_at=number))
            return disk

        left = partial(begin, len(killed.process.log))
        for disk, store in cuts(left, lambda store: go_on(store, "b" * second), good):
            check_all(disk, store.acknowledged, [*killed.sent, *store.sent], seen)
    assert {"whole lines", "a piece", "zeros"} <= set(seen)
    cases(seen.total())


def test_a_move_that_was_killed_and_done_again_is_not_undone_by_a_power_cut(lines, cases):
    killed = 0
    for disk, store in kills(lambda: Disk(PATH.parent), lambda store: move(store, lines)):
        migrate(store.source, Watched(disk), ManualClock())
        for state in disk.states(LIMIT // 20):
            assert content(state).splitlines(keepends=True) == store.source._lines
            killed += 1
    cases(killed)


@pytest.mark.fault(6)
@pytest.mark.parametrize("how", AFTER_EIO)
@pytest.mark.parametrize("size", [10, 1500])
def test_the_disk_fails_at_any_call_and_the_power_is_cut_at_any_call_of_the_next_writer(lines, how, size, cases):
    good, seen = lines[:5], Counter()

    def failed(number):
        """A disk that failed at this call, and what became of the append."""
        disk = Disk(PATH.parent, {NAME: b"".join(good)})
        store = Watched(disk, good, after_eio=how, fail=lambda _, count: errno.EIO if count == number else None)
        with suppress(StateError):
            go_on(store, "a" * size)
        store.process.kill()
        return disk, store

    _, whole = failed(0)
    for number, name in enumerate(whole.process.log, 1):
        if name in NEVER_FAIL:
            continue
        _, before = failed(number)
        seen["refused"] += before.acknowledged == good
        left = cuts(
            lambda number=number: failed(number)[0], lambda store: go_on(store, "b" * 700), before.acknowledged
        )
        for disk, store in left if name == "fsync" else islice(left, 1):
            check_all(disk, store.acknowledged, [*before.sent, *store.sent], seen)
    assert seen.pop("refused") > 5
    assert seen["a piece"] > 5
    cases(seen.total())
