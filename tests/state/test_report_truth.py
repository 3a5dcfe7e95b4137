"""A report never says "Done" falsely, and always says it when it is true: against what the test itself knows.

The test knows what each manifest named when it was applied, what stood in the index then, and what it put back since.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from contextlib import suppress
from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.errors import ExitCode, ReconcilerError
from reconciler.model.notices import Problem
from reconciler.model.target import LOOPBACK, Target
from reconciler.model.tombstones import Status
from reconciler.state import events as ev
from reconciler.state.proofs import proofs
from reconciler.state.report import make_report

LIVE = ["a/0", "a/1", "a/2", "b/0", "b/1", "b/2"]
POOL = [*LIVE, "a/3", "b/3"]
PART = "manifests/other.yaml"

some_ids = st.sets(st.sampled_from(POOL), max_size=4)
entries = st.fixed_dictionaries(
    {
        "reason": st.sampled_from(["t1", "t2", "t3"]),
        "ids": some_ids,
        "file": st.one_of(st.just(set()), some_ids),
        "prefix": st.sampled_from([None, None, None, "a/", "b/"]),
        "until": st.sampled_from([None] * 6 + ["2999-01-01", "2026-01-02"]),
    }
)
steps = st.fixed_dictionaries(
    {
        "manifests/gdpr.yaml": st.lists(entries, max_size=3),
        PART: st.lists(entries, max_size=2),
        "keep": st.sampled_from([()] * 5 + [("a/1",)]),
        "edit": st.sampled_from([True, True, False]),
        "part": st.sampled_from([False] * 4 + [True]),
        "saved": st.sampled_from([False, False, False, True]),
        "refresh": st.booleans(),
        "wait": st.booleans(),
        "interrupt": st.sampled_from([None, None, None, 1, 2, 3]),
        "fault": st.sampled_from(
            [None, None, None, "null_mutation", "drop_after", "drop_before", "rejected", "once"]
        ),
        "recreate": st.sampled_from([False] * 8 + [True]),
        "back": st.sets(st.sampled_from(POOL), max_size=3),
        "verify": st.sampled_from([None, "verify", "audit"]),
    }
)


@dataclass
class Named:
    """What one entry named when it was applied: at least, and at most."""

    least: set[str]
    most: set[str]
    lapsed: bool


@dataclass
class Known:
    """What the test knows.

    Attributes:
        numbers: by number of a declaration.
        applied: by manifest: its entries as they were applied last, by their place.
        listed: by (manifest, prefix): what its last list found.
        returned: what was put into the index again.
        whole: everything that is declared was applied to the end, with its prefixes listed.
    """

    numbers: dict[int, Named] = field(default_factory=dict)
    applied: dict[str, dict[int, Named]] = field(default_factory=dict)
    listed: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    returned: set[str] = field(default_factory=set)
    whole: bool = False


def write(world, step):
    """The manifests of a step. An entry that names nothing is left out."""
    for path in ("manifests/gdpr.yaml", PART):
        step[path] = [each for each in step[path] if each["ids"] or each["file"] or each["prefix"]]
        documents = []
        for each in step[path]:
            document = {"index": "docs", "reason": each["reason"], "ids": sorted(each["ids"])}
            if each["file"]:
                name = hashlib.sha256(repr(sorted(each["file"])).encode()).hexdigest()[:8] + ".txt"
                world.write(f"manifests/{name}", "".join(f"{i}\n" for i in sorted(each["file"])))
                document["ids_from"] = [{"path": name}]
            if each["prefix"]:
                document["prefixes"] = [each["prefix"]]
            if each["until"]:
                document["until"] = dt.date.fromisoformat(each["until"])
            documents.append({key: value for key, value in document.items() if value})
        (world.root / path).unlink(missing_ok=True)
        if documents:
            world.manifest(*documents, name=path.removeprefix("manifests/"))
    keep = [{"index": "docs", "reason": "hold", "ids": ["kept", *step["keep"]]}]
    world.manifest(name="keeps.yaml", keep=keep)


def named(world, known, step, *, listed):
    """What the entries of a step name, by manifest and place; and what its prefixes match, by manifest and text."""
    record = world.state.live(Target(LOOPBACK, world.account, "docs"))
    remembered = set() if record is None else set(record.ids(*Status)) - set(record.ids(Status.RELEASED))
    live = set(world.live())
    paths = [PART] if step["part"] else ["manifests/gdpr.yaml", PART]
    everything = {i for path in paths for each in step[path] for i in each["ids"] | each["file"]}
    found, lists = {}, {}
    for path in paths:
        found[path] = {}
        for place, each in enumerate(step[path], 1):
            lists_ids = each["ids"] | each["file"]
            least, most = set(lists_ids), set(lists_ids)
            if each["prefix"]:
                before = known.listed.get((path, each["prefix"]), set())
                matched = {i for i in live if i.startswith(each["prefix"])} if listed else before
                might = {i for i in live | remembered | everything | before if i.startswith(each["prefix"])}
                least |= matched - set(step["keep"])
                most |= might - set(step["keep"])
                if listed and each["until"] != "2026-01-02":
                    lists[path, each["prefix"]] = matched
            found[path][place] = Named(least, most, lapsed=each["until"] == "2026-01-02")
    return found, lists


def carry_out(world, known, step):
    """One apply; what the test knows afterwards."""
    write(world, step)
    if step["recreate"]:
        world.emulator.delete_index(world.account, "docs")
        world.seed(["kept", *LIVE])
        known.returned |= set(LIVE)
    refresh = step["refresh"] or step["recreate"]
    paths = [PART] if step["part"] and step[PART] else []
    step["part"] = bool(paths)
    prefixes = any(each["prefix"] for path in ("manifests/gdpr.yaml", PART) for each in step[path])
    listed = refresh or not (prefixes and step["saved"])
    found, lists = named(world, known, step, listed=listed)
    numbers = set(world.state.declarations)
    known.whole = False
    arrived = []

    def interrupt(ids):
        arrived.append(ids)
        if len(arrived) == step["interrupt"]:
            world.interrupts.request()

    try:
        saved = world.save(*paths, refresh=refresh) if step["saved"] else None
        if step["fault"] == "rejected":
            world.fault("error", nth=2, times=9, status=400)
        elif step["fault"] is not None:
            kind, times = ("null_mutation", 1) if step["fault"] == "once" else (step["fault"], 9)
            world.fault(kind, times=times)
        world.on_delete(interrupt)
        options = {"wait": step["wait"], "timeout": 200}
        if saved is None:
            result = world.apply(*paths, refresh=refresh, **options)
        else:
            result = world.apply(saved=saved, **options)
    except ReconcilerError:
        result = None
    finally:
        world.emulator.faults.clear()
        world.bridge.before.clear()
    state = world.state
    for number in state.declarations.keys() - numbers:
        declaration = state.declarations[number]
        known.numbers[number] = found[declaration.manifest][declaration.ordinal]
        known.listed |= lists
    blocked = any(isinstance(n, Problem) and n.diagnostic.code == "target-blocked" for n in world.notices)
    if result is None or blocked:
        return
    known.listed |= lists
    known.applied |= found
    if not paths:
        known.applied = found
        known.whole = listed and result.exit_code in (ExitCode.DONE, ExitCode.NOT_SETTLED, ExitCode.FOUND)


def check(world, known, counts):
    state, frames = world.state, world.frames()
    made = make_report(frames)
    live = set(world.live())
    for each in made.declarations:
        record = state.targets[each.newest.target]
        verified = set(record.ids(Status.VERIFIED))
        assert set().union(*map(set, each.by_status.values())) == set(each.ids)
        assert all(ids <= record.ids(status) for status, ids in each.by_status.items())
        if each.done:
            counts["done"] += 1
            least = known.numbers[each.newest.number].least
            assert not each.closed
            assert not least - verified - withdrawn(frames, record, first(state, each.newest))
            assert not (least & live) - known.returned
    record = state.live(Target(LOOPBACK, world.account, "docs"))
    if record is None:
        return
    verified = set(record.ids(Status.VERIFIED))
    newest = {(d.manifest, d.ordinal): d.number for d in state.declared(record.number)}
    by_number = {each.newest.number: each for each in made.declarations}
    for manifest, places in known.applied.items():
        for place, entry in places.items():
            if entry.lapsed:
                continue
            if made.done:
                assert entry.least <= verified
            if known.whole and entry.most and entry.most <= verified:
                counts["true"] += 1
                found = by_number[newest[manifest, place]]
                # What an audit found under a prefix that nobody named before is there, and keeps it from being done.
                assert found.done or (found.back and found.prefixes and not found.missing)


def first(state, newest):
    """The number of the first record of what `newest` names: those after it were only reworded."""
    same = [each for each in state.declared(newest.target) if each.manifest == newest.manifest]
    return min((each.number for each in same if each.names and each.names == newest.names), default=newest.number)


def withdrawn(frames, record, number):
    """Ids released after the declaration `number` was recorded, all found absent before that."""
    last, found = {}, None
    for frame in frames:
        for event in frame.events:
            if isinstance(event, ev.Declared) and event.declaration == number:
                found = set()
            elif isinstance(event, ev.Intent) and event.target == record.number:
                last |= dict.fromkeys(event.ids, event.batch)
            elif isinstance(event, ev.Released) and event.target == record.number and found is not None:
                batches = {n for first, end in event.batches for n in range(first, end + 1)}
                found |= ({i for i, batch in last.items() if batch in batches} | set(event.ids)) - set(
                    event.except_ids
                )
    proven = proofs(frames, record.number, POOL)
    found = found & set(record.ids(Status.RELEASED))
    return {i for i in found if i in proven and proven[i].back_at is None}


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
@given(st.lists(steps, min_size=1, max_size=5), st.integers(1, 3))
def test_done_is_said_when_it_is_true_and_never_otherwise(make_world, story, size):
    world, known, counts = make_world(), Known(), {"done": 0, "true": 0}
    world.seed(["kept", *LIVE, *(f"other-{n}" for n in range(20))])
    world.configure(api={"batch_size": size, "concurrency": 1}, limits={"max_percent": 100})
    for number, step in enumerate(story):
        if number and not step["edit"]:
            step |= {path: story[number - 1][path] for path in ("manifests/gdpr.yaml", PART, "keep")}
        carry_out(world, known, step)
        if not world.state_path.exists():
            continue
        check(world, known, counts)
        known.returned |= step["back"] - set(world.live())
        world.seed(step["back"])
        world.clock.advance(30)
        if step["verify"]:
            with suppress(ReconcilerError):
                world.verify(audit=step["verify"] == "audit", timeout=200)
            check(world, known, counts)
