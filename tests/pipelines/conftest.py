from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from reconciler.emulator import RunningEmulator, Settings, running
from support.actions import Runner
from support.forge import Forge
from support.repository import ACCOUNT, Repository


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of whoever runs the tests reaches them: CI is a runner of its own."""
    for name in list(os.environ):
        if name.startswith(("CLOUDFLARE_", "RECONCILER_", "GITHUB_", "GH_", "RUNNER_", "GIT_", "CI_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("RECONCILER_CACHE", "off")


@pytest.fixture
def forge() -> Iterator[Forge]:
    with Forge() as running:
        yield running


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "git")


@pytest.fixture
def service() -> Iterator[RunningEmulator]:
    with running(Settings(budget=None, burst=None)) as emulator:
        emulator.emulator.seed(ACCOUNT, "docs", [f"doc-{n:03}" for n in range(300)])
        yield emulator


@pytest.fixture
def runner(tmp_path: Path, forge: Forge, service: RunningEmulator) -> Callable[..., Runner]:
    """Makes runners, each a machine of its own, that reach the emulator and the forge."""
    numbers = count(1)

    def make(**options: Any) -> Runner:
        number = next(numbers)
        environment = {"CLOUDFLARE_BASE_URL": service.base_url, **options.pop("environment", {})}
        return Runner(
            tmp_path / f"runner-{number}", forge, environment=environment, run_id=4710 + number, **options
        )

    return make


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Compares text with the file of that name; UPDATE_GOLDEN=1 writes the files instead."""

    def compare(name: str, text: str) -> None:
        path = Path(__file__).parent / "golden" / name
        if os.environ.get("UPDATE_GOLDEN"):
            path.write_text(text, "utf-8", newline="\n")
        assert text == path.read_text("utf-8")

    return compare
