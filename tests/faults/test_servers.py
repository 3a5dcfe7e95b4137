"""The servers that other tests lean on do what they say: real ones keep their promises, bent ones break the named one."""

from __future__ import annotations

import http.client
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import timedelta

import obstore
import psycopg
import pytest
from obstore.exceptions import AlreadyExistsError, GenericError, PermissionDeniedError
from obstore.store import S3Store

from support.chaos import FAULTS, ChaosProxy
from support.fake_s3 import HTML, LOST_AFTER, LOST_BEFORE, RESET_AFTER, RESET_BEFORE, Answer, FakeS3, Seen
from support.needs import free_port, unavailable
from support.postgres import PASSWORD, Postgres, processes
from support.s3servers import s3rver as start_s3rver

BODY, OTHER = b'{"v":1}\n', b"other\n"


def bucket_at(server, *, endpoint="", secret="", seconds=20.0):
    env = server.env()
    return S3Store(
        server.bucket,
        endpoint=endpoint or server.endpoint,
        region="us-east-1",
        access_key_id=env["AWS_ACCESS_KEY_ID"],
        secret_access_key=secret or env["AWS_SECRET_ACCESS_KEY"],
        virtual_hosted_style_request=False,
        client_options={"allow_http": True, "timeout": timedelta(seconds=seconds)},
        retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=1)},
    )


def put_new(bucket, key, body=BODY):
    return obstore.put(bucket, key, body, mode="create", use_multipart=False)


def read(bucket, key):
    with suppress(FileNotFoundError):
        return bytes(obstore.get(bucket, key).bytes())
    return None


def keys(bucket, **options):
    return [each["path"] for page in obstore.list(bucket, **options) for each in page]


# What a machine lacks.


@pytest.mark.parametrize(
    ("ci", "outcome"), [("", "skip"), ("0", "skip"), ("False", "skip"), ("1", "fail"), ("true", "fail")]
)
def test_what_is_missing_skips_and_in_ci_fails(monkeypatch, ci, outcome):
    monkeypatch.setenv("CI", ci)
    with pytest.raises(getattr(pytest, outcome).Exception, match="no such server"):
        unavailable("no such server")


def test_no_two_servers_of_a_run_are_given_one_port(monkeypatch):
    given = {}
    for worker in ("gw0", "gw1"):
        monkeypatch.setenv("PYTEST_XDIST_WORKER", worker)
        given[worker] = [free_port() for _ in range(60)]
    both = given["gw0"] + given["gw1"]
    assert len(set(both)) == 120
    assert all(20_000 <= port < 31_000 for port in both)
    assert {port % 16 for port in given["gw0"]}.isdisjoint(port % 16 for port in given["gw1"])


# PostgreSQL.


@pytest.fixture
def own_postgres():
    server = Postgres()
    yield server
    server.stop()


def test_postgres_is_durable_asks_for_the_password_and_gives_empty_databases(postgres):
    one, two = postgres.create_database(), postgres.create_database()
    assert one != two
    with closing(postgres.connect(one)) as connection:
        assert connection.execute("SHOW fsync").fetchone() == ("on",)
        assert connection.execute("SHOW synchronous_commit").fetchone() == ("on",)
        connection.execute("CREATE TABLE only_here (n int)")
    with closing(postgres.connect(two)) as connection:
        assert connection.execute("SELECT to_regclass('only_here')").fetchone() == (None,)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        postgres.connect(one, password=PASSWORD + "x")


def test_a_killed_postgres_leaves_no_process_and_keeps_what_was_committed(own_postgres):
    connection = own_postgres.connect()
    connection.execute("CREATE TABLE kept (n int)")
    connection.execute("INSERT INTO kept SELECT generate_series(1, 20)")
    postmaster, backend = own_postgres._process.pid, connection.info.backend_pid
    family = {pid for pid, (parent, _) in processes().items() if parent == postmaster}
    assert backend in family
    os.kill(backend, signal.SIGSTOP)  # it does not end by itself when it misses the postmaster
    try:
        own_postgres.kill()
        alive = {pid for pid, (_, state) in processes().items() if state != "Z"}
        assert alive.isdisjoint({postmaster, *family})
    finally:
        with suppress(ProcessLookupError):
            os.kill(backend, signal.SIGKILL)
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")
    connection.close()
    with pytest.raises(psycopg.OperationalError):
        own_postgres.connect()
    own_postgres.start()
    with closing(own_postgres.connect()) as after:
        assert after.execute("SELECT count(*) FROM kept").fetchone() == (20,)
    folder = own_postgres.data.parent
    own_postgres.stop()
    assert not folder.exists()


def test_connections_are_cut_by_terminate_backends_and_the_server_goes_on(postgres):
    with closing(postgres.connect()) as connection:
        assert postgres.terminate_backends() >= 1
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    with closing(postgres.connect()) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_behind_pgbouncer_one_client_meets_several_server_processes(postgres, pgbouncer):
    def connect():
        return psycopg.connect(postgres.url(port=pgbouncer.port), prepare_threshold=None)

    def backend(connection):
        return connection.execute("SELECT pg_backend_pid()").fetchone()[0]

    with closing(connect()) as one, closing(connect()) as two:
        assert backend(one) != backend(two)  # both in a transaction: two server processes
        one.commit()
        two.commit()
        met = set()
        for _ in range(6):
            met.add(backend(one))
            one.commit()
    assert len(met) > 1


# Real S3 servers.


def test_seaweed_refuses_a_second_write_and_a_wrong_key(seaweed):
    assert seaweed.create_bucket() != seaweed.create_bucket()
    bucket = bucket_at(seaweed)
    put_new(bucket, "twice")
    with pytest.raises(AlreadyExistsError):
        put_new(bucket, "twice", OTHER)
    assert read(bucket, "twice") == BODY
    with pytest.raises(PermissionDeniedError):
        put_new(bucket_at(seaweed, secret="another"), "stranger")
    assert read(bucket, "stranger") is None


def test_of_writers_at_once_seaweed_has_one_winner(seaweed):
    bucket = bucket_at(seaweed)
    bodies = [f"writer {number}".encode() for number in range(8)]

    def won(body):
        try:
            put_new(bucket, "race", body)
        except AlreadyExistsError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(won, bodies))
    assert outcomes.count(True) == 1
    assert read(bucket, "race") == bodies[outcomes.index(True)]


def test_s3rver_overwrites_whatever_the_condition_says(s3rver):
    bucket = bucket_at(s3rver)
    put_new(bucket, "twice")
    put_new(bucket, "twice", OTHER)
    assert read(bucket, "twice") == OTHER


def test_a_stopped_server_is_gone_with_its_folder():
    server = start_s3rver()
    folder, process = server._folder, server._process
    server.stop()
    assert process.poll() is not None
    assert not folder.exists()


# The server that can be bent.

#: Answer to a conditional PUT; what the client raises, and the status it is told.
PUTS = {
    "lost after": (LOST_AFTER, GenericError, "error sending request"),
    "lost before": (LOST_BEFORE, GenericError, "error sending request"),
    "reset after": (RESET_AFTER, GenericError, "ConnectionReset"),
    "reset before": (RESET_BEFORE, GenericError, "ConnectionReset"),
    "412": (Answer(412, "PreconditionFailed"), AlreadyExistsError, "status code: 412"),
    "409": (Answer(409, "ConditionalRequestConflict"), AlreadyExistsError, "status code: 409"),
    "429": (Answer(429, "SlowDown"), GenericError, "status code: 429"),
    "403": (Answer(403, "AccessDenied"), PermissionDeniedError, "status code: 403"),
    "403 page": (Answer(403, body=b"<html>", content_type="text/html"), PermissionDeniedError, "<html>"),
    "404": (Answer(404, "NoSuchBucket"), FileNotFoundError, "NoSuchBucket"),
    "301": (Answer(301, "PermanentRedirect"), GenericError, "redirect without LOCATION"),
    "500": (Answer(500, "InternalError"), GenericError, "status code: 500"),
    "503 after": (Answer(503, "SlowDown", perform=True), GenericError, "status code: 503"),
    "503 page": (HTML, GenericError, "status code: 503"),
    "200 page": (Answer(200, body=b"<html>", content_type="text/html"), GenericError, "ETag Header missing"),
}


@pytest.mark.parametrize("what", PUTS)
def test_a_bent_put_fails_as_named_and_takes_effect_only_where_it_says_so(fake_s3, what):
    answer, error, said = PUTS[what]
    bucket = bucket_at(fake_s3)
    assert read(bucket, "k") is None  # so that the connection is one that was used before
    fake_s3.fault = lambda method, key, nth: answer if method == "PUT" else None
    with pytest.raises(error) as failed:
        put_new(bucket, "k")
    assert said in str(failed.value)
    assert fake_s3.seen[1:] == [Seen("PUT", "k", "*", answer.status)], "one request, whatever came of it"
    fake_s3.fault = lambda method, key, nth: None
    assert read(bucket, "k") == (BODY if answer.perform else None)


def test_a_bent_read_is_cut_or_a_page(fake_s3):
    bucket = bucket_at(fake_s3)
    put_new(bucket, "k")
    fake_s3.fault = lambda method, key, nth: Answer(200, body=BODY[:3], promise=len(BODY) - 3)
    with pytest.raises(GenericError, match="body error"):
        read(bucket, "k")
    modified = ("last-modified", "Sun, 22 Nov 2026 12:00:00 GMT")
    page = Answer(200, body=b"<html>", content_type="text/html", headers=(modified,))
    fake_s3.fault = lambda method, key, nth: page
    assert read(bucket, "k") == b"<html>"


def test_an_answer_that_never_comes_is_a_timeout_and_the_write_stands_where_it_was_made(fake_s3):
    until = threading.Event()
    try:
        for key, made in (("made", True), ("lost", False)):
            fake_s3.fault = lambda method, key, nth, made=made: Answer(hold=until, perform=made)
            with pytest.raises(GenericError, match="Timeout"):
                put_new(bucket_at(fake_s3, seconds=0.2), key)
            assert (key in fake_s3.objects) == made
    finally:
        until.set()


@pytest.mark.parametrize("later", [1, 2])
def test_a_late_write_takes_effect_with_a_later_request_and_overwrites_nothing(fake_s3, later):
    bucket = bucket_at(fake_s3)
    fake_s3.fault = lambda method, key, nth: Answer(503, "SlowDown", later=later) if key in ("a", "b") else None
    with pytest.raises(GenericError):
        put_new(bucket, "a")
    for number in range(later):
        assert "a" not in fake_s3.objects
        put_new(bucket, f"next-{number}")
    assert fake_s3.objects["a"] == BODY
    with pytest.raises(GenericError):
        put_new(bucket, "b")
    fake_s3.fault = lambda method, key, nth: None
    put_new(bucket, "b", OTHER)
    read(bucket, "b")
    assert read(bucket, "b") == OTHER


def test_conditions_can_be_ignored_or_raced(fake_s3):
    bucket = bucket_at(fake_s3)
    fake_s3.ignore_conditions = True
    put_new(bucket, "k")
    put_new(bucket, "k", OTHER)
    assert read(bucket, "k") == OTHER
    fake_s3.ignore_conditions, fake_s3.race_seconds = False, 0.1
    with ThreadPoolExecutor(4) as pool:
        assert len(list(pool.map(lambda body: put_new(bucket, "race", body), [BODY, OTHER] * 2))) == 4
    with pytest.raises(AlreadyExistsError):
        put_new(bucket, "race")


def test_reads_and_lists_can_be_behind(fake_s3):
    bucket = bucket_at(fake_s3)
    for key in ("p/1", "p/2", "p/3"):
        put_new(bucket, key)
    fake_s3.behind = 2
    assert (read(bucket, "p/1"), read(bucket, "p/2")) == (BODY, None)
    assert keys(bucket, prefix="p/") == ["p/1"]
    with pytest.raises(AlreadyExistsError):
        put_new(bucket, "p/3")
    fake_s3.behind = 0
    assert keys(bucket, prefix="p/", offset="p/1") == ["p/2", "p/3"]


def test_an_unbent_server_reads_parts_lists_in_pages_and_deletes(fake_s3):
    bucket = bucket_at(fake_s3)
    for number in range(1005):
        fake_s3.objects[f"p/{number:04}"] = BODY
    fake_s3.objects["q"] = BODY
    assert keys(bucket, prefix="p/") == [f"p/{number:04}" for number in range(1005)]
    assert fake_s3.count("GET") == 2, "a page holds a thousand"
    assert bytes(obstore.get_range(bucket, "q", start=1, end=4)) == BODY[1:4]
    assert obstore.head(bucket, "q")["size"] == len(BODY)
    obstore.delete(bucket, "p/0000")
    connection = http.client.HTTPConnection(fake_s3.endpoint.partition("//")[2])
    connection.request("DELETE", "/bucket/q")
    assert connection.getresponse().status == 204
    connection.close()
    assert set(fake_s3.objects) == {f"p/{number:04}" for number in range(1, 1005)}


# The proxy before a real server.


def test_what_passes_the_proxy_is_what_the_store_says_and_its_signature_holds(seaweed, chaos):
    proxy = chaos(1, {})
    through = bucket_at(seaweed, endpoint=proxy.endpoint)
    put_new(through, "chaos/é+ %", BODY * 1000)
    assert read(bucket_at(seaweed), "chaos/é+ %") == BODY * 1000 == read(through, "chaos/é+ %")
    with pytest.raises(AlreadyExistsError):
        put_new(through, "chaos/é+ %")
    assert keys(through, prefix="chaos/") == ["chaos/é+ %"]
    with pytest.raises(PermissionDeniedError):
        put_new(bucket_at(seaweed, endpoint=proxy.endpoint, secret="another"), "chaos/stranger")
    obstore.delete(through, "chaos/é+ %")
    assert read(through, "chaos/é+ %") is None
    assert set(proxy.done) == {"passed"}


#: A fault of the proxy: what a PUT raises, and whether it was made.
CHAOS = {
    "lost before": (GenericError, False),
    "lost after": (GenericError, True),
    "reset after": (GenericError, True),
    "409": (AlreadyExistsError, False),
    "412 before": (AlreadyExistsError, False),
    "429": (GenericError, False),
    "403": (PermissionDeniedError, False),
    "500 before": (GenericError, False),
    "500 after": (GenericError, True),
    "503 after": (GenericError, True),
    "html": (GenericError, False),
}


@pytest.mark.parametrize("what", CHAOS)
def test_the_proxy_does_to_a_write_what_it_counts(seaweed, chaos, what):
    error, made = CHAOS[what]
    proxy, key = chaos(1, {what: 1.0}), f"chaos/{what}"
    with pytest.raises(error):
        put_new(bucket_at(seaweed, endpoint=proxy.endpoint), key)
    assert read(bucket_at(seaweed), key) == (BODY if made else None)
    assert proxy.done == {what: 1}


def test_the_proxy_delivers_a_write_again_with_a_later_request(seaweed, chaos):
    proxy, direct = chaos(1, {"duplicate": 1.0}), bucket_at(seaweed)
    through = bucket_at(seaweed, endpoint=proxy.endpoint)
    put_new(through, "chaos/again")
    obstore.delete(direct, "chaos/again")
    assert read(through, "chaos/other") is None
    assert read(direct, "chaos/again") == BODY
    assert proxy.done == {"duplicate": 1, "passed": 1}


def test_the_proxy_cuts_and_hides_only_what_is_there_and_hides_it_once(seaweed, chaos):
    put_new(bucket_at(seaweed), "chaos/read")
    cutting, hiding = chaos(1, {"truncated": 1.0}), chaos(1, {"stale": 1.0})
    cut = bucket_at(seaweed, endpoint=cutting.endpoint)
    with pytest.raises(GenericError, match="body error"):
        read(cut, "chaos/read")
    assert read(cut, "chaos/absent") is None
    assert cutting.done == {"truncated": 1, "passed": 1}
    hidden = bucket_at(seaweed, endpoint=hiding.endpoint)
    assert read(hidden, "chaos/absent") is None
    assert [read(hidden, "chaos/read") for _ in range(3)] == [None, BODY, BODY]
    assert hiding.done == {"stale": 1, "passed": 3}


def test_the_same_seed_chooses_the_same_faults():
    def chosen(seed):
        with FakeS3() as upstream, ChaosProxy(upstream.endpoint, seed) as proxy:
            return [proxy._choose(method) for method in ("PUT", "GET") * 500]

    assert chosen(5) == chosen(5) != chosen(6)
    assert set(chosen(5)) == {"", *FAULTS}
