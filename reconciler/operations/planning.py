"""`plan`: read the manifests and the state, look at the live index if asked, and plan. Records nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

from reconciler.manifests import read_ahead
from reconciler.model.desired import Desired
from reconciler.model.diagnostic import Diagnostic, Severity, note, warning
from reconciler.model.observation import Observation, Presence
from reconciler.model.plan import IndexPlan, Plan
from reconciler.model.target import Target
from reconciler.model.tombstones import Projection
from reconciler.operations.beside import Beside
from reconciler.operations.context import Context, load
from reconciler.operations.recording import unrecorded
from reconciler.planner import make_plan
from reconciler.planner.review import worst_first
from reconciler.state.reading import read_projection

if TYPE_CHECKING:
    from reconciler.operations.interrupts import Interrupts
    from reconciler.state.stores.interface import Store


@dataclass(frozen=True)
class Planned:
    """A plan with what it was made from.

    Attributes:
        paths: the PATHS asked for, as `apply` loads them again.
        only: the one index it covers, None for all.
    """

    plan: Plan
    desired: Desired
    projection: Projection
    observation: Observation | None
    paths: tuple[str, ...]
    only: str | None

    @cached_property
    def missing(self) -> tuple[Target, ...]:
        """The indexes that the service did not know when somebody looked, in order."""
        seen = {} if self.observation is None else self.observation.targets
        found = {target for target, each in seen.items() if each.presence is Presence.MISSING}
        found |= {index.target for index, action in self.plan.actions() if action.reason == "index-missing"}
        return tuple(sorted(found))


def read_state(
    context: Context,
    meanwhile: Callable[[], object] | None = None,
    elsewhere: Callable[[Callable[[], object]], bool] | None = None,
) -> Projection:
    """The state, folded; an empty projection when there is none. Takes no lock.

    Args:
        context: see Context.
        meanwhile, elsewhere: see `read_projection`.

    Raises:
        StateError: it cannot be read, or does not verify.
    """
    store = context.store()
    try:
        return read_projection(store, context.clock, context.cache, meanwhile, elsewhere)
    finally:
        store.close()


def plan(
    context: Context,
    paths: Sequence[str] = (),
    *,
    refresh: bool = False,
    only: str | None = None,
    made: int = 0,
) -> Planned:
    """Plan what must happen so that every declared id is absent.

    Args:
        context: see Context.
        paths: manifests or folders; none = those of the configuration.
        refresh: read the live indexes. Needs credentials.
        only: plan this index alone.
        made: requests made just before that the state does not know of: they count against the budget.

    Returns:
        the plan; problems of the input are in its diagnostics.

    Raises:
        StateError: the state cannot be read.
        ServiceError: the live indexes cannot be read.
    """
    with Beside(context) as snapshot:
        with Beside(context) as files:
            ahead = partial(read_ahead, paths, context.root, context.config, context.cache)
            projection = read_state(
                context,
                meanwhile=partial(files.begin, ahead),
                # While the other one is at work this one would only wait.
                elsewhere=lambda work: files.done() and snapshot.begin(work),
            )
        desired = load(context, paths, projection=projection, conflicts=Severity.REFUSAL)
        observation = observe(context, desired, projection, only=only, made=made) if refresh else None
        planned = replan(context, desired, projection, observation, paths=tuple(paths), only=only)
        return _told(context, planned)


def _told(context: Context, planned: Planned) -> Planned:
    """`planned` with what is to be said of the state."""
    projection = planned.projection
    with closing(context.store()) as store:
        found = (*store_warnings(store), *moved_away(projection, store))
        if not projection.lineage:
            found = (*found, no_state(store))
    told = planned.plan
    count = 0 if told.errored or told.refused else unrecorded(planned)
    if count and not told.changes_ids:
        found = (*found, not_recorded(count))
    every = worst_first((*told.diagnostics, *found))
    return replace(planned, plan=replace(told, diagnostics=every, unrecorded=count))


def no_state(store: Store) -> Diagnostic:
    """What a plan from an empty state must say."""
    return warning(
        "no-state",
        "there is no state yet: planned from empty",
        f"Looked for {store.url}. If deletions were recorded elsewhere, name that state with --state.",
    )


def not_recorded(count: int) -> Diagnostic:
    """What a plan must say that changes nothing although the state does not know `count` declarations."""
    what = "1 declaration is" if count == 1 else f"{count:,} declarations are"
    return note(
        "not-recorded", f"{what} not in the state as now declared", "apply records that, and sends nothing."
    )


def moved_away(projection: Projection, store: Store) -> tuple[Diagnostic, ...]:
    """What readers of a log must know that lives elsewhere now."""
    moved = projection.moved_to
    if moved is None or store.answers_to(moved):
        return ()
    summary = f"this state was moved to {moved}: what is here is history"
    return (warning("state-moved", summary, f"Use --state {moved}."),)


def store_warnings(store: Store) -> tuple[Diagnostic, ...]:
    """What the operator should know of the store of a state."""
    return tuple(warning("state-store", text) for text in store.warnings())


def observe(
    context: Context,
    desired: Desired,
    projection: Projection,
    *,
    only: str | None = None,
    prefixes_only: bool = False,
    interrupts: Interrupts | None = None,
    made: int = 0,
) -> Observation:
    """Read the live indexes that are declared. Arguments as `Observer.observe`, and `Context.budget`.

    Raises:
        AuthenticationFailed: the environment holds no credentials.
        ServiceError: something could not be read.
        Interrupted: somebody asked to stop.
    """
    from reconciler.observer import Observer  # noqa: PLC0415 - most plans ask nobody

    budget = context.budget(projection, made=made)
    with context.client(budget) as client, context.dispatcher(budget) as dispatcher:
        if interrupts is not None:
            interrupts.on_request(dispatcher.stop)
        observer = Observer(client, dispatcher, context.clock)
        return observer.observe(desired, projection, only=only, prefixes_only=prefixes_only)


def listed_first(projection: Projection, index: IndexPlan) -> bool:
    """True when a prefix of `index` was listed for this plan, and the state has no such list yet."""
    listed = {(each.path, each.text) for each in index.prefixes if each.count is not None}
    if not listed:
        return False
    record = projection.live(index.target)
    declared = () if record is None else projection.declared(record.number)
    return not listed <= {(each.manifest, str(prefix["text"])) for each in declared for prefix in each.prefixes}


def replan(
    context: Context,
    desired: Desired,
    projection: Projection,
    observation: Observation | None,
    *,
    paths: tuple[str, ...],
    only: str | None,
) -> Planned:
    """Plan again from values that are at hand."""
    config = context.config
    made = make_plan(desired, projection, observation, config.limits, config.api, origin=context.origin, only=only)
    return Planned(made, desired, projection, observation, paths, only)
