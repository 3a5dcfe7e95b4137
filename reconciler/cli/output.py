"""Results on stdout. Whether it can be written decides about the exit code of what only shows, never of a run."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from reconciler.errors import ReconcilerError


def write(chunks: Iterable[str]) -> None:
    """Write pieces of a result, whole lines or not, and let them out: what follows on stderr stands after it."""
    with writing():
        for chunk in chunks:
            sys.stdout.write(chunk)
        sys.stdout.flush()


def write_bytes(chunks: Iterable[bytes]) -> None:
    """Write a result that must reach its reader byte for byte, whatever the terminal's encoding."""
    with writing():
        sys.stdout.flush()
        for chunk in chunks:
            sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()


def tell(*lines: str) -> None:
    """Write lines of a result."""
    write(f"{line}\n" for line in lines)


def flush() -> None:
    """Let out what others wrote."""
    with writing():
        sys.stdout.flush()


@contextmanager
def writing() -> Iterator[None]:
    """Around everything that writes to stdout.

    Raises:
        BrokenPipeError: nobody reads it any more.
        ReconcilerError: it cannot be written, such as on a full disk.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as failed:
        abandon()
        raise unwritable(failed) from None


def unwritable(failed: OSError) -> ReconcilerError:
    """Why a result did not arrive."""
    return ReconcilerError(f"stdout cannot be written: {failed.strerror}")


@contextmanager
def outcome_of_a_run() -> Iterator[None]:
    """Around what is told after a run: a reader that has gone changes neither it nor its exit code."""
    try:
        yield
        flush()
    except BrokenPipeError:
        abandon()


def abandon() -> None:
    """Keep the interpreter from writing at its exit what stdout does not take."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
