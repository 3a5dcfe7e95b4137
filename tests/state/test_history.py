from __future__ import annotations

import pytest

from reconciler.errors import StateDamaged
from reconciler.model.target import Target
from reconciler.state import events as ev
from reconciler.state.frames import seal
from reconciler.state.history import history
from reconciler.state.stores.file import FileStore


@pytest.fixture
def told(journal, begin, target_and_declaration):
    run = begin(journal)
    run.append(target_and_declaration)
    run.append([ev.Intent(1, 1, [[[1], 2]], ["a", "b"])])
    run.append([ev.Failed(1, 1, "unknown", final=False, status=503, message="oops")])
    run.append([ev.Accepted(1, "m-1", 2)])
    run.append([ev.Processed(1, [[1, 1]], "m-1")])
    run.append([ev.Verified(1, "get_by_ids", [[1, 1]], except_ids=["b"])])
    run.append([ev.Reappeared(1, ["b"], how="get_by_ids")])
    run.append([ev.Intent(2, 1, [[[1], 1]], ["b"]), ev.Failed(2, 1, "rejected", final=True, code=40006)])
    run.append([ev.Verified(1, "list", [[1, 1]])])
    run.append([ev.Verified(1, "get_by_ids", ids=["c"], declarations=[[[1], 1]])])
    run.append([ev.Released(1, "undeclared", ids=["a"])])
    run.finish("done")
    return journal


def test_every_request_answer_and_read_of_an_id_is_told_in_order(told):
    entries = list(history(told, "a"))
    assert [entry.what for entry in entries] == [
        "intent", "failed", "accepted", "processed", "verified", "verified", "released",
    ]  # fmt: skip
    assert [entry.mutation_id for entry in entries] == [None, None, *["m-1"] * 5]
    assert entries[0].detail["reasons"] == ["ticket PRIV-1"]
    assert entries[1].detail == {
        "attempt": 1,
        "outcome": "unknown",
        "final": False,
        "status": 503,
        "message": "oops",
    }
    assert entries[4].detail == {"how": "get_by_ids"}
    assert entries[6].detail == {"reason": "undeclared"}
    assert {entry.target.index for entry in entries} == {"articles"}
    assert [entry.position for entry in entries] == sorted(entry.position for entry in entries)


def test_a_read_that_left_an_id_out_is_not_told_of_it_and_a_rejected_batch_gives_it_back(told):
    assert [(entry.what, entry.batch) for entry in history(told.store, "b")] == [
        ("intent", 1), ("failed", 1), ("accepted", 1), ("processed", 1), ("reappeared", 1),
        ("intent", 2), ("failed", 2), ("verified", 1),
    ]  # fmt: skip


def test_an_id_that_was_never_sent_has_its_proof_and_its_reason(told):
    (entry,) = history(told, "c")
    assert (entry.what, entry.batch, entry.mutation_id) == ("verified", None, None)
    assert entry.detail == {"how": "get_by_ids", "reasons": ["ticket PRIV-1"]}


def test_only_the_index_that_was_asked_for(told):
    assert list(history(told, "a", Target("loopback", "a" * 32, "other"))) == []
    assert list(history(told, "a", Target("loopback", "a" * 32, "articles")))
    assert list(history(told, "nobody")) == []


def test_a_damaged_log_tells_no_stories(told, path):
    content = path.read_bytes().replace(b"oops", b"fine")
    path.write_bytes(content)
    with pytest.raises(StateDamaged):
        list(history(FileStore(path), "a"))


def test_a_read_of_an_index_that_the_log_never_named_is_damage(journal, begin):
    begin(journal)
    due, prev = journal.position + 1, journal.head.split(":")[1]
    event = ev.Verified(7, "list", ids=["a"], declarations=[[[1], 1]])
    journal.store.append(seal(due, prev, "n", "2026-01-01T00:00:00Z", "r", [event]).line, due)
    with pytest.raises(StateDamaged, match="names target 7"):
        list(history(journal.store, "a"))
