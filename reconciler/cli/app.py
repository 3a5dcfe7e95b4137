"""The command group. Commands are imported when they are called, so that `--help` costs what click costs."""

from __future__ import annotations

import errno
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING

import click

from reconciler import __version__
from reconciler.cli import output
from reconciler.cli.failures import report, report_interrupt
from reconciler.errors import ExitCode, ReconcilerError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

#: name → (module, attribute, one line for --help)
_COMMANDS = {
    "validate": ("manifests", "validate", "Check manifests and configuration, offline."),
    "plan": ("planning", "plan", "Show what apply would do. Records nothing, takes no lock."),
    "show": ("showing", "show", "Show a saved plan."),
    "apply": ("applying", "apply", "Delete what is declared absent, and remember every mutation."),
    "verify": ("verifying", "verify", "Prove by reading that what was deleted is gone. Never deletes."),
    "check-ids": ("checking", "check_ids", "Say which ids on stdin are declared absent or carry a tombstone."),
    "state": ("states", "state", "Create, show, verify, move and unlock the state."),
    "forge": ("forge", "forge", "Tell people on GitHub or GitLab what a pipeline did."),
    "init": ("scaffolding", "init", "Set up a repository: a first manifest, a pipeline, a commit hook."),
    "emulator": ("emulator", "emulator", "Run a local Vectorize."),
    "demo": ("demo", "demo", "The whole story on the embedded emulator, in a temporary folder."),
}

_EPILOG = """\b
Examples:
  reconciler validate manifests/
  reconciler plan --out erasure.plan.json
  reconciler apply erasure.plan.json
  reconciler verify --all

\b
Exit codes:
  0 done, or no changes        4 ids found that should not be there
  1 error                      5 the state is held by another run
  2 changes (plan              6 a saved plan is stale
    --detailed-exitcode)       7 accepted, but not verified in time
  3 refused by a limit or      130 interrupted
    a keep

\b
Completion of commands, flags and files, for bash (also zsh_source, fish_source):
  eval "$(_RECONCILER_COMPLETE=bash_source reconciler)"
"""


class _Lazy(click.Group):
    """A group whose commands are imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature is click's
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002 - as above
        if name not in _COMMANDS:
            return None
        module, attribute, _ = _COMMANDS[name]
        command: click.Command = getattr(import_module(f"reconciler.cli.{module}"), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        asked = args[0]
        if asked not in _COMMANDS and not asked.startswith("-") and not ctx.resilient_parsing:
            from difflib import get_close_matches

            close = get_close_matches(asked, _COMMANDS)
            ctx.fail(f"No such command {asked!r}." + (f" Did you mean {' or '.join(close)}?" if close else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in _COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        named = [
            CompletionItem(name, help=line)
            for name, (_, _, line) in _COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return named + click.Command.shell_complete(self, ctx, incomplete)


@click.group(cls=_Lazy, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="reconciler")
def cli() -> None:
    """Declare which vector ids must be absent from Cloudflare Vectorize indexes; plan, apply and prove it."""


def invoke(arguments: Sequence[str]) -> int:
    """Run the command line with `arguments`; returns the exit code of a command that came to its end.

    Raises:
        click.ClickException: `arguments` cannot be understood.
        ReconcilerError, BrokenPipeError, KeyboardInterrupt, click.Abort: it did not.
    """
    try:
        code = cli.main(list(arguments), prog_name="reconciler", standalone_mode=False)
    except click.exceptions.Exit as wanted:
        code = wanted.exit_code
    output.flush()
    return int(code) if isinstance(code, int) else ExitCode.DONE


def run(arguments: Sequence[str]) -> int:
    """Run the command line with `arguments`; returns the exit code instead of exiting.

    Errors of the program are printed to stderr as `Error: …` with what to do next, never as a traceback.
    """
    try:
        return invoke(arguments)
    except click.ClickException as usage:
        with suppress(OSError):  # nobody to tell
            usage.show(sys.stderr)
        return ExitCode.ERROR
    except (click.Abort, KeyboardInterrupt):
        report_interrupt()
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        output.abandon()  # whoever read our output has gone: there is nobody to tell
        return ExitCode.ERROR
    except ReconcilerError as failure:
        report(failure)
        return failure.exit_code
    except OSError as failure:
        if failure.errno != errno.ENOSPC or failure.filename is not None:
            raise
        output.abandon()  # click prints help by itself
        report(output.unwritable(failure))
        return ExitCode.ERROR
