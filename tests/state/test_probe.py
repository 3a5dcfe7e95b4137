"""`state init` finds out whether an object store keeps its promises, and refuses one that does not."""

from __future__ import annotations

import pytest

from reconciler.clock import ManualClock
from reconciler.errors import StateError, StoreUnavailable
from reconciler.state.journal import create
from reconciler.state.stores.urls import open_store
from support.fake_s3 import Answer


def _store(server):
    return open_store(f"s3://{server.bucket}/log", environment=server.env())


def _refused(store):
    with pytest.raises(StateError) as refused:
        create(store, ManualClock())
    assert "cannot hold a state" in refused.value.hint
    assert not store.exists()
    return refused.value.message


@pytest.mark.parametrize("server", ["fake_s3", "seaweed"])
def test_a_store_that_keeps_its_promises_is_accepted(server, request):
    store = _store(request.getfixturevalue(server))
    create(store, ManualClock())
    assert len(list(store.read(0))) == 1


@pytest.mark.fault(16)
def test_s3rver_which_ignores_conditions_is_refused(s3rver):
    assert "a second write to the same name was accepted" in _refused(_store(s3rver))


@pytest.mark.fault(16)
def test_a_server_that_ignores_conditions_is_refused(fake_s3):
    fake_s3.ignore_conditions = True
    assert "a second write to the same name was accepted" in _refused(_store(fake_s3))


@pytest.mark.fault(17)
def test_a_server_that_looks_and_then_writes_is_refused(fake_s3):
    fake_s3.race_seconds = 0.05
    assert "told that theirs was the first" in _refused(_store(fake_s3))


@pytest.mark.fault(18)
def test_a_server_that_does_not_show_what_was_just_written_is_refused(fake_s3):
    fake_s3.behind = 1
    assert "cannot be read" in _refused(_store(fake_s3))


@pytest.mark.fault(15)
@pytest.mark.parametrize(
    ("status", "code", "hint"),
    [
        (404, "NoSuchBucket", "create the bucket"),
        (403, "AccessDenied", "s3:PutObject"),
        (403, "SignatureDoesNotMatch", "secret key"),
        (403, "ExpiredToken", "renew"),
        (301, "elsewhere", "AWS_REGION"),
    ],
)
def test_a_server_that_refuses_is_no_broken_promise_and_the_hint_says_what_to_do(fake_s3, status, code, hint):
    fake_s3.fault = lambda method, key, nth: Answer(status, code)
    with pytest.raises(StoreUnavailable) as refused:
        create(_store(fake_s3), ManualClock())
    assert code in refused.value.message
    assert hint in refused.value.hint
    assert len(fake_s3.requests) < 10


def test_a_probe_leaves_nothing_that_counts_as_a_log(fake_s3):
    store = _store(fake_s3)
    store.probe()
    assert fake_s3.objects == {}
    assert not store.exists()
    assert list(store.read(0)) == []


def test_a_bucket_that_takes_nothing_back_is_as_good(fake_s3):
    fake_s3.fault = lambda method, key, nth: Answer(403, "AccessDenied") if method == "POST" else None
    store = _store(fake_s3)
    journal = create(store, ManualClock())
    assert len(fake_s3.objects) > 1
    journal.load()
    assert journal.position == 1
