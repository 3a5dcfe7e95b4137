"""Plans and states to make pages of: ordinary ones, large ones, and some whose every text is as hostile as it can be."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from html.parser import HTMLParser
from itertools import cycle
from typing import Any

from reconciler.model.desired import FileDigest
from reconciler.model.diagnostic import Diagnostic, Position, Severity
from reconciler.model.idset import IdSet
from reconciler.model.plan import (
    Action,
    ActionKind,
    ActionSource,
    Cost,
    IndexPlan,
    Plan,
    PrefixPlan,
    StateRef,
    Summary,
)
from reconciler.model.target import Target
from reconciler.model.tombstones import REJECTED, BatchRecord, Projection, RunRecord, Status, TargetRecord
from reconciler.render.html import plan_page, state_page

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"

#: At most 64 bytes each, as ids are. What runs would set `window.pwned`.
HOSTILE = (
    "</script><script>pwned=1</script>",
    "<img src=x onerror=pwned=1>",
    '"><svg/onload=pwned=1>',
    "' onfocus=pwned=1 autofocus='",
    "{{ 7*7 }}{% raw %}{# #}",
    "<!--<script>",
    "<!--<script pwned=1",
    "</script pwned=1 /",
    "]]></style><style>*{display:none}",
    "javascript:pwned=1",
    "abc\u202egpj.exe\u2066",
    "\x1b[31mred\x1b]0;title\x07",
    "two\nlines\r\nand\u2028more\u2029end",
    "::set-output name=x::y",
    "##[add-mask]everything",
    "zero\u200bwidth\ufeff",
    "&lt;b&gt; &amp; &#x3c;",
    "😀" * 16,
    "w" * 64,
    " two  spaces ",
    "\u05e9\u05dc\u05d5\u05dd 123 abc",
)


def target(index: str) -> Target:
    return Target("https://api.cloudflare.com", ACCOUNT, index)


def index_plan(where: Target, *actions: Action, unchanged: int = 0, **more: Any) -> IndexPlan:
    """An IndexPlan whose summary is what its actions count."""
    counts = {kind.value: sum(len(a.ids) for a in actions if a.kind is kind) for kind in ActionKind}
    counts["unchanged"] = unchanged
    sends = sum(counts[kind.value] for kind in ActionKind if kind.sends)
    summary = Summary(**counts, requests=-(-sends // 100))
    return IndexPlan(where, more.pop("created_on", None), summary, actions, **more)


def plan_of(*indexes: IndexPlan, **more: Any) -> Plan:
    """A Plan whose summary is that of its indexes."""
    defaults: dict[str, Any] = {
        "fingerprint": "sha256:" + "5d8c" * 16,
        "state": StateRef("0b5e6f0c", 12, "ab" * 32),
        "files": (FileDigest("manifests/gdpr.yaml", "0c" * 32),),
        "observed": True,
        "complete": True,
        "summary": Summary.total(index.summary for index in indexes),
        "indexes": indexes,
        "limits": {"*": {"max_deletes": 10_000}},
    }
    return Plan(**(defaults | more))


GDPR = ActionSource("manifests/gdpr.yaml", 7, "GDPR Art. 17, ticket PRIV-4711")
USERS = ActionSource("manifests/ids/users.csv", 1, "account closed, ticket PRIV-4722")


def ordinary() -> Plan:
    """Two indexes with work and one without, several kinds of action, a warning."""
    chunks = IdSet.of(f"doc-{doc:06d}#chunk-{chunk:02d}" for doc in (17, 137, 138) for chunk in range(60))
    articles = index_plan(
        target("support-articles"),
        Action(ActionKind.DELETE, "new", (GDPR,), chunks),
        Action(ActionKind.REAPPEARED, "reappeared", (GDPR, USERS), IdSet.of(["user-829/session-1"])),
        Action(ActionKind.CONFIRM, "accepted", (GDPR,), IdSet.of(["wait-1", "wait-2"])),
        unchanged=1204,
        created_on="2026-01-14T09:12:44.120000Z",
        live_count=12_034,
        percent=1.5,
        kept=2,
        read_by="list",
        read_requests=13,
        prefixes=(PrefixPlan("user-829/", "manifests/gdpr.yaml", 20, 14, "aa" * 32),),
    )
    memory = index_plan(
        target("agent-memory"),
        Action(ActionKind.RESEND, "outcome-unknown", (USERS,), IdSet.of(["user-77/mem-9", "user-78/mem-9"])),
        live_count=900,
    )
    rest = index_plan(target("archive"), unchanged=99)
    return plan_of(
        articles,
        memory,
        rest,
        cost=Cost(3, 14, 9, 0.0),
        diagnostics=(Diagnostic(Severity.WARNING, "state-store", "nobody else sees this state", "Move it."),),
    )


def large(count: int) -> Plan:
    """`count` ids in three indexes."""
    each = count // 3
    indexes = []
    for number in range(3):
        start, end = number * each, count if number == 2 else (number + 1) * each
        ids = IdSet.of(f"tenant-{n % 97}/doc-{n:07d}#chunk-{n % 13:02d}" for n in range(start, end))
        indexes.append(index_plan(target(f"index-{number}"), Action(ActionKind.DELETE, "new", (GDPR,), ids)))
    return plan_of(*indexes, observed=False)


def strange_plan(texts: Iterable[str]) -> Plan:
    """A plan in which every text that somebody else writes is one of `texts`, and so many ids that all are shown.

    Two plans of equally many texts differ in these texts and in nothing else.
    """
    ids = list(texts)
    some = cycle(ids)
    indexes = []
    for name in ids:
        sources = tuple(ActionSource(next(some), line, next(some)) for line in (1, 2, 3, 4))
        actions = tuple(
            Action(kind, next(some), sources[: number % 4 + 1], IdSet.of([next(some)]))
            for number, kind in enumerate(ActionKind)
            if kind is not ActionKind.UNCHANGED
        )
        more = {"created_on": next(some), "observed_created_on": next(some), "read_by": next(some)}
        prefixes = (PrefixPlan(next(some), next(some), 3, 4, "aa" * 32),)
        limits = {"percent": 3.0, "live_count": 400, "kept": 2, "read_requests": 2}
        indexes.append(index_plan(target(name), *actions, prefixes=prefixes, **more, **limits))
    indexes.append(index_plan(target("quiet"), unchanged=3))
    diagnostics = tuple(
        Diagnostic(severity, "code", next(some), next(some), Position(next(some), 3, 4), (Position(next(some)),))
        for severity in (Severity.REFUSAL, Severity.WARNING, Severity.NOTE)
    )
    return plan_of(
        *indexes,
        diagnostics=diagnostics,
        files=tuple(FileDigest(next(some), next(some)) for _ in ids),
        state=StateRef(next(some), 3, next(some)),
        fingerprint=next(some),
        cost=Cost(1, 2, 3, 4.0),
    )


def strange_state(texts: Iterable[str]) -> Projection:
    """A state of which the same holds."""
    ids = list(texts)
    some = cycle(ids)
    records = {}
    runs = []
    for number, name in enumerate(ids, 1):
        batches = []
        by_status = {status: IdSet.of([f"{place}{next(some)[:40]}"]) for place, status in enumerate(Status)}
        run = next(some)
        for place, status in enumerate([*Status, REJECTED]):
            batches.append(
                BatchRecord(
                    number * 100 + place,
                    number,
                    run,
                    (((1,), IdSet.of([f"{place}{next(some)[:40]}"])),),
                    place,
                    next(some),
                    mutation_id=next(some),
                    status=status,
                    accepted_at=next(some),
                    processed_at=next(some),
                    settled_at=next(some),
                )
            )
        records[number] = TargetRecord(
            number, target(name), next(some), batches=tuple(batches), by_status=by_status
        )
        runs.append(_run(run, next(some)))
    return Projection(next(some), 12, next(some), next(some), records, {}, tuple(runs), (), next(some))


def _run(run: str, text: str) -> RunRecord:
    return RunRecord(run, text, text, text, text, 1, text, text, 1, text, 300.0, text, 2)


def state_of(mutations: int, ids: int) -> Projection:
    """A state with so many mutations of so many ids each, in two indexes; the last of each is not settled."""
    records, number = {}, 0
    for place, name in enumerate(("agent-memory", "support-articles"), 1):
        batches: list[BatchRecord] = []
        by_status: dict[Status, list[IdSet]] = {Status.VERIFIED: [], Status.ACCEPTED: [], Status.REAPPEARED: []}
        for step in range(mutations // 2):
            number += 1
            at = f"2026-11-22T{step // 3600 % 24:02d}:{step // 60 % 60:02d}:{step % 60:02d}.120Z"
            named = IdSet.of(f"doc-{number:06d}#chunk-{chunk:02d}" for chunk in range(ids))
            status = Status.ACCEPTED if step == mutations // 2 - 1 else Status.VERIFIED
            back = IdSet.of(named.first(1)) if step == 0 else IdSet()
            by_status[status].append(named - back)
            by_status[Status.REAPPEARED].append(back)
            settled = at if status is Status.VERIFIED else None
            batches.append(
                BatchRecord(
                    number,
                    place,
                    f"run-{step // 250}",
                    (((1,), named),),
                    number * 1_000_000,
                    at,
                    number,
                    f"8e2f1c53-0000-4000-8000-{number:012d}",
                    status=status,
                    settled_at=at,
                    accepted_at=at,
                    processed_at=settled,
                )
            )
        records[place] = TargetRecord(
            place,
            target(name),
            "2026-01-14T09:12:44.120000Z",
            batches=tuple(batches),
            by_status={status: IdSet.union(sets) for status, sets in by_status.items()},
        )
    return Projection("0b5e6f0c", 412, "ab" * 32, "https://api.cloudflare.com", records)


def plan_html(plan: Plan, **options: Any) -> str:
    return "".join(plan_page(plan, **({"tool_version": "0.1.0", "created_at": NOW} | options)))


def state_html(projection: Projection, **options: Any) -> str:
    defaults = {"tool_version": "0.1.0", "created_at": NOW, "store": "file:reconciler.state.jsonl"}
    return "".join(state_page(projection, **(defaults | options)))


class _Skeleton(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[tuple[str, str | None], ...]]] = []
        self._free = ("id", "href", "aria-labelledby", "x", "width")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        kept = tuple((name, None if name in self._free else value) for name, value in attrs)
        self.found.append((tag, kept))


def skeleton(page: str) -> list[tuple[str, tuple[tuple[str, str | None], ...]]]:
    """Its elements in order, with their attributes; values only of those that never hold what differs."""
    parser = _Skeleton()
    parser.feed(page)
    return parser.found


Texts = Callable[[Iterable[str]], Any]
