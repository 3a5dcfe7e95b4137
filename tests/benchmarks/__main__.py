"""Measure everything: plans, applies, the state, start-up, and other programs, beside a floor.

    python tests/benchmarks [--quick] [--only NAME,…] [--largest N] [--runs K] [--json FILE] [--plot FILE.svg]

Each case is a whole process, and cases that are compared take turns. Prints Markdown; progress goes to stderr. Ends
in 1 when a case failed or a goal that was measured was missed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

# Instead of this folder, in which a library that wants the well-known `requests` would find another one.
sys.path[:] = [each for each in sys.path if Path(each or ".").resolve() != Path(__file__).resolve().parent]
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import applies, peers, plans, startup, states  # noqa: E402 - found by what stands above
from benchmarks.bench import Bench  # noqa: E402
from benchmarks.goals import all_goals  # noqa: E402
from benchmarks.machine import machine  # noqa: E402
from benchmarks.measuring import Launcher, Wrong  # noqa: E402
from benchmarks.table import document, markdown  # noqa: E402

SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
QUICK = 100_000

SECTIONS: dict[str, Callable[[Bench], None]] = {
    "startup": startup.run,
    "plan": plans.run,
    "inline": plans.run_inline,
    "targets": plans.run_targets,
    "state": states.run,
    "stores": states.run_stores,
    "apply": applies.run,
    "octodns": peers.run_octodns,
    "sdk": peers.run_sdk,
    "wrangler": peers.run_wrangler,
    "terraform": peers.run_terraform,
}
#: What may not be there.
OPTIONAL = ("stores", "octodns", "sdk", "wrangler", "terraform")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write. Returns the exit code."""
    chosen = _options(arguments)
    runs = chosen.runs or (3 if chosen.quick else 5)
    largest = chosen.largest or (QUICK if chosen.quick else SIZES[-1])
    sizes = [size for size in SIZES if size <= largest] or [largest]
    names = chosen.only or [name for name in SECTIONS if not (chosen.quick and name in OPTIONAL)]
    with ExitStack() as stack:
        work = chosen.work or Path(stack.enter_context(TemporaryDirectory(prefix="reconciler-benchmark-")))
        work.mkdir(parents=True, exist_ok=True)
        launcher = stack.enter_context(Launcher(work.resolve()))
        bench = Bench(sizes, runs, chosen.quick, work.resolve(), launcher, _say)
        for name in names:
            _say(f"— {name}")
            with ExitStack() as bench.stack:
                try:
                    SECTIONS[name](bench)
                except Wrong as wrong:
                    bench.lacking[name] = str(wrong)
                    _say(f"{name}: {wrong}")
        facts = machine(bench.work, bench.facts)
    goals = all_goals(bench)
    sys.stdout.write(markdown(bench, goals, facts))
    if chosen.json is not None:
        text = json.dumps(document(bench, goals, facts), indent=1, ensure_ascii=False)
        chosen.json.write_text(text + "\n", encoding="utf-8")
    if chosen.plot is not None:
        from benchmarks.plot import draw  # noqa: PLC0415 - only who wants a picture needs matplotlib

        chosen.plot.write_text(draw(document(bench, goals, facts)), encoding="utf-8")
    broken = any(each.failed for each in bench.found.values()) or set(bench.lacking) & set(SECTIONS) - set(
        OPTIONAL
    )
    return 1 if broken or any(goal.met is False for goal in goals) else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python tests/benchmarks",
        description=__doc__,
        epilog=f"{peers.HELP}\nHow many requests each step takes is counted by tests/benchmarks/requests.py.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--quick", action="store_true", help=f"up to {QUICK:,} ids, 3 runs, neither servers nor peers; minutes"
    )
    parser.add_argument("--only", metavar="NAME,…", type=_names, help=", ".join(SECTIONS))
    parser.add_argument(
        "--largest", metavar="N", type=int, help=f"ids; the sizes are {', '.join(map('{:,}'.format, SIZES))}"
    )
    parser.add_argument("--runs", metavar="K", type=int, help="of each case; 5")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every run there, too")
    parser.add_argument(
        "--plot", metavar="FILE.svg", type=Path, help="time and memory against ids; needs matplotlib"
    )
    parser.add_argument("--work", metavar="DIR", type=Path, help="keep the ids and logs there for the next time")
    return parser.parse_args(arguments)


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in SECTIONS]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not one of {', '.join(SECTIONS)}")
    return names


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
