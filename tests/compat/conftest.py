"""An emulator on a socket for real clients of the API."""

from collections.abc import Iterator

import pytest

from reconciler.emulator import RunningEmulator, running


@pytest.fixture
def server() -> Iterator[RunningEmulator]:
    with running() as server:
        yield server
