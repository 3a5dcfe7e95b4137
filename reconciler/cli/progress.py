"""Where the notices of a run go: JSON lines, a live display, plain lines; and never silence for long."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ClassVar, Self, TextIO

from reconciler import __version__
from reconciler.cli.failures import diagnostics_of, report
from reconciler.clock import SystemClock
from reconciler.errors import ReconcilerError
from reconciler.model.diagnostic import error
from reconciler.model.notices import Notice, Problem, RunBegan, Sink
from reconciler.render import notices

#: 10 s of silence look like a hang. The workers' own lines of progress come at 9 s and say more, so this waits
#: for them.
SILENCE_SECONDS = 9.5


@dataclass(frozen=True, slots=True)
class StillWorking(Notice):
    """Nothing was told for a while. `seconds` since the command began."""

    type: ClassVar[str] = "heartbeat"
    seconds: int

    @property
    def message(self) -> str:
        """See Notice."""
        return f"still working, {self.seconds} s so far"


class Heartbeat:
    """A sink that passes notices on, one at a time, and says that the command is alive when there are none.

    A context manager; `paused` while a person is asked.
    """

    def __init__(self, sink: Sink, *, silence: float = SILENCE_SECONDS) -> None:
        self._sink = sink
        self._silence = silence
        self._began = self._told = time.monotonic()
        self._paused = False
        self._over = False
        self._turn = threading.Condition(threading.RLock())  # a signal handler may come in the middle of a notice
        self._thread = threading.Thread(target=self._watch, name="heartbeat", daemon=True)

    def __call__(self, notice: Notice) -> None:
        """See Sink."""
        with self._turn:
            self._told = time.monotonic()
            self._sink(notice)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._turn:
            self._over = True
            self._turn.notify()
        self._thread.join()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing is said meanwhile."""
        self._paused = True
        try:
            yield
        finally:
            self._told = time.monotonic()
            self._paused = False

    def _watch(self) -> None:
        with self._turn:
            while not self._over:
                now = time.monotonic()
                due = self._told + self._silence
                if now < due or self._paused:
                    self._turn.wait(max(0.1, due - now))
                    continue
                self._told = now
                self._sink(StillWorking(round(now - self._began)))


class _Terminal(ExitStack):
    """Lines until the run begins, so that a plan and a question stand undisturbed; from then on a live display."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._sink: Sink = notices.PlainLines(stream)
        self._live = False

    def __call__(self, notice: Notice) -> None:
        """See Sink."""
        if isinstance(notice, RunBegan) and not self._live:
            self._live = True
            self._sink = self.enter_context(notices.Live(self._stream))
        self._sink(notice)


@contextmanager
def sink(form: str = "text") -> Iterator[Heartbeat]:
    """Where notices go: JSON lines on stdout, a live display on a terminal, plain lines elsewhere.

    An error that ends the command is an event of the JSON, too.
    """
    if form == "json":
        version = {"version": __version__}
        write_event("version", f"reconciler {__version__}", version)
        with Heartbeat(notices.JsonLines(sys.stdout, SystemClock())) as heartbeat:
            try:
                yield heartbeat
            except ReconcilerError as failure:
                tell_error(heartbeat, failure)
                raise
    elif _is_terminal():
        with _Terminal(sys.stderr) as terminal, Heartbeat(terminal) as heartbeat:
            yield heartbeat
    else:
        with Heartbeat(notices.PlainLines(sys.stderr)) as heartbeat:
            yield heartbeat


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM", "") not in ("", "dumb")


def write_event(type_: str, message: str, event: Mapping[str, Any]) -> None:
    """One event on stdout: see `render.notices.write_event`."""
    notices.write_event(sys.stdout, SystemClock(), type_, message, event)


def tell_error(tell: Sink, failure: ReconcilerError) -> None:
    """An error, and the diagnostics it carries, as notices."""
    for diagnostic in diagnostics_of(failure):
        tell(Problem(diagnostic))
    told = "\n".join((*getattr(failure, "differences", ()), failure.hint))
    tell(Problem(error("error", failure.message, told)))


def tell_errors(errors: tuple[ReconcilerError, ...], form: str) -> None:
    """What kept an index from its end: on stderr, and as events."""
    for failure in dict.fromkeys(errors):
        if form == "json":
            tell_error(_write_notice, failure)
        report(failure)


def _write_notice(notice: Notice) -> None:
    event = notice.as_dict()
    write_event(event.pop("type"), event.pop("message"), event)
