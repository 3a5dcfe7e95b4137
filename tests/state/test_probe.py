"""`state init` finds out whether an object store keeps its promises, and refuses one that does not."""

from __future__ import annotations

import threading

import pytest

from reconciler.clock import ManualClock
from reconciler.errors import StateError, StoreUnavailable
from reconciler.state.journal import create
from reconciler.state.stores.interface import Conflict, Done, Unknown
from reconciler.state.stores.probe import probe
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


class Objects:
    """Honest names that are written once, in memory; each test breaks one promise."""

    def __init__(self):
        self.names = {}
        self.removed = []
        self.lock = threading.Lock()

    def put_new(self, name, body):
        with self.lock:
            if name in self.names:
                return Conflict()
            self.names[name] = body
            return Done()

    def get(self, name):
        return self.names.get(name)

    def remove(self, name):
        self.removed.append(name)
        self.names.pop(name, None)


class Phantoms(Objects):
    def get(self, name):
        return self.names.get(name, b"cached")


class FirstRefused(Objects):
    def put_new(self, name, body):
        return Conflict()


class Altered(Objects):
    def get(self, name):
        return self.names[name].rstrip() if name in self.names else None


class RefusedButChanged(Objects):
    def put_new(self, name, body):
        outcome = super().put_new(name, body)
        self.names[name] = body
        return outcome


class LastOfARaceStands(Objects):
    """The condition holds for what is there already; of many at once the last is kept, and one is told that it won."""

    def put_new(self, name, body):
        outcome = super().put_new(name, body)
        if "race" in name:
            self.names[name] = body
        return outcome


class NobodyWins(Objects):
    def put_new(self, name, body):
        return Conflict() if "race" in name else super().put_new(name, body)


class Doubtful(Objects):
    """A race of which no answer arrives; one of them was written all the same."""

    def put_new(self, name, body):
        outcome = super().put_new(name, body)
        return Unknown(StoreUnavailable("no answer")) if "race" in name else outcome


class Silent(Objects):
    def put_new(self, name, body):
        return (
            Unknown(StoreUnavailable("no answer", hint="wait")) if "race" in name else super().put_new(name, body)
        )


@pytest.mark.fault(17)
@pytest.mark.parametrize(
    ("broken", "seen"),
    [
        (Phantoms, "never written can be read"),
        (FirstRefused, "a first write was refused"),
        (Altered, "reads differently"),
        (RefusedButChanged, "a second write that was refused has changed the object"),
        (LastOfARaceStands, "the object is not the one that won"),
        (NobodyWins, "the object is not the one that won"),
    ],
)
def test_every_broken_promise_is_named_and_what_was_tried_is_taken_away(broken, seen):
    objects = broken()
    with pytest.raises(StateError, match=seen) as refused:
        probe(objects, "folder")
    assert not isinstance(refused.value, StoreUnavailable)
    assert "cannot hold a state" in refused.value.hint
    assert objects.names == {}
    assert all(name.startswith("folder/") for name in objects.removed)


def test_an_honest_store_passes_also_where_answers_are_lost():
    for honest in (Objects(), Doubtful()):
        probe(honest, "folder")
        assert honest.names == {}


def test_silence_is_no_broken_promise_and_no_kept_one():
    with pytest.raises(StoreUnavailable, match="no answer") as failed:
        probe(Silent(), "folder")
    assert failed.value.hint == "wait"


def test_a_bucket_that_does_not_exist_on_a_real_server_is_named(seaweed):
    store = open_store("s3://no-such-bucket-here/log", environment=seaweed.env())
    for use in (store.exists, store.probe, lambda: list(store.read(0)), lambda: create(store, ManualClock())):
        with pytest.raises(StoreUnavailable, match="NoSuchBucket") as refused:
            use()
        assert "create the bucket" in refused.value.hint


def test_a_wrong_key_on_a_real_server_is_named(seaweed):
    store = open_store(
        f"s3://{seaweed.bucket}/log", environment={**seaweed.env(), "AWS_SECRET_ACCESS_KEY": "hunter2"}
    )
    for use in (store.exists, store.probe, lambda: create(store, ManualClock())):
        with pytest.raises(StoreUnavailable, match="SignatureDoesNotMatch") as refused:
            use()
        assert "secret key" in refused.value.hint
        assert "hunter2" not in str(refused.value) + refused.value.hint
