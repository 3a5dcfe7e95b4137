"""The state: what recording a frame costs beside writing and syncing the same bytes."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.measuring import PYTHON, Case, figures_printed

RECORDING = "recording frames, file"


def run(bench: Bench) -> None:
    """One process a run: its figures are ratios within it."""
    frames = 300 if bench.quick else 3_000
    command = [PYTHON, "-m", "benchmarks.recording", "file", str(frames)]
    bench.measure([Case(RECORDING, 100 * frames, command, bench.folder("recording"), check=figures_printed)])
