"""Cases, and how they are measured: each a whole process, those that are compared in turn, one after the other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Self

PYTHON = sys.executable
TESTS = Path(__file__).resolve().parents[1]

#: A process is ended after so many seconds.
LONGEST = 1800.0

#: No case is measured again once it has taken so many seconds in all, unless its measuring is asked for by number.
PATIENCE = 240.0


class Wrong(Exception):
    """A case did not do what it is there to measure."""


@dataclass(frozen=True)
class Done:
    """A process that has ended.

    Attributes:
        wall, cpu: seconds; cpu is user and system.
        memory: peak resident bytes; together with the processes that it started, where that was asked for.
        code: as the shell knows it; negative: the signal.
        folder: it ran in.
        output: the file that holds its standard output; beside it `.err`.
    """

    wall: float
    cpu: float
    memory: int
    code: int
    folder: Path
    output: Path

    def said(self) -> str:
        """The end of what it printed, where summaries stand."""
        return _end(self.output)

    def complained(self) -> str:
        """The end of its standard error."""
        return _end(Path(f"{self.output}.err"))


Check = Callable[[Done], Mapping[str, float] | None]


@dataclass(frozen=True)
class Case:
    """Something that is measured.

    Attributes:
        name: of the case; with `size` unique.
        size: ids, or 0 where there are none.
        command: what is run.
        folder: in which.
        variables: besides, or instead of, those of `environment`.
        before: called before each run; costs no time of the case.
        check: raises `Wrong` where the run did something else; may return further figures.
        runs: fewer than the others, for what takes minutes.
        seconds: after which it is ended.
        forks: it may have a second process: its memory is that of both, seen in a run of its own, which is not timed.
        note: for readers of the table.
    """

    name: str
    size: int
    command: Sequence[str]
    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    before: Callable[[], None] | None = None
    check: Check | None = None
    runs: int | None = None
    seconds: float = LONGEST
    forks: bool = False
    note: str = ""


@dataclass
class Measured:
    """What came of a case. `failed`: why there is nothing, or not all."""

    name: str
    size: int
    note: str = ""
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    figures: dict[str, list[float]] = field(default_factory=dict)
    failed: str = ""

    @property
    def key(self) -> tuple[str, int]:
        """What it is found by."""
        return self.name, self.size

    def add(self, later: Measured) -> None:
        """More runs of the same."""
        self.wall += later.wall
        self.cpu += later.cpu
        self.memory += later.memory
        for name, values in later.figures.items():
            self.figures.setdefault(name, []).extend(values)
        self.failed = self.failed or later.failed

    def median(self, what: str = "wall") -> float | None:
        """Of `wall`, `cpu`, `memory` or a further figure; None when it was not measured."""
        values = getattr(self, what) if what in ("wall", "cpu", "memory") else self.figures.get(what)
        return median(values) if values else None

    @classmethod
    def of(cls, case: Mapping[str, Any]) -> Measured:
        """The inverse of `document`."""
        timed = (case["wall_seconds"], case["cpu_seconds"], case["memory_bytes"])
        return cls(case["case"], case["ids"], case["note"], *timed, case["figures"], case["failed"])

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "case": self.name,
            "ids": self.size,
            "note": self.note,
            "wall_seconds": self.wall,
            "cpu_seconds": self.cpu,
            "memory_bytes": self.memory,
            "figures": self.figures,
            "failed": self.failed,
        }


class Launcher:
    """The small process that starts the others."""

    def __init__(self, work: Path) -> None:
        self._output = work / "output"
        command = [PYTHON, "-I", "-S", str(Path(__file__).with_name("launch.py"))]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.__exit__(None, None, None)  # closes the pipes, upon which it ends, and waits

    def run(self, case: Case, *, together: bool = False) -> Done:
        """Run it once.

        Args:
            case: what to run.
            together: its memory is that of it and those it started, seen every 20 ms. Watching costs time.

        Raises:
            Wrong: it took too long.
        """
        if case.before is not None:
            case.before()
        wanted = {
            "command": list(case.command),
            "folder": str(case.folder),
            "variables": {**environment(), **case.variables},
            "input": os.devnull,
            "output": str(self._output),
            "seconds": case.seconds,
            "together": together,
        }
        self._process.stdin.write(json.dumps(wanted) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise Wrong(f"cannot be started: {case.command[0]}")
        found = json.loads(answer)
        if found.pop("timed_out"):
            raise Wrong(f"ended after {case.seconds:,.0f} s")
        return Done(**found, folder=case.folder, output=self._output)


def environment() -> dict[str, str]:
    """What every process gets: nothing of the settings of the person who measures."""
    kept = {
        name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV") if name in os.environ
    }
    return {**kept, "NO_COLOR": "1", "PYTHONPATH": str(TESTS)}


def measure(cases: Sequence[Case], runs: int, launcher: Launcher, say: Callable[[str], None]) -> list[Measured]:
    """Each case `runs` times, in turn, so that what slows the machine for a while slows them all."""
    found = [Measured(case.name, case.size, case.note) for case in cases]
    spent = [0.0] * len(cases)
    for turn in range(runs):
        for place, (case, measured) in enumerate(zip(cases, found, strict=True)):
            enough = turn >= case.runs if case.runs is not None else spent[place] > PATIENCE
            if enough:
                continue
            began = time.perf_counter()
            done, figures = _attempt(case, measured, launcher, say)
            if done is not None:
                measured.wall.append(done.wall)
                measured.cpu.append(done.cpu)
                measured.memory += [] if _both_seen(case) else [done.memory]
                for name, value in figures.items():
                    measured.figures.setdefault(name, []).append(value)
                say(f"{turn + 1}/{runs} {case.name}, {case.size:,}: {done.wall:.3f} s, {done.memory / 1e6:.0f} MB")
            spent[place] += time.perf_counter() - began
    for case, measured in zip(cases, found, strict=True):
        if _both_seen(case):
            done, _ = _attempt(case, measured, launcher, say, together=True)
            if done is not None:
                measured.memory.append(done.memory)
                say(f"memory of {case.name}, {case.size:,}: {done.memory / 1e6:.0f} MB")
    return found


def _both_seen(case: Case) -> bool:
    """Its memory is looked at in a run of its own. Elsewhere than on Linux no plan has a second process."""
    return case.forks and sys.platform == "linux"


def _attempt(
    case: Case, measured: Measured, launcher: Launcher, say: Callable[[str], None], *, together: bool = False
) -> tuple[Done | None, Mapping[str, float]]:
    """A run of a case and its figures; no run when it failed, now or before: `measured` says why."""
    if measured.failed:
        return None, {}
    try:
        done = launcher.run(case, together=together)
        figures = (case.check or finished)(done) or {}
    except (Wrong, OSError, ValueError) as wrong:
        measured.failed = str(wrong) if isinstance(wrong, Wrong) else f"{type(wrong).__name__}: {wrong}"
        say(f"{case.name}, {case.size:,}: {measured.failed}")
        return None, {}
    return done, figures


def finished(done: Done) -> None:
    """Exit code 0 is all that is asked.

    Raises:
        Wrong: another one.
    """
    if done.code != 0:
        raise Wrong(f"exit code {done.code}: {done.complained()[-300:].strip() or done.said()[-300:].strip()}")


def figures_printed(done: Done) -> dict[str, float]:
    """The JSON object in the last line that a program printed."""
    finished(done)
    found: dict[str, float] = json.loads(done.said().strip().rpartition("\n")[2])
    return found


def _end(path: Path, size: int = 8192) -> str:
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - size))
        return file.read().decode(errors="replace")
