"""`reconciler demo`: the whole story on real HTTP, against the embedded emulator."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli import output
from reconciler.cli.failures import report, say
from reconciler.errors import ExitCode, Interrupted, ReconcilerError, UsageError

if TYPE_CHECKING:
    from reconciler.model.target import Target

#: Vectors that stay: every index holds more than what is to be erased.
_OTHERS = 1_000

#: Seconds the emulator's write-ahead log lags; the real service's median is below 30.
_LAG = 2.0

_OURS = ("CLOUDFLARE_", "RECONCILER_")


@click.command(epilog="\b\nExample:\n  reconciler demo\n")
@click.option("--keep", is_flag=True, help="Keep the temporary folder, to look at manifests and state.")
def demo(keep: bool) -> int:
    """Tell the whole story on the embedded emulator, in a temporary folder.

    Validates, plans, applies, verifies, shows the state, plans again, then re-inserts one id behind the program's
    back and finds it. Needs no account and no variables; nothing leaves this machine.
    """
    try:
        from reconciler.emulator import Settings, running
    except ImportError as missing:
        raise UsageError(
            f"the demo runs on the embedded emulator, which is not installed: {missing}",
            hint="pip install 'starlette>=0.40' 'uvicorn>=0.30'",
        ) from None
    from reconciler.resources import example_manifests

    folder = Path(tempfile.mkdtemp(prefix="reconciler-demo-"))
    try:
        shutil.copytree(example_manifests(), folder / "manifests")
        with running(Settings(lag=_LAG)) as service, _own_surroundings(folder, service.base_url):
            _Story(folder, service.base_url, service.emulator.seed).tell()
    finally:
        if keep:
            say(f"Kept: {folder}")
        else:
            shutil.rmtree(folder)
    return ExitCode.DONE


@contextmanager
def _own_surroundings(folder: Path, base_url: str) -> Iterator[None]:
    """Only the demo's own folder, credentials and addresses: nothing of the caller reaches it, or is lost."""
    try:
        here = Path.cwd()
    except FileNotFoundError:  # the caller's folder was deleted: there is nothing to come back to
        here = folder.parent
    before = {name: value for name, value in os.environ.items() if name.startswith(_OURS)}
    for name in before:
        del os.environ[name]
    os.environ["CLOUDFLARE_API_TOKEN"] = "demo"  # noqa: S105 - the emulator takes any
    os.environ["CLOUDFLARE_BASE_URL"] = base_url
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(here)
        for name in [name for name in os.environ if name.startswith(_OURS)]:
            del os.environ[name]
        os.environ.update(before)


@dataclass(frozen=True)
class _Story:
    folder: Path
    base_url: str
    seed: Callable[..., int]

    def tell(self) -> None:
        """Every step, as the commands that a reader would type; the first that surprises ends it.

        Raises:
            ReconcilerError: a step did not end as it must.
        """
        _print("This is a demo on the embedded emulator of Vectorize, on this machine.", "bold")
        _print("It is not Cloudflare, and no account is touched.")
        _print(f"Emulator: {self.base_url}   Folder: {self.folder}")
        target, erased = self._seed()
        self._step("The manifests say which ids must be absent.", "validate")
        self._step("The plan: what would be deleted, why, and at what cost.", "plan --out erasure.plan.json")
        self._step(
            "Apply it. Every batch is remembered before it is sent. Accepted is not gone: it waits for proof.",
            "apply erasure.plan.json",
        )
        self._step(
            "What the state remembers. Keep its head: it proves later that nothing was changed.", "state show"
        )
        self._step("Plan again: nothing is left to do.", "plan --detailed-exitcode")
        _print()
        _print(
            f"Now a re-index job, which knows nothing of this, inserts {erased!r} into {target.index} again.",
            "yellow",
        )
        self.seed(target.account_id, target.index, [erased])
        self._step("The nightly audit reads every tombstone again, and finds it.", "verify --all", ExitCode.FOUND)
        self._step(
            "Exit 4 is what a pipeline alarms on. The next apply deletes the id again.", "apply --auto-approve"
        )
        _print()
        _print("Every declared id is verified absent again, and the state tells the whole story.", "bold")
        _print("That was the embedded emulator. For your own indexes: write manifests/, and run reconciler plan;")
        _print("apply needs CLOUDFLARE_API_TOKEN with the permission Vectorize Write.")

    def _seed(self) -> tuple[Target, str]:
        """Fill the emulator's indexes with what the examples erase, and with more that stays."""
        from reconciler.operations.context import load, open_context

        desired = load(open_context())
        seeded = []
        for each in desired.targets:
            target = each.target
            self.seed(target.account_id, target.index, each.ids)
            self.seed(target.account_id, target.index, (f"stays-{n:06d}" for n in range(_OTHERS)))
            seeded.append(f"{target.index} ({len(each.ids) + _OTHERS:,} vectors)")
        _print(f"Indexes: {', '.join(seeded)}")
        first = desired.targets[0]
        return first.target, first.ids.first(1)[0]

    def _step(self, what: str, command: str, expected: ExitCode = ExitCode.DONE) -> None:
        from reconciler.cli.app import invoke

        _print()
        _print(f"# {what}", "cyan")
        _print(f"$ reconciler {command}", "bold")
        try:
            code = invoke(command.split())
        except ReconcilerError as failed:
            report(failed)
            code = failed.exit_code
        if code == ExitCode.INTERRUPTED:
            raise Interrupted("the demo was interrupted")
        if code != expected:
            raise ReconcilerError(f"demo: `reconciler {command}` ended with {code}, expected {int(expected)}")
        _print(f"(exit {code})")


def _print(text: str = "", style: str = "") -> None:
    """A line of the story, in colours on a terminal; at once, so that it stands before what the steps say."""
    from reconciler.render.lines import Line, write_coloured

    with output.writing():
        write_coloured([Line(text, style)], sys.stdout)
        sys.stdout.flush()
