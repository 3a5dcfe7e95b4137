"""The one comment of a pull request, as text.

    <!-- vectorize-reconciler plan … -->          the plan's own marker, its first line
    <!-- vectorize-reconciler record {…} -->      what was planned when, and what became of it, as JSON
    > [!NOTE] …                                   the same, for people
    <!-- vectorize-reconciler end of record -->
    what the pull request introduces, where that was asked
    the plan, verbatim

The record is what `approval` reads: which commit was planned when, with which fingerprint. Its text is ours; it is
read as if somebody else had written it, and a record that cannot be read counts as none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from reconciler.errors import ForgeError
from reconciler.render.escape import plain
from reconciler.render.markdown import code

MARKER = re.compile(r"<!-- vectorize-reconciler plan(?: .*)?-->")
NO_PLAN = "<!-- vectorize-reconciler plan none -->"

#: GitHub counts characters, and refuses one more.
LONGEST = 65_536

#: Bytes of Markdown, a plan's and what is introduced, that always fit, with the record and the longest detail.
PLAN_BYTES = 50_000

_RECORD = re.compile(r"<!-- vectorize-reconciler record (\{.*\}) -->")
_END = "<!-- vectorize-reconciler end of record -->"
_FINGERPRINT = re.compile(r"sha256:[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40,64}")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_URL = re.compile(r"https?://[A-Za-z0-9.:-]+/[A-Za-z0-9._~/-]*")
_KEPT = 20
_LONGEST_DETAIL = 4_000


@dataclass(frozen=True, slots=True)
class PlanMade:
    """The plan of `commit` with this fingerprint could be seen from `at` on (RFC 3339, UTC, whole seconds)."""

    at: str
    commit: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Status:
    """What became of the plan.

    Attributes:
        state: a key of `STATES`.
        at: RFC 3339, UTC.
        url: of the run; "" when unknown.
        detail: lines that say more; untrusted.
    """

    state: str
    at: str
    url: str = ""
    detail: str = ""


#: The kind of alert, and what it says.
STATES = {
    "applied": ("NOTE", "Applied"),
    "not-applied": ("CAUTION", "Not applied: the plan has changed"),
    "refused": ("CAUTION", "Not applied: a limit or a keep refuses it"),
    "locked": ("WARNING", "Not applied: another run holds the state"),
    "reappeared": ("CAUTION", "Applied, but ids are present that should be gone"),
    "not-settled": ("WARNING", "Accepted, but not verified absent in time"),
    "failed": ("CAUTION", "Not applied, or not completely: the run failed"),
    "interrupted": ("WARNING", "Interrupted: run it again to finish what was approved"),
    "plan-failed": ("CAUTION", "There is no plan of the newest commit: planning failed"),
}


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment that is ours.

    Attributes:
        name: tells the comments of several plans of one pull request apart.
        marker: the plan's first line.
        plans: the latest made, the oldest first.
        plan: the rest of the plan's Markdown, below what the pull request introduces.
    """

    name: str = ""
    marker: str = NO_PLAN
    plans: tuple[PlanMade, ...] = ()
    status: Status | None = None
    plan: str = field(default="", repr=False)

    def remembering(self, made: PlanMade) -> Comment:
        """With `made` in the record; only the latest stay there."""
        return replace(self, plans=(*self.plans, made)[-_KEPT:])

    def planned(self, markdown: str, introduced: str = "") -> Comment:
        """With a new plan; an older status is of an older plan.

        Args:
            markdown: its Markdown, which begins with its marker.
            introduced: Markdown to stand above it.

        Raises:
            ForgeError: `markdown` does not begin with the marker of a plan.
        """
        marker, _, rest = markdown.partition("\n")
        marker = marker.strip()
        if not MARKER.fullmatch(marker):
            raise ForgeError(
                "the Markdown is not that of a plan: its first line is not the marker",
                hint="Make it with `reconciler show PLANFILE --format markdown`.",
            )
        shown = f"{introduced}\n{rest}".strip("\n")
        return replace(self, marker=marker, status=None, plan=shown)

    def text(self, longest: int = LONGEST, forge: str = "GitHub") -> str:
        """As it is posted on `forge`, which takes `longest` characters.

        Raises:
            ForgeError: longer than the forge takes.
        """
        status = [] if self.status is None else ["", *_shown(self.status)]
        text = "\n".join(
            [self.marker, f"<!-- vectorize-reconciler record {self._record()} -->", *status, "", _END]
        )
        text = f"{text}\n\n{self.plan}\n" if self.plan else f"{text}\n"
        if len(text) > longest:
            raise ForgeError(
                f"the comment would have {len(text):,} characters, {forge} takes {longest:,}",
                hint=f"Make the Markdown with --max-bytes {PLAN_BYTES}.",
            )
        return text

    def _record(self) -> str:
        status = self.status
        document = {
            "v": 1,
            "name": self.name,
            "plans": [{"at": p.at, "commit": p.commit, "fingerprint": p.fingerprint} for p in self.plans],
            "status": None if status is None else {"state": status.state, "at": status.at, "url": status.url},
        }
        # Nothing in it can end the HTML comment that it stands in.
        return json.dumps(document).replace("<", "\\u003c").replace(">", "\\u003e").replace("--", "-\\u002d")


def parse(body: str, name: str = "") -> Comment | None:
    """The comment whose text is `body`, None if it is not one of ours called `name`."""
    lines = body.splitlines()
    if not lines or not MARKER.fullmatch(lines[0].strip()):
        return None
    found = _RECORD.fullmatch(lines[1].strip()) if len(lines) > 1 else None
    record = _loaded(found[1]) if found else {}
    if str(record.get("name", "")) != name:
        return None
    rest = lines[lines.index(_END) + 1 :] if _END in lines else lines[2 if found else 1 :]
    plan = "\n".join(rest).strip("\n")
    return Comment(name, lines[0].strip(), _plans(record.get("plans")), _status(record.get("status")), plan)


def _loaded(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _plans(found: object) -> tuple[PlanMade, ...]:
    plans = []
    for each in found if isinstance(found, list) else []:
        if not isinstance(each, dict):
            continue
        at, commit, fingerprint = (str(each.get(key, "")) for key in ("at", "commit", "fingerprint"))
        if _MOMENT.fullmatch(at) and _COMMIT.fullmatch(commit) and _FINGERPRINT.fullmatch(fingerprint):
            plans.append(PlanMade(at, commit, fingerprint))
    return tuple(plans)


def _status(found: object) -> Status | None:
    if not isinstance(found, dict) or found.get("state") not in STATES:
        return None
    return Status(str(found["state"]), str(found.get("at", "")), str(found.get("url", "")))


def _shown(status: Status) -> Sequence[str]:
    kind, words = STATES[status.state]
    where = f", in [this run]({status.url})" if _URL.fullmatch(status.url) else ""
    when = code(status.at) if status.at else "unknown"
    lines = [f"> [!{kind}]", f"> **{words}** ({when}{where})"]
    if not status.detail.strip():
        return lines
    return [*lines, *_folded("what the run said", status.detail, unfolded=status.state != "applied")]


def _folded(title: str, text: str, *, unfolded: bool) -> list[str]:
    """Untrusted lines in a block of code that folds, cut to a length that leaves room for a plan."""
    shown: list[str] = []
    left = _LONGEST_DETAIL
    listed = text.splitlines()
    for number, each in enumerate(listed):
        safe = plain(each)
        left -= len(safe.encode()) + 1
        if left < 0:
            shown.append(f"… and {len(listed) - number:,} more lines: see the run")
            break
        shown.append(safe)
    ticks = max((len(run) for each in shown for run in re.findall("`+", each)), default=0)
    fence = "`" * max(3, ticks + 1)
    opening = f"<details{' open' if unfolded else ''}><summary>{title}</summary>"
    return ["", opening, "", f"{fence}text", *shown, fence, "", "</details>"]
