"""Values for the planner's tests, made from as little as a test has to say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from reconciler.model.desired import Declaration, Desired, DesiredTarget, FileDigest, Keep, Prefix, Source
from reconciler.model.diagnostic import Position
from reconciler.model.idset import IdSet
from reconciler.model.limits import ApiSettings, Limits
from reconciler.model.observation import Observation, Presence, TargetObservation
from reconciler.model.plan import Plan
from reconciler.model.target import Target
from reconciler.model.tombstones import DeclarationRecord, Projection, Status, TargetRecord
from reconciler.planner import make_plan

ORIGIN = "https://api.example"
ACCOUNT = "a" * 32
PIN = "2026-01-01T00:00:00Z"
MANIFEST = "m/one.yaml"
FILES = (FileDigest(MANIFEST, "00" * 32),)


class Build:
    """Makers of values; everything has a default."""

    pin = PIN
    origin = ORIGIN
    manifest = MANIFEST

    def target(self, index: str = "articles", account: str = ACCOUNT) -> Target:
        return Target(ORIGIN, account, index)

    def declaration(
        self,
        *ids: str,
        manifest: str = MANIFEST,
        line: int = 3,
        ordinal: int = 1,
        reason: str = "why",
        until: date | None = None,
        prefixes: Iterable[str] = (),
        index: str = "articles",
        account: str = ACCOUNT,
        account_from: str = "manifest",
    ) -> Declaration:
        place = Position(manifest, line)
        sources = (Source(Position(manifest, line + 1), "ids", IdSet.of(ids)),) if ids else ()
        named = tuple(Prefix(text, Position(manifest, line + 2)) for text in prefixes)
        target = self.target(index, account)
        return Declaration(place, ordinal, target, reason, until, sources, named, account_from)

    def keep(
        self, *ids: str, index: str = "articles", prefixes: Iterable[str] = (), account: str | None = None
    ) -> Keep:
        place = Position("m/hold.yaml", 5)
        named = tuple(Prefix(text, place) for text in prefixes)
        return Keep(place, index, account, "hold", (Source(place, "ids", IdSet.of(ids)),), named)

    def desired(
        self,
        *declarations: Declaration,
        lapsed: Iterable[Declaration] = (),
        keeps: Iterable[Keep] = (),
        **more: Any,
    ) -> Desired:
        keeps, lapsed = tuple(keeps), tuple(lapsed)
        return Desired(
            targets=tuple(
                DesiredTarget(
                    target,
                    tuple(d for d in declarations if d.target == target),
                    tuple(d for d in lapsed if d.target == target),
                    tuple(keep for keep in keeps if keep.covers(target)),
                )
                for target in sorted({d.target for d in (*declarations, *lapsed)})
            ),
            keeps=keeps,
            **{"files": FILES, **more},
        )

    def applied(self, declaration: Declaration, number: int = 1, limits: Limits | None = None, **more: Any):
        """`declaration` as the state remembers it after it was applied."""
        return DeclarationRecord(
            **{
                "number": number,
                "target": 1,
                "manifest": declaration.manifest,
                "line": declaration.position.line,
                "ordinal": declaration.ordinal,
                "reason": declaration.reason,
                "until": None if declaration.until is None else declaration.until.isoformat(),
                "sources": tuple(source.document() for source in declaration.sources),
                "prefixes": tuple({"text": p.text, "count": 0, "digest": "0"} for p in declaration.prefixes),
                "limits": (limits or Limits()).of(declaration.target.index).as_dict(),
                "at": "2026-02-02T00:00:00Z",
                **more,
            }
        )

    def record(
        self,
        statuses: Mapping[Status, Iterable[str]],
        *,
        number: int = 1,
        declared: Mapping[tuple[int, ...], Iterable[str]] | None = None,
        index: str = "articles",
        created_on: str | None = PIN,
        closed: bool = False,
    ) -> TargetRecord:
        """What the state remembers of one index; unless said otherwise every id came from declaration 1."""
        by_status = {status: IdSet.of(ids) for status, ids in statuses.items()}
        live = IdSet.union(ids for status, ids in by_status.items() if status is not Status.RELEASED)
        by_declaration = {(1,): live} if declared is None else {n: IdSet.of(ids) for n, ids in declared.items()}
        return TargetRecord(
            number,
            self.target(index),
            created_on,
            closed=closed,
            by_status=by_status,
            by_declaration=tuple(by_declaration.items()),
        )

    def state(
        self, *records: TargetRecord, declarations: Iterable[DeclarationRecord] = (), **more: Any
    ) -> Projection:
        """A state; without `declarations`, declaration 1 is one of the manifest that is the default everywhere."""
        known = tuple(declarations) or (self.applied(self.declaration("?"), ordinal=99),)
        return Projection(
            **{
                "lineage": "L",
                "position": 12,
                "head": "h" * 64,
                "origin": ORIGIN,
                "targets": {record.number: record for record in records},
                "declarations": {each.number: each for each in known},
                **more,
            }
        )

    def look(
        self,
        *present: str,
        asked: Iterable[str] = (),
        index: str = "articles",
        created_on: str | None = PIN,
        live_count: int | None = 1000,
        matches: Mapping[str, Iterable[str]] | None = None,
        presence: Presence = Presence.FOUND,
    ) -> Observation:
        found = {text: IdSet.of(ids) for text, ids in (matches or {}).items()}
        here = IdSet.union([IdSet.of(present), *found.values()])
        target = self.target(index)
        seen = TargetObservation(
            target, presence, created_on, here | IdSet.of(asked), here, live_count, "list", found, 1
        )
        return Observation({target: seen})

    def missing(self, index: str = "articles") -> Observation:
        target = self.target(index)
        return Observation({target: TargetObservation(target, Presence.MISSING)})

    def plan(
        self,
        desired: Desired,
        state: Projection | None = None,
        seen: Observation | None = None,
        *,
        limits: Limits | None = None,
        api: ApiSettings | None = None,
        only: str | None = None,
        origin: str = ORIGIN,
    ) -> Plan:
        return make_plan(
            desired,
            Projection() if state is None else state,
            seen,
            limits or Limits(),
            api or ApiSettings(),
            origin=origin,
            only=only,
        )

    @staticmethod
    def changed(value: Any, **more: Any) -> Any:
        return replace(value, **more)

    @staticmethod
    def fates(plan: Plan) -> dict[str, str]:
        """id -> "symbol reason", of a plan in which no id has two."""
        found: dict[str, str] = {}
        for _, action in plan.actions():
            for each in action.ids:
                assert each not in found
                found[each] = f"{action.kind.symbol} {action.reason}"
        return found

    @staticmethod
    def codes(plan: Plan) -> list[str]:
        return [f"{d.severity}: {d.code}" for d in plan.diagnostics]


@pytest.fixture(scope="session")
def build() -> Build:
    return Build()
