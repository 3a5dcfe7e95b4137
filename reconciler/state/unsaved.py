"""Outcomes that the log could not take: kept in a file of their own, so that no mutation id is lost."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reconciler.errors import StateError, UsageError
from reconciler.state.events import Accepted, Event, Failed, Processed, Reappeared, Verified, decode, encode

#: What a run has learned from the service. Everything else it can say again.
OUTCOMES = (Accepted, Failed, Processed, Verified, Reappeared)


@dataclass(frozen=True, slots=True)
class Unsaved:
    """One outcome that the log could not take: `event` of run `run`, which knew the log up to `head`."""

    lineage: str
    run: str
    head: str
    event: Event


def read(path: Path) -> list[Unsaved]:
    """The outcomes that `save` kept.

    Raises:
        UsageError: the file cannot be read, or is something else.
        StateError: one of its lines cannot be understood. A last line without LF was never finished, and counts
            as not written.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as stream:  # a folder is refused by this
            if not stat.S_ISREG(os.fstat(handle).st_mode):  # a pipe would be waited for, a device never ends
                raise UsageError(f"{path} is not an ordinary file")
            content = stream.read()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    *lines, torn = content.split(b"\n")
    if torn and not lines:
        raise UsageError(f"{path} is not a file of unsaved outcomes")
    return [_row(line, f"{path}:{number}") for number, line in enumerate(lines, 1)]


def _row(line: bytes, where: str) -> Unsaved:
    try:
        document = json.loads(line)
        if isinstance(document, dict) and "prev" in document:
            raise UsageError(
                f"{where}: this is a whole log, not a file of unsaved outcomes",
                hint="a log moves with `state migrate --state file:PATH --to URL`",
            )
        texts = {name: document[name] for name in ("lineage", "run", "head")}
        event = decode(document["event"])
        if not all(isinstance(each, str) for each in texts.values()) or not isinstance(event, OUTCOMES):
            raise ValueError("a field does not hold what it should")  # noqa: TRY301 - as what decode raises
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StateError(
            f"{where}: this is not an unsaved outcome", hint="nothing was recorded; keep the file as it is"
        ) from error
    return Unsaved(**texts, event=event)


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
