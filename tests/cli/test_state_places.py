"""`reconciler state …` on places that cannot hold a state, or cannot be reached."""

from __future__ import annotations

import pytest


@pytest.mark.fault(16)
@pytest.mark.fault(17)
@pytest.mark.parametrize(
    ("server", "bent", "seen"),
    [
        ("s3rver", {}, "a second write to the same name was accepted"),
        ("fake_s3", {"ignore_conditions": True}, "a second write to the same name was accepted"),
        ("fake_s3", {"race_seconds": 0.05}, "were told that theirs was the first"),
        ("fake_s3", {"behind": 1}, "just written cannot be read"),
    ],
)
def test_init_on_a_server_that_breaks_its_promises_exits_1_and_creates_nothing(
    server, bent, seen, cli, project, request, monkeypatch
):
    there = request.getfixturevalue(server)
    for name, value in there.env().items():
        monkeypatch.setenv(name, value)
    for name, value in bent.items():
        setattr(there, name, value)
    url = f"s3://{there.bucket}/log"
    ended = cli("state", "init", "--state", url)
    assert (ended.code, ended.out) == (1, "")
    assert seen in ended.err
    assert "If-None-Match" in ended.err
    ended = cli("state", "show", "--state", url)
    assert ended.code == 0
    assert "there is no state" in ended.err


@pytest.mark.parametrize(
    "arguments",
    [("show",), ("verify",), ("init",), ("pull",), ("repair",), ("unlock", "run", "--reason", "r"), ("push", "x"),
     ("migrate", "--to", "file:there")],
)  # fmt: skip
def test_no_command_shows_the_password_of_a_state_that_cannot_be_reached(arguments, cli, project, monkeypatch):
    project.write("x", "")
    monkeypatch.setenv("RECONCILER_STATE", "postgresql://me:hunter2@127.0.0.1:1/state?connect_timeout=1")
    ended = cli("state", *arguments)
    assert ended.code == 1
    assert "postgresql://me@127.0.0.1:1/state" in ended.err
    assert "hunter2" not in ended.err + ended.out
