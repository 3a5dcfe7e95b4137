"""A move that is interrupted anywhere: at most one live copy meanwhile, and the same command completes it."""

from __future__ import annotations

import errno
from contextlib import closing, suppress

import pytest

from reconciler.clock import ManualClock
from reconciler.errors import StateDamaged, StateError, StoreUnavailable
from reconciler.state import events as ev
from reconciler.state.moving import migrate
from reconciler.state.stores import s3
from reconciler.state.stores.file import FileStore
from support.fake_s3 import Answer
from support.moves import Killed, Life, Mortal, fill, lines, live
from support.places import Place, new_place


def _move(source, destination, life=None):
    """As a process of its own does; with a `life` it may die."""
    with closing(source.open()) as one, closing(destination.open()) as two:
        stores = (one, two) if life is None else (Mortal(one, life), Mortal(two, life))
        return migrate(*stores, ManualClock(seed=7)).journal.position


def _to_and_fro(source, destination):
    """The log was at the destination before, came back from there, and went on."""
    _move(source, destination)
    with closing(destination.open()) as one, closing(source.open()) as two:
        migrate(one, two, ManualClock(seed=8)).journal.append("", [ev.Recovered("-", 0, "0" * 64)])


def _completes(source, destination, before):
    """After whatever happened: one live copy at most; the same move again ends in exactly one."""
    assert len(live(source, destination)) <= 1
    assert lines(source)[: len(before)] == before
    position = _move(source, destination)
    assert lines(destination) == lines(source)
    assert position == len(before) + 1, "a move that was interrupted says once where it goes"
    assert live(source, destination) == [destination]


@pytest.fixture
def places(request, tmp_path, monkeypatch):
    """`places("file", "fake_s3")`: empty places in such stores."""
    monkeypatch.setattr(s3, "probe", lambda *_: None)  # has tests of its own, and is not what is interrupted here
    return lambda *kinds: [new_place(kind, request, tmp_path) for kind in kinds]


@pytest.mark.fault(30)
@pytest.mark.parametrize("known", [False, True], ids=["to an empty place", "back to an earlier place"])
@pytest.mark.parametrize(
    "route", ["file fake_s3", "fake_s3 postgres", "postgres file", "memory file", "file memory"]
)
def test_a_move_that_dies_at_any_operation_leaves_one_live_copy_at_most_and_is_completed(
    places, clock, route, known, cases
):
    died = 0
    # A connection a handle: every third operation will do there, memory and files see them all.
    for steps in range(0, 1000, 3 if "postgres" in route else 1):
        source, destination = places(*route.split())
        fill(source, clock, 3)
        if known:
            _to_and_fro(source, destination)
        before = lines(source)
        try:
            _move(source, destination, Life(steps))
        except Killed:
            _completes(source, destination, before)
            died += 1
        else:
            break
    assert steps > 20
    cases(died)


@pytest.mark.fault(30)
@pytest.mark.parametrize(("count", "stride"), [(3, 1), (40, 9)])
def test_a_move_to_a_bucket_that_dies_between_any_two_requests_is_completed(
    places, clock, fake_s3, count, stride, cases
):
    died = 0
    for allowed in range(0, 1000, stride):
        source, destination = places("memory", "fake_s3")
        fill(source, clock, count)
        before = lines(source)
        fake_s3.requests.clear()
        fake_s3.fault = lambda *_, allowed=allowed: (
            Answer(403, "ExpiredToken") if len(fake_s3.requests) > allowed else None
        )
        with suppress(StoreUnavailable):
            _move(source, destination)
            break
        fake_s3.fault = lambda *_: None
        _completes(source, destination, before)
        died += 1
    assert died * stride > 2 * count
    cases(died)


@pytest.mark.fault(30)
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_a_move_to_a_file_that_fails_at_any_system_call_is_completed(
    places, clock, faulty, tmp_path, number, cases
):
    failed = 0
    while True:
        (source,) = places("memory")
        fill(source, clock, 3)
        before = lines(source)
        folder = tmp_path / f"{failed}"
        folder.mkdir()
        calls = type(faulty)()
        for name in ("open", "pwrite", "pread", "fsync", "ftruncate", "flock"):
            calls.fail[name] = lambda calls=calls, last=failed + 1: number if len(calls.log) == last else None
        there = Place("file", f"file:{folder / 'state.jsonl'}")
        store = FileStore(folder / "state.jsonl", calls=calls)
        try:
            migrate(source.open(), store, clock)
        except StateError:
            if len(lines(source)) == len(before):
                assert live(source, there) == [source]
            _completes(source, there, before)
            assert [each.name for each in folder.iterdir()] == ["state.jsonl"]
        else:
            break
        finally:
            store.close()
        failed += 1
    assert failed > 5
    cases(failed)


@pytest.mark.fault(30)
@pytest.mark.parametrize("kind", ["file", "fake_s3", "postgres"])
def test_nobody_reads_or_begins_a_shorter_log_where_one_is_still_arriving(places, clock, kind, cases):
    source, destination = places("memory", kind)
    fill(source, clock, 40)
    seen = []
    while not seen or seen[-1] != "whole":
        with suppress(Killed):
            _move(source, destination, Life(len(seen) * 7))
        found = _lines_if_whole(destination)
        if found is None:
            seen.append("missing")
            for begin in (lambda: fill(destination, clock, 1), lambda: lines(destination)):
                with pytest.raises(StateDamaged, match="is missing") as refused:
                    begin()
                assert "state migrate" in refused.value.hint
        else:
            assert found in ([], lines(source))
            seen.append("whole" if found else "nothing")
    assert ("missing" in seen) == (kind == "fake_s3")
    cases(len(seen))


def _lines_if_whole(place):
    """None where something is missing: an object store cannot hide a part of a log, but shows that."""
    try:
        return lines(place)
    except StateDamaged:
        return None
