"""A plan and a state in which everything occurs, every id and reason as hostile as it can be."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.model.diagnostic import Diagnostic, Position, Severity, error, note, refusal, warning
from reconciler.model.idset import IdSet
from reconciler.model.plan import Action, ActionKind, ActionSource, Plan, PrefixPlan
from reconciler.model.tombstones import REJECTED, BatchRecord, Projection, RunRecord, Status, TargetRecord
from support.plans import index_plan, target, whole_plan

ARTICLES = target("support-articles")
USERS = target("users")

HOSTILE = (
    "`rm -rf`|<b>@everyone</b>",
    "\x1b[31mred\x1b]0;title\x07",
    "abc\u202egpj.exe\u2066",
    "two\nlines\r\nand\u2028more",
    "::set-output name=x::y",
    "##[add-mask]everything",
    "zero\u200bwidth\ufeff",
    "[bold red]markup[/]",
    "😀" * 16,
    "e\u0301té",
)

_GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Compares text with the file of that name; UPDATE_GOLDEN=1 writes the files instead."""

    def compare(name: str, text: str) -> None:
        path = _GOLDEN / name
        if os.environ.get("UPDATE_GOLDEN"):
            path.write_text(text, "utf-8", newline="\n")
        assert text == path.read_text("utf-8")

    return compare


@pytest.fixture
def diagnostics() -> tuple[Diagnostic, ...]:
    """Every severity, positions of every precision."""
    return (
        warning("bom", "a byte order mark was dropped", position=Position("ids/users.csv", 1)),
        note("percent-not-checked", "percent: not checked", "The live indexes were not read."),
        error(
            "duplicate-key",
            'the key "ids" is given twice',
            "Keep one of them.\n::error::not a command",
            Position("manifests/gdpr.yaml", 12, 5),
        ),
        Diagnostic(
            Severity.REFUSAL,
            "kept-ids",
            f"declared ids are protected by a keep: {HOSTILE[3]}, 100 %",
            "Remove them from the declaration, or the keep.",
            Position("::set-output name=path::x,y.yaml", 7),
            (Position("manifests/keep.yaml", 3, 9), Position("manifests/\x1b[2J.yaml")),
        ),
    )


@pytest.fixture
def every_kind(diagnostics: tuple[Diagnostic, ...]) -> Plan:
    """Every kind of action, two indexes, prefixes, a refusal, hostile ids and reasons."""
    gdpr = ActionSource("manifests/gdpr.yaml", 7, "GDPR Art. 17, ticket PRIV-4711")
    hostile = ActionSource("::warning::ids.txt", 1, f"[red]because[/] {HOSTILE[1]}")
    many = tuple(ActionSource(f"ids/{n}.txt", 1, "the same people") for n in range(5))
    articles = index_plan(
        ARTICLES,
        Action(ActionKind.DELETE, "new", (gdpr,), IdSet.of(f"doc-{n:06d}#chunk-00" for n in range(230))),
        Action(ActionKind.DELETE, "new", (hostile,), IdSet.of(HOSTILE)),
        Action(ActionKind.RESEND, "outcome-unknown", (gdpr,), IdSet.of(["unsure-1", "unsure-2"])),
        Action(ActionKind.REAPPEARED, "reappeared", (gdpr, hostile), IdSet.of(["back"])),
        Action(ActionKind.CONFIRM, "accepted", many, IdSet.of(f"wait-{n}" for n in range(4))),
        Action(ActionKind.ALREADY_ABSENT, "found-absent", (gdpr,), IdSet.of(["never-there"])),
        Action(ActionKind.RELEASE, "undeclared", (gdpr,), IdSet.of(["r1", "r2", "r3"])),
        Action(ActionKind.BLOCKED, "kept", (gdpr,), IdSet.of(["held"])),
        unchanged=1204,
        prefixes=(
            PrefixPlan("user-829/", "manifests/gdpr.yaml", 20, 1, "aa" * 32),
            PrefixPlan("\u202euser-", "manifests/gdpr.yaml", 21),
        ),
        live_count=12_034,
        percent=2.0192786,
        kept=2,
    )
    users = index_plan(USERS, Action(ActionKind.BLOCKED, "index-missing", (), IdSet.of(["u1"])))
    return whole_plan(
        articles,
        users,
        complete=False,
        unresolved_prefixes=True,
        least_seconds=0.01,
        limits={"*": {"max_deletes": 10_000}, "support-articles": {"max_deletes": 100, "max_percent": 30.0}},
        diagnostics=(*diagnostics, refusal("max-deletes", "too many deletes: 243 ids, max_deletes is 100")),
    )


@pytest.fixture
def projection() -> Projection:
    """A held state with two indexes, one of them created again, and batches of every status."""

    def batch(number: int, status: str, ids: list[str], mutation: str | None) -> BatchRecord:
        return BatchRecord(
            number,
            1,
            "run-1",
            (((1,), IdSet.of(ids)),),
            number * 1_000_000,
            "2026-11-22T12:00:00.000Z",
            mutation_id=mutation,
            status=status,
            attempts=1,
        )

    articles = TargetRecord(
        1,
        ARTICLES,
        "2026-01-01T00:00:00.000000Z",
        batches=(
            batch(1, Status.VERIFIED, ["a", "b"], "8e2f1c53-" + "7" * 60),
            batch(2, Status.UNRESOLVED, [HOSTILE[1]], None),
            batch(3, REJECTED, ["c"], None),
            batch(4, Status.ACCEPTED, ["d"], f"m\n{HOSTILE[4]}"),
        ),
        by_status={
            Status.VERIFIED: IdSet.of(["a", "b"]),
            Status.UNRESOLVED: IdSet.of([HOSTILE[1]]),
            Status.ACCEPTED: IdSet.of(["d"]),
        },
    )
    before = TargetRecord(2, USERS, "2025-01-01T00:00:00Z", closed=True)
    after = TargetRecord(3, USERS, "2026-02-02T00:00:00Z")
    run = RunRecord(
        "run-2",
        "apply",
        HOSTILE[1],
        "runner-7",
        "boot",
        4711,
        "https://ci.example/job/1",
        "sha256:" + "5d" * 32,
        11,
        "2026-11-22T12:00:00.000Z",
        300.0,
        "2026-11-22T12:01:00.000Z",
        12,
    )
    return Projection(
        "0b5e", 12, "ab" * 32, "https://api.cloudflare.com", {2: before, 1: articles, 3: after}, {}, (run,)
    )
