"""What is to be reached, and whether it was: ratios within one run on one machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from benchmarks import applies, peers, plans, startup, states
from benchmarks.bench import Bench, megabytes
from benchmarks.data import ORDERS

MILLION, TEN_MILLION = 1_000_000, 10_000_000


@dataclass(frozen=True)
class Goal:
    """One number that is to be reached.

    Attributes:
        number: of the goal.
        what: is measured.
        case: which it is about: name and ids.
        value: measured; None when it was not.
        bound: that it may not exceed; with `least`: that it must reach.
        unit: x, MB, ms, % or requests.
        why_not: why there is no value.
    """

    number: int
    what: str
    case: tuple[str, int]
    value: float | None
    bound: float
    unit: str
    least: bool = False
    why_not: str = "not measured"

    @property
    def met(self) -> bool | None:
        """None when it was not measured."""
        if self.value is None:
            return None
        return self.value >= self.bound if self.least else self.value <= self.bound

    def document(self) -> dict[str, object]:
        """As JSON."""
        return {
            "goal": self.number,
            "what": self.what,
            "case": self.case[0],
            "ids": self.case[1],
            "value": self.value,
            "bound": self.bound,
            "at_least": self.least,
            "unit": self.unit,
            "met": self.met,
        }


def all_goals(bench: Bench) -> list[Goal]:
    """All of them, in their order. Those whose sizes were not asked for are there without a value."""
    rules: tuple[Callable[[Bench], Iterator[Goal]], ...] = (
        _plans, _unchanged, _memory, _growth, _apply, _state, _startup, _targets, _peers,
    )  # fmt: skip
    return [goal for rule in rules for goal in rule(bench)]


def _ratio(one: float | None, other: float | None) -> float | None:
    return None if one is None or not other else one / other


def _plans(bench: Bench) -> Iterator[Goal]:
    for size, bounds in ((MILLION, (1.2, 0.7)), (TEN_MILLION, (1.3, 0.5))):
        for order, bound in zip(ORDERS, bounds, strict=True):
            for recorded in plans.RECORDED:
                for cache in plans.CACHES:
                    case = (plans.name(order, recorded, cache), size)
                    value = _ratio(bench.median(*case), bench.median("floor", size))
                    yield Goal(1, f"{case[0]}: time, of F", case, value, bound, "x")
    case = ("plan, ids inline in YAML, cache cold", MILLION)
    value = _ratio(bench.median(*case), bench.median("floor", MILLION))
    yield Goal(1, f"{case[0]}: time, of F", case, value, 2.2, "x")


def _unchanged(bench: Bench) -> Iterator[Goal]:
    for size in (MILLION, TEN_MILLION):
        for order in ORDERS:
            case = (plans.name(order, "all recorded", "warm"), size)
            value = _ratio(bench.median(*case), unchanged_yardstick(bench, order, size))
            yield Goal(2, f"{case[0]}: time, of hashing + start-up", case, value, 1.3, "x")


def unchanged_yardstick(bench: Bench, order: str, size: int) -> float | None:
    """Seconds to hash the files and to check the log, and to start up: a plan of one id."""
    hashing, start = bench.median(f"hashing, {order}", size), bench.median("plan of one id", 1)
    python = bench.median(startup.PASS) or 0.0
    return None if hashing is None or start is None else hashing - python + start


def _memory(bench: Bench) -> Iterator[Goal]:
    bare = bench.median("plan of one id", 1, "memory")
    for size in (MILLION, TEN_MILLION):
        floor = bench.median("floor", size, "memory")
        for order in ORDERS:
            names = [plans.name(order, recorded, cache) for recorded in plans.RECORDED for cache in plans.CACHES]
            for name in (*names, f"apply, {order}", f"verify --all, {order}"):
                case = (name, size)
                used = bench.median(name, size, "memory")
                if size == TEN_MILLION:
                    value = None if used is None else megabytes(used)
                    yield Goal(3, f"{name}: memory", case, value, 130 if order == "sorted" else 400, "MB")
                elif order == "sorted":
                    above = None if used is None or bare is None else used - bare
                    value = _ratio(above, floor)
                    yield Goal(3, f"{name}: memory above bare imports, of F's", case, value, 0.2, "x")
                else:
                    yield Goal(3, f"{name}: memory, of F's", case, _ratio(used, floor), 0.6, "x")


def _growth(bench: Bench) -> Iterator[Goal]:
    for order in ORDERS:
        for recorded in plans.RECORDED:
            name = plans.name(order, recorded, "cold")
            case = (name, TEN_MILLION)
            value = _ratio(bench.median(*case), bench.median(name, MILLION))
            yield Goal(4, f"{name}: time, of that of a million", case, value, 12, "x")
            times = [(size, bench.median(name, size)) for size in bench.measured]
            an_id = [time / size for size, time in times if time is not None]
            steps = [later / earlier for earlier, later in pairwise(an_id)]
            case = (name, bench.measured[-1])
            # Medians of few runs vary by some percent: flat is what is within a tenth.
            yield Goal(
                4, f"{name}: time an id, of that of a tenth as many", case, max(steps, default=None), 1.1, "x"
            )


def _apply(bench: Bench) -> Iterator[Goal]:
    found = [key for key in bench.found if key[0].startswith("apply, ")]
    for concurrency, latency in applies.PACES:
        name = applies.pace_name(concurrency, latency)
        case = (name, 100 * applies.DELETES)
        pace, spent = (bench.median(*case, what) for what in ("pace", "cpu_milliseconds_a_request"))
        yield Goal(5, f"{name}: deletes, of concurrency / latency", case, pace and pace * 100, 92, "%", least=True)
        yield Goal(5, f"{name}: client CPU a request", case, spent, 1.0, "ms")
    for order in ORDERS:
        case = (f"apply, {order}", MILLION)
        yield Goal(
            5,
            f"{case[0]}: client CPU a request",
            case,
            bench.median(*case, "cpu_milliseconds_a_request"),
            1.0,
            "ms",
        )
    case = next((key for key in found if key[0] == applies.BUDGET), (applies.BUDGET, 0))
    used = bench.median(*case, "used")
    yield Goal(5, f"{applies.BUDGET}: used in a window", case, used and used * 100, 98, "%", least=True)
    yield Goal(5, f"{applies.BUDGET}: most in five minutes", case, bench.median(*case, "most"), 1_200, "requests")


def _state(bench: Bench) -> Iterator[Goal]:
    for order in ORDERS:
        case = (f"apply, {order}", MILLION)
        value = bench.median(*case, "state_bytes_an_id_byte")
        yield Goal(6, f"{case[0]}: bytes of the state, of those of the ids", case, value, 1.25, "x")
    case = next((key for key in bench.found if key[0] == states.RECORDING), (states.RECORDING, 0))
    yield Goal(
        6, "recording a frame: time, of a plain write and fsync", case, bench.median(*case, "to_plain"), 2, "x"
    )
    last = bench.median(*case, "last_to_first_tenth")
    # As in growth: the same is what is within a tenth.
    yield Goal(6, "recording a frame: the last tenth, of the first", case, last, 1.1, "x")


def _startup(bench: Bench) -> Iterator[Goal]:
    python = bench.median(startup.PASS)
    for name in startup.LIGHT:
        time = bench.median(name)
        yield Goal(7, f"{name}: time, of {startup.PASS}", (name, 0), _ratio(time, python), 4.5, "x")
        yield Goal(7, f"{name}: time", (name, 0), time and time * 1000, 100, "ms")
    name = startup.VALIDATE
    yield Goal(7, f"{name}: time, of {startup.PASS}", (name, 0), _ratio(bench.median(name), python), 12, "x")


def _targets(bench: Bench) -> Iterator[Goal]:
    # As in growth: as cheap is what is within a tenth. Judged where indexes have some ids: of two ids the lines around
    # them cost most, and parsing those alone takes nearly twice as long, whatever is made of them.
    name = plans.many(200)
    case = next((key for key in bench.found if key[0] == name), (name, 0))
    value = _ratio(bench.median(*case), bench.median(plans.ONE_INDEX, case[1]))
    yield Goal(8, f"{name}: time, of as many ids of one index", case, value, 1.1, "x")


def _peers(bench: Bench) -> Iterator[Goal]:
    for title, names, size, bound in (
        ("octoDNS", [peers.OCTODNS], peers.OCTODNS_SIZE, 1 / 20),
        ("Terraform's best form", peers.terraform_names(), peers.TERRAFORM_SIZES[-1], 1 / 50),
    ):
        times = [time for name in names if (time := bench.median(name, size)) is not None]
        why = bench.lacking.get("octodns" if len(names) == 1 else "terraform", "not measured")
        for cache in reversed(plans.CACHES):
            case = (plans.name("any order", "all recorded", cache), size)
            value = _ratio(bench.median(*case), min(times, default=None))
            yield Goal(9, f"{case[0]}: time, of {title}", case, value, bound, "x", why_not=why)
