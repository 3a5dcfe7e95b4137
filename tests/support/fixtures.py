"""Servers, started when the first test of a process asks for them, and stopped at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack

import pytest

from support.chaos import FAULTS, ChaosProxy
from support.fake_s3 import FakeS3
from support.postgres import PgBouncer, Postgres
from support.s3servers import S3Server
from support.s3servers import s3rver as start_s3rver
from support.s3servers import seaweed as start_seaweed


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL."""
    server = Postgres()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def pgbouncer(postgres: Postgres) -> Iterator[PgBouncer]:
    """A transaction pooler before it."""
    pooler = PgBouncer(postgres)
    yield pooler
    pooler.stop()


@pytest.fixture(scope="session")
def seaweed() -> Iterator[S3Server]:
    """A real S3 server that keeps its promises."""
    server = start_seaweed()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def s3rver() -> Iterator[S3Server]:
    """A real S3 server that ignores conditions."""
    server = start_s3rver()
    yield server
    server.stop()


@pytest.fixture
def fake_s3() -> Iterator[FakeS3]:
    """An S3 server that can be bent."""
    with FakeS3() as server:
        yield server


@pytest.fixture
def chaos(seaweed: S3Server) -> Iterator[Callable[..., ChaosProxy]]:
    """`chaos(seed)`: a proxy before SeaweedFS that does what it wants; `chaos(seed, {"409": 1.0})`: that alone."""
    with ExitStack() as proxies:

        def start(seed: int, faults: Mapping[str, float] = FAULTS) -> ChaosProxy:
            return proxies.enter_context(ChaosProxy(seaweed.endpoint, seed, faults))

        yield start
