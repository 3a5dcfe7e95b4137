"""The client of GitLab's API, against one on loopback: pages, refusals, retries, and a token that never leaks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reconciler.clock import ManualClock
from reconciler.errors import ForgeError
from reconciler.forge.gitlab import GitLab
from support.gitlab import BOT, PROJECT, FakeGitLab, Token

NOTES = f"/api/v4/projects/{PROJECT}/merge_requests/7/notes"


@pytest.fixture
def server() -> Iterator[FakeGitLab]:
    with FakeGitLab() as running:
        running.open_merge_request(7, "a" * 40)
        yield running


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def gitlab(server: FakeGitLab, clock: ManualClock) -> Iterator[GitLab]:
    with GitLab(server.url, server.token, PROJECT, clock=clock) as client:
        yield client


def test_the_token_of_a_project_says_which_bot_it_is(gitlab):
    assert gitlab.login() == BOT


def test_an_answer_that_names_nobody_is_an_error_and_not_a_user_called_nothing(server, gitlab):
    server.fault("GET", "user", status=200, body=b"{}")
    with pytest.raises(ForgeError, match="names nobody"):
        gitlab.login()


def test_every_page_is_read_the_oldest_first_and_the_address_of_the_next_is_never_followed(server, gitlab):
    for number in range(250):
        server.say(7, "alice", f"{number}", system=number == 3)
    assert [each["body"] for each in gitlab.notes(7)] == [f"{n}" for n in range(250) if n != 3]
    assert [request.query["page"] for request in server.requests] == ["1", "2", "3"]
    assert {request.token for request in server.requests} == {server.token}


@pytest.mark.parametrize(
    ("status", "words", "hint"),
    [
        (400, "cannot use what was sent (400)", "1,000,000"),
        (401, "does not accept the token (401)", "expired"),
        (403, "does not let this token do that (403)", "scope `api`"),
        (404, "does not know it, or hides it from this token (404)", "Check the project"),
        (413, "too large (413)", "--max-bytes"),
        (422, "cannot use what was sent (422)", "1,000,000"),
        (418, "GitLab refused (418)", ""),
    ],
)
def test_a_refusal_says_what_it_means_and_what_to_do_and_is_not_tried_again(server, gitlab, status, words, hint):
    server.fault("POST", "notes", status=status, body=b'{"message": "Why"}')
    with pytest.raises(ForgeError) as refused:
        gitlab.create_note(7, "text")
    assert words in refused.value.message
    assert refused.value.message.endswith("cannot write a note on !7: Why")
    assert hint in refused.value.hint
    assert refused.value.status == status
    assert not refused.value.may_have_happened
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"message": {"note": ["is too long", "is odd"]}}', "note is too long, is odd"),
        (b'{"message": ["a", {"b": "c"}]}', "a; {'b': 'c'}"),
        (b'{"error": "insufficient_scope", "error_description": "Too few rights."}', "Too few rights."),
        (b'{"error": "body is missing"}', "body is missing"),
    ],
)
def test_every_shape_in_which_gitlab_says_why_is_read(server, gitlab, body, said):
    server.fault("POST", "notes", status=400, body=body)
    with pytest.raises(ForgeError) as refused:
        gitlab.create_note(7, "text")
    assert refused.value.message.endswith(f": {said}")


NESTED = b'{"message": ' + b'{"a": ' * 500 + b"1" + b"}" * 501


@pytest.mark.parametrize("body", [b"Retry later\n", b"[]", b'{"message": null}', b"[" * 100_000, NESTED, b"\xff"])
def test_a_refusal_that_says_nothing_is_still_told(server, gitlab, body):
    server.fault("POST", "notes", status=400, body=body)
    with pytest.raises(ForgeError) as refused:
        gitlab.create_note(7, "text")
    assert refused.value.message.endswith("cannot write a note on !7")


@pytest.mark.parametrize(
    ("status", "headers", "least"),
    [
        (429, {"retry-after": "7"}, 7),
        (429, {"ratelimit-reset": "{soon}"}, 30),
        (429, {"ratelimit-reset": "\xb2"}, 1),
        (502, {}, 1),
        (503, {"retry-after": "9"}, 9),
    ],
)
def test_what_passes_is_waited_for_as_long_as_asked(server, gitlab, clock, status, headers, least):
    note = server.say(7, BOT, "before")
    soon = str(int(clock.now().timestamp()) + 30)
    headers = {name: value.format(soon=soon) for name, value in headers.items()}
    server.fault("PUT", "notes", status=status, headers=headers)
    gitlab.update_note(7, note["id"], "after")
    assert note["body"] == "after"
    assert sum(clock.slept) >= least


def test_a_limit_that_ends_too_late_is_an_error_at_once(server, gitlab, clock):
    server.fault("GET", "notes", status=429, headers={"retry-after": "3600"})
    with pytest.raises(ForgeError, match="rate limit is used up"):
        list(gitlab.notes(7))
    assert clock.slept == []


def test_a_server_that_fails_for_good_is_given_up(server, gitlab):
    for _ in range(10):
        server.fault("GET", "notes", status=503, body=b"<html>")
    with pytest.raises(ForgeError, match=r"GitLab failed \(503\)"):
        list(gitlab.notes(7))
    assert len(server.requests) == 5


@pytest.mark.parametrize("fault", [{"status": 502}, {"cut": True}])
def test_a_post_of_unknown_outcome_is_never_sent_blindly_again(server, gitlab, fault):
    server.fault("POST", "notes", **fault)
    with pytest.raises(ForgeError) as unknown:
        gitlab.create_note(7, "text")
    assert unknown.value.may_have_happened
    assert len(server.requests) == 1


def test_nobody_listening_is_an_error_without_a_traceback_of_the_library(clock):
    with FakeGitLab() as gone:
        url = gone.url
    with GitLab(url, "token-0123", PROJECT, clock=clock) as client, pytest.raises(ForgeError) as failed:
        list(client.notes(7))
    assert "did not answer (ConnectError)" in failed.value.message
    assert not failed.value.may_have_happened


def test_an_answer_that_is_not_the_apis_is_said_to_be_so(server, gitlab):
    server.fault("GET", "notes", status=200, body=b"<html>sign in</html>")
    with pytest.raises(ForgeError, match="not JSON") as wrong:
        list(gitlab.notes(7))
    assert "CI_API_V4_URL" in wrong.value.hint
    server.fault("GET", "notes", status=200, body=b'{"a": 1}')
    with pytest.raises(ForgeError, match="no list"):
        list(gitlab.notes(7))


def test_a_redirect_is_not_followed_with_the_token(server, gitlab):
    server.fault("GET", "notes", status=302, headers={"location": f"{server.url}/stolen"})
    with pytest.raises(ForgeError, match=r"refused \(302\)") as refused:
        list(gitlab.notes(7))
    assert "gets no token" in refused.value.hint
    assert [request.path for request in server.requests] == [NOTES]


def test_a_server_that_echoes_the_token_does_not_get_it_into_an_error(server, gitlab):
    server.fault("GET", "notes", status=400, body=f'{{"message": {{"t": ["bad {server.token}"]}}}}'.encode())
    with pytest.raises(ForgeError) as refused:
        list(gitlab.notes(7))
    assert server.token not in f"{refused.value.message}{refused.value.hint}{refused.value!r}"
    assert "bad [redacted]" in refused.value.message


def test_a_token_that_may_only_read_is_told_its_scope_is_missing(server, gitlab):
    server.tokens[server.token] = Token(scopes=frozenset({"read_api"}))
    assert list(gitlab.notes(7)) == []
    with pytest.raises(ForgeError, match="requires higher privileges") as refused:
        gitlab.create_note(7, "text")
    assert "scope `api`" in refused.value.hint
