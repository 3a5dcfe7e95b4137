"""Plans of all kinds, as values and as text."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from typing import Any

from hypothesis import strategies as st

from reconciler import planfile
from reconciler.model.desired import FileDigest
from reconciler.model.diagnostic import Diagnostic, Position, Severity
from reconciler.model.idset import IdSet
from reconciler.model.plan import (
    Action,
    ActionKind,
    ActionSource,
    Cost,
    IndexPlan,
    Plan,
    PrefixPlan,
    StateRef,
    Summary,
)
from reconciler.model.target import Target

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"
LISTED = [kind for kind in ActionKind if kind is not ActionKind.UNCHANGED]

any_text = st.text(st.characters(exclude_categories=()), max_size=8)
ids = st.text(min_size=1, max_size=16).filter(lambda text: len(text.encode()) <= 64)
digests = st.integers(0, 2**256 - 1).map(lambda number: f"{number:064x}")
counts = st.integers(0, 10**9)
sources = st.builds(ActionSource, any_text, counts, any_text)
prefixes = st.builds(PrefixPlan, any_text, any_text, counts, st.none() | counts, st.none() | digests)
positions = st.builds(Position, any_text, counts, counts)
severities = st.sampled_from(list(Severity))
diagnostics = st.builds(
    Diagnostic, severities, any_text, any_text, any_text, st.none() | positions, st.tuples() | st.tuples(positions)
)


@st.composite
def index_plans(draw: st.DrawFn, name: str) -> IndexPlan:
    chosen = draw(st.lists(ids, unique=True, max_size=12))
    cuts = draw(st.lists(st.integers(1, 4), max_size=4))
    left = iter(chosen)
    actions = []
    for size in cuts:
        taken = IdSet.of(islice(left, size))
        kind = draw(st.sampled_from(LISTED))
        actions.append(Action(kind, draw(any_text), tuple(draw(st.lists(sources, max_size=2))), taken))
    summary = Summary(
        **{k.value: sum(len(a.ids) for a in actions if a.kind is k) for k in LISTED},
        unchanged=draw(counts),
        requests=draw(counts),
    )
    live = draw(st.none() | counts)
    return IndexPlan(
        Target(draw(st.sampled_from(["loopback", "https://api.cloudflare.com"])), ACCOUNT, name),
        draw(st.none() | any_text),
        summary,
        tuple(actions),
        tuple(draw(st.lists(prefixes, max_size=2))),
        live,
        None if live is None else draw(st.none() | st.floats(0, 1e6)),
        draw(counts),
        draw(st.none() | any_text),
        draw(any_text),
        draw(counts),
    )


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    names = draw(st.lists(ids, unique=True, max_size=3))
    indexes = tuple(draw(index_plans(name)) for name in names)
    unresolved = any(prefix.count is None for index in indexes for prefix in index.prefixes)
    return Plan(
        "sha256:" + draw(digests),
        StateRef(draw(any_text), draw(counts), draw(digests)),
        tuple(draw(st.lists(st.builds(FileDigest, any_text, digests), max_size=2))),
        draw(st.booleans()),
        draw(st.booleans()) and not unresolved,
        Summary.total(index.summary for index in indexes),
        indexes,
        tuple(draw(st.lists(diagnostics, max_size=3))),
        draw(st.floats(0, 1e6)),
        Cost(draw(counts), draw(counts), draw(counts), draw(st.floats(0, 1e6))),
        draw(st.dictionaries(ids, st.dictionaries(ids, st.floats(0, 1e6) | counts, max_size=2), max_size=2)),
        unresolved,
    )


def encoded(plan: Plan, **more: Any) -> bytes:
    return "".join(planfile.encode(plan, **({"tool_version": "0.1.0", "created_at": NOW} | more))).encode("ascii")


def sample() -> Plan:
    action = Action(
        ActionKind.DELETE,
        "new",
        (ActionSource("manifests/gdpr.yaml", 7, "GDPR"),),
        IdSet.of(["é", "b", "\x1b[1m"]),
    )
    release = Action(ActionKind.RELEASE, "undeclared", (), IdSet.of(["r"]))
    summary = Summary(delete=3, release=1, unchanged=4, requests=1)
    index = IndexPlan(Target("loopback", ACCOUNT, "articles"), None, summary, (action, release))
    return Plan("sha256:" + "0" * 64, StateRef("0b5e", 12, "a" * 64), (), False, True, summary, (index,))
