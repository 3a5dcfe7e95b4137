"""What was approved is what is done, or nothing: saved plans and expected fingerprints."""

from __future__ import annotations

import pytest

from reconciler.errors import ExitCode, PlanRefused, PlanStale, ReconcilerError
from reconciler.state import events as ev


def interrupted(world, after, **options):
    """An apply that is interrupted when its request number `after` arrives."""
    seen = []

    def interrupt(ids):
        seen.append(ids)
        if len(seen) == after:
            world.interrupts.request()

    world.on_delete(interrupt)
    result = world.apply(**options)
    world.bridge.before.clear()
    return result


@pytest.fixture
def slow(world):
    """One request after the other, three ids each."""
    world.configure(api={"concurrency": 1, "batch_size": 3})
    return world


def test_a_saved_plan_is_carried_out_to_the_letter(world, ids):
    world.declare(ids(5))
    saved = world.save()
    result = world.apply(saved=saved)
    assert (result.exit_code, result.verified) == (ExitCode.DONE, 5)
    assert world.events(ev.RunStarted)[-1].fingerprint == saved.plan.fingerprint


@pytest.mark.fault(26)
def test_a_plan_of_another_state_is_stale(world, make_world, ids):
    world.declare(ids(5))
    world.apply()
    world.declare(ids(8))
    saved = world.save()
    other = make_world()
    other.seed(ids(20))
    other.declare(ids(5))
    other.apply()
    other.declare(ids(8))
    other.clock.token()
    with pytest.raises(PlanStale):
        other.apply(saved=saved)
    assert len(other.deletes()) == 1


@pytest.mark.fault(26)
def test_a_state_that_went_backwards_is_noticed(world, ids):
    world.declare(ids(5))
    world.apply()
    backup = world.state_path.read_bytes().splitlines(keepends=True)
    world.declare(ids(8))
    saved = world.save()
    world.state_path.write_bytes(b"".join(backup[:-2]))
    with pytest.raises(PlanStale, match="backwards"):
        world.apply(saved=saved)


@pytest.mark.fault(26)
def test_a_state_that_went_another_way_is_noticed(world, ids):
    world.declare(ids(5))
    world.apply()
    before = world.state_path.read_bytes()
    world.declare(ids(8))
    world.apply()
    saved = world.save()
    world.state_path.write_bytes(before)
    world.declare(ids(6))
    world.apply()
    world.apply(refresh=True)
    world.declare(ids(8))
    with pytest.raises(PlanStale):
        world.apply(saved=saved)


@pytest.mark.fault(26)
@pytest.mark.parametrize("change", ["manifest", "added", "removed", "side file", "limits"])
def test_whatever_the_plan_was_made_from_must_be_the_same_and_the_differences_are_told(world, ids, change):
    world.write("manifests/ids.txt", "doc-010\ndoc-011\n")
    world.manifest(
        {"index": "docs", "reason": "r", "ids": ids(5), "ids_from": [{"path": "ids.txt"}]}, name="gdpr.yaml"
    )
    world.declare(ids(2, 20), name="other.yaml")
    saved = world.save()
    if change == "manifest":
        world.declare(ids(4))
    elif change == "added":
        world.declare(ids(1), name="third.yaml")
    elif change == "removed":
        (world.root / "manifests/other.yaml").unlink()
    elif change == "side file":
        world.write("manifests/ids.txt", "doc-010\ndoc-012\n")
    else:
        world.configure(limits={"max_deletes": 5000})
    with pytest.raises(PlanStale) as stale:
        world.apply(saved=saved)
    assert stale.value.exit_code is ExitCode.STALE
    assert stale.value.differences
    assert world.requests() == []
    assert not world.state_path.exists()


@pytest.mark.fault(26)
def test_ids_that_another_run_deleted_since_are_not_sent_again(world, ids):
    world.declare(ids(5))
    saved = world.save("manifests")
    world.apply()  # the same plan, with another command
    result = world.apply(saved=saved)
    assert (result.exit_code, result.accepted) == (ExitCode.DONE, 0)
    assert len(world.deletes()) == 1


@pytest.mark.fault(26)
def test_zero_work_where_work_was_approved_is_not_success(world, ids):
    world.declare(ids(5))
    world.declare(ids(1, 100), "more", name="b.yaml")
    world.seed(ids(1, 100), "more")
    saved = world.save("manifests/gdpr.yaml")
    world.apply()  # another plan: both indexes, another fingerprint
    with pytest.raises(PlanStale) as stale:
        world.apply(saved=saved)
    assert stale.value.exit_code is ExitCode.STALE


def test_processed_and_verified_frames_do_not_make_a_plan_stale(busy, ids):
    busy.declare(ids(5))
    busy.apply(wait=False)
    busy.declare(ids(8))
    saved = busy.save()
    assert busy.verify().exit_code is ExitCode.DONE
    result = busy.apply(saved=saved)
    assert (result.exit_code, result.accepted) == (ExitCode.DONE, 3)


def test_an_interrupted_apply_is_continued_by_its_plan_file(slow, ids):
    slow.declare(ids(12))
    saved = slow.save()
    assert interrupted(slow, 2, saved=saved).exit_code is ExitCode.INTERRUPTED
    result = slow.apply(saved=saved)
    assert (result.exit_code, result.accepted, result.verified) == (ExitCode.DONE, 6, 12)
    assert sorted(each for entry in slow.deletes() for each in entry.ids) == ids(12)
    again = slow.apply(saved=saved)
    assert (again.exit_code, again.accepted) == (ExitCode.DONE, 0)


def test_a_plan_whose_run_left_an_unknown_outcome_is_continued_and_sends_it_again(slow, ids):
    slow.declare(ids(12))
    saved = slow.save()
    slow.fault("null_mutation", with_id="doc-003", times=5)
    first = slow.apply(saved=saved)
    assert (first.exit_code, first.unknown) == (ExitCode.ERROR, 3)
    second = slow.apply(saved=saved)
    assert (second.exit_code, first.accepted + second.accepted) == (ExitCode.DONE, 12)
    assert slow.actions() == {}


@pytest.mark.fault(26)
def test_an_id_that_needs_a_second_delete_after_the_approved_one_makes_the_plan_stale(world, ids):
    world.declare(ids(5))
    saved = world.save()
    world.apply(saved=saved)
    world.seed(["doc-003"])
    world.verify(audit=True)
    with pytest.raises(PlanStale, match="again"):
        world.apply(saved=saved)
    assert len(world.deletes()) == 1


def test_an_interrupted_apply_is_continued_by_its_fingerprint(slow, ids):
    slow.declare(ids(12))
    expected = slow.plan().plan.fingerprint
    assert interrupted(slow, 2, expect=expected).exit_code is ExitCode.INTERRUPTED
    assert slow.plan().plan.fingerprint != expected
    result = slow.apply(expect=expected)
    assert (result.exit_code, result.accepted, result.verified) == (ExitCode.DONE, 6, 12)
    assert [run.fingerprint for run in slow.state.runs] == [expected, expected]


def test_a_continuation_that_is_interrupted_again_can_be_continued_again(slow, ids):
    slow.declare(ids(15))
    expected = slow.plan().plan.fingerprint
    assert interrupted(slow, 2, expect=expected).exit_code is ExitCode.INTERRUPTED
    assert interrupted(slow, 2, expect=expected).exit_code is ExitCode.INTERRUPTED
    assert slow.apply(expect=expected).exit_code is ExitCode.DONE
    assert slow.actions() == {}


@pytest.mark.fault(26)
def test_another_fingerprint_than_the_expected_is_refused_with_what_differs(world, ids):
    world.declare(ids(5))
    approved = world.save()
    world.declare(ids(6))
    with pytest.raises(PlanStale) as stale:
        world.apply(expect=approved.plan.fingerprint, approved=approved)
    assert any("delete" in line for line in stale.value.differences)
    with pytest.raises(PlanStale) as blind:
        world.apply(expect=approved.plan.fingerprint)
    assert "--approved" in blind.value.hint
    assert world.requests() == []


@pytest.mark.fault(26)
def test_an_expected_plan_is_not_continued_with_more_than_was_approved(slow, ids):
    slow.declare(ids(12))
    expected = slow.plan().plan.fingerprint
    interrupted(slow, 2, expect=expected)
    slow.declare(ids(13))
    with pytest.raises(PlanStale):
        slow.apply(expect=expected)
    assert len(slow.deletes()) == 2


@pytest.mark.fault(26)
def test_a_plan_for_a_pin_that_is_not_the_states_is_stale(world, ids):
    world.declare(ids(5))
    saved = world.save()
    world.declare(ids(5, 50), name="b.yaml")
    world.apply("manifests/b.yaml")  # pins the index
    (world.root / "manifests/b.yaml").unlink()
    with pytest.raises(PlanStale):
        world.apply(saved=saved)
    assert len(world.deletes()) == 1


@pytest.mark.fault(26)
def test_a_plan_made_without_a_state_is_not_applied_to_one_with_a_history(world, ids):
    world.declare(ids(5))
    saved = world.save()
    world.declare(ids(3), "more", name="b.yaml")
    world.seed(ids(3), "more")
    world.apply("manifests/b.yaml")
    (world.root / "manifests/b.yaml").unlink()
    with pytest.raises(PlanStale, match="without a state") as stale:
        world.apply(saved=saved)
    assert any("3 ids more to release than approved" in line for line in stale.value.differences)


@pytest.mark.fault(23)
def test_an_index_re_created_between_plan_and_apply_is_blocked_and_nothing_is_sent_to_it(world, ids):
    world.declare(ids(5))
    world.apply()
    world.declare(ids(8))
    saved = world.save()
    world.emulator.delete_index(world.account, "docs")
    world.clock.advance(1)
    world.seed(ids(20))
    world.emulator.clear_record()
    result = world.apply(saved=saved)
    assert result.exit_code is ExitCode.ERROR
    assert "created again" in result.errors[0].message
    assert world.deletes() == []
    assert world.apply().exit_code is ExitCode.ERROR  # nor by an offline plan of its own
    assert world.deletes() == []


@pytest.mark.fault(23)
def test_a_re_created_index_that_was_seen_is_planned_and_its_old_tombstones_are_history(world, ids):
    world.declare(ids(5))
    world.apply()
    world.emulator.delete_index(world.account, "docs")
    world.clock.advance(1)
    world.seed(ids(20))
    saved = world.save(refresh=True)
    assert [(a.kind.symbol, a.reason) for _, a in saved.plan.actions()] == [("-", "index-recreated")]
    result = world.apply(saved=saved)
    assert (result.exit_code, result.verified) == (ExitCode.DONE, 5)
    assert [record.closed for record in world.state.targets.values()] == [True, False]
    assert world.actions() == {}
    assert world.apply(saved=saved).exit_code is ExitCode.DONE


@pytest.mark.fault(23)
def test_several_new_and_re_created_targets_get_numbers_of_their_own(world, ids):
    world.declare(ids(5))
    world.apply()
    world.emulator.delete_index(world.account, "docs")
    world.clock.advance(1)
    world.seed(ids(20))
    for index in ("a-new", "z-new"):
        world.seed(ids(3), index)
        world.declare(ids(3), index, name=f"{index}.yaml")
    assert world.apply(refresh=True).exit_code is ExitCode.DONE
    assert sorted(world.state.targets) == [1, 2, 3, 4]
    assert sorted(world.state.declarations) == list(range(1, 5))
    assert world.actions() == {}


@pytest.mark.fault(26)
def test_the_state_changed_between_plan_and_start_is_noticed(world, ids):
    """More would be deleted than was shown: it is refused, and asked again."""
    world.declare(ids(5))
    world.apply()
    world.declare(ids(8))

    def approve(_):
        world.seed(["doc-001"])
        inner = world.interrupts
        world.verify(audit=True)
        world.interrupts = inner
        return True

    with pytest.raises(PlanStale, match="changed"):
        world.apply(approve=approve)
    assert len(world.deletes()) == 1
    assert world.state.open_run is None


def created_again(world, ids):
    """Another run meets the index created again, and pins it."""
    world.emulator.delete_index(world.account, "docs")
    world.clock.advance(1)
    world.seed(ids(20))
    inner = world.interrupts
    world.apply("manifests/other.yaml", refresh=True)
    world.interrupts = inner
    world.emulator.clear_record()


def test_an_index_created_again_during_the_approval_was_not_approved(world, ids):
    world.declare(ids(1, 15), name="other.yaml")
    world.apply("manifests/other.yaml")
    world.declare(ids(3))

    def approve(_):
        created_again(world, ids)
        return True

    with pytest.raises(PlanStale, match="another index"):
        world.apply("manifests/gdpr.yaml", approve=approve)
    assert world.deletes() == []
    assert world.state.open_run is None


def test_the_rest_of_an_expected_plan_does_not_go_to_an_index_created_since(world, ids):
    world.configure(api={"concurrency": 1, "batch_size": 1})
    world.declare(ids(1, 15), name="other.yaml")
    world.apply("manifests/other.yaml")
    world.declare(ids(5))
    approved = world.save("manifests/gdpr.yaml")
    world.on_delete(lambda _: world.interrupts.request())
    assert world.apply("manifests/gdpr.yaml", expect=approved.plan.fingerprint).exit_code is ExitCode.INTERRUPTED
    world.bridge.before.clear()
    created_again(world, ids)
    with pytest.raises(PlanStale, match="this one is for the index created on"):
        world.apply("manifests/gdpr.yaml", expect=approved.plan.fingerprint)
    assert world.deletes() == []


def test_a_state_changed_without_harm_goes_on_with_what_is_left(world, ids):
    world.declare(ids(5))

    def approve(_):
        world.apply()
        return True

    result = world.apply(approve=approve)
    assert (result.exit_code, result.accepted) == (ExitCode.DONE, 0)
    assert len(world.deletes()) == 1


def test_a_manifest_that_forbids_itself_sends_nothing(world, ids):
    world.manifest(
        {"index": "docs", "reason": "r", "ids": ids(5)}, keep=[{"index": "docs", "reason": "h", "ids": ids(1)}]
    )
    with pytest.raises(PlanRefused) as refused:
        world.apply()
    assert refused.value.exit_code is ExitCode.REFUSED
    assert world.requests() == []


def test_a_limit_refuses_the_whole_plan(world, ids):
    world.configure(limits={"max_deletes": 4})
    world.declare(ids(5))
    with pytest.raises(PlanRefused):
        world.apply()
    world.declare(ids(4))
    saved = world.save()
    world.configure(limits={"max_deletes": 3})
    with pytest.raises(ReconcilerError):
        world.apply(saved=saved)
    assert world.requests() == []
