"""The demo: the whole story in one command, and nothing of it left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

import reconciler
from reconciler.errors import ReconcilerError


def _names(folder: str | Path) -> list[str]:
    return sorted(each.name for each in Path(folder).iterdir())


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """One demo, run where everything of the caller's would lead it astray."""
    checkout = str(Path(reconciler.__file__).resolve().parents[1])
    here, temporary = tmp_path_factory.mktemp("here"), tmp_path_factory.mktemp("temporary")
    (here / "reconciler.yaml").write_text("version: 1\nnonsense: true\n")
    (here / "manifests").mkdir()
    environment = {
        **os.environ,
        "PYTHONPATH": checkout,
        "TMPDIR": str(temporary),
        "CLOUDFLARE_API_TOKEN": "not-for-a-demo",
        "CLOUDFLARE_ACCOUNT_ID": "f" * 32,
        "CLOUDFLARE_BASE_URL": "https://api.example.com/client/v4",
        "CLOUDFLARE_API_BASE_URL": "http://no.example.com",
        "RECONCILER_STATE": "s3://bucket/prefix",
    }
    began = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-c", "from reconciler.cli import main; main()", "demo"],
        env=environment, cwd=here, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False,
    )  # fmt: skip
    return ended, time.monotonic() - began, here, temporary


def test_it_ends_well_and_soon(told):
    ended, seconds, _, _ = told
    assert ended.returncode == 0, ended.stdout
    assert seconds < 20


def test_it_says_at_both_ends_that_this_is_not_cloudflare(told):
    lines = told[0].stdout.splitlines()
    assert "embedded emulator" in " ".join(lines[:3])
    assert "not Cloudflare" in " ".join(lines[:3])
    assert "embedded emulator" in " ".join(lines[-4:])


def test_it_leaves_nothing_behind(told):
    _, _, here, temporary = told
    assert _names(here) == ["manifests", "reconciler.yaml"]
    assert _names(temporary) == []


def test_it_needs_and_shows_nothing_of_the_callers(told):
    for astray in ("not-for-a-demo", "f" * 32, "example.com", "s3://", "nonsense", "\x1b"):
        assert astray not in told[0].stdout


def test_it_tells_the_whole_story_in_its_order(told):
    said = told[0].stdout
    order = [
        "$ reconciler validate\n", "$ reconciler plan --out erasure.plan.json\n", "Fingerprint: sha256:",
        "Saved the plan to: erasure.plan.json", "(exit 0)", "$ reconciler apply erasure.plan.json\n",
        "Verified absent: ", "State head: ", "$ reconciler state show\n", "Head: ", "verified",
        "$ reconciler plan --detailed-exitcode\n", "No changes.", "again.", "$ reconciler verify --all\n",
        "present that should be gone", "(exit 4)",
    ]  # fmt: skip
    place = -1
    for each in order:
        place = said.find(each, place + 1)
        assert place >= 0, each
    assert said.count("$ reconciler ") == said.count("(exit ") == 7


def test_it_gives_the_callers_folder_and_variables_back(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", "mine")
    monkeypatch.setenv("RECONCILER_STATE", "file:mine.jsonl")
    monkeypatch.setattr("reconciler.cli.demo._LAG", 0.0)
    before = dict(os.environ)
    ended = cli("demo", "--keep")
    assert ended.code == 0
    assert dict(os.environ) == before
    assert Path.cwd() == tmp_path
    kept = ended.err.splitlines()[-1].removeprefix("Kept: ")
    assert _names(kept) == [
        "erasure.plan.json", "manifests", "reconciler.state.jsonl", "reconciler.state.jsonl.lock",
    ]  # fmt: skip
    shutil.rmtree(kept)


def test_a_step_that_surprises_ends_it_and_cleans_up(cli, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr("reconciler.cli.demo._LAG", 0.0)
    monkeypatch.setattr("reconciler.cli.demo._Story._step", _surprised)
    ended = cli("demo")
    assert ended.code == 1
    assert "a surprise" in ended.err
    assert _names(tmp_path) == []


def _surprised(*_: object) -> None:
    raise ReconcilerError("a surprise")


def test_without_the_extra_it_says_what_to_install(cli, monkeypatch):
    monkeypatch.setitem(sys.modules, "reconciler.emulator", None)
    for arguments in (("demo",), ("emulator", "serve")):
        ended = cli(*arguments)
        assert (ended.code, ended.out) == (1, "")
        assert "pip install 'starlette>=0.40' 'uvicorn>=0.30'" in ended.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_it_and_cleans_up(number, process, tmp_path):
    running = process("demo", cwd=tmp_path, env={"TMPDIR": str(tmp_path)})
    running.says("$ reconciler apply", stdout=True)
    running.signal(number)
    ended = running.end(seconds=15)
    assert ended.code == 130
    assert "Traceback" not in ended.err
    assert _names(tmp_path) == []


def test_a_reader_that_goes_away_ends_it_and_cleans_up(process, tmp_path):
    running = process("demo", cwd=tmp_path, env={"TMPDIR": str(tmp_path)})
    running.popen.stdout.readline()
    running.popen.stdout.close()
    running.popen.stdout = None
    ended = running.end(seconds=15)
    assert ended.code == 1
    assert "Traceback" not in ended.err
    assert _names(tmp_path) == []
