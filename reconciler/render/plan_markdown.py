"""A plan as Markdown, for a comment on a pull request or the summary of a step: whole, or cut to size with every
number exact.

From the top: a marker that readers do not see, what it comes down to, what must be known, the worst first, a table
of the indexes, a folded section for each, the cost, the fingerprint and the command that carries it out. Where it
does not fit, the largest sections name fewer ids in coarser groups, then the smallest indexes lose their section,
then their row. What is not named is counted where it would have stood; the end says where the complete list is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from reconciler.clock import timestamp
from reconciler.model.plan import IndexPlan, Plan
from reconciler.render import plan_alerts, plan_table
from reconciler.render.apply_command import apply_command
from reconciler.render.escape import plain, shortened
from reconciler.render.markdown import block, code, comment, html_code, size
from reconciler.render.plan_rows import EVERYTHING, Detail, counts, index_rows, live, requests
from reconciler.render.plan_text import cost, verdict
from reconciler.render.sections import LEVELS, Section, fit, section

#: Where to find one's own comment again: the first line begins with it.
MARKER = "vectorize-reconciler plan"

#: What fits GitHub (65,536 characters), and with it GitLab and Azure DevOps; Bitbucket takes 32,768.
DEFAULT_BYTES = 65_000

#: What the parts that are never left out may take, whatever the names in them.
LEAST_BYTES = 8_000

#: A command longer than this is not worth its room.
_LONGEST_COMMAND = 800


@dataclass(frozen=True, slots=True)
class PlanFile:
    """Where a plan is saved, and the SHA-256 (hex) of that file."""

    path: str
    sha256: str


@dataclass(frozen=True)
class Origin:
    """How a plan was made and where it is kept.

    Attributes:
        paths: the PATHS it was planned for; none = those of the configuration.
        only: the one index it was narrowed to, None for all.
        file: where it is saved, None when it is not.
        expires_at: from then on the saved plan is not begun any more, None when it does not expire.
    """

    paths: tuple[str, ...] = ()
    only: str | None = None
    file: PlanFile | None = None
    expires_at: datetime | None = None


def document(
    plan: Plan, origin: Origin | None = None, *, max_bytes: int = DEFAULT_BYTES, verbose: bool = False
) -> str:
    """The Markdown of `plan`, in at most `max_bytes` bytes of UTF-8.

    Args:
        plan: the plan. One that is errored shows what is wrong, and no actions: what could be read is not all.
        origin: how it was made and where it is kept.
        max_bytes: at least LEAST_BYTES.
        verbose: name every id, as far as that fits.

    Raises:
        ValueError: `max_bytes` is less than LEAST_BYTES.
    """
    if max_bytes < LEAST_BYTES:
        raise ValueError(f"a plan does not fit in {max_bytes} bytes")
    head = [comment(f"{MARKER} fingerprint={plan.fingerprint[:100]}"), "", f"### {_title(plan)}", ""]
    tail = list(_tail(plan, origin or Origin()))
    room = max_bytes - size(head) - size(tail)
    alerts = plan_alerts.lines(plan, room // 3)
    body = [] if plan.errored else list(_body(plan, room - size(alerts), verbose=verbose))
    return "".join(f"{each}\n" for each in (*head, *alerts, *body, *tail))


def _title(plan: Plan) -> str:
    if plan.errored:
        return "No plan: the manifests cannot be used"
    return f"{'Refused plan' if plan.refused else 'Plan'}: {counts(plan.summary) or 'no id is declared absent'}"


def _body(plan: Plan, room: int, *, verbose: bool) -> Iterator[str]:
    """The table and the sections, in `room` bytes."""
    table = plan_table.lines(plan, room // 2)
    details = [index for index in plan.indexes if index.actions or index.prefixes or index.kept]
    left = room - size(table) - 200  # for the line that counts what has no section
    alone = plan_table.one_account(plan) is not None
    sections = fit(
        lambda number, detail: _section(plan, details[number], detail, left, alone=alone),
        [plan_table.weight(index) for index in details],
        left,
        (EVERYTHING, *LEVELS) if verbose else LEVELS,
    )
    yield from table
    if missing := len(details) - len(sections):
        has = f"{len(sections):,} of {len(details):,} indexes have" if sections else "No index has"
        yield f"{has} a section here: {missing:,} did not fit and are only counted above."
        yield ""
    for lines in sections.values():
        yield from lines


def _section(plan: Plan, index: IndexPlan, detail: Detail, room: int, *, alone: bool) -> Section:
    summary = f"{html_code(plan_table.name(index.target, alone=alone))}: {_summary(index)}"
    seen = live(index)
    return section(summary, [f"  {seen}"] if seen else [], index_rows(plan, index, detail), room)


def _summary(index: IndexPlan) -> str:
    return f"{counts(index.summary) or 'nothing to send yet'}; {requests(index.summary.requests)}"


def _tail(plan: Plan, origin: Origin) -> Iterator[str]:
    """What it costs, what it binds to and how it is carried out. Bounded, whatever the names in it."""
    if plan.errored:
        yield "What could be read is not all that is declared, so no action is shown and none can be carried out."
        return
    if sentence := cost(plan):
        yield sentence
        yield ""
    for sentence in verdict(plan):
        yield f"**{sentence}**"
        yield ""
    file = origin.file
    if file is not None:
        yield f"Every id by name: {code(shortened(file.path, 200))}, SHA-256 {code(file.sha256)}."
    else:
        yield "This plan was not saved: `reconciler plan --out FILE` saves one that names every id."
    yield ""
    yield f"Fingerprint: {code(plan.fingerprint[:100])}"
    yield ""
    if not plan.applyable:
        yield _not_applyable(plan)
        return
    path = "" if file is None else file.path
    command = apply_command(plan, paths=origin.paths, only=origin.only, planfile=path)
    if command is None:
        yield "It covers one index alone: save it with `--out FILE` to carry out exactly this."
        return
    until = f" until {timestamp(origin.expires_at)}" if file is not None and origin.expires_at else ""
    yield f"To carry out exactly this{until}:"
    yield ""
    short = len(command.encode()) <= _LONGEST_COMMAND
    yield from block([plain(command) if short else f"reconciler apply --expect {plan.fingerprint[:100]} …"], "sh")


def _not_applyable(plan: Plan) -> str:
    if plan.refused:
        return "It is refused: `reconciler apply` would send nothing."
    if plan.unresolved_prefixes:
        return (
            "A prefix was never listed, so it cannot be applied: `reconciler plan --refresh --out FILE` lists it."
        )
    return "There is nothing in it to apply."
