from __future__ import annotations

import os

import pytest

from reconciler.errors import ReconcilerError, UsageError
from reconciler.state.holder import unlock_command
from reconciler.state.identity import whoami
from reconciler.state.journal import create
from reconciler.state.stores.file import FileStore
from reconciler.state.stores.memory import MemoryStore
from reconciler.state.stores.redact import redact
from reconciler.state.stores.urls import open_store


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file:a/b.jsonl", "a/b.jsonl"),
        ("a/b.jsonl", "a/b.jsonl"),
        ("file:/tmp/x y", "/tmp/x y"),
        ("file:///tmp/x%20y", "/tmp/x y"),
        ("file://localhost/tmp/x", "/tmp/x"),
    ],
)
def test_a_file_by_its_url(url, path, tmp_path):
    store = open_store(url, root=tmp_path)
    assert isinstance(store, FileStore)
    assert store.path == tmp_path / path
    assert store.url == f"file:{path}"
    assert store.created_on_demand


def test_memory_by_its_url():
    assert isinstance(open_store("memory:"), MemoryStore)


@pytest.mark.parametrize(
    "url",
    [
        "s3://key:hunter2@bucket/prefix",
        "s3://bucket/prefix?key=hunter2",
        "s3://bucket/prefix?endpoint=https://me:hunter2@host",
        "s3://bucket/prefix?endpoint=http://host.example",
        "s3://bucket/prefix?endpoint=ftp://127.0.0.1",
        "s3://bucket/a b",
        "s3://bucket/../x",
        "s3://Bucket",
        "s3:bucket",
        "s3://",
        "postgresql://me:hunter2@db:port/state",
        "postgresql://me:hun/ter2@db/state",
        "postgresql://me:hun#ter2@db/state",
        "postgresql://me:hun?ter2@db/state",
        "postgresql://me:hunter2@db/state?log=a/b",
        "postgresql://me:hunter2@db/state?nonsense=1",
        "postgresql://me:%zz-hunter2@db/state",
        "mysql://me:hunter2@db/state",
        "https://me:hunter2@host/x",
        "file://host/path",
        "file:",
        "",
        "a\0b",
    ],
)
def test_what_cannot_be_opened_is_a_usage_error_without_the_password(url):
    with pytest.raises(UsageError) as caught:
        open_store(url, environment=KEYS)
    said = caught.value.message + caught.value.hint
    assert "hunter2" not in said
    assert "ter2" not in said
    assert caught.value.hint


KEYS = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "hunter2"}


@pytest.mark.parametrize(
    ("url", "environment", "shown"),
    [
        ("s3://bucket/a/b", {}, "s3://bucket/a/b"),
        ("s3://bucket//a/b/", {}, "s3://bucket/a/b"),
        ("s3://bucket", {}, "s3://bucket"),
        (
            "s3://bucket/a",
            {"AWS_ENDPOINT_URL": "https://R2.Example/"},
            "s3://bucket/a?endpoint=https://r2.example",
        ),
        (
            "s3://bucket/a",
            {"AWS_ENDPOINT_URL": "https://b", "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"},
            "s3://bucket/a?endpoint=http://127.0.0.1:9",
        ),
        (
            "s3://bucket/a?endpoint=https://c",
            {"AWS_ENDPOINT_URL_S3": "https://b"},
            "s3://bucket/a?endpoint=https://c",
        ),
    ],
)
def test_a_bucket_by_its_url(url, environment, shown):
    store = open_store(url, environment={**KEYS, **environment})
    assert store.url == store.address() == shown
    assert not store.created_on_demand
    again = open_store(shown, environment=KEYS)
    assert again.answers_to(store.address())


@pytest.mark.parametrize(
    ("url", "shown", "address"),
    [
        ("postgresql://db/state", "postgresql://db/state", "postgresql://db/state"),
        ("postgres://me:hunter2@db:5432/state", "postgresql://me@db:5432/state", "postgresql://db:5432/state"),
        ("postgresql://me:p%40ss@db/s?log=a", "postgresql://me@db/s?log=a", "postgresql://db/s?log=a"),
        (
            "postgresql://db/s?user=me&password=hunter2&sslmode=verify-full",
            "postgresql://me@db/s?sslmode=verify-full",
            "postgresql://db/s",
        ),
        ("postgresql://[::1]:5433/s", "postgresql://[::1]:5433/s", "postgresql://[::1]:5433/s"),
        ("postgresql://a:1,b:2/s", "postgresql://a:1,b:2/s", "postgresql://a:1,b:2/s"),
    ],
)
def test_a_database_by_its_url(url, shown, address):
    store = open_store(url, environment={})
    assert (store.url, store.address()) == (shown, address)
    assert not store.created_on_demand
    assert open_store(shown, environment={}).address() == address


@pytest.mark.parametrize(
    ("url", "environment", "sslmode"),
    [
        ("postgresql://db.example.com/s", {}, "require"),
        ("postgresql:///s", {"PGHOST": "db.example.com"}, "require"),
        ("postgresql://db.example.com/s?sslmode=verify-full", {}, None),
        ("postgresql://db.example.com/s", {"PGSSLMODE": "disable"}, None),
        ("postgresql://127.0.0.1/s", {}, None),
        ("postgresql://localhost/s", {}, None),
        ("postgresql:///s?host=/var/run/postgresql", {}, None),
        ("postgresql:///s", {}, None),
    ],
)
def test_beyond_this_machine_the_connection_is_encrypted_unless_somebody_says_otherwise(url, environment, sslmode):
    assert open_store(url, environment=environment)._options.get("sslmode") == sslmode


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("file:a@b", "file:a@b"),
        ("s3://bucket/prefix", "s3://bucket/prefix"),
        ("postgresql://me:hunter2@db:5432/state", "postgresql://me:***@db:5432/state"),
        ("postgresql://me:hun/ter@2@db/state", "postgresql://me:***@db/state"),
        ("postgresql://hunter2@db/state", "postgresql://***@db/state"),
        (
            "postgresql://db/state?password=hunter2&sslmode=require",
            "postgresql://db/state?password=***&sslmode=require",
        ),
        ("postgresql://db/s?sslpassword=hunter2", "postgresql://db/s?sslpassword=***"),
        ("host=db password = hunter2 user=me", "host=db password = *** user=me"),
        ("s3://b/p?AWS_SECRET_ACCESS_KEY=hunter2", "s3://b/p?AWS_SECRET_ACCESS_KEY=***"),
    ],
)
def test_no_password_is_ever_shown(url, shown):
    assert redact(url) == shown


def test_who_runs_this_in_github():
    who = whoami(
        {
            "GITHUB_RUN_ID": "77",
            "GITHUB_REPOSITORY": "acme/erase",
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_RUN_ATTEMPT": "2",
            "GITHUB_ACTOR": "alice",
            "GITHUB_TOKEN": "hunter2",
            "CLOUDFLARE_API_TOKEN": "hunter2",
        }
    )
    assert who["job"] == "https://github.com/acme/erase/actions/runs/77/attempts/2"
    assert who["actor"] == "alice"
    assert who["pid"] == os.getpid()
    assert "hunter2" not in str(who)


@pytest.mark.parametrize(
    ("env", "actor", "job"),
    [
        (
            {"CI_JOB_URL": "https://gitlab/x/-/jobs/1", "GITLAB_USER_LOGIN": "bob"},
            "bob",
            "https://gitlab/x/-/jobs/1",
        ),
        ({"BUILD_URL": "http://ci:8080/job/7/", "USER": "jenkins"}, "jenkins", "http://ci:8080/job/7/"),
        (
            {
                "SYSTEM_TEAMFOUNDATIONCOLLECTIONURI": "https://dev/o/",
                "SYSTEM_TEAMPROJECT": "p",
                "BUILD_BUILDID": "9",
                "USER": "x",
            },
            "x",
            "https://dev/o/p/_build/results/9",
        ),
        ({"BUILD_URL": "https://me:hunter2@ci/7?token=hunter2#x", "USER": "x"}, "x", "https://ci/7"),
        ({"BUILD_URL": "javascript:alert(1)", "USER": "x"}, "x", ""),
        ({"BUILD_URL": "https://[broken", "USER": "x"}, "x", ""),
        ({"USER": "\x1b[31mred\r\n\u202e"}, "[31mred", ""),
    ],
)
def test_who_runs_this_elsewhere(env, actor, job):
    who = whoami(env)
    assert (who["actor"], who["job"]) == (actor, job)


def test_who_runs_this_without_any_variable():
    assert whoami({})["actor"]


UNESCAPED = [
    "hunter2", "hun@hunter2", "@hunter2", "hunter2@", "a/hunter2", "/hunter2", "hunter2/", "a#hunter2", "#hunter2",
    "a?hunter2", "?hunter2", "a:hunter2", ":hunter2", "a%hunter2", "%40hunter2", "a b hunter2", "[hunter2", "hunter2]",
    "a\\hunter2", "a,hunter2", "a&hunter2", "a=hunter2", "1234/hunter2", "1/2/hunter2", "12@hunter2", "1,2/hunter2",
    "12?hunter2", "12?user=hunter2", "12?host=hunter2", "12?sslmode=hunter2", "12?log=hunter2", "12?password=hunter2",
    "12?dbname=hunter2", "12?application_name=hunter2", "12#hunter2", "1234/@hunter2", "hunter2\n", "\thunter2",
]  # fmt: skip


@pytest.mark.parametrize("password", UNESCAPED)
@pytest.mark.parametrize("url", ["postgresql://me:{}@db.example.com:5432/state", "postgres://me:{}@db/s?log=a"])
def test_a_password_that_is_not_escaped_is_shown_nowhere(url, password):
    """Whether the URL can be used or not: neither in errors nor in what a store tells of itself."""
    try:
        store = open_store(url.format(password), environment={})
    except UsageError as error:
        said = f"{error.message} {error.hint} {error!r}"
    else:
        said = f"{store.url} {store.address()} {store!r} {unlock_command('run', store.url)}"
    assert "hunter2" not in said


@pytest.mark.parametrize(
    "url",
    [
        "postgresql:me:hunter2@db/state",
        "postgresql:/me:hunter2@db/state",
        "jdbc:postgresql://me:hunter2@db/state",
        "postgresql+psycopg://me:hunter2@db/state",
        "mysql:me:hunter2@db/state",
        " postgresql://me:hunter2@db/state",
        "'postgresql://me:hunter2@db/state'",
        '"postgresql://me:hunter2@db/state"',
        "\ufeffpostgresql://me:hunter2@db/state",
        "host=db user=me password=hunter2",
        "postgresql://db/s?oauth_client_secret=hunter2",
        "postgresql://db/s?scram_client_key=hunter2",
        "postgresql://db/s?scram_server_key=hunter2",
        "postgresql://db/s?sslpassword=hunter2",
    ],
)
def test_what_is_nearly_the_url_of_a_database_shows_no_secret_either(url, tmp_path, clock):
    try:
        store = open_store(url, root=tmp_path, environment={})
        said = f"{store.url} {store.address()} {unlock_command('run', store.url)}"
        if isinstance(store, FileStore):
            create(store, clock)
    except ReconcilerError as error:
        said = f"{error.message} {error.hint} {error!r}"
    assert "hunter2" not in said
