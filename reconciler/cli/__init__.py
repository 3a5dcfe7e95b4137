"""The command line: the only place that prints, prompts or exits.

app          the group of commands, and how every error becomes an exit code
options      flags that several commands share
output       results on stdout; failures: everything else, on stderr
progress     where the notices of a run go; interrupts: signals
the rest     one module a command or group
"""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import NoReturn, TextIO

#: New containers between two searches for cycles, and how many of these make a wider one. Millions of ids come and
#: go as objects of a moment, none of them in a cycle; with 700 as it was a search takes place every few hundred.
#: What stays is some twenty for each declaration of a manifest, and looking through 100,000 takes 30 ms.
#: What is in cycles is little: some thousands from the imports, and from an apply one for every few requests.
_SEARCHES = (500_000, 20, 20)


def main() -> NoReturn:
    """Run `reconciler` with the process's arguments, and end the process with its exit code."""
    _leave(command())


def command() -> int:
    """Run `reconciler` with the process's arguments; returns its exit code, with nothing left to be written.

    SIGTERM and SIGHUP mean what Ctrl-C means. An exception that nobody raised on purpose is a bug: its traceback
    is shown, never swallowed, and the exit code is 1.
    """
    gc.set_threshold(*_SEARCHES)
    _open_standard_streams()
    try:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # that is what nohup asks for
            signal.signal(signal.SIGHUP, signal.default_int_handler)
        from reconciler.cli.app import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        code = 130  # before `run` could take it
    except SystemExit as ended:  # click's, once a shell has its completions
        code = ended.code if isinstance(ended.code, int) else 0
    except Exception:  # noqa: BLE001 - shown whole
        code = _report_bug()
    _let_go(sys.stdout, 1)
    _let_go(sys.stderr, 2)
    return code


def _leave(code: int) -> NoReturn:
    """End the process without taking the interpreter apart, which takes a fifth of the time of a short command.

    What is owed at the end is done first: what was registered with atexit. Where a thread has not ended, or
    somebody profiles, traces or inspects the process, it ends the long way.
    """
    threading = sys.modules.get("threading")
    alone = threading is None or threading.active_count() == 1
    if not alone or sys.getprofile() or sys.gettrace() or sys.flags.inspect:
        sys.exit(code)
    atexit._run_exitfuncs()  # noqa: SLF001 - there since Python 3.0, and of no other name
    _let_go(sys.stdout, 1)
    _let_go(sys.stderr, 2)
    os._exit(code)


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
    import traceback

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
