"""What it takes to start: beside a Python that does nothing."""

from __future__ import annotations

from benchmarks import data
from benchmarks.bench import OFF, RECONCILER, Bench, bare_plan
from benchmarks.measuring import PYTHON, Case, Done, Wrong, finished

PASS = "python -c pass"
LIGHT = ("reconciler --help", "reconciler --version", "completion in the shell")
VALIDATE = "validate, a small manifest"


def run(bench: Bench) -> None:
    """All of it, more often than the rest: it is over in a moment."""
    folder = data.project(bench.folder("small"))
    (folder / "manifests" / "small.yaml").write_text(data.manifest(data.inline(["doc-1#0", "doc-1#1"])))
    completing = {"_RECONCILER_COMPLETE": "bash_complete", "COMP_WORDS": "reconciler pl", "COMP_CWORD": "1"}
    bench.measure(
        [
            bare_python(bench),
            Case(LIGHT[0], 0, [*RECONCILER, "--help"], folder, OFF.variables, check=_says("Usage:")),
            Case(LIGHT[1], 0, [*RECONCILER, "--version"], folder, OFF.variables, check=_says("reconciler")),
            Case(LIGHT[2], 0, RECONCILER, folder, {**OFF.variables, **completing}, check=_says("plain,plan")),
            Case(VALIDATE, 0, [*RECONCILER, "validate"], folder, OFF.variables, check=finished),
            bare_plan(bench),
        ],
        times=4,
    )


def bare_python(bench: Bench) -> Case:
    """A Python that does nothing."""
    return Case(PASS, 0, [PYTHON, "-c", "pass"], bench.work)


def _says(text: str):
    def check(done: Done) -> None:
        finished(done)
        if text not in done.output.read_text():
            raise Wrong(f"it does not say {text!r}: {done.said()[:200]!r}")

    return check
