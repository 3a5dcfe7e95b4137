"""What the service and the network can do wrong, and what must never come of it."""

from __future__ import annotations

import threading

import httpx
import pytest

from reconciler.clock import SystemClock
from reconciler.errors import AuthenticationFailed, ConnectionFailed, ExitCode, IndexNotFound, PermissionDenied
from reconciler.model.tombstones import Status
from reconciler.state import events as ev


def one_at_a_time(world):
    """The service answers each request before the next leaves, so that the order is the test's to say."""
    world.configure(api={"concurrency": 1})


def test_without_a_token_nothing_is_sent_and_no_run_is_left_in_the_log(world, ids):
    world.declare(ids(5))
    world.environment = {}
    with pytest.raises(AuthenticationFailed) as refused:
        world.apply()
    assert "CLOUDFLARE_API_TOKEN" in refused.value.message + refused.value.hint
    assert world.requests() == []
    assert not world.state_path.exists() or world.events(ev.RunStarted) == []


def test_a_wrong_token_stops_at_the_first_request_and_names_the_permission(make_world, ids):
    world = make_world(tokens={"another-token": "write"})
    world.seed(ids(5))
    world.declare(ids(5))
    with pytest.raises(AuthenticationFailed) as refused:
        world.apply()
    assert "Vectorize" in refused.value.hint
    assert len(world.requests()) == 1
    assert world.events(ev.RunFinished)[-1].outcome == "failed"
    assert world.events(ev.Intent) == []


def test_a_read_token_can_plan_but_its_first_refused_delete_stops_all_targets(make_world, ids):
    world = make_world(tokens={"token-0123456789": "read"})
    for index in ("docs", "more"):
        world.seed(ids(5), index)
        world.declare(ids(5), index, name=f"{index}.yaml")
    one_at_a_time(world)
    assert world.plan(refresh=True).plan.summary.delete == 10
    result = world.apply()
    assert result.exit_code is ExitCode.ERROR
    assert len(world.deletes()) == 1
    assert len(result.errors) == 1
    assert "Vectorize Write" in result.errors[0].hint
    assert world.state.open_run is None


@pytest.mark.fault(22)
def test_a_permission_lost_in_the_middle_stops_at_once_and_what_was_accepted_is_recorded(world):
    one_at_a_time(world)
    many = [f"x-{n:04}" for n in range(2000)]
    world.declare(many)
    world.fault("error", status=403, code=10000, nth=5, times=None)
    result = world.apply()
    assert result.exit_code is ExitCode.ERROR
    assert isinstance(result.errors[0], AuthenticationFailed | PermissionDenied)
    assert len(world.deletes()) == 5  # none is tried again, none starts after it
    assert result.accepted == 400
    assert len(world.events(ev.Accepted)) == 4
    assert world.events(ev.RunFinished)[-1].outcome == "failed"
    world.emulator.faults.clear()
    assert world.apply().exit_code is ExitCode.DONE
    assert world.actions() == {}


@pytest.mark.fault(23)
@pytest.mark.parametrize("status", [400, 404])
def test_a_missing_index_is_its_own_error_never_success_and_the_others_proceed(make_world, ids, status):
    world = make_world(missing_index_status=status)
    world.seed(ids(5))
    world.declare(ids(5))
    world.declare(ids(5), "misspelt", name="other.yaml")
    result = world.apply()
    assert result.exit_code is ExitCode.ERROR
    assert [type(error) for error in result.errors] == [IndexNotFound]
    assert "misspelt" in result.errors[0].message
    assert (result.accepted, result.verified) == (5, 5)
    assert world.live() == []
    assert world.deletes("misspelt") == []
    assert world.apply().exit_code is ExitCode.ERROR  # until its declarations are removed


@pytest.mark.fault(23)
@pytest.mark.parametrize("status", [400, 404])
def test_an_index_that_vanishes_before_its_deletes_is_an_error_and_nothing_counts_as_deleted(world, ids, status):
    one_at_a_time(world)
    world.declare(ids(250))
    world.fault("index_missing", status=status, code=3005, times=None)
    result = world.apply()
    assert result.exit_code is ExitCode.ERROR
    assert isinstance(result.errors[0], IndexNotFound)
    assert (result.accepted, result.verified, result.rejected) == (0, 0, 100)
    assert len(world.deletes()) == 1  # what was formed behind it is not sent
    assert world.record().by_status == {}


@pytest.mark.fault(23)
def test_a_missing_index_seen_by_refresh_blocks_only_itself(world, ids):
    world.declare(ids(5), "gone")
    result = world.apply(refresh=True)
    assert result.exit_code is ExitCode.ERROR
    assert [type(error) for error in result.errors] == [IndexNotFound]
    world.declare(ids(5), name="other.yaml")
    result = world.apply(refresh=True)
    assert (result.exit_code, result.verified) == (ExitCode.ERROR, 5)
    assert world.state.open_run is None


@pytest.mark.parametrize("status", [400, 500])
def test_an_index_that_cannot_be_looked_at_blocks_itself_and_the_others_proceed(world, ids, status):
    world.declare(ids(5), "broken", name="a.yaml")
    world.declare(ids(5))
    world.seed(ids(5), "broken")
    world.fault("error", "index_get", status=status, index="broken", times=None)
    result = world.apply()
    assert result.exit_code is ExitCode.ERROR
    assert ["broken" in error.message for error in result.errors] == [True]
    assert (result.accepted, result.verified) == (5, 5)
    assert world.deletes("broken") == []
    assert any("broken" in notice.message for notice in world.notices if notice.type == "diagnostic")
    world.emulator.faults.clear()
    assert world.apply().exit_code is ExitCode.DONE
    assert world.live("broken") == []


def test_a_service_that_nobody_can_reach_is_not_asked_for_every_index(world, ids):
    for number in range(5):
        world.declare(ids(5), f"index-{number}", name=f"{number}.yaml")
    asked = []
    world.bridge.before.append(lambda request: asked.append(request.url.path))
    world.bridge.refuse = lambda _: httpx.ConnectError("connection refused")
    with pytest.raises(ConnectionFailed):
        world.apply()
    assert len(set(asked)) == 2
    assert world.state.open_run is None


def test_many_indexes_are_looked_at_some_at_once_before_anything_is_sent(world, ids):
    for number in range(5):
        world.declare(ids(5), f"index-{number}", name=f"{number}.yaml")
        world.seed(ids(20), f"index-{number}")
    at_once, asked = threading.Barrier(3), []

    def before(request):
        index = request.url.path.rpartition("/")[2]
        if index.startswith("index-") and index not in asked:
            asked.append(index)
            if len(asked) > 2:  # the first two show that there is a service at all
                at_once.wait(10)

    world.bridge.before.append(before)
    result = world.apply(context=world.context(clock=SystemClock(), threads=True))
    assert (result.exit_code, result.accepted) == (ExitCode.DONE, 25)
    assert asked[:2] == ["index-0", "index-1"]
    assert sorted(asked) == [f"index-{number}" for number in range(5)]


@pytest.mark.parametrize("outage", [2, 4, 6])
def test_a_short_outage_blocks_a_few_indexes_and_not_the_whole_run(world, ids, outage):
    """All that are looked at together fail together: that alone does not say that the service is gone."""
    for number in range(20):
        world.declare(ids(5), f"index-{number:02}", name=f"{number:02}.yaml")
        world.seed(ids(20), f"index-{number:02}")
    asked, began = [], []

    def refuse(request):
        asked.append(request)
        if len(asked) == 5:
            began.append(world.clock.elapsed())
        gone = began and world.clock.elapsed() < began[0] + outage
        return httpx.ConnectError("no route to host") if gone else None

    world.bridge.refuse = refuse
    result = world.apply()
    assert result.exit_code in (ExitCode.DONE, ExitCode.ERROR)
    assert result.accepted == 100 - 5 * len(result.errors) > 0


def test_what_was_learnt_before_the_token_was_refused_is_told_first(world, ids):
    """Who corrects the token should not learn only then that an index is misspelt."""
    for number in range(3):
        world.declare(ids(5), f"index-{number}", name=f"{number}.yaml")
    world.fault("error", "index_get", status=403, index="index-1", times=None)
    with pytest.raises(AuthenticationFailed):
        world.apply()
    told = [notice.message for notice in world.notices if notice.type == "diagnostic"]
    assert sum("index-0: 404" in message for message in told) == 1


def test_a_batch_that_is_not_wanted_any_more_costs_no_request(world, ids):
    """The first fails for good: the one that was intended behind it never leaves."""
    one_at_a_time(world)
    world.declare([f"x-{n:04}" for n in range(800)])
    world.fault("error", status=400, code=40006)
    result = world.apply(wait=False)
    failed = world.events(ev.Failed)
    assert [each.attempt for each in failed] == [1, 0]
    assert (result.rejected, result.requests) == (100, len(world.requests()))
    assert sum(made for _, made in world.state.requests) == len(world.requests())
    assert [batch.attempts for batch in world.record().batches] == [1, 0]


def test_a_taught_batch_size_costs_no_request_for_what_was_intended_before(world):
    world.fault("id_limit", limit=50, times=None)
    one_at_a_time(world)
    world.declare([f"x-{n:04}" for n in range(400)])
    result = world.apply(wait=False)
    assert result.accepted == 400
    assert len(world.deletes()) == 9  # one taught it
    assert result.requests == len(world.requests())
    assert sum(made for _, made in world.state.requests) == len(world.requests())


@pytest.mark.fault(22)
def test_a_refused_connection_is_an_error_before_anything_is_intended(world, ids):
    world.declare(ids(5))
    world.bridge.refuse = lambda _: httpx.ConnectError("connection refused")
    result = world.apply()
    assert result.exit_code is ExitCode.ERROR
    assert [type(error) for error in result.errors] == [ConnectionFailed]
    assert world.events(ev.Intent) == []
    assert world.state.open_run is None


@pytest.mark.fault(22)
def test_connections_refused_during_deletes_are_rejected_not_unknown(world, ids):
    world.declare(ids(5))

    def refuse(request):
        return httpx.ConnectError("refused") if request.url.path.endswith("/delete_by_ids") else None

    world.bridge.refuse = refuse
    result = world.apply()
    assert (result.exit_code, result.rejected, result.unknown) == (ExitCode.ERROR, 5, 0)
    assert len(world.events(ev.Failed)) == 5
    assert world.actions() == {"-": ids(5)}


@pytest.mark.fault(22)
def test_a_time_out_after_acceptance_is_unknown_sent_again_and_both_attempts_are_in_the_log(world, ids):
    world.declare(ids(5))
    world.fault("delay_after", seconds=61)
    result = world.apply()
    assert (result.exit_code, result.accepted, result.verified) == (ExitCode.DONE, 5, 5)
    assert len(world.deletes()) == 2
    (failed,) = world.events(ev.Failed)
    assert (failed.outcome, failed.final, failed.attempt) == ("unknown", False, 1)
    (accepted,) = world.events(ev.Accepted)
    assert (accepted.attempt, accepted.mutation_id) == (2, world.deletes()[1].mutation_id)


@pytest.mark.fault(22)
@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "cut_body", "truncate", "missing_result"])
def test_a_lost_answer_is_unknown_and_sent_again(world, ids, kind):
    world.declare(ids(5))
    world.fault(kind)
    assert world.apply().exit_code is ExitCode.DONE
    assert [event.outcome for event in world.events(ev.Failed)] == ["unknown"]
    assert len(world.deletes()) == 2


@pytest.mark.fault(22)
def test_500_three_times_then_success_is_success_and_every_attempt_is_recorded(world, ids):
    world.declare(ids(5))
    world.fault("error", status=500, times=3)
    result = world.apply()
    assert result.exit_code is ExitCode.DONE
    assert [(e.attempt, e.status, e.final) for e in world.events(ev.Failed)] == [
        (1, 500, False),
        (2, 500, False),
        (3, 500, False),
    ]
    assert world.events(ev.Accepted)[0].attempt == 4


@pytest.mark.fault(22)
def test_429_holds_everybody_back_for_as_long_as_it_asks(world, ids):
    one_at_a_time(world)
    for index in ("docs", "more"):
        world.seed(ids(5), index)
        world.declare(ids(5), index, name=f"{index}.yaml")
    world.fault("error", status=429, retry_after=90)
    assert world.apply().exit_code is ExitCode.DONE
    first, *others = world.deletes()
    assert first.status == 429
    assert all(each.at - first.at >= 90 for each in others)
    assert {each.index for each in others} == {"docs", "more"}


@pytest.mark.fault(22)
def test_the_throttle_of_one_index_with_status_400_is_passing(world, ids):
    world.declare(ids(5))
    world.fault("error", status=400, code=40041, message="Too Many Requests", times=2)
    result = world.apply()
    assert (result.exit_code, result.verified) == (ExitCode.DONE, 5)
    assert [event.code for event in world.events(ev.Failed)] == [40041, 40041]


@pytest.mark.fault(22)
def test_a_null_mutation_id_is_unknown_five_times_and_the_next_apply_sends_again(world, ids):
    world.declare(ids(5))
    world.fault("null_mutation", times=None)
    result = world.apply()
    assert (result.exit_code, result.accepted, result.unknown) == (ExitCode.ERROR, 0, 5)
    assert len(world.deletes()) == 5
    assert world.events(ev.Accepted) == []
    assert [event.final for event in world.events(ev.Failed)] == [False] * 4 + [True]
    assert world.actions() == {"?": ids(5)}
    world.emulator.faults.clear()
    assert world.apply().exit_code is ExitCode.DONE
    assert world.actions() == {}


@pytest.mark.fault(22)
def test_one_attempt_that_may_have_been_accepted_makes_a_batch_unknown_whatever_the_last_one_said(world, ids):
    world.declare(ids(5))
    world.fault("drop_after")
    world.fault("error", status=400, code=40008, nth=2, times=None)
    result = world.apply()
    assert (result.exit_code, result.unknown, result.rejected) == (ExitCode.ERROR, 5, 0)
    assert world.actions() == {"?": ids(5)}


@pytest.mark.fault(22)
def test_a_smaller_id_limit_is_learned_and_nothing_above_it_is_sent_again(world):
    one_at_a_time(world)
    many = [f"x-{n:04}" for n in range(1030)]
    world.seed(many)
    world.declare(many)
    world.fault("id_limit", limit=50, times=None)
    result = world.apply()
    assert (result.exit_code, result.verified) == (ExitCode.DONE, 1030)
    sizes = [len(entry.ids) for entry in world.deletes()]
    assert [size for size in sizes if size > 50] == [100]
    sent = [each for entry in world.deletes() if entry.accepted for each in entry.ids]
    assert sorted(sent) == many
    assert len(sizes) == 1 + 21


@pytest.mark.fault(22)
def test_a_limit_learned_after_a_lost_answer_still_loses_no_id(world):
    many = [f"x-{n:04}" for n in range(100)]
    world.declare(many)
    world.fault("drop_after")
    world.fault("id_limit", limit=40, nth=2, times=None)
    result = world.apply()
    assert (result.exit_code, result.accepted) == (ExitCode.DONE, 100)
    assert world.actions() == {}


@pytest.mark.fault(22)
def test_a_limit_that_says_nothing_is_halved_until_it_fits(world):
    one_at_a_time(world)
    many = [f"x-{n:04}" for n in range(100)]
    world.declare(many)
    world.fault("error", status=400, code=40007, message="too many ids", times=3)
    assert world.apply().exit_code is ExitCode.DONE
    sizes = [len(entry.ids) for entry in world.deletes()]
    assert sizes[:4] == [100, 50, 25, 13]
    assert world.ids(Status.VERIFIED) == many


@pytest.mark.fault(22)
def test_after_a_batch_fails_for_good_no_new_one_of_that_target_starts_and_others_go_on(world):
    one_at_a_time(world)
    many = [f"x-{n:04}" for n in range(1000)]
    for index in ("docs", "more"):
        world.seed(many, index)
        world.declare(many, index, name=f"{index}.yaml")
    world.fault("error", status=400, code=40008, index="docs")
    result = world.apply()
    assert result.exit_code is ExitCode.ERROR
    assert (result.rejected, result.accepted) == (100, 1000)
    assert len(world.deletes("docs")) == 1
    assert len(world.deletes("more")) == 10
    assert world.live("more") == []
    assert len(world.ids(Status.VERIFIED, index="more")) == 1000
    assert len(world.live("docs")) == 1300


@pytest.mark.fault(22)
def test_a_message_beside_success_does_not_spoil_it(world, ids):
    world.declare(ids(5))
    world.fault("message")
    assert world.apply().exit_code is ExitCode.DONE


@pytest.mark.fault(22)
def test_a_gateway_page_during_the_proof_is_tried_again_and_never_read_as_absence(world, ids):
    world.declare(ids(5))
    world.fault("raw", operation="get_by_ids", status=502, times=7)
    result = world.apply()
    assert (result.exit_code, result.verified) == (ExitCode.DONE, 5)


@pytest.mark.fault(22)
@pytest.mark.parametrize(
    "answer",
    [
        {"result": None},
        {"result": [{"id": "somebody-elses"}]},
        {"result": {"vectors": []}},
    ],
)
def test_an_answer_of_another_shape_or_with_foreign_ids_is_never_absence(world, ids, answer):
    world.declare(ids(5))
    world.fault("result", operation="get_by_ids", times=None, **answer)
    result = world.apply(timeout=30)
    assert (result.exit_code, result.verified, result.pending) == (ExitCode.NOT_SETTLED, 0, 5)
    assert world.events(ev.Verified) == []


@pytest.mark.fault(22)
def test_success_false_is_never_absence(world, ids):
    world.declare(ids(5))
    body = '{"success": false, "errors": [], "messages": [], "result": []}'
    world.fault("raw", operation="get_by_ids", status=200, body=body, content_type="application/json", times=None)
    result = world.apply(timeout=30)
    assert (result.exit_code, result.verified) == (ExitCode.NOT_SETTLED, 0)


@pytest.mark.fault(22)
def test_a_permission_lost_during_the_proof_ends_it_and_keeps_what_was_accepted(busy, ids):
    busy.declare(ids(5))
    busy.fault("error", operation="info", status=401, code=10000, times=None)
    result = busy.apply()
    assert result.exit_code is ExitCode.ERROR
    assert (result.accepted, result.verified, result.pending) == (5, 0, 5)
    assert busy.events(ev.RunFinished)[-1].counts["accepted"] == 5
    busy.emulator.faults.clear()
    assert busy.verify().exit_code is ExitCode.DONE
