"""The client of GitHub's API, against a forge on loopback: pages, refusals, retries, and a token that never leaks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reconciler.clock import ManualClock
from reconciler.errors import ForgeError
from reconciler.forge.github import WORKFLOW_AUTHOR, GitHub
from support.forge import REPOSITORY, Forge, Token


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def github(forge: Forge, clock: ManualClock) -> Iterator[GitHub]:
    with GitHub(forge.url, forge.token, REPOSITORY, clock=clock) as client:
        yield client


def test_the_token_of_a_workflow_which_may_not_ask_is_known_by_its_name(forge, github):
    assert github.login() == WORKFLOW_AUTHOR
    forge.tokens[forge.token] = Token(login="carol", may_ask=True)
    assert github.login() == "carol"


def test_every_page_is_read_and_the_address_of_the_next_is_never_followed(forge, github):
    forge.open_pull_request(7, "a" * 40)
    for number in range(250):
        forge.say(7, "alice", f"{number}")
    assert [each["body"] for each in github.comments(7)] == [f"{number}" for number in range(250)]
    assert [request.query["page"] for request in forge.requests] == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("status", "words", "hint"),
    [
        (401, "does not accept the token (401)", "expired"),
        (403, "does not let this token do that (403)", "`pull-requests: write`"),
        (404, "does not know it, or hides it from this token (404)", "Check the repository"),
        (422, "cannot use what was sent (422)", "65,536"),
        (410, "has it no more (410)", "switched off"),
        (418, "GitHub refused (418)", ""),
    ],
)
def test_a_refusal_says_what_it_means_and_what_to_do_and_is_not_tried_again(forge, github, status, words, hint):
    forge.fault("POST", "comments", status=status, body=b'{"message": "Why", "errors": [{"code": "too_long"}]}')
    with pytest.raises(ForgeError) as refused:
        github.create_comment(7, "text")
    assert words in refused.value.message
    assert refused.value.message.endswith("cannot comment on #7: Why; too_long")
    assert hint in refused.value.hint
    assert refused.value.status == status
    assert len(forge.requests) == 1


@pytest.mark.parametrize(
    ("status", "headers", "least"),
    [
        (429, {"retry-after": "7"}, 7),
        (403, {"retry-after": "9"}, 9),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "{soon}"}, 30),
        (429, {"x-ratelimit-reset": "\xb2"}, 1),
        (502, {}, 1),
    ],
)
def test_what_passes_is_waited_for_as_long_as_asked(forge, github, clock, status, headers, least):
    forge.open_pull_request(7, "a" * 40)
    comment = forge.say(7, "alice", "before")
    soon = str(int(clock.now().timestamp()) + 30)
    headers = {name: value.format(soon=soon) for name, value in headers.items()}
    forge.fault("PATCH", "comments", status=status, headers=headers)
    github.update_comment(comment["id"], "after")
    assert comment["body"] == "after"
    assert sum(clock.slept) >= least


def test_a_limit_that_ends_too_late_is_an_error_at_once(forge, github, clock):
    forge.fault("GET", "comments", status=429, headers={"retry-after": "3600"})
    with pytest.raises(ForgeError, match="rate limit is used up"):
        list(github.comments(7))
    assert clock.slept == []


def test_a_server_that_fails_for_good_is_given_up(forge, github):
    for _ in range(10):
        forge.fault("GET", "comments", status=503, body=b"<html>")
    with pytest.raises(ForgeError, match=r"GitHub failed \(503\)"):
        list(github.comments(7))
    assert len(forge.requests) == 5


@pytest.mark.parametrize("fault", [{"status": 502}, {"cut": True}])
def test_a_post_of_unknown_outcome_is_never_sent_blindly_again(forge, github, fault):
    forge.fault("POST", "comments", **fault)
    with pytest.raises(ForgeError) as unknown:
        github.create_comment(7, "text")
    assert unknown.value.may_have_happened
    assert len(forge.requests) == 1


def test_nobody_listening_is_an_error_without_a_traceback_of_the_library(clock):
    with Forge() as gone:
        url = gone.url
    with GitHub(url, "token-0123", REPOSITORY, clock=clock) as client, pytest.raises(ForgeError) as failed:
        list(client.comments(7))
    assert "did not answer (ConnectError)" in failed.value.message
    assert not failed.value.may_have_happened


def test_an_answer_that_is_not_the_apis_is_said_to_be_so(forge, github):
    forge.fault("GET", "comments", status=200, body=b"<html>sign in</html>")
    with pytest.raises(ForgeError, match="not JSON") as wrong:
        list(github.comments(7))
    assert "GITHUB_API_URL" in wrong.value.hint
    forge.fault("GET", "comments", status=200, body=b'{"a": 1}')
    with pytest.raises(ForgeError, match="no list"):
        list(github.comments(7))


def test_an_answer_without_content_is_no_list_and_no_number(forge, github):
    forge.fault("GET", "comments", status=204, body=b"")
    with pytest.raises(ForgeError, match="not JSON"):
        list(github.comments(7))
    forge.fault("POST", "issues", status=204, body=b"")
    assert github.create_issue("title", "body") == 0


def test_a_redirect_is_not_followed_with_the_token(forge, github):
    forge.fault("GET", "comments", status=302, headers={"location": f"{forge.url}/stolen"})
    with pytest.raises(ForgeError, match=r"refused \(302\)"):
        list(github.comments(7))
    assert [request.path for request in forge.requests] == [f"/repos/{REPOSITORY}/issues/7/comments"]


def test_a_server_that_echoes_the_token_does_not_get_it_into_an_error(forge, github):
    forge.fault("GET", "comments", status=400, body=f'{{"message": "bad {forge.token}"}}'.encode())
    with pytest.raises(ForgeError) as refused:
        list(github.comments(7))
    assert forge.token not in f"{refused.value.message}{refused.value.hint}{refused.value!r}"
    assert "bad [redacted]" in refused.value.message


def test_the_newest_artifact_is_read_without_sending_the_token_to_where_it_lies(forge, github):
    forge.upload("plan", b'{"old": 1}')
    forge.artifacts[-1]["created_at"] = "2020-01-01T00:00:00Z"
    forge.upload("plan", b'{"new": 1}')
    forge.upload("other", b"{}")
    assert github.artifact("plan") == b'{"new": 1}'
    assert [r.token for r in forge.requests if r.path.startswith("/signed/")] == [""]


def test_an_artifact_of_a_fork_is_not_taken_for_one_of_this_repository(forge, github):
    forge.upload("plan", b'{"ours": 1}')
    forge.artifacts[-1]["workflow_run"] = {"repository_id": 1, "head_repository_id": 1}
    forge.artifacts[-1]["created_at"] = "2020-01-01T00:00:00Z"
    forge.upload("plan", b'{"theirs": 1}')
    forge.artifacts[-1]["workflow_run"] = {"repository_id": 1, "head_repository_id": 2}
    assert github.artifact("plan") == b'{"ours": 1}'


def test_an_artifact_that_is_gone_is_none_and_one_that_is_no_archive_is_an_error(forge, github):
    assert github.artifact("plan") is None
    forge.upload("plan", b"{}")
    forge.artifacts[-1]["data"] = b"not a zip"
    with pytest.raises(ForgeError, match="does not hold a plan"):
        github.artifact("plan")
    forge.artifacts[-1]["expired"] = True
    assert github.artifact("plan") is None


def test_who_may_write_is_asked_and_a_token_that_may_not_ask_trusts_nobody(forge, github):
    assert github.may_write("bob")
    assert not github.may_write("mallory")
    forge.fault("GET", "permission", status=403)
    assert not github.may_write("bob")
    forge.fault("GET", "permission", status=401)
    with pytest.raises(ForgeError):
        github.may_write("bob")
