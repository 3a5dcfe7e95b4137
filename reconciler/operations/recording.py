"""What an apply records before it sends anything: targets and declarations, with exactly what they name.

A declaration is recorded when the log does not know it as it is now: it is new, was changed, names other ids, is
declared again after its ids were released, or was recorded by a version that did not write down what it names. So
`state report` need not infer what a declaration names, even where nothing is left to send for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from reconciler.model.accounts import Accounts
from reconciler.model.batches import own_ids
from reconciler.model.desired import Declaration
from reconciler.model.idset import IdSet
from reconciler.model.limits import Limits
from reconciler.model.plan import SENDING, ActionKind, IndexPlan
from reconciler.model.target import Target
from reconciler.model.tombstones import (
    DeclarationRecord,
    Names,
    Projection,
    Status,
    TargetRecord,
)
from reconciler.state.events import Declared, Event, Reappeared, TargetSeen
from reconciler.state.naming import IDS_AN_EVENT, ranges

if TYPE_CHECKING:
    from reconciler.operations.planning import Planned

_IN_FORCE = tuple(status for status in Status if status is not Status.RELEASED)


def unrecorded(planned: Planned) -> int:
    """How many declarations of indexes that the state knows are to be recorded even if nothing is sent."""
    book = Book(Limits(), planned.projection)
    return sum(book.to_record_only(planned, index) for index in planned.plan.indexes)


class Book:
    """Gives numbers to targets and declarations that the log does not know yet.

    Args:
        limits: in force.
        projection: the state.

    Attributes:
        events: what is to be recorded.
    """

    def __init__(self, limits: Limits, projection: Projection) -> None:
        self._limits = limits
        self._projection = projection
        self._next_target = max(projection.targets, default=0) + 1
        self._next_declaration = max(projection.declarations, default=0) + 1
        self.events: list[Event] = []

    def target(self, target: Target, created_on: str) -> int:
        """The number of `target`; an event when it is new, not pinned yet, or re-created."""
        record = self._projection.live(target)
        if record is not None and record.created_on == created_on:
            return record.number
        number = record.number if record is not None and record.created_on is None else self._next_target
        if number == self._next_target:
            self._next_target += 1
        self.events.append(TargetSeen(number, target.origin, target.account_id, target.index, created_on))
        return number

    def declarations(self, number: int, planned: Planned, index: IndexPlan) -> dict[int, IdSet]:
        """The ids of each declaration of a target by its number; an event for each that is to be recorded."""
        return self._declarations(number, planned, index, sends=True)

    def record_only(self, planned: Planned, index: IndexPlan) -> None:
        """An event for each declaration in force of `index` that is to be recorded; nothing is sent there."""
        record = self._kept(planned, index)
        if record is not None:
            self._declarations(record.number, planned, index, sends=False)

    def to_record_only(self, planned: Planned, index: IndexPlan) -> int:
        """How many events `record_only` would make."""
        record = self._kept(planned, index)
        if record is None:
            return 0
        page = _Page(self._projection, record.number, planned, index)
        return len(page.to_record(self._limits.of(index.target.index).as_dict(), sends=False)[1])

    def _kept(self, planned: Planned, index: IndexPlan) -> TargetRecord | None:
        """The record of an index that was neither created again nor is missing."""
        if index.observed_created_on is not None or index.target in planned.missing:
            return None
        return self._projection.live(index.target)

    def seen_again(self, number: int, planned: Planned, index: IndexPlan) -> None:
        """Events for ids that the plan's look found present though they were verified.

        Else only their next delete would tell of them, and nothing at all if this run ended before that.
        """
        record = self._projection.targets.get(number)
        if record is None or not planned.plan.observed:
            return
        how = "; ".join(filter(None, (index.read_by, "when planned")))
        for chunk in (index.ids(ActionKind.REAPPEARED) & record.ids(Status.VERIFIED)).chunks(IDS_AN_EVENT):
            self.events.append(Reappeared(number, chunk, how=how))

    def _declarations(self, number: int, planned: Planned, index: IndexPlan, *, sends: bool) -> dict[int, IdSet]:
        page = _Page(self._projection, number, planned, index)
        limits = self._limits.of(index.target.index).as_dict()
        numbered, fresh = page.to_record(limits, sends=sends)
        for entry, held in zip(fresh, page.held(fresh), strict=True):
            self.events.append(entry.event(self._next_declaration, number, limits, held))
            numbered[self._next_declaration] = entry.ids
            self._next_declaration += 1
        return numbered


@dataclass(slots=True)
class _Entry:
    """A declaration as it is to be applied.

    Attributes:
        before: as it was recorded last.
        ids: those it sends, and those of its lists.
        prefixes: as they are recorded.
        named: all that it names; None when its prefixes were not listed.
        names: of these; None when nobody can say.
        lapsed: its `until` has come.
    """

    declaration: Declaration
    before: DeclarationRecord | None
    ids: IdSet
    prefixes: Sequence[Mapping[str, Any]]
    named: IdSet | None
    names: Names | None
    lapsed: bool

    @property
    def listed(self) -> bool:
        """It has prefixes, and they are in force."""
        return bool(self.declaration.prefixes) and not self.lapsed

    def event(self, number: int, target: int, limits: Mapping[str, Any], held: Mapping[str, Any]) -> Declared:
        """What is recorded of it."""
        declaration, names = self.declaration, self.names
        return Declared(
            declaration=number,
            target=target,
            manifest=declaration.manifest,
            line=declaration.position.line,
            ordinal=declaration.ordinal,
            reason=declaration.reason,
            until=None if declaration.until is None else declaration.until.isoformat(),
            sources=[source.document() for source in declaration.sources],
            prefixes=self.prefixes,
            limits=limits,
            names={} if names is None else {"count": names.count, "digest": names.digest},
            held=held,
        )


class _Page:
    """The declarations of one target, beside what the log has of it."""

    def __init__(self, projection: Projection, number: int, planned: Planned, index: IndexPlan) -> None:
        self._record = projection.targets.get(number) or TargetRecord(number, index.target)
        self._declared = planned.desired.of(index.target)
        self._index = index
        # Entries of one manifest may have the same prefix: then it was listed once, and says the same of each.
        self._prefixes = {(prefix.path, prefix.text): prefix for prefix in index.prefixes}
        self._known = {(each.manifest, each.ordinal): each for each in projection.declared(number)}
        self._declarations = projection.declarations
        self._accounts = Accounts(self._record, projection.declarations)
        self._released = self._record.ids(Status.RELEASED)
        self._listed = planned.plan.observed
        self._same_names = {each.names: each.number for each in self._known.values() if each.names is not None}

    @cached_property
    def _in_force(self) -> IdSet:
        return self._record.ids(*_IN_FORCE)

    @cached_property
    def _sending(self) -> IdSet:
        return self._index.ids(*SENDING, ActionKind.ALREADY_ABSENT)

    def to_record(self, limits: Mapping[str, Any], *, sends: bool) -> tuple[dict[int, IdSet], list[_Entry]]:
        """The declarations that the log knows, their ids by number; and those that are to be recorded.

        Args:
            limits: in force.
            sends: something is sent for the index.
        """
        known: dict[int, IdSet] = {}
        fresh: list[_Entry] = []
        for entry in self._entries():
            if not (entry.ids or entry.listed) or (entry.lapsed and not sends):
                continue
            before = entry.before
            if before is not None and self.knows(before, entry, limits if sends else None):
                known[before.number] = entry.ids
            else:
                fresh.append(entry)
        return known, fresh

    def _entries(self) -> Iterator[_Entry]:
        """All declarations, those that lapsed last."""
        for declaration in self._declared.declarations:
            yield self._entry(declaration, lapsed=False)
        for declaration in self._declared.lapsed:
            yield self._entry(declaration, lapsed=True)

    def _entry(self, declaration: Declaration, *, lapsed: bool) -> _Entry:
        before = self._known.get((declaration.manifest, declaration.ordinal))
        texts = {prefix.text for prefix in declaration.prefixes}
        listed: list[Mapping[str, Any]] = [
            {"text": plan.text, "count": plan.count, "digest": plan.digest, **self._kept(plan.text)}
            for prefix in declaration.prefixes
            if (plan := self._prefixes.get((declaration.manifest, prefix.text))) is not None
        ]
        prefixes = self._as_before(declaration, before) if lapsed else listed
        named: IdSet | None = None
        names: Names | None = None
        if not texts or (self._listed and not lapsed):
            named = declaration.ids | self._matched(declaration)
            names = Names.of(named)
        elif (
            before is not None
            and _same_lists(before, declaration)
            and (lapsed or before.prefixes == tuple(prefixes))
        ):
            names = before.names  # what the prefixes matched when they were listed
        sent = [self._sending.starting_with(text) for text in texts]
        return _Entry(declaration, before, IdSet.union([declaration.ids, *sent]), prefixes, named, names, lapsed)

    def _as_before(self, declaration: Declaration, before: DeclarationRecord | None) -> list[Mapping[str, Any]]:
        """Prefixes that are not listed any more, as their last list was recorded."""
        then = {} if before is None else {str(prefix["text"]): prefix for prefix in before.prefixes}
        return [then.get(prefix.text, {"text": prefix.text}) for prefix in declaration.prefixes]

    def _matched(self, declaration: Declaration) -> IdSet:
        """What the prefixes match: found by this plan's list, or remembered."""
        texts = [prefix.text for prefix in declaration.prefixes]
        if not texts:
            return IdSet()
        matched = IdSet.union(ids.starting_with(text) for ids in (self._sending, self._in_force) for text in texts)
        return matched - self._declared.kept(matched - declaration.ids) if matched else matched

    def _kept(self, prefix: str) -> dict[str, dict[str, list[str]]]:
        """What protects ids that begin with `prefix`: `verify --all` knows the state alone."""
        prefixes, ids = self._declared.keeps_near(prefix)
        return {"keeps": {"prefixes": prefixes, "ids": list(ids)}} if prefixes or ids else {}

    def knows(self, before: DeclarationRecord, entry: _Entry, limits: Mapping[str, Any] | None) -> bool:
        """True when the log has `entry` as it is.

        Args:
            before: as it was recorded last.
            limits: in force; None: neither they matter nor what the last list of a prefix found.
        """
        if before.document() != entry.declaration.document() or before.names != entry.names:
            return False
        if limits is None:
            same = [_lasting(each) for each in before.prefixes] == [_lasting(each) for each in entry.prefixes]
        else:
            same = dict(before.limits) == limits and list(before.prefixes) == list(entry.prefixes)
        if not same or entry.lapsed:
            return same
        if self._released and self._released & self._accounts.of(before.number):
            return False  # declared again: what bore that number was released
        there = IdSet() if entry.named is None else entry.named - self._accounts.in_force(before.number)
        return not (there and (there & self._in_force) - self._accounts.of(before.number))

    def held(self, entries: Sequence[_Entry]) -> Iterator[Mapping[str, Any]]:
        """What the log has of each of `entries`."""
        found: list[int | IdSet] = [self._held(entry) for entry in entries]
        spelled = iter(spell_out(self._record, [each for each in found if isinstance(each, IdSet)]))
        for each in found:
            yield {"declarations": [each]} if isinstance(each, int) else next(spelled)

    def _held(self, entry: _Entry) -> int | IdSet:
        """The number of a declaration that names the same, all of them known; or else the ids that are known."""
        if entry.names is None:
            return IdSet()
        known = self._in_force
        if entry.lapsed and entry.before is not None and entry.before.names == entry.names:
            known |= self._released  # reworded only: what was released of it stays history
        ids = self._accounts.of(entry.before.number) if entry.named is None and entry.before else entry.named
        ids = IdSet() if ids is None else ids & known
        same = self._same_names.get(entry.names)
        if same is None or not ids or not entry.names.are(ids) or not self._accounts.is_complete(same):
            return ids
        root = self._declarations[same].held.declarations
        return root[0] if root else same  # which names the same, and refers to none


def _same_lists(before: DeclarationRecord, declaration: Declaration) -> bool:
    now = declaration.document()
    then = before.document()
    return bool(then["sources"] == now["sources"] and then["prefixes"] == now["prefixes"])


def _lasting(prefix: Mapping[str, Any]) -> tuple[object, object]:
    """What matters of a recorded prefix when nothing is sent: every list of it finds less than the one before."""
    return prefix["text"], prefix.get("keeps")


def spell_out(record: TargetRecord, sets: Sequence[IdSet]) -> Iterator[dict[str, Any]]:
    """Each of `sets` as `held` of a `Declared`: by the batches that carried the ids, singly where these fit badly.

    Args:
        record: of the target.
        sets: ids that the log has.
    """
    if not any(sets):
        yield from ({} for _ in sets)
        return
    whole: list[list[int]] = [[] for _ in sets]
    excepted: list[list[IdSet]] = [[] for _ in sets]
    singly: list[list[IdSet]] = [[] for _ in sets]
    carried: list[list[IdSet]] = [[] for _ in sets]
    for _, batch, own in own_ids(record.batches):
        for place, each in enumerate(sets):
            part = own & each
            if not part:
                continue
            carried[place].append(part)
            others = batch.ids - each
            if len(others) < len(part):
                whole[place].append(batch.number)
                excepted[place].append(others)
            else:
                singly[place].append(part)
    for place, each in enumerate(sets):
        never = each - IdSet.union(carried[place])
        found = {
            "batches": ranges(whole[place]),
            "except_ids": list(IdSet.union(excepted[place])),
            "ids": list(IdSet.union([*singly[place], never])),
        }
        yield {name: value for name, value in found.items() if value}
