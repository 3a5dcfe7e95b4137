"""Record frames in a state, in turn with a plain write and fsync of the same bytes into a file beside it.

    python -m benchmarks.recording file|postgres|s3 FRAMES

Works in the current folder. Prints a JSON object: milliseconds a frame (medians), and how the last tenth compares
with the first. Servers are those that the tests start.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks import data
from reconciler.clock import SystemClock
from reconciler.state import events as ev
from reconciler.state.journal import Journal, create
from reconciler.state.stores.interface import Store
from reconciler.state.stores.urls import open_store


def main(kind: str, frames: int) -> dict[str, float]:
    """Record and compare."""
    with _store(kind) as store:
        return _record(store, frames)


def _record(store: Store, frames: int) -> dict[str, float]:
    journal = create(store, SystemClock())
    journal.append("run", [ev.RunStarted(command="apply", origin="loopback")])
    journal.append("run", [_target(), _declared(frames)])
    chance = random.Random(frames)
    recorded, plain = [], []
    handle = os.open("plain", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for batch in range(1, frames + 1):
        ids = sorted(f"{chance.getrandbits(128):032x}" for _ in range(100))
        events: list[ev.Event] = [ev.Accepted(batch - 1, f"{batch:036}")] if batch > 1 else []
        events.append(ev.Intent(batch, 1, [[[1], 100]], ids))
        began = time.perf_counter()
        frame = journal.append("run", events)
        done = time.perf_counter()
        os.write(handle, frame.line)
        os.fsync(handle)
        plain.append(time.perf_counter() - done)
        recorded.append(done - began)
    os.close(handle)
    tenth = max(1, frames // 10)
    began = time.perf_counter()
    Journal(store, SystemClock()).load()
    loaded = time.perf_counter() - began
    return {
        "recorded_milliseconds": median(recorded) * 1000,
        "plain_milliseconds": median(plain) * 1000,
        "to_plain": median(recorded) / median(plain),
        "last_to_first_tenth": median(recorded[-tenth:]) / median(recorded[:tenth]),
        "frames_a_second": frames / sum(recorded),
        "load_seconds": loaded,
        "frame_bytes": float(len(frame.line)),
    }


def _target() -> ev.TargetSeen:
    return ev.TargetSeen(1, "loopback", data.ACCOUNT, data.INDEX, data.CREATED_ON)


def _declared(frames: int) -> ev.Declared:
    source = {"path": "ids.txt", "kind": "file", "column": "", "count": 100 * frames, "digest": "0" * 64}
    return ev.Declared(1, 1, "manifests/erasure.yaml", 4, 1, data.REASON, sources=[source])


@contextmanager
def _store(kind: str) -> Iterator[Store]:
    if kind == "file":
        Path(data.STATE).unlink(missing_ok=True)
        yield open_store(f"file:{data.STATE}")
        return
    if kind == "postgres":
        from support.postgres import Postgres  # noqa: PLC0415 - starts a server

        server = Postgres()
        try:
            yield open_store(server.url(server.create_database()))
        finally:
            server.stop()
        return
    from support.s3servers import seaweed  # noqa: PLC0415 - as above

    weed = seaweed()
    try:
        yield open_store(f"s3://{weed.bucket}/log", environment=weed.env())
    finally:
        weed.stop()


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1], int(sys.argv[2]))) + "\n")
