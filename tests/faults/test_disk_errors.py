"""A disk that is full, slow to take a line, interrupted or broken, at every system call of the file store.

Single errors are in tests/state/test_file_store.py; here each happens at each call, and to a whole apply.
"""

from __future__ import annotations

import errno
import os
from collections import Counter
from itertools import count

import pytest

from reconciler.clock import ManualClock
from reconciler.errors import ExitCode, StateDamaged, StateError
from reconciler.state.journal import Journal
from reconciler.state.stores.oscalls import RealCalls
from support.disk import AFTER_EIO, SECTOR, Disk
from support.power import LIMIT, NAME, NEVER_FAIL, PATH, Watched, aside, check, content, cuts, go_on

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write(store):
    """Create a log, and append to it three times: lines of one sector and of several."""
    for size in (0, 10, 1500, 10):
        go_on(store, "a" * size)


def name_of(number):
    return errno.errorcode[number]


def failing(act, number, *, lasting=False, short=None, how="clean", begin=lambda: Disk(PATH.parent)):
    """Let each call fail in turn, once, or every such call from then on.

    Yields its name, its disk, its store, and what was raised.
    """
    whole = Watched(begin(), short=short)
    act(whole)
    for at, name in enumerate(whole.process.log, 1):
        if name in NEVER_FAIL:
            continue
        disk = begin()
        store = Watched(disk, short=short, after_eio=how)
        store.process.fail = lambda called, calls, at=at, name=name: (
            number if calls == at or (lasting and calls > at and called == name) else None
        )
        raised = None
        try:
            act(store)
        except StateError as error:
            raised = error
        store.process.kill()
        yield name, disk, store, raised


def readable(disk):
    """What another process reads."""
    store = Watched(disk)
    Journal(store, ManualClock()).load()
    return list(store.read(0))


@pytest.mark.fault(5)
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "for good"])
@pytest.mark.parametrize("number", [errno.EINTR, *FULL], ids=name_of)
def test_whatever_call_fails_no_acknowledged_line_is_lost_and_the_next_command_works(number, lasting, cases):
    seen = Counter()
    for name, disk, store, raised in failing(write, number, lasting=lasting, short=SECTOR):
        assert not isinstance(raised, StateDamaged)
        lines = readable(disk)
        assert lines[: len(store.acknowledged)] == store.acknowledged
        if name == "pwrite" and number in FULL:
            assert raised is not None
            assert raised.hint
            assert content(disk) == b"".join(store.acknowledged), "the log is as it was"
        seen[name] += 1
        seen["refused"] += raised is not None
        frame = go_on(Watched(disk))
        assert readable(disk) == [*lines, frame.line]
        for state in disk.states(20):
            assert readable(state) == [*lines, frame.line]
    assert {"open", "pwrite", "fsync", "flock", "pread", "fstat"} <= set(seen)
    assert seen["refused"] > 20
    cases(seen.total() - seen["refused"])


@pytest.mark.fault(5)
@pytest.mark.parametrize("number", FULL, ids=name_of)
def test_the_power_is_cut_after_a_full_disk_refused_half_a_line_and_took_another(number, cases):
    """Nothing was synced when the half was taken back: sectors of both lines may be there side by side."""
    good, seen = [], 0

    def begin():
        disk = Disk(PATH.parent)
        first = Watched(disk)
        go_on(first)
        good[:] = first.acknowledged
        full = Watched(disk, short=SECTOR)
        full.process.fail = lambda name, _: number if full.process.log.count("pwrite") == 3 else None
        with pytest.raises(StateError):
            go_on(full, "a" * 1500)
        full.process.kill()
        return disk

    begin()
    for disk, store in cuts(begin, lambda store: go_on(store, "b" * 1400), good):
        for state in disk.states(LIMIT):
            check(state, store.acknowledged, store.sent)
            seen += 1
    cases(seen)


@pytest.mark.fault(5)
@pytest.mark.parametrize("short", [1, 7, SECTOR - 1, SECTOR, SECTOR + 1])
def test_lines_that_are_taken_in_pieces_are_the_same_lines(short):
    whole, pieces = Watched(Disk(PATH.parent)), Watched(Disk(PATH.parent), short=short)
    write(whole)
    write(pieces)
    assert pieces.acknowledged == whole.acknowledged
    assert pieces.process.log.count("pwrite") > whole.process.log.count("pwrite") + 2


@pytest.mark.fault(2)
@pytest.mark.fault(5)
def test_lines_that_are_taken_in_pieces_survive_a_power_cut_between_them(cases):
    seen = 0
    for disk, store in cuts(lambda: Disk(PATH.parent), write, short=SECTOR - 100):
        for state in disk.states(100):
            check(state, store.acknowledged, store.sent)
            seen += 1
    cases(seen)


@pytest.mark.fault(6)
@pytest.mark.parametrize("how", AFTER_EIO)
def test_after_an_fsync_that_failed_nothing_is_acknowledged_until_a_new_process_has_seen_the_disk(how, cases):
    failed = 0
    for name, disk, store, raised in failing(write, errno.EIO, how=how):
        if name != "fsync":
            continue
        assert raised is not None
        assert set(readable(disk)) == set(store.acknowledged), "what was not synced is not there for anybody else"
        failed += 1
    assert failed == 9
    cases(failed)


@pytest.mark.fault(6)
@pytest.mark.parametrize("how", AFTER_EIO)
def test_a_handle_that_failed_to_sync_is_never_used_again_even_when_the_disk_is_well(how):
    disk = Disk(PATH.parent)
    go_on(Watched(disk))
    store = Watched(disk, after_eio=how)
    store.process.fail = lambda name, _: (
        errno.EIO if name == "fsync" and store.process.log.count("fsync") == 1 else None
    )
    for _ in range(3):
        with pytest.raises(StateError, match="durable"):
            go_on(store, "a" * 1500)
    assert store.process.log.count("fsync") == 1
    assert store.process.log.count("pwrite") == 1
    store.close()
    frame = go_on(Watched(disk))
    for state in disk.states(LIMIT):
        assert readable(state)[1:] == [frame.line]


@pytest.mark.fault(5)
@pytest.mark.parametrize("number", [errno.EINTR, errno.EIO, *FULL], ids=name_of)
def test_whatever_call_fails_while_a_torn_tail_is_put_aside_no_byte_of_it_is_lost(number, cases):
    first = Watched(Disk(PATH.parent))
    write(first)
    good, torn = b"".join(first.acknowledged[:3]), first.acknowledged[3][:-1] + b"torn" * 400
    failed = 0
    for _, disk, store, raised in failing(go_on, number, begin=lambda: Disk(PATH.parent, {NAME: good + torn})):
        failed += raised is not None
        for state in disk.states(100):
            assert torn in aside(state).values() or content(state) == good + torn
            assert content(state).startswith(good)
            assert set(readable(state)) <= {*first.acknowledged[:3], *store.sent}
    assert failed > 20
    cases(failed)


# A whole apply


def exit_code(world):
    try:
        return world.apply().exit_code
    except StateError as error:
        return error.exit_code


@pytest.mark.parametrize(
    ("call", "number"),
    [
        pytest.param("fsync", errno.EIO, marks=pytest.mark.fault(6)),
        pytest.param("fdatasync", errno.EIO, marks=pytest.mark.fault(6)),
        pytest.param("pwrite", errno.ENOSPC, marks=pytest.mark.fault(5)),
        pytest.param("pwrite", errno.EDQUOT, marks=pytest.mark.fault(5)),
    ],
    ids=["EIO on fsync", "EIO on fdatasync", "ENOSPC", "EDQUOT"],
)
def test_whenever_the_disk_fails_nothing_more_is_sent_and_the_next_apply_converges(
    make_world, monkeypatch, call, number, cases
):
    ids, failed = [f"x-{n:03}" for n in range(130)], 0
    for at in count(1):
        world, calls, sent = make_world(), count(1), []
        world.seed([*ids, "stays"])
        world.declare(ids)
        world.configure(api={"batch_size": 40, "concurrency": 2}, limits={"max_percent": 100})
        world.check_intent_first()
        real = getattr(RealCalls, call)

        def broken(self, *arguments):
            if next(calls) == at:  # noqa: B023 - called in this turn only
                sent.append(len(world.deletes()))  # noqa: B023 - as above
                raise OSError(number, os.strerror(number))
            return real(self, *arguments)  # noqa: B023 - as above

        with monkeypatch.context() as patch:
            patch.setattr(RealCalls, call, broken)
            code = exit_code(world)
        if not sent:
            assert code is ExitCode.DONE
            break
        assert code is ExitCode.ERROR
        assert len(world.deletes()) == sent[0], "sent although the state could not be written"
        assert world.apply().exit_code is ExitCode.DONE
        assert world.live() == ["stays"]
        assert world.actions() == {}
        failed += 1
    assert failed >= 9
    cases(failed)
