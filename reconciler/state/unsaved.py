"""Outcomes that the log could not take: kept in a file of their own, so that no mutation id is lost."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from reconciler.state.events import Accepted, Event, Failed, Processed, Reappeared, Verified, encode

#: What a run has learned from the service. Everything else it can say again.
OUTCOMES = (Accepted, Failed, Processed, Verified, Reappeared)


def outcomes(events: Sequence[Event]) -> tuple[Event, ...]:
    """Those of `events` that would be lost for ever."""
    return tuple(event for event in events if isinstance(event, OUTCOMES))


def save(
    folder: Path | None, *, lineage: str, run: str, head: str, at: str, events: Sequence[Event]
) -> Path | None:
    """Append `events` to `reconciler-unsaved-<lineage>.jsonl` (mode 0600) and make them durable.

    One JSON object a line: `lineage`, `run`, `head` (`POS:HASH` that the run last knew), `at`, `event`.

    Args:
        folder: where the log lives; None, or one that cannot be written, means the current directory.

    Returns:
        the file, None when no folder would take it.
    """
    # Escaped to ASCII: what the log refuses (half of a surrogate pair) can be kept here all the same.
    rows = [
        json.dumps({"lineage": lineage, "run": run, "head": head, "at": at, "event": encode(event)}) + "\n"
        for event in events
    ]
    content = "".join(rows).encode("ascii")
    for place in dict.fromkeys(each.absolute() for each in (folder, Path.cwd()) if each is not None):
        path = place / f"reconciler-unsaved-{lineage}.jsonl"
        try:
            _append(path, content)
        except OSError:
            continue
        return path
    return None


def _append(path: Path, content: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(path, flags, 0o600)
    try:
        os.fchmod(handle, 0o600)
        while content:
            content = content[os.write(handle, content) :]
        os.fsync(handle)
    finally:
        os.close(handle)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
