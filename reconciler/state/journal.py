"""A store and what its log adds up to: read, verified, appended to, doubts resolved."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.clock import Clock, timestamp
from reconciler.errors import StateDamaged, StateError, StateTooNew, UsageError
from reconciler.model.tombstones import Projection
from reconciler.state.chain import Chain, walk
from reconciler.state.events import Event, Header, Recovered
from reconciler.state.fold import Fold
from reconciler.state.frames import GENESIS, Frame, parse, seal
from reconciler.state.placing import HeadMoved, place
from reconciler.state.stores.interface import Store


class Journal:
    """One log. Not for several threads at once.

    Attributes:
        store: that holds it.
        fold: as far as it has been read.
        size: bytes of what has been read or appended.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self.fold = Fold()
        self.size = 0
        self._clock = clock
        self._chain = Chain()
        self._recovered: Recovered | None = None

    @property
    def position(self) -> int:
        """Of the last frame that was read or appended; 0 when there is none."""
        return self._chain.position

    @property
    def head(self) -> str:
        """`POS:HASH` of the last frame that was read or appended: what a person keeps to check the log later."""
        return f"{self._chain.position}:{self._chain.head}"

    def projection(self) -> Projection:
        """The state as far as it has been read."""
        return self.fold.snapshot()

    def load(self) -> Projection:
        """Read and verify the log from its first byte. An absent log is empty.

        Raises:
            StateDamaged, StateTooNew: as `Chain.verify` and `Fold.apply`.
            StoreUnavailable, StateError: as `Store.read`.
        """
        self.fold = Fold()
        self.size = 0
        self._chain = Chain()
        self.catch_up()
        return self.projection()

    def catch_up(self) -> None:
        """Read and verify what was appended since. Raises as `load`."""
        for line in self.store.read(self._chain.position):
            frame = self._chain.verify(line)
            self.fold.apply(frame)
            self._advance(frame)

    def append(self, run: str, events: Sequence[Event]) -> Frame:
        """Append one frame at the head, and return once it is durable.

        Raises:
            HeadMoved: somebody else appended first; nothing was written.
            StateTooNew: the log holds kinds of events that this version does not know.
            StateError: it was moved elsewhere, or the events cannot follow what the log says.
            StoreUnavailable: it is not durable, or that could not be found out.
            StateDamaged: what was read before is not there any more.
        """
        self.require_writable()
        self._recovered = self.store.recover() or self._recovered
        found = (self._recovered,) if self._recovered else ()
        said = (*found, *events) if self._chain.position else (*events, *found)  # the header comes first
        frame = self._proposed(run, said)
        try:
            self._place(frame)
        except BaseException:
            self.fold.withdraw()
            raise
        self.fold.commit()
        self._advance(frame)
        self._recovered = None
        return frame

    def _advance(self, frame: Frame) -> None:
        self._chain.advance(frame)
        self.size += len(frame.line)

    def rehearse(self, run: str, events: Sequence[Event]) -> None:
        """Raise the StateError that `append` would raise for what `events` say; nothing is written."""
        self._proposed(run, events)
        self.fold.withdraw()

    def require_writable(self) -> None:
        """Raise what `append` would raise whatever the events are."""
        if self.fold.unknown_kinds:
            raise StateTooNew(
                f"the state holds events of a later version ({', '.join(map(repr, self.fold.unknown_kinds))}): "
                "it can be read, not written",
                hint="use the version of reconciler that wrote this state, or a later one",
            )
        moved = self.fold.moved_to
        if moved is not None and not self.store.answers_to(moved):
            raise StateError(f"this state was moved to {moved}", hint=f"use --state {moved}")

    def _proposed(self, run: str, events: Sequence[Event]) -> Frame:
        """The frame, as any reader will read it, and folded: nothing is written that would be damage later."""
        try:
            frame = seal(
                self._chain.position + 1,
                self._chain.head,
                self._clock.token(),
                timestamp(self._clock.now()),
                run,
                events,
            )
            self.fold.propose(frame)
        except (ValueError, StateDamaged) as error:
            raise StateError(f"this cannot be recorded: {error}") from error
        return frame

    def _place(self, frame: Frame) -> None:
        """Make `frame` durable, or find out why it is not."""
        place(
            frame.line,
            frame.position,
            self._clock,
            append=lambda: self.store.append(frame.line, frame.position),
            standing=lambda: next(self.store.read(frame.position - 1), None),
        )

    def check_head(self, remembered: str) -> None:
        """Prove that a remembered head (`POS:HASH`) still stands, and with it everything before it.

        Reads the log again from its first byte.

        Raises:
            UsageError: `remembered` is not a head.
            StateDamaged: the log ends before it ("the state went backwards"), or has another frame there.
            StateError: as `load`.
        """
        position, _, digest = remembered.strip().partition(":")
        if not (position.isascii() and position.isdecimal() and len(position) < 16 and len(digest) == 64):
            raise UsageError(f"not a head: {remembered!r}", hint="a head is POSITION:HASH, as commands print it")
        self.load()
        hint = "find the newer log, or the copy that has this head, before anything else is written"
        if int(position) > self.position:
            raise StateDamaged(
                f"the state went backwards: it ends at {self.head}, before the remembered {remembered}", hint=hint
            )
        standing = self._hash_at(int(position))
        if standing != digest:
            raise StateDamaged(
                f"the state is another: frame {position} is {standing}, not the remembered {digest}", hint=hint
            )

    def at(self, position: int) -> Projection:
        """The state as it was after frame `position`. Reads the log from its first byte.

        Raises:
            StateDamaged: the log ends before ("the state went backwards"); otherwise as `load`.
        """
        if position == self.position:
            return self.projection()
        fold = Fold()
        if position:
            for frame in walk(self.store.read(0)):
                fold.apply(frame)
                if frame.position == position:
                    break
        if fold.position != position:
            raise StateDamaged(f"the state went backwards: it ends at {fold.position}, before position {position}")
        return fold.snapshot()

    def _hash_at(self, position: int) -> str:
        if position == 0:
            return GENESIS
        line = next(self.store.read(position - 1), None)
        return "" if line is None else parse(line).hash


def create(store: Store, clock: Clock) -> Journal:
    """Begin a log in `store`.

    Raises:
        StateError: there is one already; the message names its lineage and head.
        StateError, StoreUnavailable: the store failed its probe, or cannot be written.
    """
    journal = Journal(store, clock)
    journal.load()
    if not journal.position:
        store.probe()
        try:
            journal.append("", (Header(lineage=clock.token()),))
        except HeadMoved:
            journal.load()
        else:
            return journal
    raise StateError(
        f"{store.url} exists already: lineage {journal.fold.lineage}, head {journal.head}",
        hint="nothing was changed; `reconciler state show` says what it holds",
    )
