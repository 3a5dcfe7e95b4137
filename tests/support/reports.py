"""Manifests whose reports are looked at, and the reports."""

from __future__ import annotations

from typing import Any

from reconciler.state import events as ev
from reconciler.state.report import Report, make_report


def entry(reason: str, ids: Any, **more: Any) -> dict[str, Any]:
    """An entry that lists `ids` of the index docs."""
    return {"index": "docs", "reason": reason, "ids": list(ids), **more}


def prefix(reason: str, text: str, **more: Any) -> dict[str, Any]:
    """An entry of the index docs that names a prefix."""
    return {"index": "docs", "reason": reason, "prefixes": [text], **more}


def report(world: Any, reason: str) -> Report:
    """The report of one ticket."""
    return make_report(world.frames(), reason=reason)


def newest(world: Any) -> ev.Declared:
    """The declaration that was recorded last."""
    found: ev.Declared = world.events(ev.Declared)[-1]
    return found
