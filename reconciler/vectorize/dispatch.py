"""The one engine that starts requests: within the budget, some at once, again what may pass.

The thread that calls `next()` decides everything: what starts, what is tried again, what was enough. Workers
make exactly one attempt and know nothing of it. So there is no lock here, an attempt is never out of sight,
and a caller sees every outcome that has arrived before anything further starts.

A retry library would hold a worker through each back-off, and sleep there where the budget, the gate and
Ctrl-C cannot reach it; its hook would have to carry every attempt from the workers to the coordinator. Here
a call that waits for its next attempt is an entry in a heap: ten lines, and stopping takes effect at once.
"""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from itertools import count
from queue import Empty, SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Any, Self

from reconciler.clock import Clock
from reconciler.errors import ServiceError
from reconciler.vectorize.budget import INSTANT, UNLIMITED, Budget
from reconciler.vectorize.retry import RetryPolicy, concerns_the_account

#: The longest single wait, in seconds; a longer one is made of several.
_LONGEST_WAIT = 3600.0

#: Seconds in which a worker sends what it was handed, or comes to the end of an answer, if nobody else wants the
#: interpreter. Whoever does gets it at each of the worker's dozen system calls, and the worker has to be woken for
#: the rest: together that costs as much as the request.
_UNDISTURBED = 0.0002


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one attempt ended.

    Attributes:
        key: of the call, as submitted.
        attempt: its number, from 1.
        result: what `send` returned; None when it failed.
        error: why it failed; None when it did not.
        final: no further attempt follows.
        retry_in: seconds until the next attempt may start; None when none follows.
    """

    key: Hashable
    attempt: int
    result: Any
    error: ServiceError | None
    final: bool
    retry_in: float | None


@dataclass(slots=True, eq=False)
class _Call:
    key: Hashable
    send: Callable[[], Any]
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class _Done:
    """What a worker hands back; no call: somebody asked `next()` to return."""

    call: _Call | None = None
    result: Any = None
    error: BaseException | None = None


_WAKE = _Done()


class Dispatcher:
    """Starts calls in the order of submission, retries that are due before them.

    All methods but `wake` and `stop` belong to one thread; those two may be called from anywhere, a signal
    handler included.

    Args:
        clock: time and jitter.
        budget: asked before each attempt. It may be shared with other dispatchers of the same thread.
        concurrency: attempts in flight at once.
        policy: when to try again.
        threads: False makes each attempt inside `next()`: no thread, the same order every time, for tests.
        gate: asked right before each start. While it says no, nothing starts and `held` is True.

    Attributes:
        held: the gate said no, the last time that `next` would have started something.
    """

    def __init__(
        self,
        clock: Clock,
        budget: Budget,
        *,
        concurrency: int,
        policy: RetryPolicy | None = None,
        threads: bool = True,
        gate: Callable[[], bool] | None = None,
    ) -> None:
        if concurrency < 1:
            raise ValueError(f"a dispatcher needs room for one call, not {concurrency}")
        self.gate: Callable[[], bool] = gate or _open
        self.held = False
        self.budget = budget
        self.concurrency = concurrency
        self._clock = clock
        self._policy = policy or RetryPolicy()
        self._threads = threads
        self._waiting: deque[_Call] = deque()
        self._retries: list[tuple[float, int, _Call]] = []
        self._order = count()
        self._open_keys: set[Hashable] = set()
        self._lost: list[_Call] = []
        self._in_flight = 0
        self._stopped = False
        self._closed = False
        self._tasks: SimpleQueue[_Call | None] = SimpleQueue()
        self._events: SimpleQueue[_Done] = SimpleQueue()
        self._workers: list[Thread] = []

    @property
    def requests_left(self) -> int | None:
        """Requests that may still start in the window that ends now; None when nothing limits them."""
        left = self.budget.left()
        return None if left >= UNLIMITED else left

    @property
    def in_flight(self) -> int:
        """Attempts that were started and whose outcomes `next` has not returned yet."""
        return self._in_flight

    @property
    def queued(self) -> int:
        """Calls that will start: not tried yet, or waiting to be tried again. 0 after `stop`."""
        return 0 if self._stopped else len(self._waiting) + len(self._retries)

    @property
    def reserve(self) -> int:
        """Calls not tried yet that start only when something else has ended, or time allows it. 0 after `stop`."""
        if self._stopped:
            return 0
        room = 0 if self.budget.delay() > 0 else self.concurrency - self._in_flight
        return max(0, len(self._waiting) - room)

    def submit(self, key: Hashable, send: Callable[[], Any]) -> None:
        """Queues a call: `send` makes one attempt, returns a result or raises a ServiceError.

        After `stop` it is accepted and abandoned.

        Raises:
            ValueError: a call with this key is still open.
            RuntimeError: the dispatcher is closed.
        """
        if self._closed:
            raise RuntimeError("the dispatcher is closed")
        if key in self._open_keys:
            raise ValueError(f"a call with the key {key!r} is still open")
        self._open_keys.add(key)
        self._waiting.append(_Call(key, send))

    def next(self, timeout: float) -> Outcome | None:
        """The next outcome: one that has arrived, else starts what may start and waits for one.

        Returns:
            None after `timeout` seconds, after `wake`, and at once when nothing is in flight and nothing can
            start because of the gate (see `held`) or of `stop`. With nothing to do at all it waits, so that it
            also serves as a sleep that `wake` ends.

        Raises:
            BaseException: whatever `send` raised that is not a ServiceError; the call counts as abandoned.
        """
        deadline = self._clock.elapsed() + timeout
        try:
            done: _Done | None = self._events.get_nowait()
        except Empty:
            done = None
        while done is None:
            pause = self._start_what_may()
            if not self._in_flight and (self._stopped or self.held):
                return None
            wait = min(deadline - self._clock.elapsed(), pause, _LONGEST_WAIT)
            done = self._clock.wait(self._events, max(0.0, wait))
            if done is not None and done.call is not None and self._threads:
                time.sleep(_UNDISTURBED)  # answers come in flocks: those that come with it are taken with it
            if done is None and deadline - self._clock.elapsed() <= INSTANT:
                return None
        return None if done.call is None else self._settled(done, done.call)

    def withdraw(self, key: Hashable) -> bool:
        """Takes back a call that was never started; False, and nothing changes, when there is none of that key."""
        call = next((each for each in self._waiting if each.key == key), None)
        if call is None:
            return False
        self._waiting.remove(call)
        self._open_keys.discard(key)
        return True

    def stop(self) -> None:
        """From now on nothing starts, retries included. What is in flight still comes back through `next`."""
        if not self._stopped:
            self._stopped = True
            self.wake()

    def wake(self) -> None:
        """Makes a `next` that waits, or else the next one, return None; outcomes that have arrived come first."""
        self._events.put(_WAKE)

    def abandoned(self) -> list[Hashable]:
        """Takes back the calls that will have no final outcome, each once.

        After `stop`, those that never started or wait for a retry; at any time, those that ended in an
        unexpected exception. What is in flight is not among them: `next` still returns it.
        """
        taken = self._lost
        self._lost = []
        if self._stopped:
            taken = [*taken, *(call for _, _, call in sorted(self._retries)), *self._waiting]
            self._retries.clear()
            self._waiting.clear()
        self._open_keys.difference_update(call.key for call in taken)
        return [call.key for call in taken]

    def close(self) -> None:
        """Stops, and ends the workers that are idle. One in the middle of an attempt does not hold up the exit."""
        self.stop()
        self._closed = True
        for _ in self._workers:
            self._tasks.put(None)
        if not self._in_flight:
            for worker in self._workers:
                worker.join()
        self._workers.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start_what_may(self) -> float:
        """Starts all that may start now. Returns the seconds until time alone lets more start; inf: never."""
        self.held = False
        while not self._stopped and self._in_flight < self.concurrency:
            due_in = self._due_in()
            if due_in is None:
                break
            pause = max(due_in, self.budget.delay())
            if pause > 0:
                return pause
            if not self.gate():
                self.held = True
                break
            self._start()
        return float("inf")

    def _due_in(self) -> float | None:
        """Seconds until the next call is due, the budget apart; None when there is none."""
        retry_in = self._retries[0][0] - self._clock.elapsed() if self._retries else None
        if self._waiting or (retry_in is not None and retry_in <= INSTANT):
            return 0.0
        return retry_in

    def _start(self) -> None:
        if self._retries and self._retries[0][0] - self._clock.elapsed() <= INSTANT:
            call = heapq.heappop(self._retries)[2]
        else:
            call = self._waiting.popleft()
        self.budget.take()
        self.budget.in_flight += 1
        self._in_flight += 1
        call.attempts += 1
        if not self._threads:
            self._events.put(self._attempted(call))
            return
        if len(self._workers) < self._in_flight:
            # Daemons, not an executor: its threads are joined at exit, and a second Ctrl-C would wait out a
            # request's time-out.
            worker = Thread(target=self._work, name=f"vectorize-{len(self._workers) + 1}", daemon=True)
            self._workers.append(worker)
            worker.start()
        self._tasks.put(call)
        # Let the worker send before the next call is started and what came back is recorded: all else can wait.
        time.sleep(_UNDISTURBED)

    def _work(self) -> None:
        while (call := self._tasks.get()) is not None:
            self._events.put(self._attempted(call))

    def _attempted(self, call: _Call) -> _Done:
        result, error = None, None
        try:
            result = call.send()
        except BaseException as raised:  # noqa: BLE001 - it is raised again in the thread that calls next()
            error = raised
        return _Done(call, result, error)

    def _settled(self, done: _Done, call: _Call) -> Outcome:
        self._in_flight -= 1
        self.budget.in_flight -= 1
        error = done.error
        if error is not None and not isinstance(error, ServiceError):
            self._lost.append(call)
            raise error
        retry_in = None
        if error is not None:
            retry_in = self._retry_in(call, error)
        if retry_in is None:
            self._open_keys.discard(call.key)
        else:
            heapq.heappush(self._retries, (self._clock.elapsed() + retry_in, next(self._order), call))
        return Outcome(
            key=call.key,
            attempt=call.attempts,
            result=done.result,
            error=error,
            final=retry_in is None,
            retry_in=retry_in,
        )

    def _retry_in(self, call: _Call, error: ServiceError) -> float | None:
        """Seconds until the next attempt, None when there is none. An account's throttle holds everybody back."""
        again = self._policy.retries(call.attempts, error) and not self._stopped
        everybody = concerns_the_account(error)
        wait = self._policy.delay(call.attempts, error, self._clock) if again or everybody else 0.0
        if everybody:
            self.budget.pause(wait)
        return wait if again else None


def _open() -> bool:
    return True
