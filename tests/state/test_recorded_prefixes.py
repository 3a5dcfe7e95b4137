"""What an apply records of a prefix: what its list found and what is known under it, frozen."""

from __future__ import annotations

from reconciler.errors import ExitCode
from reconciler.model.idset import IdSet
from reconciler.model.tombstones import Status
from reconciler.render.report import headline
from support.reports import entry, newest, prefix, report


def test_a_prefix_names_what_is_known_under_it_and_not_what_a_keep_protects(world):
    world.seed(["u/0", "u/1", "u/kept"])
    keep = [{"index": "docs", "reason": "hold", "ids": ["u/kept"]}]
    world.manifest(prefix("PRIV-1", "u/"), keep=keep)
    world.apply()
    world.seed(["u/2"])
    world.apply()
    named = IdSet.of(["u/0", "u/1", "u/2"])
    assert newest(world).names == {"count": 3, "digest": named.digest()}
    assert report(world, "PRIV-1").declarations[0].ids == named
    assert report(world, "PRIV-1").done


def test_what_a_keep_protects_from_now_on_is_no_longer_named_by_a_prefix(world):
    world.seed(["u/0", "u/1"])
    world.manifest(prefix("PRIV-1", "u/"))
    world.apply()
    world.manifest(prefix("PRIV-1", "u/"), keep=[{"index": "docs", "reason": "hold", "ids": ["u/0"]}])
    world.apply()
    assert newest(world).names == {"count": 1, "digest": IdSet.of(["u/1"]).digest()}
    assert (report(world, "PRIV-1").done, world.ids(Status.RELEASED)) == (True, ["u/0"])
    before = world.frames()
    world.apply()
    assert world.frames() == before


def test_what_an_audit_finds_under_a_prefix_is_there_again_and_not_without_a_record(world):
    world.seed(["u/0", "u/1"])
    world.manifest(prefix("PRIV-1", "u/"))
    world.apply()
    world.seed(["u/2"])
    world.clock.advance(60)
    world.verify(audit=True)
    (found,) = report(world, "PRIV-1").declarations
    assert (found.done, found.missing, list(found.open)) == (False, 0, ["u/2"])
    world.apply()
    assert report(world, "PRIV-1").done
    assert "u/2" not in world.live()


def test_a_saved_plan_that_listed_nothing_leaves_a_prefix_as_its_last_list_was(world):
    world.configure(api={"batch_size": 1, "concurrency": 1})
    world.seed(["u/0", "u/1", "u/2"])
    world.manifest(prefix("PRIV-1", "u/"))
    world.on_delete(lambda _: world.interrupts.request())
    world.apply()
    world.bridge.before.clear()
    world.verify()
    world.manifest(prefix("reworded", "u/"))
    world.apply(saved=world.save())
    (found,) = report(world, "PRIV-1").declarations
    assert (found.done, found.missing, found.newest.reason) == (False, 3 - len(found.ids), "reworded")
    world.manifest(prefix("reworded", "u/", ids=["doc-001"]))
    world.apply(saved=world.save())
    assert newest(world).names == {}
    assert "1 declaration was recorded without exactly what it names" in headline(report(world, "reworded"))
    world.apply()
    assert report(world, "reworded").done


def test_a_prefix_that_lapsed_before_it_was_listed_is_never_done_though_others_sent_ids_under_it(world):
    world.seed(["u/0", "u/1"])
    world.manifest(prefix("PRIV-1", "u/", until="2026-01-02"), entry("ticket 2", ["u/0"]))
    world.apply()
    (found,) = report(world, "PRIV-1").declarations
    assert (found.done, found.unlisted) == (False, ("u/",))
    assert report(world, "ticket 2").done
    assert world.actions() == {}


def test_nothing_is_recorded_of_an_index_that_is_missing(world):
    world.configure(api={"batch_size": 1, "concurrency": 1})
    world.seed(["u/0", "u/1"])
    world.manifest(prefix("PRIV-1", "u/"))
    world.on_delete(lambda _: world.interrupts.request())
    world.apply()
    world.bridge.before.clear()
    world.verify()
    before = world.frames()
    world.emulator.delete_index(world.account, "docs")
    assert world.apply().exit_code is ExitCode.ERROR
    assert world.frames() == before
    assert not report(world, "PRIV-1").done


def test_a_keep_that_comes_later_is_recorded_so_that_an_audit_knows_it(world):
    world.seed(["u/0"])
    world.manifest(prefix("PRIV-1", "u/"))
    world.apply()
    world.seed(["u/kept"])
    world.manifest(prefix("PRIV-1", "u/"), keep=[{"index": "docs", "reason": "hold", "ids": ["u/kept"]}])
    world.apply()
    assert world.verify(audit=True).exit_code is ExitCode.DONE
    assert report(world, "PRIV-1").done
