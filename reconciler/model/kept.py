"""Where bytes of ids are: in memory while there are few, in a scratch file, or in a file of the cache.

When those of this process are more than `SCRATCH_ABOVE`, the next ones go to a temporary file without a name that
ends with the process. So memory is bounded, however many ids are worked on; the price is one read a piece.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, Protocol, Self

from reconciler.errors import CacheDamaged

#: Bytes of ids that a process holds in memory before the next ones go to the scratch file.
SCRATCH_ABOVE = 8 * 1_048_576


class OpenFile(Protocol):
    """A file that is read in place. `name`: its path; for one without a name whatever else."""

    @property
    def name(self) -> Any:
        """See the class."""

    def fileno(self) -> int:
        """The descriptor."""


class _Scratch:
    """Where chunks are kept. Safe to use from any thread, and on both sides of a fork."""

    def __init__(self) -> None:
        self.held = 0
        self._file: BinaryIO | None = None
        self._end = 0
        self._lock = threading.Lock()
        os.register_at_fork(after_in_child=self._forget)

    def keep(self, block: bytes) -> tuple[BinaryIO, int] | None:
        """Write `block`: the file that has it, and where. None when there is no room: memory has to hold it."""
        try:
            with self._lock:
                if self._file is None:
                    import tempfile  # noqa: PLC0415 - imports much, and few commands need it

                    self._file = tempfile.TemporaryFile(buffering=0, prefix="reconciler-")  # noqa: SIM115 - for good
                    self._end = 0
                file, at = self._file, self._end
                self._end += len(block)
            written = 0
            while written < len(block):
                written += os.pwrite(file.fileno(), block[written:] if written else block, at + written)
        except OSError:
            return None
        return file, at

    def _forget(self) -> None:
        # Two processes that go on writing at the same places of one file would read each other's ids.
        self._lock = threading.Lock()
        self._file = None


_scratch = _Scratch()


class Kept:
    """Bytes that do not change: in memory, in the scratch file once much is in memory, or in a file of the cache.

    Attributes:
        size: how many.
    """

    __slots__ = ("_bytes", "_place", "_sha256", "size")

    def __init__(self, data: bytes) -> None:
        self.size = size = len(data)
        self._sha256 = b""
        place: tuple[OpenFile, int] | None = _scratch.keep(data) if _scratch.held + size > SCRATCH_ABOVE else None
        self._place = place
        self._bytes = data if place is None else None
        if place is None:
            _scratch.held += size  # threads may miss one another here: it is a bound for memory, not a count

    @classmethod
    def placed(cls, file: OpenFile, at: int, size: int, sha256: bytes) -> Self:
        """What is in a file already; `sha256` is checked when it is read first."""
        made = cls.__new__(cls)
        made.stand_in(file, at, size, sha256)
        return made

    def stand_in(self, file: OpenFile, at: int, size: int, sha256: bytes) -> None:
        """Used by `placed`."""
        self.size, self._bytes, self._place, self._sha256 = size, None, (file, at), sha256

    def __del__(self) -> None:
        if getattr(self, "_bytes", None) is not None:
            _scratch.held -= self.size

    @property
    def in_memory(self) -> bool:
        """Reading it costs nothing."""
        return self._place is None

    def read(self) -> bytes:
        """All of it.

        Raises:
            CacheDamaged: the file does not give back what was written.
        """
        if self._place is None:
            return self._bytes or b""
        file, at = self._place
        data = os.pread(file.fileno(), self.size, at)
        if len(data) != self.size or (self._sha256 and sha256(data).digest() != self._sha256):
            raise self.damaged()
        self._sha256 = b""  # once is enough
        return data

    def damaged(self) -> CacheDamaged:
        """The error for a file that does not give back what was written."""
        # Never fewer ids without a word: those of a keep would be deleted.
        name = self._place[0].name if self._place else ""
        if not isinstance(name, str):
            return CacheDamaged("the scratch file of ids was cut short or overwritten")
        with suppress(OSError):
            Path(name).unlink()
        return CacheDamaged(
            f"the file {name} of the cache does not hold what was written to it",
            hint="it was removed; run the command again",
        )
