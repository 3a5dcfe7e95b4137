"""Operations on the state, and questions about ids."""

from __future__ import annotations

import pytest

from reconciler.errors import ExitCode, ManifestError, StateDamaged, StateError, StateMissing
from reconciler.operations.states import check_head, check_ids, history_of, init, unlock
from reconciler.state import events as ev


def test_init_creates_an_empty_state_once(world):
    assert init(world.context()).position == 1
    with pytest.raises(StateError):
        init(world.context())


def test_a_remembered_head_still_stands_after_more_was_recorded(world, ids):
    world.declare(ids(5))
    head = world.apply().head
    world.declare(ids(6))
    world.apply()
    assert check_head(world.context(), head).position > int(head.split(":")[0])
    with pytest.raises(StateDamaged):
        check_head(world.context(), head.split(":")[0] + ":" + "0" * 64)
    with pytest.raises(StateDamaged, match="backwards"):
        check_head(world.context(), "999:" + "0" * 64)


def test_a_head_without_a_state_says_that_it_was_lost(world):
    with pytest.raises(StateMissing):
        check_head(world.context(), "3:" + "0" * 64)
    with pytest.raises(StateMissing):
        unlock(world.context(), "run", "gone")


def test_the_history_of_an_id_names_every_request_and_every_read(world, ids):
    world.declare(ids(5))
    world.fault("null_mutation")
    world.apply()
    world.seed(["doc-003"])
    world.verify(audit=True)
    told = [entry.what for entry in history_of(world.context(), "doc-003")]
    assert told == ["intent", "failed", "accepted", "processed", "verified", "reappeared"]
    assert history_of(world.context(), "doc-003", "another-index") == []
    assert history_of(world.context(), "doc-200") == []


def test_ids_are_declared_remembered_or_free(world, ids):
    world.manifest({"index": "docs", "reason": "r", "ids": ids(3), "prefixes": ["user-1/"]})
    world.apply()
    world.manifest({"index": "docs", "reason": "r", "ids": ids(2), "prefixes": ["user-1/"]})
    asked = ["doc-000", "doc-002", "doc-100", "user-1/x"]
    assert dict(check_ids(world.context(), "docs", asked)) == {
        "doc-000": "declared",
        "doc-002": "tombstone",
        "doc-100": "free",
        "user-1/x": "declared",
    }
    world.write("manifests/broken.yaml", "version: 1\nabsent: {")
    with pytest.raises(ManifestError):
        list(check_ids(world.context(), "docs", asked))


def test_verify_with_an_unknown_outcome_is_not_success(world, ids):
    world.declare(ids(5))
    world.fault("null_mutation", times=5)
    world.apply()
    result = world.verify()
    assert (result.exit_code, result.unresolved) == (ExitCode.ERROR, 5)
    assert world.apply().exit_code is ExitCode.DONE
    assert world.verify().exit_code is ExitCode.DONE


def test_a_log_belongs_to_one_origin_and_a_rehearsal_never_counts_as_production(world, ids):
    world.declare(ids(5))
    world.apply()
    context = world.context(base_url="https://api.cloudflare.com/client/v4")
    sent = len(world.requests())
    with pytest.raises(ManifestError):
        world.apply(context=context)
    assert len(world.requests()) == sent
    assert len(world.events(ev.RunStarted)) == 1


def test_an_account_of_the_environment_is_not_taken_for_the_one_the_state_knows(world, ids):
    world.declare(ids(5))
    world.apply()
    text = (world.root / "manifests/gdpr.yaml").read_text().replace(f"account_id: {world.account}\n", "")
    world.write("manifests/gdpr.yaml", text)
    world.environment["CLOUDFLARE_ACCOUNT_ID"] = "f" * 32
    with pytest.raises(ManifestError):
        world.apply()
    assert len(world.deletes()) == 1
