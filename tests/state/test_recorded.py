"""What an apply records of a declaration: exactly what it names, so that a report need not guess."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from reconciler.errors import ExitCode
from reconciler.model.idset import IdSet
from reconciler.model.tombstones import Status
from reconciler.operations import recording
from reconciler.render.report import headline
from reconciler.state import events as ev
from reconciler.state.report import make_report
from support.reports import entry, newest, prefix, report


def test_an_entry_that_was_edited_and_not_sent_is_not_done_although_another_one_took_its_id(world, ids):
    world.configure(api={"batch_size": 1, "concurrency": 1})
    world.manifest(entry("PRIV-1", ["doc-000"]))
    world.apply()
    world.manifest(entry("PRIV-1", ["doc-009"]))
    world.manifest(entry("PRIV-2", ids(8)), name="aaa.yaml")
    world.on_delete(lambda _: world.interrupts.request())
    world.apply()
    world.bridge.before.clear()
    world.verify()
    assert "doc-009" in world.live()
    (found,) = report(world, "PRIV-1").declarations
    assert (found.done, found.missing, list(found.ids)) == (False, 1, [])
    assert headline(report(world, "PRIV-1")).startswith(
        "Not done: 1 id that the manifests name has no record here"
    )
    world.apply()
    assert report(world, "PRIV-1").done
    assert "doc-009" not in world.live()


def test_a_prefix_whose_run_failed_is_not_done_although_another_entry_names_as_many_ids_under_it(world):
    world.configure(api={"batch_size": 1, "concurrency": 1})
    world.seed(["u/0", "u/1", "u/2"])
    world.manifest(prefix("PRIV-1", "u/"))
    world.manifest(entry("PRIV-2", [f"u/-gone{n}" for n in range(6)]), name="aaa.yaml")
    world.fault("error", nth=2, times=9, status=400)
    world.apply()
    world.emulator.faults.clear()
    world.verify()
    assert {"u/0", "u/1", "u/2"} & set(world.live())
    assert not report(world, "PRIV-1").done
    world.apply()
    assert report(world, "PRIV-1").done
    assert not {"u/0", "u/1", "u/2"} & set(world.live())


def test_a_second_ticket_for_the_same_ids_is_done_after_an_apply_that_sends_nothing(world, ids):
    world.declare(ids(5))
    world.apply()
    sent = len(world.requests())
    world.manifest(entry("ticket 2", ids(3)), name="second.yaml")
    assert world.apply().exit_code is ExitCode.DONE
    assert len(world.requests()) == sent
    made = report(world, "ticket 2")
    (found,) = made.declarations
    assert made.done
    assert (list(found.ids), list(found.shared)) == (ids(3), ids(3))
    assert [(each.mutation_id, each.ids) for each in found.mutations] == [(world.deletes()[0].mutation_id, 3)]


def test_what_is_recorded_already_is_not_recorded_again(world, ids):
    world.seed(["u/0", "u/1"])
    world.manifest(entry("ticket 1", ids(3)), prefix("ticket 2", "u/"), entry("ticket 3", ["never-there"]))
    world.apply(refresh=True)
    world.manifest(entry("ticket 4", ids(2)), name="second.yaml")
    world.apply()
    before = world.frames()
    for refresh in (False, True):
        assert world.apply(refresh=refresh).exit_code is ExitCode.DONE
        assert world.frames() == before


def test_a_reason_that_was_reworded_is_recorded_by_an_apply_that_sends_nothing(world, ids):
    world.manifest(entry("PRIV-47", ids(3)))
    world.apply()
    world.manifest(entry("PRIV-4711", ids(3)))
    world.apply()
    made = report(world, "PRIV-4711")
    assert made.done
    assert [(each.newest.reason, each.earlier) for each in made.declarations] == [("PRIV-4711", ("PRIV-47",))]
    assert newest(world).held == {"declarations": [1]}
    world.manifest(entry("PRIV-4712", ids(3)))
    world.apply()
    assert newest(world).held == {"declarations": [1]}
    assert report(world, "PRIV-4712").done


def test_a_plan_that_changes_nothing_says_that_an_apply_would_record(world, ids):
    world.declare(ids(3))
    world.apply()
    assert "not-recorded" not in {each.code for each in world.plan().plan.diagnostics}
    world.manifest(entry("ticket 2", ids(2)), name="second.yaml")
    planned = world.plan()
    (said,) = [each for each in planned.plan.diagnostics if each.code == "not-recorded"]
    assert said.summary == "1 declaration is not in the state as now declared"
    assert planned.plan.unrecorded == 1
    assert planned.plan.changes  # exit 2 with --detailed-exitcode: else a pipeline would never record it
    assert planned.plan.applyable
    assert world.apply().recorded == 1
    assert not world.plan().plan.changes
    assert "not-recorded" not in {each.code for each in world.plan().plan.diagnostics}


def test_a_saved_plan_records_like_any_other(world, ids):
    world.declare(ids(3))
    world.apply(saved=world.save())
    world.manifest(entry("ticket 2", ids(2)), name="second.yaml")
    assert world.apply(saved=world.save()).exit_code is ExitCode.DONE
    assert report(world, "ticket 2").done


def test_an_approval_by_fingerprint_records_like_any_other(world, ids):
    world.declare(ids(3))
    world.apply()
    world.manifest(entry("ticket 2", ids(2)), name="second.yaml")
    world.apply(expect=world.plan().plan.fingerprint)
    assert report(world, "ticket 2").done


def test_a_person_is_asked_before_anything_is_recorded(world, ids):
    world.declare(ids(3))
    world.apply()
    world.manifest(entry("ticket 2", ids(2)), name="second.yaml")
    asked = []
    world.apply(approve=lambda planned: asked.append(planned.plan.changes) or True)
    assert asked == [False]
    assert report(world, "ticket 2").done


def test_ids_that_were_released_and_declared_again_count_only_when_they_were_sent_again(world, ids):
    world.configure(api={"batch_size": 1, "concurrency": 1})
    world.declare(ids(3))
    world.declare(["doc-100"], name="other.yaml")
    world.apply()
    (world.root / "manifests/gdpr.yaml").unlink()
    world.apply()
    world.seed(ids(3))
    world.declare(ids(3))
    world.on_delete(lambda _: world.interrupts.request())
    world.apply()
    world.bridge.before.clear()
    world.verify()
    (found,) = make_report(world.frames(), manifest="manifests/gdpr.yaml").declarations
    assert (found.done, found.withdrawn) == (False, False)
    assert found.missing == 3 - len(found.ids) > 0
    assert not make_report(world.frames()).done
    world.apply()
    assert make_report(world.frames()).done


def test_what_another_entry_sent_in_the_end_counts_after_the_next_apply(world, ids):
    world.configure(api={"batch_size": 1, "concurrency": 1})
    world.declare(ids(3))
    world.on_delete(lambda _: world.interrupts.request())
    world.apply()
    world.bridge.before.clear()
    world.manifest(entry("ticket 2", ids(3)), name="second.yaml")
    world.apply("manifests/second.yaml")
    assert report(world, "ticket 2").done
    assert not report(world, "PRIV-1").done
    sent = len(world.deletes())
    world.apply()
    assert report(world, "PRIV-1").done
    assert len(world.deletes()) == sent


@pytest.fixture
def earlier_version(monkeypatch):
    """Until it is undone, nothing is recorded of what declarations name."""
    now = recording._Entry.event
    monkeypatch.setattr(recording._Entry, "event", lambda *args: replace(now(*args), names={}, held={}))
    return monkeypatch


def test_what_an_earlier_version_recorded_is_done_only_if_its_digest_proves_it(earlier_version, world, ids):
    world.manifest(entry("ticket 1", ids(3)), entry("ticket 2", ids(4)))
    world.apply()
    earlier_version.undo()
    assert report(world, "ticket 1").done
    assert report(world, "ticket 2").done


def test_the_next_apply_records_what_an_earlier_version_did_not(earlier_version, world, ids):
    world.manifest(entry("ticket 1", ids(3)))
    world.apply()
    world.manifest(entry("ticket 2", ids(3, 1)), name="second.yaml")
    world.apply()
    earlier_version.undo()
    made = report(world, "ticket 2")
    assert not made.done
    assert made.declarations[0].missing > 0
    assert "recorded without exactly what it names (the next `reconciler apply` records it)" in headline(made)
    sent = len(world.deletes())
    world.apply()
    assert report(world, "ticket 2").done
    assert report(world, "ticket 1").done
    assert len(world.deletes()) == sent
    before = world.frames()
    world.apply()
    assert world.frames() == before


def test_a_declaration_of_many_ids_adds_a_few_hundred_bytes_to_the_log(world):
    many = [f"many-{n:05}" for n in range(5000)]
    world.configure(limits={"max_percent": 100})
    world.seed(many)
    world.declare(many)
    world.apply()
    world.manifest(entry("ticket 2", many), name="b.yaml")
    world.manifest(entry("ticket 3", many[:-7]), name="c.yaml")
    world.manifest(entry("ticket 4", many[100:2000]), name="d.yaml")
    world.apply()
    made = world.events(ev.Declared)
    assert len(made) == 4
    assert made[1].held == {"declarations": [1]}
    assert made[2].held == {"batches": [[1, 50]], "except_ids": many[-7:]}
    assert made[3].held == {"batches": [[2, 20]]}
    assert all(len(json.dumps(ev.encode(each))) < 800 for each in made)
    for number, count in ((2, 5000), (3, 4993), (4, 1900)):
        found = report(world, f"ticket {number}")
        assert (found.done, found.ids()) == (True, count)


def test_ids_that_were_never_sent_are_held_by_name(world, ids):
    world.configure(limits={"max_percent": 100})
    world.declare(["never-0", "never-1", *ids(98)])
    world.apply(refresh=True)
    world.manifest(entry("ticket 2", ["never-0", *ids(1)]), name="b.yaml")
    world.apply()
    assert newest(world).held == {"ids": ["doc-000", "never-0"]}
    assert report(world, "ticket 2").done


def test_a_part_of_the_manifests_releases_nothing_that_another_part_names_as_well(world, ids):
    world.declare(ids(3), name="a.yaml")
    world.apply(wait=False)
    world.manifest(entry("ticket 2", ids(1)), name="b.yaml")
    world.apply(wait=False)
    world.declare(["doc-100"], name="a.yaml")
    world.apply("manifests/a.yaml")
    assert world.ids(Status.RELEASED) == ids(2, 1)
    assert report(world, "ticket 2").done
    world.apply()
    assert world.ids(Status.RELEASED) == ids(2, 1)


def test_what_a_look_found_present_again_is_recorded_although_its_delete_was_refused(world, ids):
    world.declare(ids(3))
    world.apply()
    world.seed(["doc-001"])
    world.fault("error", times=9, status=400)
    world.apply(refresh=True)
    world.emulator.faults.clear()
    assert "doc-001" in world.live()
    (found,) = report(world, "PRIV-1").declarations
    assert (found.done, list(found.open)) == (False, ["doc-001"])
    world.apply()
    assert "doc-001" not in world.live()
    assert report(world, "PRIV-1").done


def test_a_list_that_lapsed_before_anything_was_sent_is_never_done(world, ids):
    world.declare(ids(1), name="other.yaml")
    world.manifest(entry("ticket 2", ids(2), until="2026-01-02"))
    world.apply()
    (found,) = report(world, "ticket 2").declarations
    assert (found.done, found.missing) == (False, 1)


def test_what_lapsed_is_withdrawn_although_it_was_reworded_since(world, ids):
    world.declare(["doc-100"], name="other.yaml")
    world.manifest(entry("ticket 2", ids(2), until="2026-11-23"))
    world.apply()
    world.clock.advance(48 * 3600)
    world.apply()
    assert report(world, "ticket 2").declarations[0].withdrawn
    world.manifest(entry("reworded", ids(2), until="2026-11-23"))
    world.declare(["doc-100", "doc-101"], name="other.yaml")
    world.apply()
    (found,) = report(world, "ticket 2").declarations
    assert (found.newest.reason, found.withdrawn) == ("reworded", True)
    assert make_report(world.frames()).done


def test_what_lapsed_while_it_was_present_keeps_the_rest_from_being_done(world, ids):
    world.configure(api={"batch_size": 1, "concurrency": 1})
    world.manifest(entry("PRIV-1", ids(2), until="2026-11-23"))
    world.apply()
    world.seed(ids(2))
    world.verify(audit=True)
    world.fault("error", nth=2, times=9, status=400)
    world.apply(wait=False)
    world.emulator.faults.clear()
    world.clock.advance(48 * 3600)
    world.apply()
    made = report(world, "PRIV-1")
    (found,) = made.declarations
    assert (list(found.ids), found.open, found.unproven, found.done) == (ids(1), IdSet(), 1, False)
    assert headline(made) == "Not done: 1 id was released without being found absent."


def test_what_was_released_before_a_list_came_that_had_lapsed_is_not_its_proof(world, ids):
    world.declare(ids(3))
    world.apply()
    world.declare(ids(1))
    world.apply()
    world.declare(["doc-000", "doc-100"])
    world.manifest(entry("ticket 2", ids(2), until="2026-01-02"), name="second.yaml")
    world.apply()
    (found,) = report(world, "ticket 2").declarations
    assert (found.done, found.missing, list(found.ids)) == (False, 1, ids(1))
