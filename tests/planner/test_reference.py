"""The planner against a reference that decides one id at a time, with plain dicts and sets, over small random worlds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from reconciler.model.desired import Declaration, Desired, DesiredTarget, FileDigest, Keep, Prefix, Source
from reconciler.model.diagnostic import Position
from reconciler.model.idset import IdSet
from reconciler.model.limits import ApiSettings, IndexLimits, Limits
from reconciler.model.observation import Observation, Presence, TargetObservation
from reconciler.model.plan import Plan
from reconciler.model.target import Target
from reconciler.model.tombstones import DeclarationRecord, Projection, Status, TargetRecord
from reconciler.planner import make_plan

ORIGIN, ACCOUNT = "https://api.example", "a" * 32
OLD, NEW = "2026-01-01T00:00:00Z", "2026-09-09T00:00:00Z"
IDS = ("a/1", "a/2", "a/3", "ab", "b/1", "b/2", "é\n", "z😀")
PREFIXES = ("a/", "a", "b/", "é")
MANIFESTS = ("m/one.yaml", "m/two.yaml", "n/three.yaml")
SCOPES = ((".",), ("m",), ("m/one.yaml",), ("m/two.yaml", "n"))
NAMES = ("articles", "notes")


# Worlds, in plain values


@dataclass(frozen=True)
class Entry:
    """One declaration. Each list of ids and each prefix stands on a line of its own but for a second prefix."""

    manifest: str
    ordinal: int
    reason: str
    lists: tuple[frozenset[str], ...]
    prefixes: tuple[str, ...]
    lapsed: bool

    def places(self) -> Iterator[tuple[int, frozenset[str] | str]]:
        line = self.ordinal * 10
        for number, ids in enumerate(self.lists, 1):
            yield line + number, ids
        for text in self.prefixes:
            yield line + 9, text


@dataclass(frozen=True)
class Memory:
    """What the state knows of an index: each id's status, and the numbers of the declarations it came from."""

    pin: str | None
    status: dict[str, Status]
    numbers: dict[str, tuple[int, ...]]
    listed: dict[tuple[str, str], int]


@dataclass(frozen=True)
class Look:
    """What was read of an index; `created_on` None: it is missing."""

    created_on: str | None
    asked: frozenset[str]
    present: frozenset[str]
    listed: tuple[str, ...]
    live: int | None


@dataclass(frozen=True)
class Index:
    name: str
    entries: tuple[Entry, ...]
    kept_ids: frozenset[str]
    kept_prefixes: tuple[str, ...]
    memory: Memory | None
    look: Look | None

    @property
    def target(self) -> Target:
        return Target(ORIGIN, ACCOUNT, self.name)


@dataclass(frozen=True)
class World:
    indexes: tuple[Index, ...]
    scope: tuple[str, ...]
    observed: bool
    batch: int
    limits: Limits
    only: str | None


#: The declarations that the state remembers, the same for every index: number -> (manifest, line, reason).
REMEMBERED = {number: (manifest, 7, "then") for number, manifest in enumerate(MANIFESTS, 1)}

# One draw for a whole set, by its number: drawing id by id costs more than all planning.
subset_of_ids = st.integers(0, 2 ** len(IDS) - 1)
few_ids = subset_of_ids.map(lambda number: number & (number * 0b100001 >> 3))
few_prefixes = st.sampled_from([(), (), ("a/",), ("a",), ("b/", "é"), ("a/", "a")])
WAYS = (len(Status) + 1) ** len(IDS)  # the prime spreads small numbers, which are drawn most, over all digits
statuses = st.integers(0, WAYS - 1).map(lambda number: number * 2_654_435_761 % WAYS)
origins = st.integers(0, 6 ** len(IDS) - 1)
COMBINATIONS = ((1,), (2,), (3,), (1, 2), (1, 3), (2, 3))
LISTINGS = tuple((manifest, text) for manifest in MANIFESTS for text in PREFIXES)

an_entry = st.tuples(st.integers(0, 2), st.sampled_from(["", "one"]), few_ids, few_ids, few_prefixes)
some_entries = st.lists(st.tuples(an_entry, st.sampled_from([False, False, True])), min_size=1, max_size=3)
some_limits = st.tuples(
    st.integers(0, 10), st.sampled_from([0.0, 1.0, 2.5, 30.0]), st.sampled_from([None, *NAMES]), st.integers(0, 6)
)


def subset(number: int) -> frozenset[str]:
    return frozenset(id_ for place, id_ in enumerate(IDS) if number >> place & 1)


def digits(number: int, base: int) -> list[int]:
    return [number // base**place % base for place in range(len(IDS))]


def entry_of(scope: tuple[str, ...], ordinal: int, drawn: tuple) -> Entry:
    (manifest, reason, first, second, prefixes), lapsed = drawn
    inside = [m for m in MANIFESTS if in_scope(scope, m)]
    lists = tuple(filter(None, (subset(first), subset(second))))
    return Entry(inside[manifest % len(inside)], ordinal, reason, lists, prefixes, lapsed)


def memory_of(pin: str | None, drawn: int, combinations: int, listed: int) -> Memory:
    its = zip(IDS, digits(drawn, len(Status) + 1), strict=True)
    status = {id_: tuple(Status)[digit - 1] for id_, digit in its if digit}
    declared = dict(zip(IDS, digits(combinations, len(COMBINATIONS)), strict=True))
    numbers = {id_: COMBINATIONS[declared[id_]] for id_ in status if status[id_] is not Status.RELEASED}
    return Memory(pin, status, numbers, {each: n for n, each in enumerate(LISTINGS) if listed >> n & 1})


def look_of(created_on: str | None, asked: int, present: int, listed: tuple[str, ...], live: int | None) -> Look:
    if created_on is None:
        return Look(None, frozenset(), frozenset(), (), None)
    return Look(created_on, subset(asked), subset(asked & present), listed, live)


memories = st.builds(
    memory_of, st.sampled_from([OLD, OLD, None]), statuses, origins, st.integers(0, 2 ** len(LISTINGS) - 1)
)
looks = st.builds(
    look_of,
    st.sampled_from([OLD, OLD, NEW, NEW, None]),
    st.sampled_from([0b11111111, 0b11110111, 0b1010101]),
    subset_of_ids,
    st.sampled_from([PREFIXES, PREFIXES[:2], ()]),
    st.sampled_from([None, 99, 100, 101, 1000]),
)
an_index = st.tuples(
    some_entries, st.sampled_from([0, 0, 0b11, 0b10101]), few_prefixes, st.none() | memories, st.none() | looks
)


def world_of(scope, observed, batch, only, limits, indexes) -> World:
    most, part, overridden, override = limits
    return World(
        tuple(
            Index(
                name,
                tuple(entry_of(scope, ordinal, entry) for ordinal, entry in enumerate(entries, 1)),
                subset(kept_ids),
                kept_prefixes,
                memory,
                look if observed else None,
            )
            for name, (entries, kept_ids, kept_prefixes, memory, look) in zip(NAMES, indexes, strict=False)
        ),
        scope,
        observed,
        batch,
        Limits(most, part, per_index={overridden: IndexLimits(override, 2.0)} if overridden else {}),
        only,
    )


def any_world(observed):
    return st.builds(
        world_of,
        st.sampled_from(SCOPES),
        observed,
        st.integers(1, 4),
        st.sampled_from([None, None, None, "articles"]),
        some_limits,
        st.lists(an_index, min_size=1, max_size=2),
    )


worlds, offline_worlds = any_world(st.booleans()), any_world(st.just(value=False))


# The same worlds as the planner takes them


def declaration_of(index: Index, entry: Entry) -> Declaration:
    sources, prefixes = [], []
    for line, what in entry.places():
        at = Position(entry.manifest, line)
        if isinstance(what, str):
            prefixes.append(Prefix(what, at))
        else:
            sources.append(Source(at, "ids", IdSet.of(what)))
    place = Position(entry.manifest, entry.ordinal * 10)
    return Declaration(place, entry.ordinal, index.target, entry.reason, None, tuple(sources), tuple(prefixes))


def desired_of(world: World) -> Desired:
    at = Position("m/hold.yaml", 1)
    targets, keeps = [], []
    for index in world.indexes:
        keep = Keep(
            at,
            index.name,
            None,
            "hold",
            (Source(at, "ids", IdSet.of(index.kept_ids)),),
            tuple(Prefix(text, at) for text in index.kept_prefixes),
        )
        keeps.append(keep)
        in_force = tuple(declaration_of(index, e) for e in index.entries if not e.lapsed)
        lapsed = tuple(declaration_of(index, e) for e in index.entries if e.lapsed)
        targets.append(DesiredTarget(index.target, in_force, lapsed, (keep,)))
    files = (FileDigest("m/one.yaml", "00" * 32),)
    return Desired(tuple(targets), tuple(keeps), files, world.scope)


def projection_of(world: World) -> Projection:
    targets, declarations = {}, {}
    for place, index in enumerate(world.indexes):
        memory, number = index.memory, place + 1
        if memory is None:
            continue
        by_status = {
            s: IdSet.of(i for i, its in memory.status.items() if its is s) for s in memory.status.values()
        }
        groups: dict[tuple[int, ...], list[str]] = {}
        for id_, numbers in memory.numbers.items():
            groups.setdefault(tuple(place * 10 + n for n in numbers), []).append(id_)
        by_declaration = tuple((numbers, IdSet.of(ids)) for numbers, ids in sorted(groups.items()))
        targets[number] = TargetRecord(
            number, index.target, memory.pin, by_status=by_status, by_declaration=by_declaration
        )
        for each, (manifest, line, reason) in REMEMBERED.items():
            listed = tuple(
                {"text": text, "count": count, "digest": "0" * 64}
                for (where, text), count in memory.listed.items()
                if where == manifest
            )
            declarations[place * 10 + each] = DeclarationRecord(
                place * 10 + each, number, manifest, line, 50 + each, reason, None, (), listed, {}, "t"
            )
    return Projection("L", 12, "h" * 64, ORIGIN, targets, declarations)


def matches_of(look: Look) -> dict[str, set[str]]:
    return {text: {each for each in look.present if each.startswith(text)} for text in look.listed}


def observation_of(world: World) -> Observation | None:
    if not world.observed:
        return None
    seen = {}
    for index in world.indexes:
        look = index.look
        if look is None:
            continue
        presence = Presence.FOUND
        if look.created_on is None:
            presence = Presence.MISSING
        elif recreated(index):
            presence = Presence.RECREATED
        matches = {text: IdSet.of(ids) for text, ids in matches_of(look).items()}
        seen[index.target] = TargetObservation(
            index.target,
            presence,
            look.created_on,
            IdSet.of(look.asked),
            IdSet.of(look.present),
            look.live,
            "list",
            matches,
        )
    return Observation(seen)


def plan_of(world: World) -> Plan:
    return make_plan(
        desired_of(world),
        projection_of(world),
        observation_of(world),
        world.limits,
        ApiSettings(batch_size=world.batch),
        origin=ORIGIN,
        only=world.only,
    )


# The reference


#: design.md and the planner's docstring: status -> (offline or not asked, present, absent); "=" is only counted.
NEW_ID, ABSENT, AGAIN = ("delete", "new"), ("already_absent", "found-absent"), ("reappeared", "reappeared")
ANEW, UNKNOWN = ("delete", "declared-again"), ("resend", "outcome-unknown")
TABLE = {
    None: (NEW_ID, NEW_ID, ABSENT),
    Status.RELEASED: (ANEW, ANEW, ABSENT),
    Status.UNRESOLVED: (UNKNOWN, UNKNOWN, ABSENT),
    Status.ACCEPTED: (("confirm", "accepted"),) * 3,
    Status.PROCESSED: (("confirm", "processed"),) * 3,
    Status.VERIFIED: (("unchanged", "verified"), AGAIN, ("unchanged", "verified")),
    Status.REAPPEARED: (AGAIN, AGAIN, ABSENT),
}
LAPSED = {
    Status.UNRESOLVED: ("blocked", "lapsed-unknown"),
    Status.ACCEPTED: ("confirm", "lapsed-unverified"),
    Status.PROCESSED: ("confirm", "lapsed-unverified"),
    Status.VERIFIED: ("release", "lapsed"),
    Status.REAPPEARED: ("release", "lapsed"),
}
SENDS = {"delete", "resend", "reappeared"}

Fate = tuple[str, str, tuple[tuple[str, int, str], ...]]


def in_scope(scope: tuple[str, ...], manifest: str) -> bool:
    return any(path in (".", manifest) or manifest.startswith(path + "/") for path in scope)


def recreated(index: Index) -> bool:
    look, memory = index.look, index.memory
    return bool(look and memory and look.created_on and memory.pin is not None and look.created_on != memory.pin)


def kept(index: Index, id_: str) -> bool:
    return id_ in index.kept_ids or any(id_.startswith(text) for text in index.kept_prefixes)


def explicit(index: Index, id_: str, *, lapsed: bool) -> bool:
    return any(id_ in ids for e in index.entries if e.lapsed is lapsed for ids in e.lists)


def matched(index: Index, id_: str, *, lapsed: bool) -> bool:
    """A prefix names it, and the index or the state is known to hold it."""
    for entry in index.entries:
        for text in entry.prefixes:
            if entry.lapsed is lapsed and id_.startswith(text):
                if index.memory and id_ in index.memory.numbers:
                    return True
                if index.look and id_ in matches_of(index.look).get(text, ()):
                    return True
    return False


def wanted(index: Index, id_: str) -> bool:
    if explicit(index, id_, lapsed=False):
        return True
    return matched(index, id_, lapsed=False) and not kept(index, id_)


def places(index: Index, id_: str, *, lapsed: bool) -> tuple[tuple[str, int, str], ...]:
    found = set()
    for entry in index.entries:
        for line, what in entry.places():
            here = id_.startswith(what) if isinstance(what, str) else id_ in what
            if here and entry.lapsed is lapsed:
                found.add((entry.manifest, line, entry.reason))
    return tuple(sorted(found))


def fate(world: World, index: Index, id_: str) -> Fate | None:
    """What must happen to `id_`; None: it is not spoken of."""
    memory, look = index.memory, index.look
    status = memory.status.get(id_) if memory else None
    column = 0 if look is None or id_ not in look.asked else 1 if id_ in look.present else 2
    if wanted(index, id_):
        where = places(index, id_, lapsed=False)
        if look and look.created_on is None:
            return ("blocked", "index-missing", where)
        if kept(index, id_):
            return ("blocked", "kept", where)
        if recreated(index):
            return (*(ABSENT if column == 2 else ("delete", "index-recreated")), where)
        return (*TABLE[status][column], where)
    if memory is None or status is None or recreated(index) or (look and look.created_on is None):
        return None
    then = [REMEMBERED[number] for number in memory.numbers.get(id_, ())]
    may_release = bool(then) and all(in_scope(world.scope, manifest) for manifest, _, _ in then)
    if explicit(index, id_, lapsed=True) or matched(index, id_, lapsed=True):
        what = LAPSED.get(status)
        if what is None:
            return None
        forbidden = {"release": not may_release, "resend": kept(index, id_), "confirm": False, "blocked": False}[
            what[0]
        ]
        return None if forbidden else (*what, places(index, id_, lapsed=True))
    return ("release", "undeclared", tuple(sorted(set(then)))) if may_release else None


def fates(world: World, index: Index) -> dict[str, Fate]:
    if world.only not in (None, index.name):
        return {}
    found = {id_: fate(world, index, id_) for id_ in IDS}
    return {id_: what for id_, what in found.items() if what is not None}


def unresolved(world: World) -> bool:
    """A prefix in force that was neither listed now nor, for its manifest, before."""
    for index in world.indexes:
        for entry in index.entries:
            if entry.lapsed or world.only not in (None, index.name):
                continue
            for text in entry.prefixes:
                now = index.look is not None and text in index.look.listed
                before = index.memory is not None and (entry.manifest, text) in index.memory.listed
                if not now and not before:
                    return True
    return False


def percent(index: Index, sent: set[str]) -> float | None:
    look = index.look
    if look is None or look.live is None or look.live < 100:
        return None
    return 100 * len(sent & look.present) / look.live


def refusals(world: World) -> Counter[str]:
    found: Counter[str] = Counter()
    total = 0
    for index in world.indexes:
        decided = fates(world, index)
        sent = {id_ for id_, what in decided.items() if what[0] in SENDS}
        limit = world.limits.per_index.get(index.name)
        most = limit.max_deletes if limit else world.limits.max_deletes
        part = limit.max_percent if limit else world.limits.max_percent
        total += len(sent)
        found["max-deletes"] += len(sent) > most
        found["max-percent"] += (percent(index, sent) or 0) > part
        found["kept-ids"] += any(what[1] == "kept" for what in decided.values())
    found["max-deletes"] += total > world.limits.max_deletes
    return +found


# The properties


many = settings(max_examples=150, deadline=None)
some = settings(max_examples=60, deadline=None)


def said(plan: Plan) -> dict[str, dict[str, Fate]]:
    """index -> id -> what the plan does to it. No id is in two actions."""
    found: dict[str, dict[str, Fate]] = {}
    for index, action in plan.actions():
        here = found.setdefault(index.target.index, {})
        for id_ in action.ids:
            assert id_ not in here, f"{id_!r} is in two actions"
            here[id_] = (
                action.kind.value,
                action.reason,
                tuple((s.path, s.line, s.reason) for s in action.sources),
            )
    return found


@given(worlds)
@many
def test_every_id_meets_the_fate_that_the_table_gives_it(world):
    plan = plan_of(world)
    found = said(plan)
    for index in world.indexes:
        expected = fates(world, index)
        listed = {id_: what for id_, what in expected.items() if what[0] != "unchanged"}
        assert found.get(index.name, {}) == listed
        (summary,) = [p.summary for p in plan.indexes if p.target == index.target] or [None]
        if summary is None:
            assert not expected
            continue
        kinds = Counter(what[0] for what in expected.values())
        sent = sum(kinds[kind] for kind in SENDS)
        requests = ceil(sent / world.batch) if sent else int(bool(kinds["already_absent"]))
        assert +Counter(summary.as_dict()) == +(kinds + Counter(requests=requests))
        for kind in kinds:
            event(kind)
    assert plan.summary.as_dict() == {
        name: sum(p.summary.as_dict()[name] for p in plan.indexes) for name in plan.summary.as_dict()
    }


@given(worlds)
@many
def test_limits_keeps_and_prefixes_forbid_exactly_what_they_should(world):
    plan = plan_of(world)
    assert Counter(d.code for d in plan.diagnostics if d.severity == "refusal") == refusals(world)
    assert plan.refused is bool(refusals(world))
    assert plan.unresolved_prefixes is unresolved(world)
    assert plan.complete is (not unresolved(world) and world.only is None)
    assert not plan.errored
    if plan.applyable:
        assert not plan.refused
        assert not plan.unresolved_prefixes
    for planned in plan.indexes:
        (index,) = [i for i in world.indexes if i.target == planned.target]
        sent = {id_ for id_, what in fates(world, index).items() if what[0] in SENDS}
        assert planned.percent == pytest.approx(percent(index, sent))
        cut_out = {
            id_
            for id_ in IDS
            if kept(index, id_) and matched(index, id_, lapsed=False) and not explicit(index, id_, lapsed=False)
        }
        assert planned.kept == len(cut_out)
        assert (planned.observed_created_on == NEW) is recreated(index)
        assert planned.created_on == (index.memory.pin if index.memory else None)
    unchecked = any(p.summary.sends and p.percent is None for p in plan.indexes)
    assert any(d.code == "percent-not-checked" for d in plan.diagnostics) is unchecked


@given(worlds)
@some
def test_a_kept_id_is_never_sent(world):
    for planned in plan_of(world).indexes:
        (index,) = [i for i in world.indexes if i.target == planned.target]
        assert not [id_ for id_ in planned.to_send if kept(index, id_)]


@given(worlds)
@some
def test_an_id_that_no_manifest_names_is_never_sent(world):
    """Rule 4 of design.md. An id whose declaration lapsed is sent only while the outcome of its delete is unknown."""
    for planned in plan_of(world).indexes:
        (index,) = [i for i in world.indexes if i.target == planned.target]
        for id_ in planned.to_send:
            if not places(index, id_, lapsed=False):
                assert places(index, id_, lapsed=True)
                assert index.memory.status[id_] is Status.UNRESOLVED


@given(worlds)
@some
def test_nothing_is_released_that_a_manifest_outside_of_the_paths_had_declared(world):
    for index, released in said(plan_of(world)).items():
        (memory,) = [i.memory for i in world.indexes if i.name == index]
        for id_, what in released.items():
            if what[0] == "release":
                manifests = [REMEMBERED[number][0] for number in memory.numbers[id_]]
                assert manifests
                assert all(in_scope(world.scope, manifest) for manifest in manifests)


@given(worlds)
@some
def test_the_same_input_gives_the_same_plan(world):
    assert plan_of(world) == plan_of(world)


@given(worlds, st.randoms(use_true_random=False))
@some
def test_the_order_of_the_input_never_shows(world, random):
    def shuffled(items):
        return tuple(random.sample(items, len(items)))

    desired, projection, observation = desired_of(world), projection_of(world), observation_of(world)
    targets = shuffled(
        [replace(t, declarations=shuffled(t.declarations), lapsed=shuffled(t.lapsed)) for t in desired.targets]
    )
    records = {
        number: replace(record, by_declaration=shuffled(record.by_declaration))
        for number, record in shuffled(list(projection.targets.items()))
    }
    other = make_plan(
        replace(desired, targets=targets, keeps=shuffled(desired.keeps)),
        replace(projection, targets=records),
        observation,
        world.limits,
        ApiSettings(batch_size=world.batch),
        origin=ORIGIN,
        only=world.only,
    )
    plan = plan_of(world)
    assert other.fingerprint == plan.fingerprint
    assert [replace(index, prefixes=()) for index in other.indexes] == [
        replace(index, prefixes=()) for index in plan.indexes
    ]


def essence(world: World) -> object:
    """What design.md binds an approval to, said by the reference; files and scope are the same in every world here."""
    targets, names = {}, set()
    for index in world.indexes:
        decided = fates(world, index)
        moves = {(id_, what[0]) for id_, what in decided.items() if what[0] in {*SENDS, "release"}}
        prefixes = []
        for entry in index.entries:
            for text in entry.prefixes:
                if entry.lapsed or world.only not in (None, index.name):
                    continue
                if index.look and text in index.look.listed:
                    prefixes.append((text, tuple(sorted(matches_of(index.look)[text]))))
                else:
                    prefixes.append(
                        (text, (index.memory is not None and (entry.manifest, text) in index.memory.listed))
                    )
        if decided or prefixes:
            names.add(index.name)
        if moves or prefixes:
            pin = index.memory.pin if index.memory else None
            seen = index.look.created_on if recreated(index) else None
            targets[index.name] = (pin, seen, frozenset(moves), sorted(prefixes, key=repr))
    limits = {name: world.limits.of(name).as_dict() for name in names}
    return targets, limits, world.limits.max_deletes


@given(worlds, st.data())
@many
def test_two_plans_share_a_fingerprint_only_if_they_do_the_same(world, data):
    """The second world differs from the first in what is remembered or seen of one index."""
    first = world.indexes[0]
    change = data.draw(st.sampled_from(["memory", "status", "look"]))
    if change == "memory":
        changed = replace(first, memory=data.draw(st.none() | memories))
    elif change == "look":
        changed = replace(first, look=data.draw(st.none() | looks) if world.observed else None)
    else:
        memory = first.memory or data.draw(memories)
        id_ = data.draw(st.sampled_from(IDS))
        status = {
            **memory.status,
            id_: data.draw(st.sampled_from([s for s in Status if s is not Status.RELEASED])),
        }
        changed = replace(first, memory=replace(memory, status=status, numbers={id_: (1,), **memory.numbers}))
    other = replace(world, indexes=(changed, *world.indexes[1:]))
    same = essence(world) == essence(other)
    event(f"same essence: {same}")
    assert (plan_of(world).fingerprint == plan_of(other).fingerprint) is same


FORWARD = {Status.ACCEPTED: (Status.PROCESSED, Status.VERIFIED), Status.PROCESSED: (Status.VERIFIED,)}


@given(offline_worlds, st.data())
@some
def test_progress_of_what_was_sent_never_makes_an_approval_stale(world, data):
    """Of declared ids: that a lapsed one is verified is news, it may be released."""
    indexes = []
    for index in world.indexes:
        if index.memory is not None:
            status = {
                id_: data.draw(st.sampled_from((its, *FORWARD.get(its, ())))) if wanted(index, id_) else its
                for id_, its in index.memory.status.items()
            }
            index = replace(index, memory=replace(index.memory, status=status))  # noqa: PLW2901
        indexes.append(index)
    assert plan_of(replace(world, indexes=tuple(indexes))).fingerprint == plan_of(world).fingerprint
