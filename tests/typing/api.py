"""How the public API is used, for the type checker: see test_public_api. Never run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_type

import reconciler


def asks(planned: reconciler.Planned) -> bool:
    return planned.plan.summary.delete < 10


def tells(notice: reconciler.Notice) -> None:
    assert_type(notice.message, str)


def story(folder: str) -> reconciler.ExitCode:
    context = reconciler.open_context(folder, state="file:state.jsonl")
    assert_type(context, reconciler.Context)
    desired = reconciler.load(context, ["manifests"])
    assert_type(desired, reconciler.Desired)
    for diagnostic in desired.diagnostics:
        assert_type(diagnostic, reconciler.Diagnostic)
        assert_type(diagnostic.severity, reconciler.Severity)
    planned = reconciler.plan(context, ["manifests"], refresh=True)
    assert_type(planned.plan, reconciler.Plan)
    for _, action in planned.plan.actions():
        assert_type(action, reconciler.Action)
        assert_type(action.kind, reconciler.ActionKind)
        assert_type(action.ids, reconciler.IdSet)
        assert_type(next(iter(action.ids)), str)
    interrupts = reconciler.Interrupts()
    try:
        result = reconciler.apply(
            context,
            ["manifests"],
            approve=asks,
            options=reconciler.ApplyOptions(refresh=True, timeout=60),
            notify=tells,
            interrupts=interrupts,
        )
    except reconciler.PlanRefused as refused:
        assert_type(refused.hint, str)
        return refused.exit_code
    assert_type(result, reconciler.ApplyResult)
    assert_type(reconciler.read_state(context), reconciler.Projection)
    assert_type(reconciler.check_ids(context, "docs", ["a"]), Iterator[tuple[str, str]])
    audit = reconciler.verify(context, audit=True, notify=tells)
    assert_type(audit, reconciler.VerifyResult)
    assert_type(audit.exit_code, reconciler.ExitCode)
    return audit.exit_code
