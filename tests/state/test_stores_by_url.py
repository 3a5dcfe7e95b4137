from __future__ import annotations

import os

import pytest

from reconciler.errors import UsageError
from reconciler.state.identity import whoami
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
        "postgresql://me:hunter2@db/state",
        "postgres://me:hunter2@db/state",
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
        open_store(url)
    assert "hunter2" not in caught.value.message + caught.value.hint
    assert caught.value.hint


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
