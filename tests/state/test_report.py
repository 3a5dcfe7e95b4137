"""What a report says of a declaration, against the projection and against what was really done."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.errors import ReconcilerError
from reconciler.model.idset import IdSet
from reconciler.model.tombstones import Status
from reconciler.state import events as ev
from reconciler.state.proofs import proofs, read
from reconciler.state.report import make_report
from reconciler.state.reported import OPEN
from support.reports import entry


def report(world, **asked):
    return make_report(world.frames(), **asked)


def one(world, **asked):
    (found,) = report(world, **asked).declarations
    return found


def test_a_ticket_whose_ids_were_all_read_absent_is_done(world, ids):
    world.manifest(entry("GDPR, ticket PRIV-4711", ids(5), until="2999-01-01"))
    world.apply()
    made = report(world, reason="priv-4711")
    (found,) = made.declarations
    (sent,) = found.mutations
    assert (made.done, found.done, made.ids(), made.position) == (True, True, 5, world.state.position)
    assert (found.newest.manifest, found.newest.line, found.newest.until) == (
        "manifests/gdpr.yaml",
        2,
        "2999-01-01",
    )
    assert (sent.mutation_id, sent.status, sent.ids) == (world.deletes()[0].mutation_id, "verified", 5)
    assert found.proven.by_how == (("get_by_ids", 5),)
    (proven,) = [frame.at for frame in world.frames() if any(isinstance(e, ev.Verified) for e in frame.events)]
    assert (found.proven.first_at, found.proven.complete_at, found.proven.last_at) == (proven,) * 3


def test_accepted_is_not_done(busy, ids):
    busy.declare(ids(5))
    busy.apply(wait=False)
    made = report(busy)
    assert not made.done
    assert made.declarations[0].by_status == {Status.ACCEPTED: IdSet.of(ids(5))}
    assert made.declarations[0].proven.ids == 0


def test_an_unknown_outcome_is_open_and_its_mutation_has_no_name(world, ids):
    world.declare(ids(5))
    world.fault("null_mutation", times=9)
    world.apply()
    found = one(world)
    assert not found.done
    assert found.open == IdSet.of(ids(5))
    assert [(sent.mutation_id, sent.status, sent.accepted_at) for sent in found.mutations] == [
        (None, "unresolved", None)
    ]


def test_what_an_interrupted_apply_never_sent_keeps_a_ticket_from_being_done(world, ids):
    world.configure(api={"batch_size": 2, "concurrency": 1})
    world.declare(ids(6))
    world.on_delete(lambda _: world.interrupts.request())
    world.apply()
    world.bridge.before.clear()
    world.verify()
    found = one(world)
    assert not found.open
    assert 0 < len(found.ids) < 6
    assert found.missing == 6 - len(found.ids)
    assert not report(world).done
    world.apply()
    assert report(world).done


def test_reappeared_ids_are_named_with_their_proof_and_its_mutation(world, ids):
    world.declare(ids(5))
    world.apply()
    before = one(world)
    world.seed(["doc-003"])
    world.clock.advance(60)
    world.verify(audit=True)
    found = one(world)
    (back,) = found.back
    assert not report(world).done
    assert list(back.ids) == ["doc-003"]
    assert back.proof.at == before.proven.last_at
    assert back.proof.mutation_id == before.mutations[0].mutation_id
    assert back.seen_at == world.frames()[-2].at
    assert (found.proven.ids, found.open) == (4, IdSet.of(["doc-003"]))
    world.apply()
    assert report(world).done
    assert [sent.ids for sent in one(world).mutations] == [5, 1]


def test_ids_that_came_back_have_been_absent_only_since_they_were_deleted_again(world, ids):
    world.declare(ids(5))
    world.apply()
    first = one(world).proven
    world.seed(["doc-003"])
    world.clock.advance(60)
    world.verify(audit=True)
    world.apply()
    again = one(world).proven
    assert again.first_at == first.first_at
    assert again.complete_at > first.complete_at


def test_ids_that_were_absent_already_have_no_mutation_and_are_said_to_have_none(world, ids):
    world.configure(api={"batch_size": 2})
    world.declare(["never-0", "never-1", "never-2", *ids(2)])
    world.apply(refresh=True)
    found = one(world)
    assert found.done
    assert list(found.never_sent) == ["never-0", "never-1", "never-2"]
    assert sum(sent.ids for sent in found.mutations) == 2


def test_released_ids_are_counted_and_are_not_among_those_named(world, ids):
    world.declare(ids(5))
    world.apply()
    world.declare(ids(2))
    world.apply()
    found = one(world)
    assert (list(found.ids), found.released, found.missing) == (ids(2), 3, 0)
    assert report(world).done


def test_a_declaration_that_was_withdrawn_is_history_and_not_done(world, ids):
    world.declare(ids(5))
    world.declare(ids(2, 10), name="other.yaml")
    world.apply()
    (world.root / "manifests/gdpr.yaml").unlink()
    world.apply()
    gone = report(world, manifest="manifests/gdpr.yaml")
    assert (gone.done, gone.ids(), gone.declarations[0].released) == (False, 0, 5)
    assert gone.declarations[0].withdrawn
    both = report(world, reason="PRIV-1")
    assert (both.done, both.ids(), len(both.declarations)) == (True, 2, 2)


def test_what_was_proven_of_an_index_that_was_created_again_is_never_success(world, ids):
    world.declare(ids(5))
    world.apply()
    world.emulator.delete_index(world.account, "docs")
    world.seed(ids(5))
    world.apply(refresh=True)
    live, closed = report(world).declarations
    assert (live.closed, closed.closed, closed.superseded) == (False, True, True)
    assert (live.done, closed.done) == (True, False)
    assert report(world).done
    assert report(world).ids() == 5


def test_a_closed_index_alone_is_not_done(world, ids):
    world.declare(ids(5))
    world.apply()
    world.emulator.delete_index(world.account, "docs")
    world.seed(ids(5))
    world.manifest(entry("another reason", ids(5)))
    world.apply(refresh=True)
    made = report(world, reason="PRIV-1")
    assert [(each.closed, each.superseded) for each in made.declarations] == [(True, False)]
    assert not made.done


def test_a_reason_that_was_reworded_stays_one_declaration(world, ids):
    world.manifest(entry("PRIV-47", ids(3)))
    world.apply()
    world.manifest(entry("PRIV-4711", ids(3)))
    world.declare(ids(1, 50), name="zz.yaml")
    world.apply()
    for asked in ("PRIV-4711", "priv-47"):
        found = report(world, reason=asked, manifest="manifests/gdpr.yaml").declarations
        assert [(each.newest.reason, each.earlier, len(each.ids)) for each in found] == [
            ("PRIV-4711", ("PRIV-47",), 3)
        ]


def test_entries_that_moved_keep_their_own_ids(world, ids):
    first, second, third = (entry(f"ticket {n}", ids(3, 10 * n)) for n in range(3))
    world.manifest(first, second)
    world.apply()
    world.manifest(third, first, second)
    world.apply()
    for number, named in ((0, ids(3)), (1, ids(3, 10)), (2, ids(3, 20))):
        made = report(world, reason=f"ticket {number}")
        assert made.done
        assert [list(each.ids) for each in made.declarations] == [named]
    world.manifest(third, second)
    world.apply()
    assert report(world, reason="ticket 0").declarations[0].withdrawn
    assert report(world, reason="ticket 1").done


def test_a_moved_entry_whose_list_grew_is_still_the_same(world, ids):
    world.manifest(entry("ticket 0", ids(3)))
    world.apply()
    world.manifest(entry("ticket 1", ids(3, 10)), entry("ticket 0", ids(4)))
    world.apply()
    made = report(world, reason="ticket 0")
    assert [list(each.ids) for each in made.declarations] == [ids(4)]
    assert made.done


def test_a_manifest_that_was_renamed_takes_its_proofs_along(world, ids):
    world.declare(ids(3))
    world.apply()
    (world.root / "manifests/gdpr.yaml").rename(world.root / "manifests/new.yaml")
    world.declare(ids(1, 50), name="zz.yaml")
    world.apply()
    found = one(world, manifest="manifests/new.yaml")
    assert (found.done, list(found.shared)) == (True, ids(3))
    assert [sent.ids for sent in found.mutations] == [3]


def test_ids_that_another_ticket_named_first_count_for_both(world, ids):
    world.declare(ids(3))
    world.apply()
    world.manifest(entry("ticket 2", ids(4)), name="second.yaml")
    world.apply()
    found = one(world, reason="ticket 2")
    assert (list(found.ids), list(found.shared), found.missing, found.done) == (ids(4), ids(3), 0, True)


def test_a_prefix_reports_what_its_list_found(world):
    world.seed([f"user-1/{n}" for n in range(4)])
    world.manifest({"index": "docs", "reason": "r", "prefixes": ["user-1/"]})
    world.apply()
    found = one(world)
    assert (found.prefixes, len(found.ids), found.done) == ((("user-1/", 4),), 4, True)


@pytest.mark.parametrize("finished", [True, False])
def test_what_a_prefix_matched_later_and_was_not_sent_keeps_a_ticket_from_being_done(world, finished):
    world.configure(api={"batch_size": 2, "concurrency": 1})
    world.seed([f"user-1/{n}" for n in range(6)])
    world.manifest({"index": "docs", "reason": "r", "prefixes": ["user-1/"]})
    world.apply()
    world.seed([f"user-1/new-{n}" for n in range(4)])
    if not finished:
        world.on_delete(lambda _: world.interrupts.request())
    world.apply(refresh=True)
    world.bridge.before.clear()
    world.verify()
    found = one(world)
    assert (found.done, found.missing > 0, found.open) == (finished, not finished, IdSet())
    world.apply(refresh=True)
    assert report(world).done


def test_a_wait_that_was_interrupted_is_no_sending_that_was(busy):
    busy.seed([f"user-1/{n}" for n in range(6)])
    busy.manifest({"index": "docs", "reason": "r", "prefixes": ["user-1/"]})
    busy.bridge.before.append(lambda _: busy.interrupts.request() if busy.deletes() else None)
    busy.apply()
    busy.bridge.before.clear()
    assert busy.events(ev.RunFinished)[-1].outcome == "interrupted"
    assert not report(busy).done
    busy.verify()
    assert report(busy).done


def test_nothing_matches_nothing(world, ids):
    world.declare(ids(3))
    world.apply()
    assert report(world, reason="nobody").declarations == ()
    assert not report(world, reason="nobody").done
    assert report(world, index="other").declarations == ()
    assert report(world, manifest="gdpr.yaml").declarations == ()


POOL = [f"id-{n:02}" for n in range(9)]
stories = st.lists(
    st.fixed_dictionaries(
        {
            "first": st.sets(st.sampled_from(POOL), max_size=6),
            "second": st.sets(st.sampled_from(POOL), max_size=6),
            "fault": st.sampled_from(
                [None, None, "null_mutation", "drop_after", "drop_before", "rejected", "once"]
            ),
            "back": st.sets(st.sampled_from(POOL), max_size=3),
            "wait": st.booleans(),
            "refresh": st.booleans(),
            "audit": st.booleans(),
            "recreate": st.sampled_from([False] * 5 + [True]),
        }
    ),
    min_size=1,
    max_size=4,
)


def carry_out(world, step):
    """One apply, perhaps an audit, and what comes back behind its back."""
    world.manifest(*(entry(f"ticket {name}", sorted(step[name])) for name in ("first", "second") if step[name]))
    if step["recreate"]:
        world.emulator.delete_index(world.account, "docs")
        world.seed(["stays", *POOL])
    if step["fault"] == "rejected":
        world.fault("error", nth=2, times=9, status=400)
    elif step["fault"] is not None:
        kind, times = ("null_mutation", 1) if step["fault"] == "once" else (step["fault"], 9)
        world.fault(kind, times=times)
    try:
        world.apply(wait=step["wait"], refresh=step["refresh"] or step["recreate"], timeout=200)
        world.seed(step["back"])
        if step["audit"]:
            world.verify(audit=True, timeout=200)
    except ReconcilerError:
        pass
    finally:
        world.emulator.faults.clear()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(stories, st.integers(1, 3))
def test_whatever_happened_a_report_agrees_with_the_state(make_world, story, size):
    world = make_world()
    world.seed(["stays", *POOL])
    world.configure(api={"batch_size": size, "concurrency": 1})
    for step in story:
        carry_out(world, step)
        if world.state_path.exists():
            check(world)


def check(world):
    log, made = read(world.frames()), report(world)
    assert log.projection == world.state
    for number, record in log.projection.targets.items():
        here = [each for each in made.declarations if each.newest.target == number]
        for status in Status:
            named = IdSet.union(each.by_status.get(status, IdSet()) for each in here)
            assert named == (IdSet() if status is Status.RELEASED else record.ids(status))
        assert all(IdSet.union(each.by_status.values()) == each.ids for each in here)
        check_proofs(world, number, record)
    for each in made.declarations:
        assert (
            each.proven.ids
            == len(each.by_status.get(Status.VERIFIED, ()))
            == sum(n for _, n in each.proven.by_how)
        )
        assert IdSet.union(back.ids for back in each.back) == each.by_status.get(Status.REAPPEARED, IdSet())
        assert not each.done or each.by_status.keys() == {Status.VERIFIED}
        assert {sent.mutation_id for sent in each.mutations} <= {None} | {e.mutation_id for e in world.deletes()}
    if made.done:
        assert not any(made.ids(status) for status in OPEN)


def check_proofs(world, number, record):
    """Against a replay of the log event by event, id by id."""
    frames = world.frames()
    last, carrier, stack, back = {}, {}, {}, {}
    rejected = {batch.number for batch in record.batches if batch.status == "rejected"}
    for frame in frames:
        for event in frame.events:
            if isinstance(event, ev.Intent) and event.target == number and event.batch not in rejected:
                stack |= dict.fromkeys(event.ids, event.batch)
            elif isinstance(event, ev.Verified | ev.Reappeared) and event.target == number:
                numbers = {n for a, b in getattr(event, "batches", ()) for n in range(a, b + 1)}
                named = {i for i, batch in stack.items() if batch in numbers}
                named = (named - set(getattr(event, "except_ids", ()))) | set(event.ids)
                for each in named:
                    if isinstance(event, ev.Verified):
                        last[each], carrier[each] = frame, stack.get(each)
                        back.pop(each, None)
                    else:
                        back[each] = frame.at
    found = proofs(frames, number, [*POOL, "stays"])
    released = set(record.ids(Status.RELEASED))
    assert set(found) == set(last)
    for each, proof in found.items():
        if each not in released:
            assert (proof.position, proof.at, proof.batch) == (last[each].position, last[each].at, carrier[each])
            assert proof.back_at == back.get(each)
    assert set(record.ids(Status.VERIFIED)) <= set(found)
