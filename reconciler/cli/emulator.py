"""`reconciler emulator serve`."""

from __future__ import annotations

import errno

import click

from reconciler.cli import output
from reconciler.cli.failures import say
from reconciler.cli.options import PATH, seconds
from reconciler.errors import ExitCode, UsageError


@click.group(epilog="\b\nExample:\n  reconciler emulator serve --port 8787 --lag 5\n")
def emulator() -> None:
    """Run a local Vectorize: every v2 operation, with a write-ahead log that lags as the real one does."""


@emulator.command(
    epilog="""\b
Examples:
  reconciler emulator serve --port 8787
  CLOUDFLARE_BASE_URL=http://127.0.0.1:8787/client/v4 CLOUDFLARE_API_TOKEN=any reconciler plan --refresh
"""
)
@click.option("--port", type=click.IntRange(0, 65535), default=8787, show_default=True, help="0 takes a free one.")
@click.option(
    "--data", type=PATH, metavar="FILE", help="Keep the vectors in this SQLite file (default: in memory)."
)
@click.option(
    "--lag",
    type=seconds,
    default=2.0,
    metavar="SECONDS",
    help="How long a mutation waits before it is processed (default 2).",
)
def serve(port: int, data: str | None, lag: float) -> int:
    """Serve a local Vectorize on 127.0.0.1 until interrupted. Needs the extra [emulator].

    Its base URL is the one line on stdout, as soon as it answers.
    """
    try:
        from reconciler.emulator import DataFileError
        from reconciler.emulator import serve as run
    except ImportError as missing:
        raise UsageError(str(missing), hint="pip install 'starlette>=0.40' 'uvicorn>=0.30'") from None
    try:
        run(port=port, data=data, lag=lag, on_ready=_ready)
    except BrokenPipeError:
        raise
    except (DataFileError, OSError) as failed:
        taken = getattr(failed, "errno", None) == errno.EADDRINUSE
        why = f"port {port} is taken" if taken else str(failed)
        hint = "--port 0 takes a free one." if taken else ""
        raise UsageError(f"the emulator cannot start: {why}", hint=hint) from None
    return ExitCode.DONE


def _ready(base_url: str) -> None:
    say("A local Vectorize for development and tests. It is not Cloudflare; vectors stay on this machine.")
    say(f"  export CLOUDFLARE_BASE_URL={base_url} CLOUDFLARE_API_TOKEN=any")
    say("Ctrl-C ends it.")
    output.tell(base_url)
