"""The command line as processes that start in milliseconds: one that has imported everything forks them.

It has no threads when it forks. Run as a script it is the zygote itself; `Zygote` is its parent's side.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True)
class Ended:
    """How a child ended. `code` is negative for a signal."""

    code: int
    out: str
    err: str
    steps: int
    acknowledged: tuple[str, ...]


class Child:
    """A command that runs."""

    def __init__(self, zygote: Zygote, pid: int, folder: Path, began: float) -> None:
        self._zygote = zygote
        self._folder = folder
        self.began = began
        self.pid = pid

    def signal(self, number: int) -> None:
        """Send it a signal, if it is still there."""
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return

    def wait(self) -> Ended:
        """Until it ends."""
        answer = self._zygote.ask({"wait": self.pid})

        def text(name: str) -> str:
            path = self._folder / name
            return path.read_text("utf-8", "replace") if path.exists() else ""

        steps = text("steps")
        return Ended(
            answer["code"], text("out"), text("err"), int(steps) if steps else 0,
            tuple(text("acknowledged").splitlines()),
        )  # fmt: skip


class Zygote:
    """Starts children."""

    def __init__(self) -> None:
        paths = os.pathsep.join([*sys.path, str(Path(__file__).parents[1])])
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": paths, "HOME": os.environ.get("HOME", "/")}
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self._number = 0
        assert self.ask({"ready": True}) == {"ready": True}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def ask(self, message: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def start(
        self,
        *arguments: str,
        cwd: Path,
        env: Mapping[str, str],
        crash_at: int = 0,
        kind: str = "file",
        lease: float = 0.0,
    ) -> Child:
        """Run a command in `cwd`; `crash_at` is the step at which it is killed, 0 for none. `lease`: in seconds."""
        self._number += 1
        folder = cwd.parent / f"{cwd.name}.{self._number}"
        folder.mkdir()
        began = time.monotonic()
        answer = self.ask(
            {
                "arguments": arguments, "cwd": str(cwd), "env": dict(env), "folder": str(folder),
                "crash_at": crash_at, "kind": kind, "lease": lease,
            }
        )  # fmt: skip
        return Child(self, answer["pid"], folder, began)

    def run(self, *arguments: str, **options: Any) -> Ended:
        """Run a command to its end."""
        return self.start(*arguments, **options).wait()


def _serve() -> None:
    import importlib  # noqa: PLC0415 - only in the zygote

    for name in (
        "httpx", "yaml", "jsonschema", "deepdiff", "obstore.store", "psycopg", "rich.console", "rich.progress", "click",
        "reconciler.cli.app", "reconciler.cli.applying", "reconciler.cli.verifying", "reconciler.cli.states",
        "reconciler.cli.planning", "reconciler.manifests.structure", "reconciler.render.plan_text", "filelock",
    ):  # fmt: skip
        importlib.import_module(name)
    for line in sys.stdin:
        message = json.loads(line)
        if "ready" in message:
            answer = {"ready": True}
        elif "wait" in message:
            _, status = os.waitpid(message["wait"], 0)
            answer = {"code": os.waitstatus_to_exitcode(status)}
        else:
            pid = os.fork()
            if pid == 0:
                _child(message)
            answer = {"pid": pid}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _child(message: dict[str, Any]) -> None:
    folder = Path(message["folder"])
    for number, name in ((0, os.devnull), (1, folder / "out"), (2, folder / "err")):
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND
        handle = os.open(name, flags, 0o600)
        os.dup2(handle, number)
        os.close(handle)
    os.chdir(message["cwd"])
    os.environ.clear()
    os.environ.update(message["env"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from support.crashing import install, shorten_leases  # noqa: PLC0415 - only in a child

    if message["lease"]:
        shorten_leases(message["lease"])
    steps = install(message["crash_at"], str(folder / "acknowledged"), message["kind"])
    sys.argv = ["reconciler", *message["arguments"]]
    code = 1
    try:
        from reconciler.cli import main  # noqa: PLC0415 - as above

        main()
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        (folder / "steps").write_text(str(steps.count))
        os._exit(code)


if __name__ == "__main__":
    _serve()
