"""What a pull request introduces, as Markdown to stand above its plan: its head against its base. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.model.comparison import Comparison
from reconciler.render.comparison_markdown import LEAST_BYTES, Setting, document
from reconciler.render.escape import shortened
from reconciler.render.markdown import alert, code, prose

TITLE = "What this pull request introduces"

#: Bytes that leave room for the plan itself in a comment.
DEFAULT_BYTES = 15_000

#: Of the reasons why the base could not be planned, and of each of them.
_REASONS = 8
_LETTERS = 300

__all__ = ["DEFAULT_BYTES", "LEAST_BYTES", "TITLE", "introduced", "unknown"]


def introduced(found: Comparison, inputs: Sequence[str], commit: str, *, max_bytes: int = DEFAULT_BYTES) -> str:
    """What `found.plan`, of the head, has that `found.against`, of the base `commit`, has not.

    Args:
        found: the comparison.
        inputs: sentences on what the two were made from; untrusted.
        commit: "" when unknown.
        max_bytes: at least LEAST_BYTES.
    """
    setting = Setting(TITLE, "the plan of its base", commit, plan_follows=True)
    return document(found, inputs, setting, max_bytes=max_bytes)


def unknown(reasons: Sequence[str], commit: str) -> str:
    """That the base could not be planned, and why. Less than LEAST_BYTES.

    Args:
        reasons: lines, untrusted; blank ones are left out.
        commit: "" when unknown.
    """
    base = f"its base {code(commit[:100])}" if commit else "its base"
    told = [each for each in reasons if each.strip()]
    lines = [f"**It is not known: {base} could not be planned.**", ""]
    lines += [f"- {prose(shortened(each.strip(), _LETTERS))}" for each in told[:_REASONS]]
    if more := len(told) - _REASONS:
        lines += [f"- and {more:,} more lines: see the log of the run"] if more > 0 else []
    lines += ["", "The plan below is whole all the same: it holds what was pending anyway, too."]
    return "".join(f"{each}\n" for each in (f"### {TITLE}", "", *alert("WARNING", lines)))
