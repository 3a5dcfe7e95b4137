"""Copies of the package with one line changed each: tests that let one live test nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Mutant:
    """One change.

    Attributes:
        what: what goes wrong with it.
        path: of the module, below the package.
        old: what stands there, exactly once.
        new: what stands there in the mutant.
        tests: that must fail then, and pass without the change.
    """

    what: str
    path: str
    old: str
    new: str
    tests: tuple[str, ...]


def copy_package(folder: Path) -> Path:
    """A copy of the package and what it ships with."""
    for name in ("reconciler", "schemas", "manifests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def mutate(folder: Path, mutant: Mutant) -> None:
    """Change the copy. AssertionError when the text is not there just once: the package has moved on."""
    path = folder / "reconciler" / mutant.path
    text = path.read_text("utf-8")
    assert text.count(mutant.old) == 1, (
        f"{mutant.path}: {mutant.old!r} stands there {text.count(mutant.old)} times"
    )
    path.write_text(text.replace(mutant.old, mutant.new), "utf-8")


def run_tests(folder: Path, tests: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """Run `tests` on the copy in `folder`, in a process of their own. -P: the current folder has the original."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    for name in ("PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER", "PYTEST_CURRENT_TEST"):
        environment.pop(name, None)
    return subprocess.run(
        [sys.executable, "-P", "-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider", "--no-header", *tests],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip


def origin(folder: Path) -> Path:
    """Where a process that is started so finds the package."""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    code = "import reconciler; print(reconciler.__file__)"
    said = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT / "tests",
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return Path(said.stdout.strip())
