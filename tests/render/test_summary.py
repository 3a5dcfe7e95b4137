from __future__ import annotations

from collections.abc import Callable

from reconciler.model.idset import IdSet
from reconciler.model.target import Target
from reconciler.render.summary import outcome_lines, reappeared_lines, verify_line

NOTHING = dict.fromkeys(
    ("accepted", "batches", "requests", "verified", "pending", "rejected", "unknown", "reappeared", "released"), 0
)
TARGET = Target("loopback", "0" * 32, "articles")


def test_outcomes(golden: Callable[[str, str], None]) -> None:
    cases = (
        {"accepted": 2350, "batches": 24, "requests": 51, "verified": 2350},
        {"accepted": 1, "batches": 1, "requests": 1, "pending": 1, "released": 3},
        {"rejected": 100, "unknown": 100, "requests": 10, "reappeared": 2, "already_absent": 7},
        {},
        {"recorded": 2},
    )
    texts = ["\n".join(outcome_lines(**(NOTHING | case), head="42:" + "ab" * 32)) for case in cases]
    verify = [
        verify_line(verified=1, pending=0, unresolved=0, reappeared=0),
        verify_line(verified=1204, pending=2, unresolved=3, reappeared=4),
        *reappeared_lines([(TARGET, IdSet.of(f"id-{n:02d}\x1b" for n in range(22)))]),
    ]
    golden("outcomes.txt", "\n\n".join([*texts, "\n".join(verify)]) + "\n")


def test_accepted_is_never_called_deleted_or_gone() -> None:
    text = "\n".join(outcome_lines(**(NOTHING | {"accepted": 5, "batches": 1, "requests": 1, "pending": 5})))
    assert "Accepted is not gone" in text
    assert "deleted" not in text


def test_an_unknown_outcome_is_called_neither_success_nor_failure() -> None:
    text = "\n".join(outcome_lines(**(NOTHING | {"unknown": 100, "requests": 5})))
    assert "may be deleted or not" in text
    assert "Nothing was sent" not in text
