"""The command that carries out exactly one plan, for people to copy."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from reconciler.model.plan import Plan


def apply_command(plan: Plan, *, paths: Sequence[str], only: str | None, planfile: str) -> str | None:
    """What carries out this plan or nothing, as one line for a shell; None where only a saved plan could.

    It never names the state, the configuration or the base URL: a URL may hold a password.

    Args:
        plan: the plan.
        paths: the PATHS it was made from, none for those of the configuration.
        only: the one index it covers, None for all.
        planfile: the file it is saved in, "" for none.
    """
    if planfile:
        what, flags = [planfile], []
    elif only is not None:
        return None
    else:
        what, flags = list(paths), ["--refresh"] if plan.observed else []
    flags += ["--expect", plan.fingerprint]
    # A name that begins like an option must stand behind all of them.
    words = [*flags, "--", *what] if any(each.startswith("-") for each in what) else [*what, *flags]
    return shlex.join(["reconciler", "apply", *words])
