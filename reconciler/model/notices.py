"""What happens during an apply or a verify, told while it happens: one frozen value a happening.

Whoever runs the work passes a sink, a function that takes a Notice: the terminal, JSON lines, a test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from reconciler.model.diagnostic import Diagnostic, diagnostic_dict
from reconciler.model.target import Target


@dataclass(frozen=True, slots=True)
class Notice:
    """Base of all notices. `type` names the kind; `message` says it in one line for people."""

    type: ClassVar[str] = ""

    @property
    def message(self) -> str:
        """One line for people. May hold untrusted text: renderers neutralise it."""
        raise AssertionError(self.type)

    def as_dict(self) -> dict[str, Any]:
        """The fields as JSON values, `type` and `message` first."""
        document: dict[str, Any] = {"type": self.type, "message": self.message}
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, Target):
                document |= {"account_id": value.account_id, "index": value.index}
            elif isinstance(value, Diagnostic):
                document |= diagnostic_dict(value)
            else:
                document[each.name] = value
        return document


@dataclass(frozen=True, slots=True)
class RunBegan(Notice):
    """The state is held by this run. `took_over`: the run it fenced, "" when none."""

    type: ClassVar[str] = "run_started"
    run: str
    took_over: str = ""

    @property
    def message(self) -> str:
        """See Notice."""
        taken = f", took over from run {self.took_over}, which starts nothing more" if self.took_over else ""
        return f"run {self.run} holds the state{taken}"


@dataclass(frozen=True, slots=True)
class Waiting(Notice):
    """Another run holds the state and this one waits for it."""

    type: ClassVar[str] = "waiting"
    holder: str
    seconds_left: float

    @property
    def message(self) -> str:
        """See Notice."""
        return f"waiting for the state: {self.holder} (at most {self.seconds_left:.0f} s more)"


@dataclass(frozen=True, slots=True)
class BatchSubmitted(Notice):
    """The service accepted a batch of `ids` ids: accepted is not gone."""

    type: ClassVar[str] = "batch_submitted"
    target: Target
    batch: int
    ids: int
    mutation_id: str
    attempt: int

    @property
    def message(self) -> str:
        """See Notice."""
        again = f" (attempt {self.attempt})" if self.attempt > 1 else ""
        return f"{self.target.index}: batch {self.batch}: {_ids(self.ids)} accepted as {self.mutation_id}{again}"


@dataclass(frozen=True, slots=True)
class BatchFailed(Notice):
    """An attempt of a batch failed. `outcome` "rejected" or "unknown"; `retry_in` seconds, None when final."""

    type: ClassVar[str] = "batch_failed"
    target: Target
    batch: int
    ids: int
    attempt: int
    outcome: str
    final: bool
    error: str
    code: int | None
    status: int | None
    retry_in: float | None

    @property
    def message(self) -> str:
        """See Notice."""
        known = "nothing was deleted" if self.outcome == "rejected" else "it may have been accepted all the same"
        what = "given up" if self.retry_in is None else f"trying again in {self.retry_in:.1f} s"
        where = f"{self.target.index}: batch {self.batch}: attempt {self.attempt}"
        return f"{where} failed: {self.error} ({known}; {what})"


@dataclass(frozen=True, slots=True)
class ReadFailed(Notice):
    """An attempt to read failed, and is made again in `retry_in` seconds."""

    type: ClassVar[str] = "read_failed"
    target: Target
    attempt: int
    error: str
    code: int | None
    status: int | None
    retry_in: float

    @property
    def message(self) -> str:
        """See Notice."""
        where = f"{self.target.index}: reading: attempt {self.attempt}"
        return f"{where} failed: {self.error} (trying again in {self.retry_in:.1f} s)"


#: A Progress comes this often, in seconds: often enough to draw. Sinks that write lines keep fewer of them.
PROGRESS_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Progress(Notice):
    """How far it is. `phase`: "sending" or "settling".

    `seconds_left` is None when unknown, `requests_left` when nothing limits them. `done` and `total` count ids:
    accepted while sending, verified while settling.
    """

    type: ClassVar[str] = "progress"
    phase: str
    done: int
    total: int
    batches_done: int
    batches_total: int
    requests: int
    requests_left: int | None
    seconds_left: float | None

    @property
    def message(self) -> str:
        """See Notice."""
        what = "accepted" if self.phase == "sending" else "verified absent"
        parts = [f"{self.done:,} of {self.total:,} ids {what}"]
        if self.phase == "sending":
            parts.append(f"{self.batches_done:,} of {self.batches_total:,} batches")
        parts.append(f"{self.requests:,} requests")
        if self.requests_left is not None:
            parts.append(f"{self.requests_left:,} left in the window")
        if self.seconds_left is not None and self.done < self.total:
            parts.append(f"about {self.seconds_left:.0f} s to go")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class ProcessedIds(Notice):
    """The service has applied these batches. `how`: the pointer, or that it was never seen."""

    type: ClassVar[str] = "processed"
    target: Target
    batches: int
    pointer: str

    @property
    def message(self) -> str:
        """See Notice."""
        batches = "1 batch" if self.batches == 1 else f"{self.batches:,} batches"
        return f"{self.target.index}: {batches} processed (pointer {self.pointer})"


@dataclass(frozen=True, slots=True)
class VerifiedIds(Notice):
    """A read found `ids` ids missing after their deletion was processed."""

    type: ClassVar[str] = "verified"
    target: Target
    ids: int
    how: str

    @property
    def message(self) -> str:
        """See Notice."""
        return f"{self.target.index}: {_ids(self.ids)} verified absent ({self.how})"


@dataclass(frozen=True, slots=True)
class ReappearedIds(Notice):
    """A read found ids present that should be gone. `examples`: the first of them, at most 20."""

    type: ClassVar[str] = "reappeared"
    target: Target
    ids: int
    examples: tuple[str, ...]

    @property
    def message(self) -> str:
        """See Notice."""
        more = f" and {self.ids - len(self.examples):,} more" if self.ids > len(self.examples) else ""
        verb = "is" if self.ids == 1 else "are"
        return f"{self.target.index}: {_ids(self.ids)} {verb} present again: {', '.join(self.examples)}{more}"


@dataclass(frozen=True, slots=True)
class Problem(Notice):
    """Something a person must know."""

    type: ClassVar[str] = "diagnostic"
    diagnostic: Diagnostic

    @property
    def message(self) -> str:
        """See Notice."""
        where = "" if self.diagnostic.position is None else f"{self.diagnostic.position}: "
        return f"{where}{self.diagnostic.severity}: {self.diagnostic.summary}"


def _ids(count: int) -> str:
    return "1 id" if count == 1 else f"{count:,} ids"


#: Takes notices as they happen; must not raise.
Sink = Callable[[Notice], None]


def ignore(notice: Notice) -> None:
    """The sink that drops everything."""
