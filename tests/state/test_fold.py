"""The rules of the fold: the life of a tombstone, and each refusal by name."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from reconciler.errors import StateDamaged
from reconciler.model.accounts import Accounts
from reconciler.model.idset import IdSet
from reconciler.model.target import Target
from reconciler.model.tombstones import REJECTED, place
from reconciler.state import events as ev
from reconciler.state.frames import GENESIS, seal

RUN = "r1"


def started(**options):
    return ev.RunStarted("apply", "loopback", **options)


@pytest.fixture
def log(make_log):
    made = make_log()
    made.add(RUN, started(), ev.TargetSeen(1, "loopback", "a", "i"), declaration(1), declaration(2))
    return made


def declaration(number, target=1):
    return ev.Declared(number, target, "m.yaml", number, 0, f"ticket {number}")


def intent(batch, *ids, declarations=(1,), target=1):
    return ev.Intent(batch, target, [[list(declarations), len(ids)]], list(ids))


def statuses(log, target=1):
    return {id_: status for status, ids in log.fold.snapshot().targets[target].by_status.items() for id_ in ids}


def declared(log, target=1):
    return {id_: numbers for numbers, ids in log.fold.snapshot().targets[target].by_declaration for id_ in ids}


# The life of a tombstone


def test_a_tombstone_from_intent_to_verified(log):
    frame = log.add(RUN, intent(1, "a", "b"))
    assert statuses(log) == {"a": "unresolved", "b": "unresolved"}
    log.add(RUN, ev.Accepted(1, "m-1"))
    log.add(RUN, ev.Processed(1, [[1, 1]], "m-1"))
    log.add(RUN, ev.Verified(1, "get_by_ids", [[1, 1]]))
    assert statuses(log) == {"a": "verified", "b": "verified"}
    batch = log.batch(1)
    assert (batch.mutation_id, batch.attempts, batch.intent) == ("m-1", 1, place(frame.position, 0))
    assert batch.accepted == place(frame.position + 1, 0)
    assert batch.submitted_at < batch.accepted_at < batch.processed_at < batch.settled_at


def test_a_final_rejection_makes_no_tombstone(log):
    log.add(RUN, intent(1, "a"))
    log.add(RUN, ev.Failed(1, 1, "rejected", final=True, code=40006))
    assert statuses(log) == {}
    assert log.batch(1).status == REJECTED


def test_a_rejection_after_an_attempt_of_unknown_outcome_stays_unresolved(log):
    log.add(RUN, intent(1, "a"))
    log.add(RUN, ev.Failed(1, 1, "unknown", final=False), ev.Failed(1, 2, "rejected", final=True))
    assert statuses(log) == {"a": "unresolved"}
    assert log.batch(1).unknown
    assert log.batch(1).attempts == 2


def test_an_index_that_a_refused_frame_re_created_is_still_the_one_it_was(log):
    target = Target("loopback", "a", "i")
    log.refuse(RUN, ev.TargetSeen(2, "loopback", "a", "i", "2026-02-01T00:00:00Z"), ev.Processed(1, [[9, 9]], "m"))
    assert log.fold.live(target).number == 1
    log.add(RUN, ev.TargetSeen(2, "loopback", "a", "i", "2026-02-01T00:00:00Z"))
    assert log.fold.live(target).number == 2


def test_a_batch_that_was_taken_back_before_its_first_attempt_counts_no_request(log):
    log.add(RUN, intent(1, "a"))
    log.add(RUN, ev.Failed(1, 0, "rejected", final=True))
    assert log.batch(1).attempts == 0
    assert log.fold.snapshot().requests == ()


def test_an_acceptance_after_failed_attempts_counts(log):
    log.add(RUN, intent(1, "a"), ev.Failed(1, 1, "unknown", final=False), ev.Accepted(1, "m", 2))
    assert statuses(log) == {"a": "accepted"}


def test_a_rejected_resend_gives_back_what_was_known_before(log):
    log.add(RUN, intent(1, "a", "b"), ev.Accepted(1, "m"), ev.Verified(1, "list", [[1, 1]]))
    log.add(RUN, intent(2, "a"))
    assert statuses(log) == {"a": "unresolved", "b": "verified"}
    log.add(RUN, ev.Failed(2, 1, "rejected", final=True))
    assert statuses(log) == {"a": "verified", "b": "verified"}


def test_a_proof_for_a_batch_says_nothing_of_ids_that_were_on_their_way_again(log):
    log.add(RUN, intent(1, "a", "b"), ev.Accepted(1, "m"))
    log.add(RUN, intent(2, "a"))
    log.add(RUN, ev.Verified(1, "get_by_ids", [[1, 1]]))
    log.add(RUN, ev.Failed(2, 1, "rejected", final=True))
    assert statuses(log) == {"a": "accepted", "b": "verified"}


def test_an_older_batch_that_is_rejected_late_takes_nothing_from_a_newer_one(log):
    log.add(RUN, intent(1, "a"), intent(2, "a"), ev.Accepted(2, "m"), ev.Processed(1, [[2, 2]], "m"))
    log.add(RUN, ev.Failed(1, 1, "rejected", final=True))
    assert statuses(log) == {"a": "processed"}


def test_ids_found_absent_already_get_a_tombstone_with_their_declarations(log):
    log.add(RUN, ev.Verified(1, "get_by_ids", ids=["x", "y", "z"], declarations=[[[1], 1], [[1, 2], 2]]))
    assert set(statuses(log).values()) == {"verified"}
    assert declared(log) == {"x": (1,), "y": (1, 2), "z": (1, 2)}


def test_ids_found_present_that_were_never_sent_are_remembered_with_their_declarations(log):
    log.add(RUN, ev.Reappeared(1, ["x"], [[[2], 1]]))
    assert statuses(log) == {"x": "reappeared"}
    assert declared(log) == {"x": (2,)}


def test_released_ids_have_no_declaration_and_come_back_only_by_an_intent(log):
    log.add(RUN, intent(1, "a", "b"), ev.Accepted(1, "m"), ev.Released(1, "undeclared", ids=["a"]))
    log.add(RUN, ev.Processed(1, [[1, 1]], "m"), ev.Verified(1, "list", [[1, 1]]))
    assert statuses(log) == {"a": "released", "b": "verified"}
    assert declared(log) == {"b": (1,)}
    log.add(RUN, intent(2, "a", declarations=(2,)))
    assert statuses(log) == {"a": "unresolved", "b": "verified"}
    assert declared(log) == {"b": (1,), "a": (2,)}


def test_an_index_created_again_closes_the_old_tombstones_as_history(log):
    log.add(RUN, ev.TargetSeen(1, "loopback", "a", "i", "2026-01"), intent(1, "a"), ev.Accepted(1, "m"))
    log.add(RUN, ev.TargetSeen(2, "loopback", "a", "i", "2026-02"))
    state = log.fold.snapshot()
    assert state.targets[1].closed
    assert state.targets[1].created_on == "2026-01"
    assert state.live(Target("loopback", "a", "i")).number == 2
    log.refuse(RUN, intent(2, "b"))


def test_the_requests_of_the_last_five_minutes_are_remembered(log):
    log.add(RUN, intent(1, "a"), intent(2, "b"))
    log.add(RUN, ev.Failed(1, 1, "unknown", final=False), ev.Accepted(2, "m"))
    log.add(RUN, ev.Processed(1, [[2, 2]], "m", requests=3))
    log.add(RUN, ev.LeaseRenewed(requests=2))
    assert [count for _, count in log.fold.snapshot().requests] == [2, 3, 2]
    log.second += 299
    log.add(RUN, ev.LeaseRenewed())
    assert [count for _, count in log.fold.snapshot().requests] == [2]


def test_a_snapshot_costs_nothing_while_nothing_changes(log):
    assert log.fold.snapshot() is log.fold.snapshot()
    log.add(RUN, intent(1, "a"))
    first = log.fold.snapshot()
    log.add(RUN, ev.LeaseRenewed())
    assert log.fold.snapshot().targets[1] is first.targets[1]


def test_runs_one_after_the_other(log):
    log.add(RUN, ev.RunFinished("done", {"verified": 1}))
    log.add("r2", started(guard="1:2"))
    assert log.fold.open_guard == "1:2"
    log.add("r3", ev.RunFenced("r2", "r3", "dead"), started())
    one, two, three = log.fold.snapshot().runs
    assert [run.outcome for run in (one, two, three)] == ["done", "fenced", None]
    assert three.start_head != GENESIS
    assert three.last_frame == three.started == log.fold.position


# What cannot be


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([ev.Accepted(9, "m")], id="an acceptance of an unknown batch"),
        pytest.param([ev.Failed(9, 1, "unknown", final=True)], id="a failure of an unknown batch"),
        pytest.param([ev.Accepted(2, "")], id="an acceptance without a mutation id"),
        pytest.param([ev.Accepted(1, "again")], id="two acceptances"),
        pytest.param([ev.Failed(1, 2, "rejected", final=True)], id="a failure after the acceptance"),
        pytest.param([ev.Accepted(3, "m")], id="an acceptance after the rejection"),
        pytest.param([ev.Failed(2, 1, "perhaps", final=True)], id="an outcome that does not exist"),
        pytest.param([intent(1, "x")], id="a batch number used twice"),
        pytest.param([intent(0, "x")], id="a batch number below 1"),
        pytest.param([intent(4, "x", target=5)], id="an intent for an unknown target"),
        pytest.param([intent(4, "x", declarations=(7,))], id="an intent for an unknown declaration"),
        pytest.param([intent(4, "x", "x")], id="an id twice in a batch"),
        pytest.param([ev.Intent(4, 1, [], [])], id="a batch without ids"),
        pytest.param([ev.Intent(4, 1, [[[1], 2]], ["x"])], id="declarations for more ids than there are"),
        pytest.param([ev.Processed(1, [[2, 2]], "p")], id="processed though never accepted"),
        pytest.param([ev.Verified(1, "list", [[3, 3]])], id="verified though rejected"),
        pytest.param([ev.Verified(1, "list", [[1, 9]])], id="verified batches that do not exist"),
        pytest.param([ev.Processed(8, [[1, 1]], "p")], id="batches of another target"),
        pytest.param([ev.Reappeared(8, ["x"])], id="ids of an unknown target"),
        pytest.param([declaration(1)], id="a declaration number used twice"),
        pytest.param([declaration(3, target=5)], id="a declaration of an unknown target"),
        pytest.param([ev.TargetSeen(1, "loopback", "a", "other")], id="a target number used for another index"),
        pytest.param(
            [ev.TargetSeen(1, "loopback", "a", "i", "2027")], id="another created_on for the same number"
        ),
        pytest.param([ev.TargetSeen(2, "loopback", "a", "i", "2026")], id="a re-creation at the same time"),
        pytest.param([ev.TargetSeen(2, "https://api.example", "a", "j")], id="a target of another origin"),
        pytest.param([started()], id="a run within a run"),
        pytest.param([ev.RunFenced("r9", "x", "y")], id="a fence for a run that is not open"),
        pytest.param([ev.Header("m" * 32)], id="a second header"),
        pytest.param(
            [intent(4, "x"), ev.Accepted(4, "m"), ev.Accepted(9, "m")], id="good events before a bad one"
        ),
    ],
)
def test_what_cannot_follow_is_damage_and_changes_nothing(log, events):
    log.add(RUN, ev.TargetSeen(1, "loopback", "a", "i", "2026"), intent(1, "a"), intent(2, "b"), intent(3, "c"))
    log.add(RUN, ev.Accepted(1, "m"), ev.Failed(3, 1, "rejected", final=True))
    log.refuse(RUN, *events)


@pytest.mark.parametrize("run", ["", "r9"])
def test_events_of_a_run_that_is_not_open_are_damage(log, run):
    log.refuse(run, ev.LeaseRenewed())
    log.add(RUN, ev.RunFinished("done"))
    log.refuse(RUN, intent(1, "a"))
    log.refuse(RUN, started())


def test_a_run_for_another_origin_is_damage(log):
    log.add(RUN, ev.RunFinished("done"))
    log.refuse("r2", ev.RunStarted("apply", "https://api.example"))


def test_frames_must_follow_each_other(log):
    for position, prev in ((log.fold.position + 2, log.fold.head), (log.fold.position + 1, GENESIS)):
        with pytest.raises(StateDamaged, match="does not follow"):
            log.fold.apply(seal(position, prev, "n", "2026-11-22T12:00:00Z", RUN, [ev.LeaseRenewed()]))


# What declarations name


def naming(number, named="", **held):
    names = {"count": len(named), "digest": IdSet.of(named).digest()}
    return replace(declaration(number), names=names, held=held)


def test_what_a_declaration_names_is_put_together_from_what_it_held_and_what_bears_its_number(log):
    log.add(RUN, intent(1, "a", "b", "c"), intent(2, "d"), ev.Reappeared(1, ["e"], [[[1], 1]]))
    log.add(RUN, naming(3, "abdefg", batches=[[1, 2]], except_ids=["c"], ids=["e"]))
    log.add(RUN, intent(3, "f", "g", declarations=(2, 3)))
    log.add(RUN, naming(4, "abdefg", declarations=[3]))
    log.add(RUN, ev.Failed(3, 1, "rejected", final=True))
    state = log.fold.snapshot()
    accounts = Accounts(state.targets[1], state.declarations)
    assert [list(accounts.of(number)) for number in (1, 2, 3)] == [list("abcde"), [], list("abde")]
    assert not accounts.is_complete(3)
    log.add(RUN, intent(5, "f", "g", declarations=(3,)))
    state = log.fold.snapshot()
    accounts = Accounts(state.targets[1], state.declarations)
    assert list(accounts.of(3)) == list(accounts.of(4)) == list("abdefg")
    assert [accounts.is_complete(number) for number in (1, 3, 4)] == [False, True, True]


def test_as_many_ids_as_a_declaration_names_are_not_those_it_names(log):
    log.add(RUN, naming(3, "ab"), intent(1, "a", "c", declarations=(3,)))
    state = log.fold.snapshot()
    accounts = Accounts(state.targets[1], state.declarations)
    assert list(accounts.of(3)) == ["a", "c"]
    assert not accounts.is_complete(3)


@pytest.mark.parametrize(
    ("held", "why"),
    [
        ({"batches": [[1, 2]]}, "batch 2 of target 1 is not known"),
        ({"declarations": [9]}, "what declaration 9 of target 1 names is not known"),
        ({"declarations": [1]}, "what declaration 1 of target 1 names is not known"),
        ({"declarations": [4]}, "what declaration 4 of target 1 names is not known"),
    ],
)
def test_a_declaration_holds_nothing_that_is_not_there(log, held, why):
    log.add(RUN, intent(1, "a"))
    log.add(RUN, naming(3, "a", batches=[[1, 1]]), naming(4, "a", declarations=[3]))
    log.refuse(RUN, naming(5, **held))
    with pytest.raises(StateDamaged, match=why):
        log.add(RUN, naming(5, **held))
