"""The README's tables of performance, from what `python tests/benchmarks --json FILE` measured.

python tests/benchmarks/readme.py FILE
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

#: Where a figure was not measured.
NONE = "–"  # noqa: RUF001 - as it is printed
_MILLION, _TEN_MILLION = 1_000_000, 10_000_000

_ROWS = (
    ("F(N)", "floor"),
    ("`plan`, nothing recorded", "plan, any order, none recorded, cache cold"),
    ("`plan`, all recorded", "plan, any order, all recorded, cache cold"),
    ("`plan`, 1 % changed since", "plan, any order, 1 % changed, cache warm"),
    ("the same, the log never seen", "plan, any order, 1 % changed, cache cold"),
    ("`plan`, nothing changed since", "plan, any order, all recorded, cache warm"),
    ("ids sorted: nothing recorded", "plan, sorted, none recorded, cache cold"),
    ("ids sorted: all recorded", "plan, sorted, all recorded, cache cold"),
    ("ids sorted: 1 % changed since", "plan, sorted, 1 % changed, cache warm"),
    ("ids sorted: nothing changed since", "plan, sorted, all recorded, cache warm"),
    ("hashing the files and the log", "hashing, any order"),
    ("`verify --all`", "verify --all, any order"),
    ("`apply`", "apply, any order"),
)


class Figures:
    """What was measured, by case and number of ids."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._cases = {(case["case"], case["ids"]): case for case in document["cases"]}
        self.sizes: Sequence[int] = document["sizes"]
        self.document = document

    def value(self, name: str, size: int | None = None, what: str = "wall_seconds") -> float | None:
        """A median; `size` None: of the only, or the largest, number of ids."""
        sizes = [ids for case, ids in self._cases if case == name]
        case = self._cases.get((name, max(sizes, default=0) if size is None else size), {})
        values = case.get(what) or case.get("figures", {}).get(what)
        return median(values) if values else None

    def seconds(self, name: str, size: int | None = None) -> str:
        """A time."""
        value = self.value(name, size)
        if value is None:
            return NONE
        return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"

    def ratio(self, name: str, to: str, size: int | None = None, what: str = "wall_seconds") -> float | None:
        """Of two medians."""
        one, other = self.value(name, size, what), self.value(to, size, what)
        return None if one is None or not other else one / other

    def figure(
        self, name: str, what: str, form: str = "{:.2f}", scale: float = 1.0, size: int | None = None
    ) -> str:
        """A figure of a case."""
        value = self.value(name, size, what)
        return NONE if value is None else form.format(value * scale)


def performance(found: Figures) -> str:
    """The table of plans, and that of all else."""
    machine = found.document["machine"]
    sizes = found.sizes
    large = [size for size in (_MILLION, _TEN_MILLION) if size in sizes]
    head = ["", *(f"{size:,} ids" for size in sizes), *(f"memory at {size // _MILLION} M" for size in large)]
    measured = (
        f"{machine['date']}: {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
        f"{machine['disk']}, {machine['system']}, Python {machine['tools']['Python']}; medians of "
        f"{found.document['runs']} runs."
    )
    lines = [measured, "", f"| {' | '.join(head)} |", "|---" + "|---:" * (len(head) - 1) + "|"]
    for title, name in _ROWS:
        cells = [_of_floor(found, name, size) for size in sizes]
        cells += [found.figure(name, "memory_bytes", "{:.0f} MB", 1e-6, size) for size in large]
        if set(cells) != {NONE}:
            lines.append(f"| {title} | {' | '.join(cells)} |")
    rows = "".join(f"| {title} | {value} |\n" for title, value in _others(found))
    return "\n".join(lines) + f"\n\n| | measured |\n|---|---:|\n{rows}"


def _of_floor(found: Figures, name: str, size: int) -> str:
    ratio = found.ratio(name, "floor", size)
    text = found.seconds(name, size)
    sent = name.startswith(("apply", "verify"))
    return text if name == "floor" or ratio is None or sent or size < _MILLION else f"{text} = {ratio:.2f} F"


def _others(found: Figures) -> list[tuple[str, str]]:
    paces = ("apply, 8 at once, 50 ms", "apply, 32 at once, 200 ms")
    starts = ("reconciler --help", "reconciler --version", "completion in the shell", "validate, a small manifest")
    inline = "plan, ids inline in YAML, cache cold"
    budget, record = "apply, a budget of 1,200 requests", "recording frames, file"
    ours, terraform = "plan, any order, all recorded, cache warm", "terraform plan"
    return [
        ("deletes a second, of what 8 at once with 50 ms, and 32 with 200 ms, allow",
         ", ".join(found.figure(name, "pace", "{:.1f} %", 100) for name in paces)),
        ("CPU of `apply` a request, state included: the same; a million ids",
         ", ".join([*(found.figure(name, "cpu_milliseconds_a_request", "{:.2f} ms") for name in paces),
                    found.figure("apply, any order", "cpu_milliseconds_a_request", "{:.2f} ms", 1, _MILLION)])),
        ("a budget of 1,200 requests in five minutes: used; most in any five minutes",
         f"{found.figure(budget, 'used', '{:.1f} %', 100)}; {found.figure(budget, 'most', '{:,.0f}')}"),
        ("bytes of the state, of those of the ids",
         found.figure("apply, any order", "state_bytes_an_id_byte", "{:.2f}", 1)),
        ("recording a frame, of a plain write and fsync; the last tenth of 3,000, of the first",
         f"{found.figure(record, 'to_plain')}; {found.figure(record, 'last_to_first_tenth')}"),
        ("`--help`, `--version`, completion, `validate`; `python -c pass`",
         f"{', '.join(found.seconds(name) for name in starts)}; {found.seconds('python -c pass')}"),
        ("a million ids inline in YAML", _of_floor(found, inline, _MILLION)),
        *((f"5,000 indexes of {ids} ids: of one index with as many ids; of one with as many declarations",
           f"{_number(found.ratio(f'plan, many indexes, {ids} ids each', 'plan, one index', 5_000 * ids))}; "
           + _number(found.ratio(f"plan, many indexes, {ids} ids each", f"plan, one index, {ids} ids a declaration",
                                 5_000 * ids)))
          for ids in (2, 200)),
        ("parsing alone, with the parser in C: of 5,000 indexes of 2 ids, of one index with as many ids",
         _number(found.ratio("parsing alone: plan, many indexes, 2 ids each", "parsing alone: plan, one index", 10_000))),
        ("10,000 names, nothing changed: `plan`; octoDNS, YAML to YAML",
         f"{found.seconds(ours, 10_000)}; {found.seconds('octodns-sync, YAML to YAML')}"),
        ("5,000 names, nothing changed: `plan`; Terraform, `count`, `for_each` over a map, a set of 1,000",
         "; ".join([found.seconds(ours, 5_000), ", ".join([
             found.seconds(f"{terraform}, count", 5_000), found.seconds(f"{terraform}, for_each over a map", 5_000),
             found.seconds(f"{terraform}, for_each over a set", 1_000)])])),
        ("a delete of a hundred ids, nothing recorded: `cloudflare` SDK in a loop (CPU), wrangler",
         ", ".join([found.figure("cloudflare SDK, a loop of delete_by_ids", "cpu_milliseconds_a_request", "{:.2f} ms"),
                    found.seconds("wrangler vectorize delete-vectors, 100 ids")])),
    ]  # fmt: skip


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}"


def main(arguments: Sequence[str]) -> int:
    """Print it."""
    document = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    sys.stdout.write(performance(Figures(document)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
