"""The one issue of ids that are back, as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from reconciler.forge.outcome import Outcome
from reconciler.render.markdown import cell, row

_NAMED = 50
_LONGEST_NAME = 100


def marker(name: str) -> str:
    """The first line of the issue. `name`, of letters, digits, `.`, `_` and `-`, tells several states apart."""
    return f"<!-- vectorize-reconciler reappeared {name or '.'} -->"


def title(count: int) -> str:
    """What the issue is called."""
    return f"{count:,} erased vector {'id is' if count == 1 else 'ids are'} present again"


def body(outcome: Outcome, *, name: str, at: str, run_url: str) -> str:
    """What the issue says: how many, which, when each was proven absent, where it is declared, what to do."""
    return "\n".join([marker(name), "", *_lines(outcome, at, run_url), ""])


def _lines(outcome: Outcome, at: str, run_url: str) -> Iterator[str]:
    count = outcome.count("reappeared")
    yield f"`reconciler verify --all` found **{count:,}** ids that were deleted and are present again ({at})."
    yield "Something writes them to the index, such as a re-index from a source that still has them."
    yield ""
    yield row("index", "id", "proven absent", "declared")
    yield row("---", "---", "---", "---")
    shown = outcome.found[:_NAMED]
    for each in shown:
        proven = each.get("proven_at")
        where = f"{each.get('account_id', '')}/{each.get('index', '')}"
        yield row(
            cell(where), cell(str(each.get("id", ""))), cell(str(proven)) if proven else "never", _declared(each)
        )
    if count > len(shown):
        yield ""
        yield f"… and {count - len(shown):,} more: `reconciler plan --verbose` names every one that is declared."
    yield ""
    yield "1. Find the writer and stop it: `reconciler check-ids INDEX` tells it which ids it must not write."
    yield "2. `reconciler plan` shows these ids as `!`; apply it by its fingerprint to delete them again."
    yield "3. This issue is closed by the next `verify` that finds none."
    if run_url:
        yield ""
        yield f"Found in [this run]({run_url})."


def _declared(found: Mapping[str, Any]) -> str:
    listed = found.get("declared")
    places = listed if isinstance(listed, list) else []
    for each in places:
        if isinstance(each, dict):
            reason = f" {str(each.get('reason', ''))[:_LONGEST_NAME]}" if each.get("reason") else ""
            more = f" and {len(places) - 1:,} more" if len(places) > 1 else ""
            return cell(f"{each.get('path', '')}:{each.get('line', '')}{reason}") + more
    return "nowhere any more"
