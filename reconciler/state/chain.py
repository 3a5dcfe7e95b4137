"""Lines into verified frames: contiguous, each naming the hash of the one before, the first a header."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reconciler.errors import StateDamaged, StateTooNew
from reconciler.state.events import Header
from reconciler.state.frames import GENESIS, Frame, parse

#: How every header line begins: what tells a damaged state from a file that never was one.
HEADER_START = b'{"v":1,"pos":1,"prev":"' + GENESIS.encode() + b'","nonce":"'

_HINT = (
    "keep the state as it is, and compare it with a copy or with a head that you remember; "
    "if only the last frame is damaged, `reconciler state repair` puts it aside"
)


class Chain:
    """How far a log is verified.

    Attributes:
        position: of the last verified frame, 0 before the first.
        head: its hash, GENESIS before the first.
        lineage: as the header says, "" before it.
    """

    def __init__(self, position: int = 0, head: str = GENESIS, lineage: str = "") -> None:
        self.position = position
        self.head = head
        self.lineage = lineage

    def verify(self, line: bytes) -> Frame:
        """The frame of `line` if it comes next; the chain does not move (see `advance`).

        Raises:
            StateDamaged: it is no frame, or not the next one of this log.
            StateTooNew: a later format.
        """
        due = self.position + 1
        try:
            frame = parse(line)
        except StateDamaged as error:
            if due == 1 and not line.startswith(HEADER_START[:23]):
                raise not_a_state() from error
            raise StateDamaged(f"frame {due} is damaged: {error.message}", hint=_HINT) from error
        except StateTooNew as error:
            raise StateTooNew(f"frame {due}: {error.message}", hint=error.hint) from error
        if frame.position != due:
            raise StateDamaged(f"frame {due} is missing: frame {frame.position} stands in its place", hint=_HINT)
        if frame.prev != self.head:
            raise StateDamaged(f"frame {due} does not follow the frame before it: the chain is broken", hint=_HINT)
        if due == 1 or Header in map(type, frame.events):
            self._check_header(frame)
        return frame

    def advance(self, frame: Frame) -> None:
        """Move on to `frame`, which `verify` returned."""
        if isinstance(frame.events[0], Header):
            self.lineage = frame.events[0].lineage
        self.position, self.head = frame.position, frame.hash

    def _check_header(self, frame: Frame) -> None:
        headers = sum(isinstance(event, Header) for event in frame.events)
        if headers != (frame.position == 1):
            raise StateDamaged(f"frame {frame.position} has {headers} headers", hint=_HINT)
        header = frame.events[0]
        if not isinstance(header, Header) or not header.lineage:
            raise StateDamaged("frame 1 does not begin with a header that names a lineage", hint=_HINT)
        if header.format != 1 or header.id_scheme != "plain":
            raise StateTooNew(
                f"the log has format {header.format} and ids written as {header.id_scheme!r}; "
                "this version reads format 1 with plain ids",
                hint="use the version of reconciler that wrote this state, or a later one",
            )


def not_a_state() -> StateDamaged:
    """The error for contents that never were a state."""
    return StateDamaged(
        "this is not a state: its first line is not the header of one",
        hint="give the path of a state, or of a file that does not exist yet; nothing was changed",
    )


def walk(lines: Iterable[bytes]) -> Iterator[Frame]:
    """The frames of a whole log, each verified before it is yielded, one at a time in memory.

    Raises:
        StateDamaged, StateTooNew: as `Chain.verify`.
    """
    chain = Chain()
    for line in lines:
        frame = chain.verify(line)
        chain.advance(frame)
        yield frame
