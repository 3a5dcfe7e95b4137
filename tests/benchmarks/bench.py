"""What every section is given, and the commands that most of them run."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import data
from benchmarks.measuring import PYTHON, Case, Check, Done, Launcher, Measured, Wrong, finished, measure

HERE = Path(__file__).resolve().parent
_PROGRAM = Path(PYTHON).with_name("reconciler")
RECONCILER = [str(_PROGRAM)] if _PROGRAM.exists() else [PYTHON, "-c", "from reconciler.cli import main; main()"]

_COUNTS = {
    "delete": re.compile(r"([0-9,]+) to delete"),
    "confirm": re.compile(r"([0-9,]+) to confirm"),
    "release": re.compile(r"([0-9,]+) to release"),
    "unchanged": re.compile(r"([0-9,]+) unchanged"),
    "resend": re.compile(r"([0-9,]+) to send again"),
    "blocked": re.compile(r"([0-9,]+) blocked"),
}


@dataclass
class Bench:
    """One run of the benchmark.

    Attributes:
        sizes: numbers of ids, ascending.
        runs: of each case.
        quick: less of everything.
        work: the folder for data, which is kept for the next run.
        launcher: starts what is measured.
        say: tells people how far it is.
        found: what was measured so far.
        lacking: peers that are not there, and why.
        stack: what is to be ended with the section.
    """

    sizes: Sequence[int]
    runs: int
    quick: bool
    work: Path
    launcher: Launcher
    say: Callable[[str], None]
    found: dict[tuple[str, int], Measured] = field(default_factory=dict)
    lacking: dict[str, str] = field(default_factory=dict)
    facts: dict[str, object] = field(default_factory=dict)
    stack: ExitStack = field(default_factory=ExitStack)

    def measure(self, cases: Sequence[Case], *, beside: Sequence[Case] = (), times: int = 1) -> None:
        """Measure cases that are compared, `times` as often as others; none twice but those of `beside`.

        What these take is added to what they took before: so that what is compared was measured in turn.
        """
        fresh = [*beside, *(case for case in cases if (case.name, case.size) not in self.found)]
        for measured in measure(fresh, self.runs * (1 if self.quick else times), self.launcher, self.say):
            if (before := self.found.setdefault(measured.key, measured)) is not measured:
                before.add(measured)

    @property
    def measured(self) -> list[int]:
        """The sizes of which there is a floor, those of an earlier run included, and those that were asked for."""
        return sorted({*self.sizes, *(size for name, size in self.found if name == "floor")})

    def median(self, name: str, size: int = 0, what: str = "wall") -> float | None:
        """Of what was measured; None when it was not."""
        measured = self.found.get((name, size))
        return None if measured is None else measured.median(what)

    def folder(self, *names: str) -> Path:
        """A folder for one project, empty."""
        made = self.work.joinpath("projects", *names)
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(parents=True)
        return made

    def once(
        self, command: Sequence[str], folder: Path, variables: Mapping[str, str], check: Check = finished
    ) -> Done:
        """Run something that is not measured.

        Raises:
            Wrong: it went wrong.
        """
        done = self.launcher.run(Case("once", 0, command, folder, variables))
        check(done)
        return done


@dataclass(frozen=True)
class Cache:
    """The cache of derived things that a case finds: before each run it is made what it was.

    Attributes:
        folder: that RECONCILER_CACHE names; None: it is switched off.
        filled: a copy of what is there before each run; None: nothing is.
    """

    folder: Path | None
    filled: Path | None = None

    @property
    def variables(self) -> dict[str, str]:
        """For the environment."""
        return {"RECONCILER_CACHE": "off" if self.folder is None else str(self.folder)}

    def reset(self) -> None:
        """As it was."""
        if self.folder is None:
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.filled is not None and self.filled.is_dir():
            shutil.copytree(self.filled, self.folder)


OFF = Cache(None)


def bare_plan(bench: Bench) -> Case:
    """The plan of one id: what start-up and imports cost, in time and in memory."""
    folder = data.project(bench.folder("one-id"))
    (folder / "manifests" / "one.yaml").write_text(data.manifest(data.inline(["an-id"])))
    return Case("plan of one id", 1, [*RECONCILER, "plan"], folder, OFF.variables, check=planned(delete=1))


def floor(bench: Bench, size: int) -> Case:
    """The plain script."""
    ids = data.ids(bench.work, size)
    files = [str(ids.path("any order", changed=changed)) for changed in (False, True)]
    expected = f"{-(-size // data.CHANGED)} {-(-size // data.CHANGED)}"

    def check(done: Done) -> None:
        finished(done)
        if done.said().strip() != expected:
            raise Wrong(f"the floor says {done.said().strip()}, not {expected}")

    return Case("floor", size, [PYTHON, str(HERE / "floor.py"), *files], bench.work, check=check)


def planned(**expected: int) -> Check:
    """The plan that was printed has just these counts; those not named are 0."""

    def check(done: Done) -> None:
        finished(done)
        line = next((each for each in done.said().splitlines() if each.startswith("Plan: ")), "")
        for name, pattern in _COUNTS.items():
            counted = pattern.search(line)
            found = int(counted[1].replace(",", "")) if counted else -1
            if found != expected.get(name, 0):
                raise Wrong(f"the plan says {line!r}; expected {expected}")

    return check


def megabytes(value: float) -> float:
    """Bytes as MB."""
    return value / 1e6
