"""Eight writers, and a proxy before a real object store that loses, invents, delays and doubles."""

from __future__ import annotations

import threading
import uuid

import pytest

from reconciler.clock import ManualClock, SystemClock
from reconciler.errors import StoreUnavailable
from reconciler.state import events as ev
from reconciler.state.chain import walk
from reconciler.state.journal import Journal, create
from reconciler.state.placing import HeadMoved
from reconciler.state.stores.urls import open_store
from support.chaos import FAULTS, ChaosProxy

WRITERS, APPENDS = 8, 20


class _Quick(SystemClock):
    """Pauses are a hundred times as short: what matters is their order, not their length."""

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds / 100)


@pytest.mark.fault(13)
@pytest.mark.fault(14)
@pytest.mark.fault(15)
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1, 2])
def test_eight_writers_lose_no_frame_and_double_none(seaweed, seed, cases, capfd):
    bucket, log = seaweed.bucket, uuid.uuid4().hex
    create(open_store(f"s3://{bucket}/{log}", environment=seaweed.env()), SystemClock())
    acknowledged: list[list[str]] = [[] for _ in range(WRITERS)]
    broken: list[BaseException] = []

    def found(said: str) -> list[str]:
        """What stands in the log, read past the proxy: what became of an append is never assumed."""
        store = open_store(f"s3://{bucket}/{log}", environment=seaweed.env())
        frames = list(walk(store.read(0)))
        store.close()
        return [f"{f.position}:{f.hash}" for f in frames if any(getattr(e, "path", "") == said for e in f.events)]

    def write(own: list[str], endpoint: str) -> None:
        environment = {**seaweed.env(), "AWS_ENDPOINT_URL_S3": endpoint}
        journal = Journal(open_store(f"s3://{bucket}/{log}", environment=environment), _Quick())
        try:
            while len(own) < APPENDS:
                said = f"{id(own)}-{len(own)}"
                try:
                    journal.catch_up()
                    frame = journal.append("", [ev.Recovered(said, 0, "0" * 64)])
                except HeadMoved:
                    continue
                except StoreUnavailable:  # given up, or shut out for a moment
                    own += found(said)
                    continue
                own.append(f"{frame.position}:{frame.hash}")
        except BaseException as error:  # noqa: BLE001 - shown by the test
            broken.append(error)

    with ChaosProxy(seaweed.endpoint, seed) as proxy:
        threads = [threading.Thread(target=write, args=(own, proxy.endpoint)) for own in acknowledged]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert broken == []
    assert capfd.readouterr() == ("", ""), "a store prints nothing, whatever it meets"
    reader = Journal(open_store(f"s3://{bucket}/{log}", environment=seaweed.env()), ManualClock())
    reader.load()
    frames = list(walk(reader.store.read(0)))
    stored = [f"{frame.position}:{frame.hash}" for frame in frames]
    every = [head for own in acknowledged for head in own]
    assert len(set(every)) == len(every) == WRITERS * APPENDS
    assert set(every) == set(stored[1:]), "lost, or doubled"
    said = [event.path for frame in frames[1:] for event in frame.events]
    assert len(said) == len(set(said))
    assert {name for name in FAULTS if not proxy.done[name]} == set(), "a fault that never happened proves nothing"
    cases(sum(proxy.done.values()) - proxy.done["passed"])
