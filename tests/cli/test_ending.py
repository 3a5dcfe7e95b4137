"""The end of the process: quick, and nothing is lost by that."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import reconciler

CHECKOUT = str(Path(reconciler.__file__).resolve().parents[1])


def _end(before: str, *arguments: str, flags: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """`reconciler arguments` in a process that did `before` first."""
    code = (
        f"import sys\n{before}\nfrom reconciler.cli import main\nsys.argv = ['reconciler', *{arguments!r}]\nmain()"
    )
    return subprocess.run(
        [sys.executable, *flags, "-c", code], env={**os.environ, "PYTHONPATH": CHECKOUT},
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


#: Says at its end whether the interpreter took itself apart: then it frees what a module holds.
WITNESS = "import os\nclass Witness:\n    def __del__(self, write=os.write): write(1, b'taken apart\\n')\nwitness = Witness()"


@pytest.mark.parametrize(("argument", "code"), [("--version", 0), ("nonsense", 1)])
def test_the_interpreter_is_not_taken_apart_and_the_exit_code_stays(argument, code):
    ended = _end(WITNESS, argument)
    assert ended.returncode == code
    assert "taken apart" not in ended.stdout
    assert "reconciler" in ended.stdout + ended.stderr


def test_what_was_registered_for_the_end_happens_and_what_it_prints_arrives():
    ended = _end("import atexit\natexit.register(print, 'the last words')", "--version")
    assert ended.returncode == 0
    assert ended.stdout == f"reconciler, version {reconciler.__version__}\nthe last words\n"


def test_a_thread_that_still_works_is_waited_for():
    work = (
        f"{WITNESS}\nimport threading\nmay = threading.Event()\n"
        "def work():\n    may.wait(20)\n    print('worked', flush=True)\n"
        "threading.Thread(target=work).start()\n"
        # Let go only once the main thread has come to its end: the interpreter calls this before it joins.
        "threading._register_atexit(may.set)"
    )
    ended = _end(work, "--version")
    assert ended.returncode == 0
    assert ended.stdout.splitlines()[1:] == ["worked", "taken apart"]


def test_a_profile_of_the_whole_command_is_written(tmp_path):
    program = tmp_path / "program.py"
    program.write_text("from reconciler.cli import main\nmain()\n")
    ended = subprocess.run(
        [sys.executable, "-m", "cProfile", "-o", "profile", str(program), "--version"], cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": CHECKOUT}, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert ended.returncode == 0
    assert (tmp_path / "profile").stat().st_size > 1000


@pytest.mark.parametrize(("instruction", "code"), [("bash_source", 0), ("bash_nonsense", 1)])
def test_completion_ends_like_any_command(instruction, code):
    ended = _end(f"{WITNESS}\nos.environ['_RECONCILER_COMPLETE'] = {instruction!r}")
    assert ended.returncode == code
    assert "taken apart" not in ended.stdout


def test_a_full_disk_is_told_although_nothing_is_taken_apart():
    if not os.path.exists("/dev/full"):  # noqa: PTH110 - as it is written
        pytest.skip("no /dev/full here")
    code = "import sys; from reconciler.cli import main; sys.argv = ['reconciler', '--help']; main()"
    with open("/dev/full", "w") as full:  # noqa: PTH123 - as above
        ended = subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": CHECKOUT},
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=30, check=False,
        )  # fmt: skip
    assert ended.returncode == 1
    assert "stdout cannot be written" in ended.stderr
