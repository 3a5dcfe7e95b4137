"""A plan becomes text: a stream, however many ids it has."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from reconciler.clock import timestamp
from reconciler.model.diagnostic import diagnostic_dict
from reconciler.model.plan import FORMAT_VERSION, Action, IndexPlan, Plan

#: Ids turned into text at once: enough to be quick, little enough to stay flat in memory.
_IDS_A_CHUNK = 4096


def encode(
    plan: Plan,
    *,
    tool_version: str,
    created_at: datetime,
    paths: Sequence[str] = (),
    only: str | None = None,
    expires_at: datetime | None = None,
) -> Iterator[str]:
    """The JSON of a plan, in pieces that end with a line feed when joined. The same input gives the same text."""
    head: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "tool_version": tool_version,
        "created_at": timestamp(created_at),
        "fingerprint": plan.fingerprint,
        "state": {
            "lineage": plan.state.lineage,
            "position": plan.state.position,
            "head": plan.state.head,
        },
    }
    flags = {
        "observed": plan.observed,
        "applyable": plan.applyable,
        "complete": plan.complete,
        "errored": plan.errored,
        "summary": plan.summary.as_dict(),
    }
    tail = {
        "paths": list(paths),
        "only": only,
        "limits": plan.limits,
        "least_seconds": plan.least_seconds,
        "cost": {
            "deletes": plan.cost.deletes,
            "proofs": plan.cost.proofs,
            "waiting": plan.cost.waiting,
            "least_seconds": plan.cost.least_seconds,
        },
    }
    if plan.unrecorded:
        tail["unrecorded"] = plan.unrecorded
    if expires_at is not None:
        tail["expires_at"] = timestamp(expires_at)
    yield "{\n"
    yield from _members(head, 2)
    files = (_json({"path": file.path, "sha256": file.sha256}) for file in plan.files)
    yield from _array("manifests", ([file] for file in files), 2)
    yield ",\n"
    yield from _members(flags, 2)
    yield from _array("indexes", (_index(index) for index in plan.indexes), 2)
    yield ",\n"
    yield from _array("diagnostics", ([_json(diagnostic_dict(each))] for each in plan.diagnostics), 2)
    yield ",\n"
    yield from _members(tail, 2, last=True)
    yield "}\n"


def _json(value: Any) -> str:
    """One line of ASCII. DEL and GitHub's `##[command]` are legal in JSON and act on terminals and runners."""
    return _harmless(json.dumps(value, allow_nan=False))


def _harmless(ascii_json: str) -> str:
    return ascii_json.replace("\x7f", "\\u007f").replace("##[", "#\\u0023[")


def _members(members: dict[str, Any], depth: int, *, last: bool = False) -> Iterator[str]:
    for number, (name, value) in enumerate(members.items(), 1):
        end = "\n" if last and number == len(members) else ",\n"
        yield f"{' ' * depth}{_json(name)}: {_json(value)}{end}"


def _array(name: str, items: Iterable[Iterable[str]], depth: int) -> Iterator[str]:
    """A member that is an array, an item a line or more, without an end of line after it."""
    yield f"{' ' * depth}{_json(name)}: ["
    before = "\n"
    for item in items:
        yield f"{before}{' ' * (depth + 2)}"
        yield from item
        before = ",\n"
    yield "]" if before == "\n" else f"\n{' ' * depth}]"


def _index(index: IndexPlan) -> Iterator[str]:
    target = index.target
    yield "{\n"
    yield from _members(
        {"account_id": target.account_id, "index": target.index, "summary": index.summary.as_dict()}, 6
    )
    yield from _array("actions", (_action(action) for action in index.actions), 6)
    yield ",\n"
    prefixes = (
        _json({"text": p.text, "path": p.path, "line": p.line, "count": p.count, "digest": p.digest})
        for p in index.prefixes
    )
    yield from _array("prefixes", ([prefix] for prefix in prefixes), 6)
    yield ",\n"
    tail = {
        "origin": target.origin,
        "created_on": index.created_on,
        "observed_created_on": index.observed_created_on,
        "live_count": index.live_count,
        "percent": index.percent,
        "kept": index.kept,
        "read_by": index.read_by,
        "read_requests": index.read_requests,
    }
    yield from _members(tail, 6, last=True)
    yield "    }"


def _action(action: Action) -> Iterator[str]:
    yield "{\n"
    yield from _members({"action": action.kind.value, "reason": action.reason}, 10)
    sources = (_json({"path": s.path, "line": s.line, "reason": s.reason}) for s in action.sources)
    yield from _array("sources", ([source] for source in sources), 10)
    yield ',\n          "ids": ['
    separator = ",\n            "
    before = separator[1:]
    for ids in action.ids.chunks(_IDS_A_CHUNK):
        # One call for thousands of ids; its item separator puts each on a line of its own.
        yield before + _harmless(json.dumps(ids, separators=(separator, ": "))[1:-1])
        before = separator
    yield "\n          ]\n        }" if action.ids else "]\n        }"
