"""The command line as processes that start in milliseconds: one that has imported everything forks them.

It has no threads when it forks. Run as a script it is the zygote itself; `Zygote` is its parent's side.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True)
class Ended:
    """How a child ended.

    Attributes:
        code: its exit code; negative for a signal.
        steps: how many it took; 0 when it was killed.
        acknowledged: the heads of the frames that were acknowledged to it, in order, and when (time.monotonic).
    """

    code: int
    out: str
    err: str
    steps: int
    acknowledged: Mapping[str, float]


class Child:
    """A command that runs."""

    def __init__(self, zygote: Zygote, pid: int, folder: Path) -> None:
        self._zygote = zygote
        self._folder = folder
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
        self._zygote.running.discard(self.pid)

        def text(name: str) -> str:
            path = self._folder / name
            return path.read_text("utf-8", "replace") if path.is_file() else ""

        heads = (line.split() for line in text("acknowledged").splitlines())
        acknowledged = {head: float(when) for head, when in heads}
        return Ended(answer["code"], text("out"), text("err"), int(text("steps") or 0), acknowledged)


class Zygote:
    """Starts children.

    Attributes:
        running: the process ids of those that nobody has waited for; they are killed at the end.
    """

    def __init__(self) -> None:
        paths = os.pathsep.join([*sys.path, str(Path(__file__).parents[1])])
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": paths, "HOME": os.environ.get("HOME", "/")}
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self._number = 0
        self.running: set[int] = set()
        assert self.ask({"ready": True}) == {"ready": True}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        for pid in self.running:
            os.kill(pid, signal.SIGKILL)  # it is there: nobody but the zygote could have reaped it
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
        streams: Mapping[str, Path] | None = None,
        twists: Mapping[str, float] | None = None,
    ) -> Child:
        """Run a command.

        Args:
            arguments: as on a command line.
            cwd: its working folder.
            env: its whole environment.
            crash_at: the step at which it is killed, 0 for none.
            kind: of store: which steps there are.
            streams: "out" or "err" to a path of its own, a named pipe perhaps.
            twists: see crashing.TWISTS.
        """
        self._number += 1
        folder = cwd.parent / f"{cwd.name}.{self._number}"
        folder.mkdir()
        where = {name: str(path) for name, path in (streams or {}).items()}
        message = {
            "arguments": arguments, "cwd": str(cwd), "env": dict(env), "folder": str(folder), "streams": where,
            "crash_at": crash_at, "kind": kind, "twists": dict(twists or {}),
        }  # fmt: skip
        pid = self.ask(message)["pid"]
        self.running.add(pid)
        return Child(self, pid, folder)


def _serve() -> None:
    import gc  # noqa: PLC0415 - only in the zygote
    import importlib  # noqa: PLC0415 - as above

    for name in (
        "httpx", "yaml", "jsonschema", "deepdiff", "obstore.store", "psycopg", "rich.console", "rich.progress", "click",
        "reconciler.cli.app", "reconciler.cli.applying", "reconciler.cli.verifying", "reconciler.cli.states",
        "reconciler.cli.planning", "reconciler.cli.carrying", "reconciler.operations.states",
        "reconciler.operations.verifying", "reconciler.manifests.entries", "reconciler.manifests.conflicts",
        "reconciler.render.plan_text", "reconciler.render.state", "filelock",
    ):  # fmt: skip
        importlib.import_module(name)
    gc.freeze()  # what every child shares is not copied because one of them collects
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
    folder, streams = Path(message["folder"]), message["streams"]
    files = (os.devnull, streams.get("out", folder / "out"), streams.get("err", folder / "err"))
    for number, name in enumerate(files):
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND
        handle = os.open(name, flags, 0o600)
        os.dup2(handle, number)
        os.close(handle)
    # Those of the zygote remember what kind of file they were made for.
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - a number is no path
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - as above
    sys.stderr = open(2, "w", 1, "utf-8", "backslashreplace", closefd=False)  # noqa: SIM115 - as above
    os.chdir(message["cwd"])
    os.environ.clear()
    os.environ.update(message["env"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever runs the tests may have said nohup
    from support.crashing import install  # noqa: PLC0415 - only in a child

    steps = install(message["crash_at"], str(folder / "acknowledged"), message["kind"], message["twists"])
    sys.argv = ["reconciler", *message["arguments"]]
    code = 1
    try:
        from reconciler.cli import command  # noqa: PLC0415 - as above

        code = command()
    except BaseException:  # noqa: BLE001 - a bug, which the parent finds on stderr
        traceback.print_exc()
    finally:
        (folder / "steps").write_text(str(steps.count))
        os._exit(code)


if __name__ == "__main__":
    _serve()
