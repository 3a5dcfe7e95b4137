"""The command line: the only place that prints, prompts or exits.

app          the group of commands, and how every error becomes an exit code
options      flags that several commands share
output       results on stdout; failures: everything else, on stderr
progress     where the notices of a run go; interrupts: signals
the rest     one module a command or group
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from typing import TextIO


def main() -> None:
    """Run `reconciler` with the process's arguments, and exit with its exit code.

    SIGTERM and SIGHUP mean what Ctrl-C means. An exception that nobody raised on purpose is a bug: its traceback
    is shown, never swallowed, and the exit code is 1.
    """
    _open_standard_streams()
    try:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # that is what nohup asks for
            signal.signal(signal.SIGHUP, signal.default_int_handler)
        # Millions of ids come and go as objects of a moment, and none of them in a circle: looking for circles
        # after each 700 of them costs a quarter of a second in a million ids.
        gc.set_threshold(100_000, 20, 20)
        from reconciler.cli.app import run  # noqa: PLC0415 - nothing is imported for those who only import the package

        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        code = 130  # before `run` could take it
    except Exception:  # noqa: BLE001 - shown whole
        code = _report_bug()
    _let_go(sys.stdout, 1)
    _let_go(sys.stderr, 2)
    sys.exit(code)


def _open_standard_streams() -> None:
    """Give a process that was started with closed standard streams something in their places.

    The next file that is opened would be given the number of a closed one: what is meant for stderr would be
    written into the state. And `print` to a stderr that is None goes to stdout. A missing stdin stays None, so
    that nobody is asked. Text that the terminal's encoding does not know is shown as an escape.
    """
    for number, mode in ((0, os.O_RDONLY), (1, os.O_WRONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)  # takes the lowest free number: this one
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - for the life of the process
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - as above
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _let_go(stream: TextIO, number: int) -> None:
    """What nobody takes any more is dropped: the interpreter would try again at its exit, and exit 120."""
    try:
        stream.flush()
    except (OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)


def _report_bug() -> int:
    import traceback  # noqa: PLC0415 - only for those who need it

    try:
        traceback.print_exc()
        print(
            "\nThis is a bug in reconciler, not in what you did. Please report it with the lines above.\n"
            "The state has what was sent so far: running the same command again is safe.",
            file=sys.stderr,
            flush=True,
        )
    except OSError:
        pass  # nobody listens
    return 1
