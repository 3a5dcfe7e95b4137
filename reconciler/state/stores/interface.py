"""What a store is: a place that holds lines and gives each position to one writer only."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reconciler.clock import Clock
from reconciler.errors import StateError
from reconciler.state.events import Recovered


@dataclass(frozen=True, slots=True)
class Done:
    """The line is durable at its position."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """The position was not the next free one. Nothing was written."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """Whether the line is durable is not known, or it is known not to be, because of `error`.

    `retry`: reading the position back and trying again may help. When False the store has said its last
    word (a full disk, a handle that failed to sync): what it reads back would prove nothing.
    """

    error: StateError
    retry: bool = True


AppendOutcome = Done | Conflict | Unknown


class RunGuard(ABC):
    """A lock of this machine, held for a run: free although its run is open means that the run is dead.

    It never decides who may write; the log does.
    """

    @abstractmethod
    def acquire(self) -> str | None:
        """Take it without waiting, or keep it: a name for what is locked, that no other lock has meanwhile.

        None when somebody else holds it, "" when it cannot be had here at all.
        """

    @abstractmethod
    def release(self) -> None:
        """Let go. Harmless when it is not held."""


class Store(ABC):
    """A log's lines. Not for several threads at once, but for any number of stores on the same log.

    Attributes:
        url: printable, without credentials.
        created_on_demand: a missing log may be created by whoever needs one; else only by `state init`.
        local: reading the log twice costs next to nothing.
    """

    url: str
    created_on_demand: bool = False
    local: bool = False

    @abstractmethod
    def read(self, after: int) -> Iterator[bytes]:
        """The complete lines of positions > `after`, in order; none when there is no log.

        A last line without LF is in flight and is not yielded.

        Raises:
            StoreUnavailable: it cannot be read now.
            StateDamaged: what this store has already seen was changed or taken away.
            StateError: what is there is not a log at all.
        """

    def size(self) -> int:
        """Bytes of the log now, where it costs nothing to know them; else 0."""
        return 0

    @abstractmethod
    def append(self, line: bytes, position: int) -> AppendOutcome:
        """Make `line` (with its LF) durable at `position` if that is the next free one; 1 creates the log.

        Never raises for what the store does: its three outcomes are values.
        """

    @abstractmethod
    def exists(self) -> bool:
        """True when at least one complete line is there. Raises as `read`."""

    def make_room(self) -> None:
        """Find out whether `receive` can work here, before a log is given up elsewhere. Leaves nothing behind.

        Raises:
            StateError: as `probe`.
        """
        self.probe()

    @abstractmethod
    def receive(self, lines: Iterator[bytes], last: bytes, clock: Clock) -> None:
        """Take in a whole log where there is none: all of it appears, or nothing that could be written to.

        A call that was interrupted leaves nothing that counts as a log; the same call again completes it.

        Args:
            lines: the whole log, in order, `last` included.
            last: its last line.
            clock: for the pauses between tries.

        Raises:
            StateError: another log is there, or it cannot be written.
            StoreUnavailable: it failed on the way.
        """

    def sync(self) -> None:  # noqa: B027 - most stores show only what is durable
        """Make durable what `read` shows, whoever wrote it.

        Raises:
            StoreUnavailable: it failed.
        """

    def address(self, source: Store | None = None) -> str:  # noqa: ARG002 - for stores with several names
        """Names this store in a `moved` event, to every reader of the log; so that it cannot mean `source`."""
        return self.url

    def answers_to(self, address: str) -> bool:
        """Is this the store that `address` means?"""
        return address == self.address()

    def set_aside(self, line: bytes, position: int) -> Recovered:  # noqa: ARG002 - for stores that can
        """Take the last line, `line` at `position`, out of the log and keep it in a file: it is damaged.

        Raises:
            StateError: it is not the last line, or this store takes nothing back.
        """
        raise StateError(
            f"frame {position} cannot be put aside: {self.url} takes nothing back",
            hint="restore it from a backup of the store; without one begin a new state: planning again deletes "
            "again, which is safe, and only the evidence is gone",
        )

    def probe(self) -> None:  # noqa: B027 - a store that cannot fail has nothing to probe
        """Check that appends have one winner here, before a log is created.

        Raises:
            StateError: they have not, or it cannot be found out; the message says what was seen.
        """

    def recover(self) -> Recovered | None:
        """Put aside what a crashed writer left half written, and say so once; None when there is nothing.

        Only for those about to append. Raises as `read`.
        """
        return None

    def guard(self) -> RunGuard | None:
        """A new guard of this log, for stores of one machine; None for the others."""
        return None

    def warnings(self) -> tuple[str, ...]:
        """What the operator should know of this store: sentences. Never raises."""
        return ()

    @property
    def folder(self) -> Path | None:
        """Where files that belong to this log can lie; None for the current directory."""
        return None

    def close(self) -> None:  # noqa: B027 - most stores hold nothing
        """Let go of handles and connections. The store is not used afterwards."""
