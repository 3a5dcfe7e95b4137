"""A file store on the simulated disk, cut off or killed at every call, and what must hold whatever the disk kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from reconciler.clock import ManualClock
from reconciler.state import events as ev
from reconciler.state.frames import Frame, parse
from reconciler.state.journal import Journal, create
from reconciler.state.stores.file import FileStore
from reconciler.state.stores.interface import AppendOutcome, Done, RunGuard
from support.disk import Disk, Halted

PATH = Path("/simulated/reconciler.state.jsonl")
NAME = PATH.name

#: Disk states looked at after a cut; all of them, where there are no more.
LIMIT = 1200

#: Calls that fail only where the kernel is broken.
NEVER_FAIL = ("close", "unlock")


class Watched(FileStore):
    """A store on a simulated disk, and what it has said. The locks of the real machine are not its matter.

    Attributes:
        acknowledged: the lines that must be there from now on: with one that is acknowledged, all before it.
        sent: the lines of its appends.
    """

    def __init__(self, disk: Disk, acknowledged: Sequence[bytes] = (), **options: Any) -> None:
        self.process = disk.process(**options)
        super().__init__(PATH, calls=self.process)
        self.acknowledged = list(acknowledged)
        self.sent: list[bytes] = []
        self._disk = disk

    def append(self, line: bytes, position: int) -> AppendOutcome:
        self.sent.append(line)
        outcome = super().append(line, position)
        if isinstance(outcome, Done):
            stand = content(self._disk).splitlines(keepends=True)
            assert stand[: len(self.acknowledged)] == self.acknowledged
            assert stand[-1] == line
            self.acknowledged = stand
        return outcome

    def guard(self) -> RunGuard | None:  # type: ignore[override]
        return None


def go_on(store: Watched, actor: str = "", journal: Journal | None = None) -> Frame:
    """What any later command does: read, and write. Returns the frame; it is as long as `actor` makes it."""
    clock = ManualClock()
    journal = journal or Journal(store, clock)
    if not journal.load().position:
        create(store, clock)
        return parse(store.acknowledged[-1])
    holder = journal.fold.open_run
    if holder is not None:
        return journal.append("", [ev.RunFenced(holder.run, actor, "dead")])
    return journal.append(f"run-{journal.position}", [ev.RunStarted("apply", "loopback", actor)])


# Where it ends


def cuts(
    begin: Callable[[], Disk],
    act: Callable[[Watched], object],
    acknowledged: Sequence[bytes] = (),
    **options: Any,
) -> Iterator[tuple[Disk, Watched]]:
    """Cut the power in place of every call of `act`, and after the last one. Options as of Process.

    Yields the disk and the store of each, but where neither the disk nor what was acknowledged has changed.
    """
    whole = Watched(begin(), acknowledged, **options)
    act(whole)
    before = None
    for number in range(1, len(whole.process.log) + 2):
        disk = begin()
        store = Watched(disk, acknowledged, dies_at=number, **options)
        try:
            act(store)
        except Halted:
            pass
        else:
            assert number > len(whole.process.log), "it must do the same every time"
        if (disk.changes, len(store.acknowledged)) != before:
            before = disk.changes, len(store.acknowledged)
            yield disk, store


def kills(
    begin: Callable[[], Disk], act: Callable[[Watched], object], acknowledged: Sequence[bytes] = ()
) -> Iterator[tuple[Disk, Watched]]:
    """As `cuts`, but the process is killed alone: the disk goes on, with everything in its cache."""
    whole = Watched(begin(), acknowledged)
    act(whole)
    before = None
    for number in range(1, len(whole.process.log) + 1):
        disk = begin()
        store = Watched(disk, acknowledged, dies_at=number)
        with suppress(Halted):
            act(store)
        assert store.process.dead, "it must do the same every time"
        if disk.changes != before:
            before = disk.changes
            yield disk, store


# What must hold then


def aside(disk: Disk) -> dict[str, bytes]:
    """What was put aside: by name."""
    return {name: disk[name] for name in disk.names if ".torn-" in name}


def content(disk: Disk) -> bytes:
    """The log, as everybody reads it."""
    return disk[NAME] if NAME in disk.names else b""


def check(state: Disk, acknowledged: Sequence[bytes], sent: Sequence[bytes]) -> bytes:
    """The promises of the store, on a disk after a power cut.

    Whoever opens it finds every acknowledged line, and at most whole lines of `sent` behind them. What else is
    there is ignored by readers, put aside and reported by the next writer, whose frame survives the next cut.

    Returns:
        what was put aside.
    """
    before, found = aside(state), content(state)
    store = Watched(state)
    Journal(store, ManualClock()).load()
    lines = list(store.read(0))
    assert lines[: len(acknowledged)] == list(acknowledged), "an acknowledged frame is lost"
    assert set(lines[len(acknowledged) :]) <= set(sent), "a frame that nobody wrote"
    assert content(state) == found, "reading changes nothing"

    tail = found[sum(map(len, lines)) :]
    frame = go_on(store)
    put = {name: kept for name, kept in aside(state).items() if name not in before}
    assert list(put.values()) == ([tail] if tail else []), "what was not acknowledged is put aside, all of it"
    said = [event for event in frame.events if isinstance(event, ev.Recovered)]
    expected = [ev.Recovered(name, len(kept), hashlib.sha256(kept).hexdigest()) for name, kept in put.items()]
    assert said == expected, "and reported"
    store.close()

    for again in state.states(LIMIT):
        assert content(again) == b"".join([*lines, frame.line]), "what was acknowledged since is lost"
        assert put.items() <= aside(again).items()
    return tail
