"""A project folder, an emulator beside it, and the command line: in process, or as a process where that is the point."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import reconciler
from reconciler.cli.app import run
from reconciler.emulator import RunningEmulator, Settings, running

ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"
TOKEN = "v1-0123456789abcdef-SECRET"
CHECKOUT = str(Path(reconciler.__file__).resolve().parents[1])


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    def event(self, kind: str) -> dict[str, Any]:
        (found,) = [each for each in self.events if each["type"] == kind]
        return found


@dataclass
class Project:
    """A working folder with manifests."""

    folder: Path
    ids: list[str] = field(default_factory=list)

    def declare(
        self,
        ids: list[str],
        *,
        index: str = "docs",
        name: str = "gdpr",
        keep: list[str] | None = None,
        more: str = "",
    ) -> Path:
        """Write manifests/NAME.yaml that declares `ids` absent."""
        lines = [
            "version: 1",
            f'account_id: "{ACCOUNT}"',
            "absent:",
            f"  - index: {index}",
            '    reason: "PRIV-1"',
        ]
        lines += ["    ids:", *(f"      - {json.dumps(each)}" for each in ids)]
        if keep:
            lines += ["keep:", f"  - index: {index}", '    reason: "LH-1"', "    ids:"]
            lines += [f"      - {json.dumps(each)}" for each in keep]
        path = self.folder / "manifests" / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(lines) + "\n" + more)
        return path

    def declare_many(self, count: int, *, index: str = "docs") -> list[str]:
        """Write a manifest whose ids stand in a file."""
        ids = [f"doc-{n:06d}" for n in range(count)]
        (self.folder / "manifests").mkdir(exist_ok=True)
        (self.folder / "manifests" / "ids.txt").write_text("".join(f"{each}\n" for each in ids))
        (self.folder / "manifests" / "many.yaml").write_text(
            f'version: 1\naccount_id: "{ACCOUNT}"\nabsent:\n  - index: {index}\n    reason: "PRIV-2"\n'
            "    ids_from:\n      - path: ids.txt\n"
        )
        return ids

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    @property
    def names(self) -> list[str]:
        """What lies in the folder."""
        return sorted(each.name for each in self.folder.iterdir())

    def frames(self) -> list[dict[str, Any]]:
        """The state file, frame by frame. A last line without its end is being written."""
        return [json.loads(line) for line in (self.folder / "reconciler.state.jsonl").read_text().split("\n")[:-1]]

    def kinds(self) -> list[str]:
        return [event["kind"] for frame in self.frames() for event in frame["events"]]


class Process:
    """`reconciler` as a process of its own."""

    def __init__(self, arguments: tuple[str, ...], options: dict[str, Any]) -> None:
        environment = {**os.environ, "PYTHONPATH": CHECKOUT, "PYTHONUNBUFFERED": "", **options.pop("env", {})}
        self.popen = subprocess.Popen(
            [sys.executable, "-c", "from reconciler.cli import main; main()", *arguments],
            env={name: value for name, value in environment.items() if value is not None},
            **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
        )

    def signal(self, number: int) -> None:
        self.popen.send_signal(number)

    def says(self, words: str, *, stdout: bool = False) -> bytes:
        """Read stderr, or stdout, until `words` were said."""
        stream, said = self.popen.stdout if stdout else self.popen.stderr, b""
        while words.encode() not in said:
            more = stream.read1()
            assert more, f"{words!r} was never said: {said.decode()}\n{self.end()}"
            said += more
        return said

    def end(self, seconds: float = 30.0) -> Ended:
        out, err = self.popen.communicate(timeout=seconds)
        return Ended(self.popen.returncode, (out or b"").decode(), (err or b"").decode())


def wait_until(condition: Callable[[], object], what: str, seconds: float = 20.0) -> None:
    """Poll until `condition` holds; a test that waits for another process has no other way."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s until {what}"
        time.sleep(0.02)


@pytest.fixture
def until() -> Callable[..., None]:
    return wait_until


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of whoever runs the tests reaches them."""
    for name in list(os.environ):
        if name.startswith(("CLOUDFLARE_", "RECONCILER_", "_RECONCILER")) or name in ("NO_COLOR", "FORCE_COLOR"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("RECONCILER_CACHE", "off")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return Project(folder)


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., RunningEmulator]]:
    """Starts an emulator of the test's own, and points the environment to it. Keyword arguments are settings.

    For settings of its own, and wherever a request may still be on its way when the test ends.
    """
    started: list[RunningEmulator] = []

    def begin(**settings: Any) -> RunningEmulator:
        service = running(Settings(**{"budget": None, "burst": None, **settings}))
        started.append(service)
        monkeypatch.setenv("CLOUDFLARE_BASE_URL", service.base_url)
        monkeypatch.setenv("CLOUDFLARE_API_TOKEN", TOKEN)
        return service

    yield begin
    for service in started:
        service.close()


@pytest.fixture(scope="session")
def shared() -> Iterator[RunningEmulator]:
    with running(Settings(budget=None, burst=None)) as service:
        yield service


@pytest.fixture
def service(shared: RunningEmulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningEmulator]:
    """An emulator as if it were new: no index, no fault, nothing recorded."""
    monkeypatch.setenv("CLOUDFLARE_BASE_URL", shared.base_url)
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", TOKEN)
    yield shared
    shared.emulator.faults.clear()
    for account, index in shared.emulator.indexes():
        shared.emulator.delete_index(account, index)
    shared.emulator.clear_record()


@pytest.fixture
def seed(service: RunningEmulator) -> Callable[..., None]:
    """Puts ids, and as many others that stay as asked, into an index of the emulator."""

    def put(ids: list[str], *, index: str = "docs", others: int = 3) -> None:
        service.emulator.seed(ACCOUNT, index, [*ids, *(f"stays-{n}" for n in range(others))])

    return put


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ended]:
    """Runs the command line in this process: `cli("plan", "--out", "p", stdin="yes\n")`."""

    def call(*arguments: str, stdin: str | bytes = "") -> Ended:
        data = stdin.encode() if isinstance(stdin, str) else stdin
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))
        capsys.readouterr()
        code = run(arguments)
        captured = capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    return call


@pytest.fixture
def process() -> Iterator[Callable[..., Process]]:
    """Starts the command line as a process; keyword arguments are those of Popen."""
    started: list[Process] = []

    def begin(*arguments: str, **options: Any) -> Process:
        made = Process(arguments, options)
        started.append(made)
        return made

    yield begin
    for each in started:
        if each.popen.poll() is None:
            each.popen.send_signal(signal.SIGKILL)
            each.popen.wait()
        for stream in (each.popen.stdin, each.popen.stdout, each.popen.stderr):
            if stream is not None:
                stream.close()
