"""Measure everything: plans, applies, the state, start-up, and other programs, beside a floor.

    python tests/benchmarks [--quick] [--only NAME,…] [--largest N] [--runs K] [--json FILE] [--plot FILE.svg]
        [--resume FILE] [--work DIR]

Each case is a whole process, and cases that are compared take turns. Prints Markdown; progress goes to stderr. Ends
in 1 when a case failed or a goal that was measured was missed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

# Instead of this folder, in which a library that wants the well-known `requests` would find another one.
sys.path[:] = [each for each in sys.path if Path(each or ".").resolve() != Path(__file__).resolve().parent]
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import applies, peers, plans, startup, states  # noqa: E402 - found by what stands above
from benchmarks.bench import Bench  # noqa: E402
from benchmarks.goals import all_goals  # noqa: E402
from benchmarks.machine import machine  # noqa: E402
from benchmarks.measuring import Launcher, Measured, Wrong  # noqa: E402
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
PEERS = ("octodns", "sdk", "wrangler", "terraform")
#: What may not be there.
OPTIONAL = ("stores", *PEERS)


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
        if chosen.resume is not None:
            _take_over(bench, json.loads(chosen.resume.read_text(encoding="utf-8")))
        for name in names:
            _say(f"— {name}")
            bench.lacking.pop(name, None)
            with ExitStack() as bench.stack:
                try:
                    SECTIONS[name](bench)
                except Wrong as wrong:
                    bench.lacking[name] = str(wrong)
                    _say(f"{name}: {wrong}")
            _write(bench, chosen)  # after each part: a run of an hour may be interrupted
        sys.stdout.write(markdown(bench, all_goals(bench), machine(bench.work, bench.facts)))
    broken = [name for name, each in bench.found.items() if each.failed]
    broken += [name for name in bench.lacking if name in SECTIONS and name not in OPTIONAL]
    return 1 if broken or any(goal.met is False for goal in all_goals(bench)) else 0


def _take_over(bench: Bench, earlier: dict[str, Any]) -> None:
    """What an earlier run measured of the very same program, and what did not fail in it."""
    before, now = (of["tools"]["reconciler"] for of in (earlier["machine"], machine(bench.work, {})))
    if before != now:
        sys.exit(f"what was measured earlier was another program: {before}, not {now}")
    found = [Measured.of(case) for case in earlier["cases"] if not case["failed"]]
    bench.found.update({each.key: each for each in found})
    bench.lacking.update(earlier["not_there"])
    bench.facts.update(
        {name: earlier["machine"]["tools"][name] for name in PEERS if name in earlier["machine"]["tools"]}
    )


def _write(bench: Bench, chosen: argparse.Namespace) -> None:
    found = document(bench, all_goals(bench), machine(bench.work, bench.facts))
    if chosen.json is not None:
        text = json.dumps(found, indent=1, ensure_ascii=False)
        chosen.json.write_text(text + "\n", encoding="utf-8")
    if chosen.plot is not None:
        from benchmarks.plot import draw  # noqa: PLC0415 - only who wants a picture needs matplotlib

        chosen.plot.write_text(draw(found), encoding="utf-8")


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
    parser.add_argument(
        "--resume", metavar="FILE", type=Path, help="JSON of an earlier run: what is there is not measured again"
    )
    parser.add_argument("--work", metavar="DIR", type=Path, help="keep the ids and logs there for the next time")
    chosen = parser.parse_args(arguments)
    if chosen.plot is not None and find_spec("matplotlib") is None:
        parser.error("the plot needs matplotlib: pip install 'vectorize-reconciler[bench]'")
    return chosen


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in SECTIONS]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not one of {', '.join(SECTIONS)}")
    return names


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
