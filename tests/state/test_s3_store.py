"""The S3 store before a server that loses, refuses, delays and lies. Names say what is prevented."""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import suppress

import pytest

from reconciler.errors import StateDamaged, StoreUnavailable, UsageError
from reconciler.state import events as ev
from reconciler.state.journal import Journal, create
from reconciler.state.placing import TRIES, HeadMoved
from reconciler.state.stores import s3
from reconciler.state.stores.interface import Conflict, Done, Unknown
from reconciler.state.stores.s3 import WIDTH, S3Store
from reconciler.state.stores.urls import open_store
from support.fake_s3 import HTML, LOST_AFTER, LOST_BEFORE, Answer

SAID = [ev.Recovered("-", 0, "0" * 64)]


@pytest.fixture
def store(fake_s3):
    return open_store("s3://bucket/log", environment=fake_s3.env())


@pytest.fixture
def journal(store, clock, fake_s3):
    made = create(store, clock)
    fake_s3.requests.clear()
    return made


def _on_put(*answers):
    """The PUTs of a frame meet `answers` in turn; then all goes well."""
    left = list(answers)

    def fault(method, key, nth):
        return left.pop(0) if method == "PUT" and "frames" in key and left else None

    return fault


PASSING = {
    "answer lost after the commit": LOST_AFTER,
    "request lost before the commit": LOST_BEFORE,
    "409": Answer(409, "ConditionalRequestConflict"),
    "412 without a winner": Answer(412, "PreconditionFailed"),
    "412 for its own write": Answer(412, "PreconditionFailed", perform=True),
    "429": Answer(429, "SlowDown"),
    "500 before": Answer(500, "InternalError"),
    "500 after": Answer(500, "InternalError", perform=True),
    "503 after": Answer(503, "SlowDown", perform=True),
    "an HTML page": HTML,
    "an HTML page with 200": Answer(200, body=b"<html>", content_type="text/html"),
    "delivered twice": Answer(500, "InternalError", perform=True, later=True),
    "delivered late": Answer(503, "SlowDown", later=True),
}


@pytest.mark.fault(13)
@pytest.mark.fault(14)
@pytest.mark.fault(15)
@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("what", PASSING)
def test_what_passes_costs_no_frame_and_doubles_none(journal, fake_s3, clock, what, times):
    fake_s3.fault = _on_put(*[PASSING[what]] * times)
    for _ in range(3):
        journal.append("", SAID)
    reader = Journal(open_store("s3://bucket/log", environment=fake_s3.env()), clock)
    reader.load()
    assert reader.head == journal.head
    assert reader.position == 4
    assert fake_s3.count("PUT") <= 3 + TRIES


@pytest.mark.fault(15)
@pytest.mark.parametrize(
    ("answer", "tries"),
    [
        (Answer(403, "AccessDenied"), 1),
        (Answer(403, "ExpiredToken"), 1),
        (Answer(404, "NoSuchBucket"), 1),
        (Answer(301, "PermanentRedirect", headers=(("x-amz-bucket-region", "eu-west-1"),)), 1),
        (Answer(400, "InvalidRequest"), 1),
        (Answer(503, "SlowDown"), TRIES),
        (LOST_BEFORE, TRIES),
    ],
)
def test_what_does_not_pass_ends_after_bounded_tries_and_claims_nothing(journal, fake_s3, answer, tries, clock):
    fake_s3.fault = lambda method, key, nth: answer if method == "PUT" else None
    with pytest.raises(StoreUnavailable) as failed:
        journal.append("", SAID)
    assert fake_s3.count("PUT") == tries
    assert journal.position == 1
    assert "s3://bucket/log" in failed.value.message
    fake_s3.fault = lambda method, key, nth: None
    assert Journal(journal.store, clock).load().position == 1


@pytest.mark.fault(13)
def test_a_commit_that_nobody_could_find_out_about_is_neither_lost_nor_doubled(journal, fake_s3, clock):
    fake_s3.fault = lambda method, key, nth: Answer(503, "SlowDown", perform=method == "PUT")
    with pytest.raises(StoreUnavailable, match="is not known"):
        journal.append("", SAID)
    fake_s3.fault = lambda method, key, nth: None
    journal.catch_up()
    assert journal.position == 2
    journal.append("", SAID)
    assert Journal(journal.store, clock).load().position == 3


@pytest.mark.fault(14)
def test_a_frame_of_somebody_else_is_not_taken_for_the_own(journal, fake_s3, clock):
    other = Journal(open_store("s3://bucket/log", environment=fake_s3.env()), clock)
    other.load()
    other.append("", SAID)
    fake_s3.fault = _on_put(LOST_BEFORE, LOST_AFTER)
    with pytest.raises(HeadMoved):
        journal.append("", SAID)
    journal.catch_up()
    assert journal.head == other.head


@pytest.mark.fault(13)
@pytest.mark.parametrize("answer", [Answer(200, body=b'{"v":1', promise=400), HTML, LOST_BEFORE])
def test_an_answer_that_is_cut_in_the_middle_is_no_frame(journal, fake_s3, clock, answer):
    fake_s3.fault = lambda method, key, nth: answer if method == "GET" else None
    with pytest.raises(StoreUnavailable):
        Journal(journal.store, clock).load()


@pytest.mark.fault(18)
@pytest.mark.parametrize("behind", [1, 2, 5])
def test_a_read_that_is_behind_shows_a_shorter_log_and_never_a_gap(journal, fake_s3, clock, behind):
    for _ in range(5):
        journal.append("", SAID)
    fake_s3.behind = behind
    stale = Journal(open_store("s3://bucket/log", environment=fake_s3.env()), clock)
    assert stale.load().position == 6 - behind
    with pytest.raises(StoreUnavailable, match="refuses position"):
        stale.append("", SAID)  # the position is taken, whatever it reads
    fake_s3.behind = 0
    with pytest.raises(HeadMoved):
        stale.append("", SAID)


@pytest.mark.fault(18)
def test_what_was_seen_and_is_not_there_any_more_is_damage(journal, fake_s3):
    journal.append("", SAID)
    fake_s3.behind = 1
    with pytest.raises(StateDamaged, match="frame 2 is missing"):
        list(journal.store.read(0))


@pytest.mark.fault(19)
@pytest.mark.parametrize("lost", [1, 2, 40, 63, 79])
def test_a_deleted_frame_is_reported_and_what_a_stalled_run_writes_there_is_never_adopted(
    journal, fake_s3, clock, lost
):
    stalled = Journal(open_store("s3://bucket/log", environment=fake_s3.env()), clock)
    for position in range(2, 81):
        if position == lost:
            stalled.load()
        journal.append("", SAID)
    del fake_s3.objects[f"log/frames/{lost:012d}.json"]
    fresh = open_store("s3://bucket/log", environment=fake_s3.env())
    if lost > 1:
        with pytest.raises(StateDamaged, match=f"frame {lost} is missing"):
            list(fresh.read(0))
        stalled.append("", SAID)  # its position is free again: nobody can tell it
        with pytest.raises(StateDamaged, match="chain is broken"):
            Journal(open_store("s3://bucket/log", environment=fake_s3.env()), clock).load()
    else:
        with pytest.raises(StateDamaged):
            list(fresh.read(0))


def test_requests_are_few(journal, fake_s3, clock):
    for _ in range(99):
        journal.append("", SAID)
    assert fake_s3.requests == [("PUT", f"log/frames/{n:012d}.json") for n in range(2, 101)]
    fake_s3.requests.clear()
    journal.catch_up()
    assert fake_s3.requests == [("GET", "log/frames/000000000101.json")]
    fake_s3.requests.clear()
    Journal(open_store("s3://bucket/log", environment=fake_s3.env()), clock).load()
    assert len(fake_s3.requests) <= 100 + 2 * WIDTH + 1
    assert sum(key == "" for _, key in fake_s3.requests) == 1, "LIST is asked once"


def test_two_writers_at_one_position_have_one_winner(store, fake_s3, clock):
    create(store, clock)
    one, two = (Journal(open_store("s3://bucket/log", environment=fake_s3.env()), clock) for _ in range(2))
    one.load()
    two.load()
    one.append("", SAID)
    with pytest.raises(HeadMoved):
        two.append("", SAID)


def test_an_append_before_anything_was_read_looks_at_what_precedes_it(journal, fake_s3):
    line = next(journal.store.read(0))
    fresh = open_store("s3://bucket/log", environment=fake_s3.env())
    assert fresh.append(line, 5) == Conflict()
    assert fresh.append(line, 1) == Conflict()
    fake_s3.fault = lambda method, key, nth: LOST_BEFORE
    assert isinstance(fresh.append(line, 7), Unknown)
    fake_s3.fault = lambda method, key, nth: None
    assert fresh.append(line, 2) == Done()  # a store does not look into lines: the journal does


def test_without_the_package_the_error_says_what_to_install(monkeypatch, fake_s3):
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(UsageError) as missing:
        open_store("s3://bucket/log", environment=fake_s3.env())
    assert missing.value.hint == "pip install 'obstore>=0.8'"


def test_without_credentials_nobody_is_asked_for_a_role(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError) as missing:
        S3Store("bucket", environment={})
    assert "AWS_ACCESS_KEY_ID" in missing.value.hint


def test_neither_the_key_nor_the_secret_is_in_any_error(fake_s3, clock):
    environment = {**fake_s3.env(), "AWS_ACCESS_KEY_ID": "AKIDHUNTER", "AWS_SECRET_ACCESS_KEY": "hunter2-SECRET"}
    store = open_store("s3://bucket/log", environment=environment)
    for answer in (Answer(403, "AccessDenied"), HTML, LOST_BEFORE, Answer(500, "InternalError")):
        fake_s3.fault = lambda method, key, nth, answer=answer: answer
        with pytest.raises(StoreUnavailable) as failed:
            list(store.read(0))
        said = failed.value.message + failed.value.hint + repr(failed.value)
        assert "HUNTER" not in said
        assert "hunter2" not in said


@pytest.mark.fault(30)
@pytest.mark.parametrize("answer", [Answer(403, "ExpiredToken"), Answer(503, "SlowDown"), LOST_BEFORE])
def test_a_copy_that_goes_on_and_is_interrupted_again_is_never_taken_for_a_shorter_log(
    journal, fake_s3, clock, answer
):
    for _ in range(5):
        journal.append("", SAID)
    lines = list(journal.store.read(0))
    there = open_store("s3://bucket/there", environment=fake_s3.env())
    with pytest.raises(ZeroDivisionError):
        there.receive((line for number, line in enumerate(lines) if 1 / (3 - number)), lines[-1], clock)
    copied = {key for key in fake_s3.objects if key.startswith("there/frames/")}
    assert len(copied) > 1
    fake_s3.fault = lambda method, key, nth: answer if method == "PUT" and key.endswith("01.json") else None
    with suppress(StoreUnavailable):
        open_store("s3://bucket/there", environment=fake_s3.env()).receive(iter(lines), lines[-1], clock)
    fake_s3.fault = lambda method, key, nth: None
    assert {key for key in fake_s3.objects if key.startswith("there/frames/")} >= copied, "a frame was taken back"
    with suppress(StateDamaged):
        found = list(open_store("s3://bucket/there", environment=fake_s3.env()).read(0))
        assert found in ([], lines)
    open_store("s3://bucket/there", environment=fake_s3.env()).receive(iter(lines), lines[-1], clock)
    assert list(open_store("s3://bucket/there", environment=fake_s3.env()).read(0)) == lines


@pytest.mark.fault(15)
@pytest.mark.parametrize("answer", [
    Answer(404, body=b"<html>Not found</html>", content_type="text/html"),
    Answer(404),
])  # fmt: skip
def test_a_page_that_says_not_found_is_no_free_position(journal, fake_s3, clock, answer):
    """Only the store itself says that an object is not there: with its own code."""
    journal.append("", SAID)
    fake_s3.fault = lambda method, key, nth: answer if method == "GET" and key else None
    fresh = open_store("s3://bucket/log", environment=fake_s3.env())
    for read in (fresh.exists, lambda: list(fresh.read(0)), lambda: list(fresh.read(1))):
        with pytest.raises(StoreUnavailable):
            read()


@pytest.mark.fault(15)
@pytest.mark.parametrize("where", ["read", "written"])
def test_a_bucket_of_another_region_is_named_for_what_it_is_and_not_tried_again(journal, fake_s3, clock, where):
    moved = Answer(301, "PermanentRedirect", headers=(("x-amz-bucket-region", "eu-west-1"),))
    fake_s3.fault = lambda method, key, nth: moved if (method == "GET") == (where == "read") else None
    with pytest.raises(StoreUnavailable, match=f"could not be {where}") as refused:
        journal.append("", SAID) if where == "written" else journal.load()
    assert "AWS_REGION" in refused.value.hint
    assert clock.slept == []


@pytest.mark.fault(13)
def test_a_server_that_never_answers_is_given_up_after_bounded_time(fake_s3, clock, monkeypatch):
    monkeypatch.setattr(s3, "_TIMEOUT", 0.2)
    journal = create(open_store("s3://bucket/log", environment=fake_s3.env()), clock)
    fake_s3.requests.clear()
    asleep = threading.Event()

    def fault(method, key, nth):
        if method == "PUT":
            asleep.wait(20)

    fake_s3.fault = fault
    with pytest.raises(StoreUnavailable, match="is not known"):
        journal.append("", SAID)
    assert fake_s3.count("PUT") == TRIES
    asleep.set()  # now they all arrive
    deadline = time.monotonic() + 10
    while len(fake_s3.objects) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    journal.catch_up()
    journal.append("", SAID)
    fresh = Journal(open_store("s3://bucket/log", environment=fake_s3.env()), clock)
    assert fresh.load().position == len(fake_s3.objects) == 3


@pytest.mark.parametrize("environment", [
    {},
    {"AWS_ACCESS_KEY_ID": "k"},
    {"AWS_SECRET_ACCESS_KEY": "s"},
    {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
    {"AWS_PROFILE": "production"},
    {"AWS_WEB_IDENTITY_TOKEN_FILE": "/nowhere/token"},  # without AWS_ROLE_ARN it names no role
])  # fmt: skip
def test_without_whole_credentials_no_metadata_service_is_asked(environment, fake_s3, monkeypatch):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {**environment, "AWS_METADATA_ENDPOINT": fake_s3.endpoint}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError) as refused:
        open_store(
            "s3://bucket/log", environment={**environment, "AWS_ENDPOINT_URL_S3": fake_s3.endpoint}
        ).exists()
    assert "AWS_ACCESS_KEY_ID" in refused.value.hint
    assert fake_s3.requests == []


@pytest.mark.parametrize("name", ["AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_S3_ENDPOINT"])
def test_no_variable_sends_frames_elsewhere_than_the_url_says(fake_s3, monkeypatch, name):
    """What the library would read of the process's own environment."""
    monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    monkeypatch.setenv("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "true")
    monkeypatch.setenv("AWS_CONDITIONAL_PUT", "disabled")
    store = open_store(f"s3://bucket/log?endpoint={fake_s3.endpoint}", environment=fake_s3.env())
    assert store.put_new("a", b"1") == Done()
    assert store.put_new("a", b"2") == Conflict()
    assert [key for _, key in fake_s3.requests] == ["a", "a"]


@pytest.mark.fault(19)
@pytest.mark.parametrize("hole", [range(2, 3), range(2, 40), range(44, 45), range(1, 45)])
def test_a_hole_of_any_size_is_reported(journal, fake_s3, clock, hole):
    for _ in range(44):
        journal.append("", SAID)
    for position in hole:
        del fake_s3.objects[f"log/frames/{position:012d}.json"]
    fresh = Journal(open_store("s3://bucket/log", environment=fake_s3.env()), clock)
    with pytest.raises(StateDamaged, match=f"frame {hole[0]} is missing") as refused:
        fresh.load()
    assert "deleted" in refused.value.hint
    with pytest.raises(StateDamaged):
        create(open_store("s3://bucket/log", environment=fake_s3.env()), clock)


@pytest.mark.fault(19)
def test_a_last_frame_that_was_deleted_shows_in_a_head_that_was_kept(journal, fake_s3, clock):
    journal.append("", SAID)
    head = journal.head
    del fake_s3.objects["log/frames/000000000002.json"]
    fresh = Journal(open_store("s3://bucket/log", environment=fake_s3.env()), clock)
    with pytest.raises(StateDamaged, match="went backwards"):
        fresh.check_head(head)
    with pytest.raises(StateDamaged):  # whoever saw it knows
        journal.load()


@pytest.mark.fault(19)
@pytest.mark.parametrize(
    "answer", [Answer(200, body=b"<html>hello</html>", content_type="text/html"), Answer(200, "InternalError")]
)
def test_a_hole_behind_a_list_that_is_none_is_no_end_of_the_log(journal, fake_s3, clock, answer):
    for _ in range(79):
        journal.append("", SAID)
    for position in range(2, 80):
        del fake_s3.objects[f"log/frames/{position:012d}.json"]
    fake_s3.fault = lambda method, key, nth: answer if method == "GET" and not key else None
    with pytest.raises(StoreUnavailable, match="could not be listed"):
        list(open_store("s3://bucket/log", environment=fake_s3.env()).read(0))
