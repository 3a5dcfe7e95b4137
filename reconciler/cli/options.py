"""Options that several commands share, and what they add up to."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

from reconciler.errors import UsageError

if TYPE_CHECKING:
    from reconciler.operations.context import Context

F = TypeVar("F", bound=Callable[..., Any])

#: Says to a shell's completion that a file or a folder belongs here. Whether it is there is said by who reads it.
PATH = click.Path(readable=False)

_YEAR = 366 * 24 * 3600


def seconds(value: str | float) -> float:
    """A number of seconds, at most a year: no clock takes infinity, and nothing is longer or shorter than NaN."""
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not 0 <= number <= _YEAR:
        raise click.BadParameter(f"{value!r} is not a number of seconds between 0 and {_YEAR:,}.")
    return number


def checked_name(_: click.Context, __: click.Parameter, value: str) -> str:
    """What tells comments, notes and issues of several plans apart: it stands in their Markdown."""
    if not re.fullmatch(r"[A-Za-z0-9._-]{0,64}", value):
        raise click.BadParameter("at most 64 letters, digits, '.', '_' and '-'.")
    return value


_STATE = click.option(
    "--state",
    metavar="URL",
    help="Where the state is: file:PATH (default file:reconciler.state.jsonl), s3://BUCKET/PREFIX, "
    "postgresql://…. Also RECONCILER_STATE.",
)
_CONFIG = click.option(
    "--config", type=PATH, metavar="FILE", help="The configuration (default reconciler.yaml, if there)."
)
_BASE_URL = click.option(
    "--base-url",
    metavar="URL",
    help="Of the API, /client/v4 included. Also CLOUDFLARE_BASE_URL, CLOUDFLARE_API_BASE_URL. https, or loopback.",
)
config = _CONFIG
lock_timeout = click.option(
    "--lock-timeout",
    type=seconds,
    default=0.0,
    metavar="SECONDS",
    help="Wait this long for another run to let go of the state (default 0: exit 5 at once).",
)


def timeout(default: float) -> Callable[[F], F]:
    """`--timeout`, with the command's own default in seconds."""
    return click.option(
        "--timeout",
        type=seconds,
        default=default,
        metavar="SECONDS",
        help=f"Wait at most this long until every id is verified absent; counts from the last acceptance "
        f"(default {default:g}).",
    )


def surroundings(command: F) -> F:
    """`--state`, `--config` and `--base-url`."""
    return _STATE(_CONFIG(_BASE_URL(command)))


def context_of(*, state: str | None = None, config: str | None = None, base_url: str | None = None) -> Context:
    """The context that these options give in the current folder."""
    from reconciler.operations.context import open_context

    for flag, value in (("--state", state), ("--config", config), ("--base-url", base_url)):
        if value == "":
            # A variable of the shell that was never set: the default is hardly what was meant.
            raise click.UsageError(f"{flag} is empty")
    try:
        os.getcwd()  # noqa: PTH109 - what is asked for is the error
    except FileNotFoundError:
        raise UsageError("the working folder does not exist any more", hint="Change to another one.") from None
    # This process is the command's own, and nothing else goes on in it.
    context = replace(open_context(state=state, config=config, base_url=base_url), processes=True)
    if context.state_url.lower().startswith("memory:"):
        raise UsageError(
            "a state in memory ends with the command: nothing would show what was deleted",
            hint="Name a file, a bucket or a database: file:PATH, s3://BUCKET/PREFIX, postgresql://HOST/DATABASE.",
        )
    return context


def format_option(*names: str) -> Callable[[F], F]:
    """`--format`, of `names`; the first is the default."""
    return click.option(
        "--format",
        "form",
        type=click.Choice(names),
        default=names[0],
        show_default=True,
        help="Of what goes to stdout.",
    )
