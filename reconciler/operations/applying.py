"""`apply`: check the plan, take the state, carry the plan out, and say what came of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from reconciler import __version__
from reconciler.errors import (
    ExitCode,
    PlanStale,
    ReconcilerError,
    StateError,
    StateMissing,
    UsageError,
    worst_exit_code,
)
from reconciler.model.desired import Desired
from reconciler.model.diagnostic import Severity, warning
from reconciler.model.notices import Problem, RunBegan, Sink, ignore
from reconciler.model.observation import Observation
from reconciler.model.plan import Plan
from reconciler.model.tombstones import Projection
from reconciler.operations.approval import Approved, check_expected, check_saved
from reconciler.operations.context import Context, load
from reconciler.operations.execution import Execution, Executor, blocking_errors, missing_index
from reconciler.operations.interrupts import Interrupts
from reconciler.operations.planning import Planned, observe, replan, store_warnings
from reconciler.operations.refusing import Why, check, check_ignored, ignored_limits
from reconciler.planfile import SavedPlan
from reconciler.state.events import LimitsIgnored
from reconciler.state.journal import Journal
from reconciler.state.journal import create as create_state
from reconciler.state.reading import keep_projection
from reconciler.state.run import Run, whoami

#: Asks a person; gets the plan, returns True only for a clear yes.
Approve = Callable[[Planned], bool]


@dataclass(frozen=True)
class ApplyResult:
    """What an apply did. All counts are ids unless they say otherwise.

    Attributes:
        plan: what was carried out.
        head: `position:hash` of the state at the end; "" when nothing was written.
        accepted: the service gave mutation ids for them, in `batches` batches.
        rejected: the service refused them: nothing was deleted.
        unknown: nobody knows; the next plan sends them again.
        verified: a read after processing found them missing.
        pending: accepted, not verified.
        reappeared: present, though they should be gone.
        released: no longer declared.
        recorded: declarations that the state did not know as they are.
        requests: API requests made.
        errors: everything that kept an index from its end.
        exit_code: as the command line ends with.
    """

    plan: Plan
    head: str
    accepted: int = 0
    batches: int = 0
    rejected: int = 0
    unknown: int = 0
    verified: int = 0
    pending: int = 0
    reappeared: int = 0
    released: int = 0
    recorded: int = 0
    requests: int = 0
    errors: tuple[ReconcilerError, ...] = ()
    exit_code: ExitCode = ExitCode.DONE


@dataclass(frozen=True)
class ApplyOptions:
    """How to apply.

    Attributes:
        refresh: read the live indexes before planning.
        wait: settle until verified, at most `timeout` seconds after the last acceptance.
        lock_timeout: seconds to wait for another run to let go of the state.
        require_state: a missing state is an error, even where one could be created.
        expect: the fingerprint that must be carried out; None = none.
        approved: the plan that `expect` is of, to show what differs; None = unknown.
        only: the one index to apply; None = all.
        dangerous_ignore_limits: carry out a plan that limits refuse, once it was approved: called then for the
            reason, which is recorded. Never overrules a keep; not together with a saved or an expected plan.
    """

    refresh: bool = False
    wait: bool = True
    timeout: float = 600.0
    lock_timeout: float = 0.0
    require_state: bool = False
    expect: str | None = None
    approved: SavedPlan | None = None
    only: str | None = None
    dangerous_ignore_limits: Why | None = None


def apply(
    context: Context,
    paths: Sequence[str] = (),
    *,
    saved: SavedPlan | None = None,
    approve: Approve | None = None,
    options: ApplyOptions | None = None,
    notify: Sink = ignore,
    interrupts: Interrupts | None = None,
) -> ApplyResult:
    """Make every declared id absent, and remember it.

    Args:
        context: see Context.
        paths: manifests or folders; none = those of the configuration. Not together with `saved`.
        saved: a saved plan to carry out, and nothing else.
        approve: asked before anything is written; None approves.
        options: see ApplyOptions.
        notify: told what happens.
        interrupts: how it is asked to stop.

    Raises:
        ManifestError, PlanRefused, PlanStale, StateError, ServiceError: nothing was sent, or not recorded.
        UsageError: it was not approved.
    """
    chosen = options or ApplyOptions()
    if saved is not None and paths:
        raise UsageError("a saved plan and PATHS do not go together")
    if chosen.dangerous_ignore_limits and (approve is None or saved is not None or chosen.expect is not None):
        raise UsageError(
            "limits are ignored by a person who was shown the plan, never with a saved or an expected plan",
            hint="Raise the limit in reconciler.yaml, where it is reviewed.",
        )
    journal = open_state(context, require=chosen.require_state)
    try:
        return _Apply(context, journal, tuple(paths), saved, chosen, notify, interrupts or Interrupts()).run(
            approve
        )
    finally:
        journal.store.close()


def open_state(context: Context, *, require: bool) -> Journal:
    """The state, loaded. A missing file is empty, and created by `begin_state`; other stores need `state init`.

    Raises:
        StateMissing: there is none, and none may be created here.
        StateError: it cannot be read, does not verify, or was moved elsewhere.
    """
    store = context.store()
    journal = Journal(store, context.clock)
    if not store.exists() and (require or not store.created_on_demand):
        raise StateMissing(
            f"there is no state at {store.url}",
            hint="Create it with `reconciler state init`, or name the right one with --state.",
        )
    journal.load()
    journal.require_writable()  # also where nothing is to be done: a log that lives elsewhere knows too little
    return journal


def begin_state(context: Context, journal: Journal, notify: Sink) -> Journal:
    """The state, there now: an empty one is created, and said so. Only what was approved comes this far.

    Raises:
        StateError: it cannot be created.
    """
    if journal.position:
        return journal
    try:
        made = create_state(journal.store, context.clock)
    except StateError:
        if not journal.store.exists():
            raise
        return journal  # somebody else was faster; the plan is checked again against what is there now
    url = made.store.url
    detail = "If deletions were recorded elsewhere before, they are not known here: name that state with --state."
    notify(Problem(warning("state-created", f"a new state was created at {url}", detail)))
    return made


@dataclass
class _Apply:
    context: Context
    journal: Journal
    paths: tuple[str, ...]
    saved: SavedPlan | None
    options: ApplyOptions
    notify: Sink
    interrupts: Interrupts
    looked: int = field(default=0)  #: requests of every look at the live indexes

    def run(self, approve: Approve | None) -> ApplyResult:
        approved = self._plan(self.journal.projection())
        if not approved.anything_to_do:
            return self._nothing(approved)
        if approve is not None and not approve(approved.planned):
            raise UsageError("apply cancelled: it was not approved", hint="Nothing was sent or recorded.")
        why = self.options.dangerous_ignore_limits
        ignored = ignored_limits(approved.planned.plan, why, self.context.environment)
        self.context.require_credentials()
        run, approved = self._start(approved, ignored)
        counts: dict[str, int] = {}
        outcome, uncounted = "failed", 0
        try:
            self.notify(RunBegan(run.run, run.took_over))
            if ignored is not None:
                run.append((ignored,))
            for found in store_warnings(self.journal.store):
                self.notify(Problem(found))
            budget = self.context.budget(run.snapshot(), made=self.looked)
            with self.context.client(budget) as client:
                executor = Executor(
                    self.context,
                    run,
                    client,
                    budget,
                    notify=self.notify,
                    interrupts=self.interrupts,
                    looked=self.looked,
                )
                try:
                    executor.carry_out(
                        approved.planned, approved.skip, wait=self.options.wait, timeout=self.options.timeout
                    )
                    outcome = _outcome(executor.done)
                finally:
                    counts, uncounted = _counts(executor.done), executor.uncounted
        finally:
            run.finish("interrupted" if self.interrupts.requested else outcome, counts, uncounted)
        keep_projection(run.journal, self.context.cache)
        return self._result(approved, executor.done, run.head, self.looked + budget.started)

    def _plan(self, projection: Projection) -> Approved:
        """The plan against `projection`, checked against what was saved or expected.

        Raises:
            ManifestError, PlanRefused, PlanStale: it may not be carried out.
        """
        options, paths = self.options, self.paths
        if self.saved is not None:
            approved = check_saved(self.context, self.journal, projection, self.saved)
            if options.expect not in (None, approved.fingerprint):
                raise PlanStale(
                    f"the plan file is not the approved one: expected {options.expect}, "
                    f"it has {approved.fingerprint}",
                    hint="Nothing was sent.",
                )
        else:
            desired = load(self.context, paths, projection=projection, conflicts=Severity.REFUSAL)
            observation = self._look(desired, projection)
            planned = replan(self.context, desired, projection, observation, paths=paths, only=options.only)
            approved = Approved(planned)
        check(approved.planned, ignore_limits=self.options.dangerous_ignore_limits is not None)
        if self.saved is None and options.expect is not None:
            approved = check_expected(self.context, self.journal, approved, options.expect, options.approved)
        return approved

    def _look(self, desired: Desired, projection: Projection) -> Observation | None:
        """The live indexes, where they are to be read: for each plan anew.

        A look from before another run ended does not know what that run deleted: by it ids would be sent twice.
        """
        options = self.options
        if not options.refresh and not any(target.prefixes for target in desired.targets):
            return None
        seen = observe(
            self.context,
            desired,
            projection,
            only=options.only,
            prefixes_only=not options.refresh,
            interrupts=self.interrupts,
            made=self.looked,
        )
        self.looked += seen.requests
        return seen

    def _start(self, approved: Approved, ignored: LimitsIgnored | None) -> tuple[Run, Approved]:
        """Take the state at the position the plan is checked for."""
        checked = [approved]
        before = approved.planned.projection.position
        self.journal = begin_state(self.context, self.journal, self.notify)
        header = 0 if before else self.journal.position  # of the log that was just begun for this plan

        def prepare(projection: Projection) -> Approved:
            if projection.position in (before, header):
                checked.append(approved)
                return approved
            again = self._plan(projection)
            if again.does_more_than(approved):
                raise PlanStale(
                    "the state changed during the approval, and more would be deleted or released now, "
                    "or from another index",
                    hint="Nothing was sent. Run it again.",
                )
            check_ignored(again.planned.plan, ignored)
            checked.append(again)
            return again

        return Run.start(
            self.journal,
            self.context.clock,
            command="apply",
            tool_version=__version__,
            origin=self.context.origin,
            fingerprint=lambda _: checked[-1].fingerprint,
            prepare=prepare,
            lock_timeout=self.options.lock_timeout,
            on_wait=lambda holder, left: self.interrupts.waiting(self.notify, holder, left),
            **whoami(self.context.environment),
        )

    def _nothing(self, approved: Approved) -> ApplyResult:
        if approved.zero_work:
            raise PlanStale(
                "this plan has ids to delete, but there is nothing left of it to do and no run of it did it",
                hint="Zero work where work was approved is not success: plan again and look.",
            )
        plan = approved.planned.plan
        missing = tuple(missing_index(target) for target in approved.planned.missing)
        codes = [each.exit_code for each in missing]
        return ApplyResult(
            plan,
            self.journal.head,
            requests=self.looked,
            errors=missing,
            exit_code=worst_exit_code(*codes),
        )

    def _result(self, approved: Approved, execution: Execution, head: str, requests: int) -> ApplyResult:
        sent = list(execution.sent.by_target.values())
        settled = execution.settled
        accepted = sum(each.accepted for each in sent)
        errors = blocking_errors(execution)
        codes = [error.exit_code for error in errors]
        if self.interrupts.requested:
            codes.append(ExitCode.INTERRUPTED)
        if any(each.unknown or each.rejected for each in sent):
            codes.append(ExitCode.ERROR)
        if settled is not None and settled.reappeared:
            codes.append(ExitCode.FOUND)
        if settled is not None and settled.pending:
            codes.append(ExitCode.NOT_SETTLED)
        if approved.undone and not accepted:
            codes.append(ExitCode.STALE)
        return ApplyResult(
            plan=approved.planned.plan,
            head=head,
            accepted=accepted,
            batches=sum(each.batches for each in sent),
            rejected=sum(each.rejected for each in sent),
            unknown=sum(each.unknown for each in sent),
            verified=0 if settled is None else settled.verified,
            pending=accepted + execution.unproven if settled is None else settled.pending,
            reappeared=0 if settled is None else settled.reappeared,
            released=execution.released,
            recorded=execution.recorded,
            requests=requests,
            errors=errors,
            exit_code=worst_exit_code(*codes),
        )


def _outcome(execution: Execution) -> str:
    if blocking_errors(execution):
        return "failed"
    if execution.settled is not None and execution.settled.pending:
        return "not-settled"
    return "done"


def _counts(execution: Execution) -> dict[str, int]:
    sent = execution.sent.by_target.values()
    return {
        "accepted": sum(each.accepted for each in sent),
        "rejected": sum(each.rejected for each in sent),
        "unknown": sum(each.unknown for each in sent),
        "verified": 0 if execution.settled is None else execution.settled.verified,
        "released": execution.released,
    }
