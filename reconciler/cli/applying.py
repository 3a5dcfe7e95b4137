"""`reconciler apply`."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli import output
from reconciler.cli.options import PATH, context_of, format_option, lock_timeout, surroundings, timeout
from reconciler.errors import PlanRefused, UsageError

if TYPE_CHECKING:
    from reconciler.planfile import SavedPlan


@click.command(
    epilog="""\b
Examples:
  reconciler apply
  reconciler apply erasure.plan.json
  reconciler apply manifests/ --auto-approve --no-wait
  reconciler apply --auto-approve --expect sha256:… --format json
"""
)
@click.argument("what", nargs=-1, type=PATH, metavar="[PLANFILE | PATHS]...")
@click.option("--auto-approve", is_flag=True, help="Do not ask.")
@click.option("--expect", metavar="FINGERPRINT", help="Carry out the plan with this fingerprint, or nothing.")
@click.option(
    "--approved",
    type=PATH,
    metavar="PLANFILE",
    help="The plan that --expect is of: differences are shown, and it must not have expired.",
)
@click.option("--refresh", is_flag=True, help="Read the live indexes before planning.")
@click.option(
    "--dangerous-ignore-limits",
    "ignore_limits",
    is_flag=True,
    help="Let a person at a terminal pass over limits (never over keeps). Who and why is recorded in the state.",
)
@click.option("--reason", metavar="TEXT", help="Why --dangerous-ignore-limits; asked for when it is not given.")
@click.option("--wait/--no-wait", default=True, help="Wait until every id is verified absent (default), or not.")
@timeout(600.0)
@lock_timeout
@click.option("--require-state", is_flag=True, help="A missing state is an error; without it a file is created.")
@surroundings
@format_option("text", "json")
def apply(
    *,
    what: tuple[str, ...],
    auto_approve: bool,
    expect: str | None,
    approved: str | None,
    refresh: bool,
    ignore_limits: bool,
    reason: str | None,
    wait: bool,
    timeout: float,
    lock_timeout: float,
    require_state: bool,
    state: str | None,
    config: str | None,
    base_url: str | None,
    form: str,
) -> int:
    """Delete what is declared absent, and remember every mutation.

    With PLANFILE, carries out that saved plan and nothing else, without asking. With PATHS (default: those of the
    configuration), plans, shows the plan and asks. Accepted is not gone: it waits until a read has found every
    id missing.
    """
    from reconciler.cli.carrying import Apply, tell
    from reconciler.cli.interrupts import signals
    from reconciler.cli.progress import sink
    from reconciler.operations.applying import ApplyOptions
    from reconciler.operations.applying import apply as carry_out
    from reconciler.planfile import read

    with sink(form) as heartbeat, signals() as stop:
        saved = _saved_plan(what)
        asks = saved is None and not auto_approve
        if asks and form == "json":
            raise UsageError(
                "apply cannot ask for approval with --format json",
                hint="Apply a saved plan, or add --auto-approve.",
            )
        if expect is not None and not re.fullmatch(r"sha256:[0-9a-f]{64}", expect):
            raise UsageError("--expect takes a fingerprint: sha256: and 64 hex digits", hint="plan prints it.")
        if approved is not None and expect is None:
            raise UsageError("--approved goes with --expect")
        if saved is not None and refresh:
            raise UsageError(
                "--refresh does not go with a saved plan, which is carried out as it is",
                hint="Make it again with plan --refresh --out FILE, and apply that.",
            )
        if ignore_limits:
            _needs_a_person(asks=asks and expect is None)
        elif reason is not None:
            raise UsageError("--reason goes with --dangerous-ignore-limits")
        context = context_of(state=state, config=config, base_url=base_url)
        part = Apply(context, form, heartbeat, stop, asks=asks, reason=reason or "")
        options = ApplyOptions(
            refresh=refresh,
            wait=wait,
            timeout=timeout,
            lock_timeout=lock_timeout,
            require_state=require_state,
            expect=expect,
            approved=None if approved is None else read(approved),
            dangerous_ignore_limits=part.why if ignore_limits else None,
        )
        try:
            result = carry_out(
                context,
                () if saved is not None else what,
                saved=saved,
                approve=part.approve,
                options=options,
                notify=part,
                interrupts=stop.interrupts,
            )
        except PlanRefused as refused:
            part.show_refused(refused)
            raise
    with output.outcome_of_a_run():
        tell(result, form)
    return result.exit_code


def _needs_a_person(*, asks: bool) -> None:
    """Limits are passed over by somebody who sees the plan and types an answer: no script, no pipeline.

    Raises:
        UsageError: nobody is asked, or not at a terminal.
    """
    way_out = "Raise the limit in reconciler.yaml instead, where it is reviewed."
    if not asks:
        raise UsageError(
            "a person is asked to ignore limits: never with a saved plan, --auto-approve or --expect",
            hint=way_out,
        )
    if sys.stdin is None or sys.stdin.closed or not sys.stdin.isatty():
        raise UsageError("--dangerous-ignore-limits needs a person at a terminal: stdin is none", hint=way_out)


def _saved_plan(what: tuple[str, ...]) -> SavedPlan | None:
    """The plan file, if that is what was named: a single file that is no YAML, or only by its name.

    Raises:
        UsageError: a plan file among others, or neither a plan nor a manifest.
        PlanFileError: it cannot be used.
    """
    if len(what) > 1:
        if plans := [path for path in what if _beginning(path) == "plan"]:
            raise UsageError(
                f"{plans[0]} is a saved plan: it is carried out alone",
                hint="Name one plan file, or only manifests.",
            )
        return None
    if not what or Path(what[0]).is_dir():
        return None
    beginning = _beginning(what[0])
    if Path(what[0]).suffix.lower() in (".yaml", ".yml") and beginning != "plan":
        return None
    if beginning == "text":
        raise UsageError(
            f"{what[0]}: neither a saved plan nor a manifest",
            hint="A saved plan is JSON, as plan --out writes it; the name of a manifest ends in .yaml or .yml.",
        )
    from reconciler.planfile import read

    return read(what[0])


def _beginning(path: str) -> str:
    """What a file looks like from its first bytes: "plan", "text" (no JSON object), or "" for anything else."""
    with suppress(OSError, ValueError), Path(path).open("rb") as file:
        beginning = file.read(200).lstrip()
        if beginning.startswith(b"{"):
            return "plan" if b'"format_version"' in beginning else ""
        return "text" if beginning else ""
    return ""
