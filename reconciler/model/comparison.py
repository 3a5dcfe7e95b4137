"""What one plan does that another does not: what a pull request introduces, and what was pending anyway."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from reconciler.model.idset import IdSet
from reconciler.model.plan import SENDING, ActionKind, IndexPlan, Plan
from reconciler.model.target import Target


@dataclass(frozen=True)
class ActionComparison:
    """One kind of action on one index.

    Attributes:
        introduced: ids that only the plan has.
        pending_anyway: ids that both have.
        gone: ids that only the other plan has.
    """

    kind: ActionKind
    introduced: IdSet
    pending_anyway: IdSet
    gone: IdSet

    def parts(self) -> Iterator[tuple[str, IdSet]]:
        """The three, with the words that stand for them in every output."""
        yield "introduced", self.introduced
        yield "pending_anyway", self.pending_anyway
        yield "gone", self.gone


@dataclass(frozen=True)
class IndexComparison:
    """One index; only kinds of action that one of the plans has there."""

    target: Target
    actions: tuple[ActionComparison, ...]


@dataclass(frozen=True)
class Comparison:
    """A plan against another.

    Attributes:
        plan: the one that is looked at, such as that of a pull request's head.
        against: the other, such as that of its base.
        indexes: ordered by target; those with an action in one of the plans.
    """

    plan: Plan
    against: Plan
    indexes: tuple[IndexComparison, ...]

    @property
    def same_state(self) -> bool:
        """Both were made at the same place of the same state; else "pending anyway" is a guess."""
        return self.plan.state == self.against.state

    def count(self, part: str, kind: ActionKind) -> int:
        """Ids of `kind` over all indexes; `part` as in ActionComparison.parts."""
        return sum(
            len(ids)
            for index in self.indexes
            for action in index.actions
            if action.kind is kind
            for name, ids in action.parts()
            if name == part
        )

    def sends(self, part: str) -> int:
        """Ids to send over all indexes."""
        return sum(self.count(part, kind) for kind in SENDING)


def compare(plan: Plan, against: Plan) -> Comparison:
    """Which ids of which actions `plan` has and `against` has not, and the other way round."""
    head = {each.target: each for each in plan.indexes}
    base = {each.target: each for each in against.indexes}
    found = []
    for target in sorted(head.keys() | base.keys()):
        actions = tuple(_actions(head.get(target), base.get(target)))
        if actions:
            found.append(IndexComparison(target, actions))
    return Comparison(plan, against, tuple(found))


def _actions(head: IndexPlan | None, base: IndexPlan | None) -> Iterator[ActionComparison]:
    for kind in ActionKind:
        mine = IdSet() if head is None else head.ids(kind)
        other = IdSet() if base is None else base.ids(kind)
        if mine or other:
            yield ActionComparison(kind, mine - other, mine & other, other - mine)
