"""Processes that can be killed, stopped and interrupted, and a service whose record is the witness."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from reconciler.emulator import Fault, RunningEmulator
from support.killing import Case
from support.killing import service as start_service
from support.places import Place, new_place
from support.zygote import Zygote


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    """Starts commands as processes within milliseconds."""
    with Zygote() as made:
        yield made


@pytest.fixture
def witness() -> Iterator[RunningEmulator]:
    """A service that answers at once, and remembers."""
    with start_service() as made:
        yield made


@pytest.fixture
def slow(witness: RunningEmulator) -> RunningEmulator:
    """It deletes at once, and answers late."""
    witness.emulator.faults.add(Fault(kind="delay_after", operation="delete_by_ids", seconds=0.5, times=None))
    return witness


@pytest.fixture
def new_case(
    zygote: Zygote, witness: RunningEmulator, request: pytest.FixtureRequest, tmp_path: Path
) -> Callable[..., Case]:
    """`new_case("file")`: a project with a state of that kind; a place of one's own may be given."""
    numbers = count()

    def make(kind: str, place: Place | None = None) -> Case:
        folder = tmp_path / f"case-{next(numbers)}" / "project"
        folder.mkdir(parents=True)
        return Case(zygote, witness, place or new_place(kind, request, folder), folder)

    return make


@pytest.fixture
def until() -> Callable[[Callable[[], object]], None]:
    """Waits for something that another process does."""

    def wait(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline, "waited for 30 s"
            time.sleep(0.005)

    return wait
