from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.model.target import Target
from reconciler.model.tombstones import REJECTED, Projection, Status
from reconciler.render import state as render
from reconciler.render.state import mutation_statuses
from reconciler.state.proofs import read
from support.logs import random_log


@dataclass(frozen=True)
class Entry:
    position: int
    at: str
    run: str
    what: str
    target: Target
    batch: int | None = None
    mutation_id: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


ARTICLES = Target("loopback", "023e105f4ecef8ad9ca31a8372d0c353", "support-articles")
AT = "2026-11-22T12:00:00.000Z"
HISTORY = (
    Entry(3, AT, "run-1", "intent", ARTICLES, 1, None, {"attempt": 1, "reasons": ["GDPR", "\x1b[31m"]}),
    Entry(4, AT, "run-1", "accepted", ARTICLES, 1, "8e2f1c53-" + "7" * 60, {"attempt": 1, "final": False}),
    Entry(9, AT, "run-2", "reappeared", ARTICLES, None, None, {"how": "two\n::error::lines"}),
)


def test_state_text(golden: Callable[[str, str], None], projection: Projection) -> None:
    golden("state.txt", "".join(f"{each}\n" for each in render.state_text(projection)))


def test_state_json(golden: Callable[[str, str], None], projection: Projection) -> None:
    golden("state.json", "".join(render.state_json(projection)))


def test_history_text(golden: Callable[[str, str], None]) -> None:
    golden("history.txt", "".join(f"{each}\n" for each in render.history_text(HISTORY)))


def test_history_json(golden: Callable[[str, str], None]) -> None:
    golden("history.json", "".join(render.history_json(HISTORY)))


def test_the_json_names_every_batch_and_says_null_where_there_was_no_answer(projection: Projection) -> None:
    document = json.loads("".join(render.state_json(projection)))
    assert (document["lineage"], document["position"], document["head"]) == ("0b5e", 12, "ab" * 32)
    mutations = document["indexes"][0]["mutations"]
    assert [each["mutation_id"] is None for each in mutations] == [False, True, True, False]
    assert [each["status"] for each in mutations] == ["verified", "unresolved", "rejected", "accepted"]
    assert mutations[1]["ids"] == ["\x1b[31mred\x1b]0;title\x07"]


def test_history_of_a_recreated_index_comes_after_what_is_in_force(projection: Projection) -> None:
    document = json.loads("".join(render.state_json(projection, index="users")))
    assert [(each["index"], each["closed"]) for each in document["indexes"]] == [("users", False), ("users", True)]


def test_a_mutation_id_is_never_shortened_or_wrapped(projection: Projection) -> None:
    assert "mutation 8e2f1c53-" + "7" * 60 + "  verified" in "\n".join(render.state_text(projection))


def test_an_empty_state_and_an_unknown_id_are_documents_too() -> None:
    document = json.loads("".join(render.state_json(Projection())))
    assert (document["lineage"], document["position"], document["indexes"]) == ("", 0, [])
    assert document["open_run"] is None
    assert list(render.state_text(Projection())) == ["Lineage: (none)", "Head: 0:" + "0" * 64]
    assert json.loads("".join(render.history_json([]))) == {"history": []}
    assert list(render.history_text([])) == ["The state does not know this id."]


@settings(max_examples=100, deadline=None)
@given(st.randoms())
def test_a_request_is_verified_when_no_id_that_it_named_last_is_left_unproven(random: Random) -> None:
    for record in read(random_log(random)).projection.targets.values():
        last: dict[str, int] = {}
        for batch in record.batches:
            last |= dict.fromkeys(batch.ids if batch.status != REJECTED else (), batch.number)
        left = {last[id_] for id_ in record.ids(Status.ACCEPTED, Status.PROCESSED)}
        expected = {
            batch.number: "processed" if batch.status == Status.VERIFIED and batch.number in left else batch.status
            for batch in record.batches
        }
        assert mutation_statuses(record) == expected
