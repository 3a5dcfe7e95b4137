"""A run: the lock in the log, from `run_started` to `run_finished`. The conditional append is the fence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn, TypeVar

from reconciler.clock import Clock, timestamp
from reconciler.errors import RunFenced, StateError, StateHeld, StateMismatch, StateMissing, UnsavedOutcomes
from reconciler.model.tombstones import Projection, RunRecord
from reconciler.state import events as ev
from reconciler.state import unsaved
from reconciler.state.fold import Fold
from reconciler.state.frames import Frame
from reconciler.state.holder import FRESH, LEASE, RENEW_AFTER, Watch, describe, held, push_command
from reconciler.state.identity import Who, printable, whoami
from reconciler.state.journal import Journal
from reconciler.state.placing import HeadMoved
from reconciler.state.stores.interface import RunGuard

__all__ = ["FRESH", "LEASE", "RENEW_AFTER", "Run", "Who", "unlock", "whoami"]

_PAUSE_CAP = 16.0

#: A process that ends lets its guard go just after its last frame: what a successor grants it, in seconds.
_GUARD_TRIES, _GUARD_PAUSE = 20, 0.05

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Applicant:
    """What a run says of itself when it starts."""

    run: str
    who: Who
    guard: RunGuard | None

    def outlives(self, holder: RunRecord, fold: Fold, locked: str | None) -> bool:
        """True when the lock of the machine proves that `holder` is dead.

        It was a process of this boot of this machine, it held the very lock (the same inode) that is now ours.
        """
        same = (holder.host, holder.boot_id) == (self.who["host"], self.who["boot_id"]) and bool(holder.boot_id)
        return same and bool(locked) and locked == fold.open_guard


class Run:
    """A run that holds the state. Not for several threads at once.

    Attributes:
        run: its name in the log.
        took_over: the name of the run that it fenced, "" when the state was free.
        journal: the log. Append through the run only.
    """

    def __init__(
        self, journal: Journal, clock: Clock, applicant: _Applicant, *, took_over: str, acknowledged: float
    ) -> None:
        """Used by `start`."""
        self.run = applicant.run
        self.took_over = took_over
        self.journal = journal
        self._clock = clock
        self._guard = applicant.guard
        self._acknowledged = acknowledged
        self._over = False
        self._failure: StateError | None = None

    @classmethod
    def start(
        cls,
        journal: Journal,
        clock: Clock,
        *,
        command: str,
        origin: str,
        fingerprint: Callable[[Projection], str] | str,
        prepare: Callable[[Projection], T],
        actor: str = "",
        host: str = "",
        boot_id: str = "",
        pid: int = 0,
        job: str = "",
        tool_version: str = "",
        lock_timeout: float = 0.0,
        on_wait: Callable[[str, float], None] | None = None,
    ) -> tuple[Run, T]:
        """Take the state, at exactly the position for which `prepare` was called last.

        Args:
            journal: of an existing log; it is brought up to date here.
            clock: time and names.
            command: for people: "apply", "verify".
            origin: the API origin, as `model.target.origin_of` gives it.
            fingerprint: of the plan; a function is called after `prepare`, with the same projection.
            prepare: checks the plan against the projection. It may be called again when another run was faster.
                What it raises is passed on; nothing is written then.
            actor: with host, boot_id, pid and job as `whoami` gives them.
            host: see actor.
            boot_id: see actor.
            pid: see actor.
            job: see actor.
            tool_version: for the record.
            lock_timeout: seconds to wait for another run.
            on_wait: called before each pause with who holds the state, in one line, and the seconds that are left.

        Returns:
            the run, and what `prepare` returned.

        Raises:
            StateHeld: another run holds the state, and `lock_timeout` is over.
            StateMissing: there is no log.
            StateMismatch: the log belongs to another origin.
            StateError: as `Journal.load` and `Journal.append`.
        """
        who = Who(actor=actor, host=host, boot_id=boot_id, pid=pid, job=job)
        applicant = _Applicant(clock.token(), who, journal.store.guard())
        said = {"command": command, "origin": origin, "tool_version": tool_version}
        try:
            queue = _Queue(journal, clock, applicant, lock_timeout, on_wait)
            while True:
                fence, locked = queue.wait(origin)
                projection = journal.projection()
                prepared = prepare(projection)
                print_ = fingerprint(projection) if callable(fingerprint) else fingerprint
                started = ev.RunStarted(**said, **who, fingerprint=print_, lease=LEASE, guard=locked)
                asked = clock.elapsed()
                try:
                    journal.append(applicant.run, (*fence, started))
                except HeadMoved:
                    continue
                took_over = fence[0].fenced if fence else ""
                return cls(journal, clock, applicant, took_over=took_over, acknowledged=asked), prepared
        except BaseException:
            if applicant.guard is not None:
                applicant.guard.release()
            raise

    @property
    def fold(self) -> Fold:
        """The state as this run knows it."""
        return self.journal.fold

    def snapshot(self) -> Projection:
        """The state as a value."""
        return self.journal.projection()

    @property
    def head(self) -> str:
        """`POS:HASH` of the last frame."""
        return self.journal.head

    @property
    def over(self) -> bool:
        """True when nothing more is appended: finished, fenced, or the store failed."""
        return self._over

    def append(self, events: Sequence[ev.Event]) -> Frame:
        """Append one frame of this run, and return once it is durable. It renews the lease.

        Raises:
            RunFenced: another run has taken over. Nothing was written; nothing more may be sent.
            UnsavedOutcomes: the store failed; `path` holds the outcomes among `events`.
            StateError: the store failed, and `events` holds no outcome; or the events cannot follow the log.

        After any of these nothing is appended through this run; further outcomes are kept in the same file.
        """
        if self._over:
            self._refuse(events)
        while True:
            asked = self._clock.elapsed()
            try:
                frame = self.journal.append(self.run, events)
            except HeadMoved:
                self._look_again(events)
            except StateError as error:
                self._give_up(error, events)
            else:
                # Counted from before the append: others count the lease from the time in the frame.
                self._acknowledged = asked
                return frame

    def fresh(self, seconds: float = FRESH) -> bool:
        """Is the last acknowledged frame younger than `seconds`? Only then may an intent be sent."""
        return not self._over and self._clock.elapsed() - self._acknowledged < seconds

    def renew_due(self) -> bool:
        """Has this run been silent for so long that its lease should be renewed?"""
        return not self._over and self._clock.elapsed() - self._acknowledged >= RENEW_AFTER

    def renew(self, requests: int = 0) -> Frame:
        """Renew the lease. `requests`: made since the last frame that counted them. Raises as `append`."""
        return self.append((ev.LeaseRenewed(requests=requests),))

    def finish(self, outcome: str, counts: Mapping[str, int] | None = None, requests: int = 0) -> None:
        """Let go of the state. Every way out calls it; a second call, or one after a failure, writes nothing.

        Raises:
            StateError: as `append`. The lock of the machine is free all the same.
        """
        try:
            if not self._over:
                self.append((ev.RunFinished(outcome, dict(counts or {}), requests),))
                self._over = True
        finally:
            if self._guard is not None:
                self._guard.release()

    def _look_again(self, events: Sequence[ev.Event]) -> None:
        """Somebody else appended: go on only if this run still holds the state."""
        try:
            self.journal.catch_up()
        except StateError as error:
            self._give_up(error, events)
        holder = self.fold.open_run
        if holder is None or holder.run != self.run:
            self._give_up(RunFenced(f"{self._lost()}: nothing more is sent"), events)

    def _lost(self) -> str:
        """How this run lost the state: to a run, which may have ended since, or by the word of a person."""
        runs = {record.run: record for record in self.journal.projection().runs}
        mine, holder = runs.get(self.run), self.fold.open_run
        now = "" if holder is None else f"; {describe(holder)} holds it now"
        if mine is None or not mine.fenced_by:
            return f"run {self.run} does not hold the state any more{now}"
        successor = runs.get(mine.fenced_by)
        if successor is None:
            return f"run {self.run} was taken over by {printable(mine.fenced_by)} with `state unlock`{now}"
        ended = "" if successor.outcome is None else ", which has ended"
        return f"run {self.run} was taken over by {describe(successor)}{ended}"

    def _give_up(self, error: StateError, events: Sequence[ev.Event]) -> NoReturn:
        self._over = True
        self._failure = error
        self._refuse(events)

    def _refuse(self, events: Sequence[ev.Event]) -> NoReturn:
        """Raise what ended this run, once the outcomes among `events` are kept."""
        error = self._failure or StateError(f"run {self.run} is finished: nothing more is recorded under its name")
        lost = unsaved.outcomes(events)
        if not lost:
            raise error
        path = unsaved.save(
            self.journal.store.folder,
            lineage=self.fold.lineage,
            run=self.run,
            head=self.head,
            at=timestamp(self._clock.now()),
            events=lost,
        )
        if path is None:
            mutations = ", ".join(printable(e.mutation_id) for e in lost if isinstance(e, ev.Accepted)) or "none"
            hint = f"they could not be written to a file either; keep the accepted mutation ids: {mutations}"
        else:
            hint = (
                f"keep {path}: it holds them. When the state can be written again, record them: "
                f"{push_command(path, self.journal.store.url)}; then run the same command again, it converges"
            )
        hint = "; ".join(each for each in (hint, error.hint) if each)
        message = f"{error.message}; {len(lost)} outcomes are not recorded"
        if isinstance(error, RunFenced):
            raise RunFenced(message, hint=hint) from error
        raise UnsavedOutcomes(message, hint=hint, path=str(path or "")) from error


class _Queue:
    """Waiting until the state is free or may be taken over."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        applicant: _Applicant,
        lock_timeout: float,
        on_wait: Callable[[str, float], None] | None,
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._applicant = applicant
        self._on_wait = on_wait
        self._deadline = clock.elapsed() + lock_timeout
        self._watch = Watch(clock)
        self._pause = 1.0

    def wait(self, origin: str) -> tuple[tuple[ev.RunFenced, ...], str]:
        """Until the state may be taken: what to append first, and the name of the lock that is held."""
        while True:
            fold = self._read(origin)
            holder = fold.open_run
            if holder is None:
                return (), self._take_guard()
            guard = self._applicant.guard
            locked = guard.acquire() if guard is not None else ""
            reason = ""
            if self._applicant.outlives(holder, fold, locked):
                reason = "its process is dead: its lock on this machine is free"
            elif (left := self._watch.left(holder)) <= 0:
                reason = "its lease is over"
            if reason:
                return (ev.RunFenced(fenced=holder.run, by=self._applicant.run, reason=reason),), locked or ""
            if guard is not None:
                guard.release()
            self._sleep(holder, left)

    def _read(self, origin: str) -> Fold:
        journal = self._journal
        journal.catch_up()
        fold = journal.fold
        if not journal.position:
            raise StateMissing(
                f"there is no state at {journal.store.url}", hint="create it: reconciler state init"
            )
        journal.require_writable()
        if fold.origin not in (None, origin):
            raise StateMismatch(
                f"the state at {journal.store.url} belongs to {printable(fold.origin or '')}, not to {origin}",
                hint="use another --state for another API, so that a rehearsal never counts as production",
            )
        return fold

    def _take_guard(self) -> str:
        guard = self._applicant.guard
        if guard is None:
            return ""
        for _ in range(_GUARD_TRIES):
            locked = guard.acquire()
            if locked is not None:
                return locked
            self._clock.sleep(_GUARD_PAUSE)
        # Somebody else on this machine is about to start; the log decides which of us does. Without the guard
        # nobody will conclude that this run is dead, they will wait for its lease.
        return ""

    def _sleep(self, holder: RunRecord, left: float) -> None:
        patience = self._deadline - self._clock.elapsed()
        if patience <= 0:
            raise held(holder, self._journal.store.url, left)
        if self._on_wait is not None:
            self._on_wait(describe(holder), patience)
        self._clock.sleep(min(self._pause, patience))
        self._pause = min(_PAUSE_CAP, self._pause * 2)


def unlock(journal: Journal, clock: Clock, run: str, *, reason: str, by: str) -> Frame:
    """Take the state from the run that holds it, because a person says that it is dead.

    Args:
        journal: brought up to date here.
        clock: for the pause before another try, when the run was faster.
        run: the exact name of the run.
        reason: why; recorded.
        by: who says so; recorded.

    Raises:
        StateHeld: another run holds it than the one named; the message describes it.
        StateError: no run holds it; or as `Journal.append`.
    """
    while True:
        journal.catch_up()
        holder = journal.fold.open_run
        if holder is None:
            raise StateError(f"no run holds the state, {printable(run)} neither", hint="nothing was changed")
        if holder.run != run:
            raise StateHeld(f"run {printable(run)} does not hold the state; {describe(holder)} does")
        try:
            return journal.append("", (ev.RunFenced(fenced=run, by=printable(by), reason=printable(reason)),))
        except HeadMoved:
            clock.sleep(clock.jitter(_GUARD_PAUSE))
