"""Requests that only read: to their end, some at once, told when they fail, and bearable for who holds a lease."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import TypeVar, cast

from reconciler.errors import Interrupted, ServiceError
from reconciler.model.notices import ReadFailed, Sink, ignore
from reconciler.model.target import Target
from reconciler.vectorize import Dispatcher, Outcome

R = TypeVar("R")

#: Seconds after which a read that waits for its turn lets its owner renew a lease.
_BEAT = 5.0


@dataclass(frozen=True, eq=False, slots=True)
class _Key:
    """Of one request: no two are equal."""

    target: Target


class Calls:
    """Makes reads through a dispatcher.

    Attributes:
        dispatcher: paces and repeats them.
        tick: called every few seconds meanwhile.
        notify: told each attempt that failed and is made again.
    """

    def __init__(
        self, dispatcher: Dispatcher, *, tick: Callable[[], None] = lambda: None, notify: Sink = ignore
    ) -> None:
        self.dispatcher = dispatcher
        self.tick = tick
        self.notify = notify

    def one(self, target: Target, send: Callable[[], R]) -> R:
        """One request to its end. Raises as `several`."""
        return next(self.several(target, iter([send])))

    def several(self, target: Target, sends: Iterator[Callable[[], R]]) -> Iterator[R]:
        """Several requests, some at once: their results as they arrive.

        Raises:
            ServiceError: of the first that failed for good; what was under way with it is lost.
            Interrupted: the dispatcher was stopped.
        """
        for _, found in self.each((target, send) for send in sends):
            if isinstance(found, ServiceError):
                self._drain()
                raise found
            yield found

    def each(self, sends: Iterator[tuple[Target, Callable[[], R]]]) -> Iterator[tuple[Target, R | ServiceError]]:
        """As `several`, of any targets: the error of one that failed for good is its result.

        Raises:
            Interrupted: the dispatcher was stopped.
        """
        dispatcher, exhausted = self.dispatcher, False
        waiting: set[Hashable] = set()
        while True:
            while not exhausted and len(waiting) < 2 * dispatcher.concurrency:
                target, send = next(sends, (None, None))
                if target is None or send is None:
                    exhausted = True
                    break
                key = _Key(target)
                dispatcher.submit(key, send)
                waiting.add(key)
            if not waiting:
                return
            self.tick()
            outcome = dispatcher.next(_BEAT)
            if outcome is None and not (dispatcher.in_flight or dispatcher.queued):
                raise Interrupted("stopped while reading", hint="Run it again: reading changes nothing.")
            if outcome is None or outcome.key not in waiting:  # of somebody who left before the end
                continue
            asked = cast("_Key", outcome.key)
            if outcome.retry_in is not None:
                self._tell(asked.target, outcome, outcome.retry_in)
                continue
            waiting.remove(asked)
            yield asked.target, outcome.error or outcome.result

    def _tell(self, target: Target, outcome: Outcome, retry_in: float) -> None:
        error = outcome.error
        if error is not None:
            self.notify(
                ReadFailed(target, outcome.attempt, error.message, error.code, error.status, retry_in=retry_in)
            )

    def _drain(self) -> None:
        """Take back what is still under way after a failure, so that the dispatcher is clean for its next user."""
        while self.dispatcher.in_flight or self.dispatcher.queued:
            self.tick()
            self.dispatcher.next(_BEAT)
