"""Sinks: where the notices of a run go while it runs.

A sink never raises: a reader that went away must not end an apply whose deletes are under way. It switches
itself off instead, and the run goes on; the state has the record.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TextIO

from reconciler.clock import Clock, SystemClock, timestamp
from reconciler.model.notices import (
    BatchFailed,
    BatchSubmitted,
    Notice,
    Problem,
    Progress,
    ReappearedIds,
)
from reconciler.render.diagnostics import styled
from reconciler.render.escape import json_text, line, plain
from reconciler.render.lines import Line, print_lines

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

#: Where there is no terminal a line of progress comes this often, in seconds: 10 s of silence look like a hang.
LINE_SECONDS = 9.0

#: What writing to a stream raises when nobody reads it, it is full, or it was closed.
_BROKEN = (OSError, ValueError)


def write_event(stream: TextIO, clock: Clock, type_: str, message: str, event: Mapping[str, Any]) -> None:
    """Write one event as a line of JSON and flush: `type`, `at`, `message`, then the fields of `event`.

    A stream that cannot be written is passed over in silence.
    """
    with suppress(*_BROKEN):
        _write_json(stream, clock, type_, message, event)


def _write_json(stream: TextIO, clock: Clock, type_: str, message: str, event: Mapping[str, Any]) -> None:
    rest = {name: value for name, value in event.items() if name not in ("type", "at", "message")}
    document = {"type": type_, "at": timestamp(clock.now()), "message": plain(message), **rest}
    stream.write(json_text(document) + "\n")
    stream.flush()


class _Pace:
    """Which of many progress notices are written: one every 9 s, and the one that says that a phase is done."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._phase = ""
        self._last = 0.0

    def drops(self, notice: Notice) -> bool:
        """True when `notice` is progress that says nothing yet, or came too soon after the last one."""
        if not isinstance(notice, Progress):
            return False
        now = self._clock.elapsed()
        begins = notice.phase != self._phase
        if begins:
            self._phase, self._last = notice.phase, now
        soon = now - self._last < LINE_SECONDS and not (begins and notice.done)
        if soon and notice.done < notice.total:
            return True
        self._last = now
        return False


class JsonLines:
    """One event a line, flushed at once. `message` is harmless; the other fields are exact."""

    def __init__(self, stream: TextIO, clock: Clock) -> None:
        self._stream: TextIO | None = stream
        self._clock = clock
        self._pace = _Pace(clock)
        self._lock = Lock()

    def __call__(self, notice: Notice) -> None:
        """See Sink."""
        with self._lock:
            if self._stream is None or self._pace.drops(notice):
                return
            try:
                _write_json(self._stream, self._clock, notice.type, notice.message, notice.as_dict())
            except _BROKEN:
                self._stream = None


class PlainLines:
    """Lines for people where there is no terminal: all that matters, without a line for each accepted batch.

    Progress notices count the batches, and come often enough that a log is never silent for long.
    """

    def __init__(self, stream: TextIO | None, clock: Clock | None = None) -> None:
        self._stream = stream
        self._pace = _Pace(clock or SystemClock())
        self._lock = Lock()

    def __call__(self, notice: Notice) -> None:
        """See Sink."""
        if isinstance(notice, BatchSubmitted):
            return
        with self._lock:
            if self._stream is None or self._pace.drops(notice):
                return
            try:
                self._stream.writelines(f"{each}\n" for each in notice_lines(notice))
                self._stream.flush()
            except _BROKEN:
                self._stream = None


class Live:
    """A bar on a terminal: ids, batches, requests left in the window, time left; problems stand above it.

    A context manager; what it yields is the sink. It draws when a notice comes and has no thread of its own.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = Lock()
        self._bar: Bar | None = None
        self._task: TaskID | None = None
        self._phase = ""
        self._done = 0

    def __enter__(self) -> Self:
        with suppress(*_BROKEN):
            self._bar = _bar(self._stream)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock, suppress(*_BROKEN):
            if self._bar is not None:
                self._bar.stop()
            self._bar = None

    def __call__(self, notice: Notice) -> None:
        """See Sink."""
        with self._lock:
            if self._bar is None:
                return
            try:
                self._show(self._bar, notice)
            except _BROKEN:
                self._bar = None

    def _show(self, bar: Bar, notice: Notice) -> None:
        if isinstance(notice, Progress):
            self._advance(bar, notice)
        elif isinstance(notice, BatchSubmitted):
            if self._task is not None and self._phase == "sending":
                self._done += notice.ids
                bar.update(self._task, completed=self._done, refresh=True)
        else:
            print_lines(notice_lines(notice), bar.console)

    def _advance(self, bar: Bar, notice: Progress) -> None:
        if self._task is None or self._phase != notice.phase:
            self._phase = notice.phase
            words = "Sending" if notice.phase == "sending" else "Verifying"
            self._task = bar.add_task(words, total=notice.total, told="")
        self._done = notice.done
        bar.update(self._task, completed=notice.done, total=notice.total, told=_beside(notice), refresh=True)


def _beside(notice: Progress) -> str:
    """What stands beside the bar: short, so that a line of 80 characters holds it."""
    parts = [f"{notice.done:,}/{notice.total:,} ids"]
    if notice.phase == "sending":
        parts.append(f"{notice.batches_done:,}/{notice.batches_total:,} batches")
    if notice.requests_left is not None:
        parts.append(f"{notice.requests_left:,} requests left")
    if notice.seconds_left is not None and notice.done < notice.total:
        parts.append(f"{notice.seconds_left:.0f} s to go")
    return ", ".join(parts)


def notice_lines(notice: Notice) -> Iterator[Line]:
    """A notice for people, harmless; a problem comes with its detail."""
    if isinstance(notice, Problem):
        yield from styled([notice.diagnostic])
    else:
        yield Line(line(notice.message), _style(notice))


def _style(notice: Notice) -> str:
    if isinstance(notice, ReappearedIds):
        return "bold red"
    if isinstance(notice, BatchFailed):
        return "bold red" if notice.final else "yellow"
    return ""


def _bar(stream: TextIO) -> Bar:
    from rich.progress import BarColumn, TextColumn  # noqa: PLC0415 - 50 ms of import that only a terminal needs
    from rich.progress import Progress as Bar  # noqa: PLC0415

    from reconciler.render.console import PatientConsole  # noqa: PLC0415

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[told]}", markup=False),
    )
    return Bar(
        *columns,
        console=PatientConsole(file=stream),
        auto_refresh=False,
        transient=True,
        redirect_stdout=False,  # what others print is theirs
        redirect_stderr=False,
    )
