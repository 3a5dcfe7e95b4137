from __future__ import annotations

import json

import httpx
import pytest

from reconciler.clock import ManualClock
from reconciler.errors import ConnectionFailed, ServiceFault, UsageError
from reconciler.model.target import Target
from reconciler.vectorize import Accepted, Client, Credentials, CursorExpired, IndexInfo, Page, Quota

MUTATION = "0000aaaa-11bb-22cc-33dd-444444eeeeee"
TOKEN = "v1-0123456789abcdef-SECRET"


def page_of(ids, *, total=None, truncated=False, cursor=None, expires=None, **more):
    vectors = [{"id": each} for each in ids]
    total = len(ids) if total is None else total
    return {
        "count": len(ids),
        "totalCount": total,
        "isTruncated": truncated,
        "nextCursor": cursor,
        "cursorExpirationTimestamp": expires,
        "vectors": vectors,
    } | more


def test_a_delete_sends_what_the_api_describes(client, server, target):
    server.result({"mutationId": MUTATION})
    assert client.delete_by_ids(target, ["a", "Ünïcode#1"]) == Accepted(MUTATION, ())
    (request,) = server.requests
    assert request.method == "POST"
    assert str(request.url) == (
        "https://api.example.com/client/v4/accounts/023e105f4ecef8ad9ca31a8372d0c353/vectorize/v2/indexes/articles"
        "/delete_by_ids"
    )
    assert json.loads(request.content) == {"ids": ["a", "Ünïcode#1"]}
    assert request.headers["content-type"] == "application/json"
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["user-agent"].startswith("vectorize-reconciler")


def test_messages_of_a_success_reach_the_caller_harmless(client, server, target):
    server.result({"mutationId": MUTATION}, messages=[{"code": 1000, "message": f"slow\x1b[31m\u202e {TOKEN}"}])
    (message,) = client.delete_by_ids(target, ["a"]).messages
    assert message == "slow\ufffd[31m\ufffd [redacted]"


@pytest.mark.fault(22)
@pytest.mark.parametrize(
    "body",
    [
        {"success": True, "errors": [], "messages": [], "result": None},
        {"success": True, "errors": [], "messages": [], "result": {}},
        {"success": True, "result": {"mutationId": None}},
        {"success": True, "result": {"mutationId": ""}},
        {"success": True, "result": {"mutationId": "  "}},
        {"success": True, "result": {"mutationId": 7}},
        {"success": True, "result": {"mutationId": "x" * 1000}},
        {"success": True, "result": {"mutationId": "\ud800"}},
        {"success": True, "result": [{"mutationId": MUTATION}]},
        {"success": False, "errors": [{"code": 10000, "message": "no"}], "result": {"mutationId": MUTATION}},
        {"result": {"mutationId": MUTATION}},
        {"success": "true", "result": {"mutationId": MUTATION}},
        [],
        "mutationId",
        None,
        b"",
        b'{"success": true, "result": {"mutationId": "0000aa',
        b"<html>502</html>",
        b"\xff\xfe\x00",
        b"[" * 200_000,
        b'{"success": true, "result": ' + b"9" * 5000 + b"}",
    ],
    ids=lambda body: repr(body)[:50],
)
def test_a_200_without_mutation_id_is_an_unknown_outcome(client, server, target, body):
    server.says(200, body)
    with pytest.raises(ServiceFault) as caught:
        client.delete_by_ids(target, ["a"])
    assert caught.value.may_have_been_accepted
    assert caught.value.passing
    assert caught.value.status == 200


def test_a_mutation_id_is_kept_even_beside_errors(client, server, target):
    server.result({"mutationId": MUTATION}, errors=[{"code": 1001, "message": "odd"}])
    assert client.delete_by_ids(target, ["a"]) == Accepted(MUTATION, ("odd",))


@pytest.mark.parametrize("ids", [[], ["a", "a"], [""], ["é" * 33], ["x" * 65]])
def test_what_the_service_was_never_asked_is_never_sent(client, server, target, ids):
    for call in (client.delete_by_ids, client.get_by_ids):
        with pytest.raises(ValueError, match="id"):
            call(target, ids)
    assert server.requests == []


def test_an_id_that_is_not_unicode_is_never_sent(client, server, target):
    with pytest.raises(UnicodeEncodeError):
        client.delete_by_ids(target, ["\ud800"])
    assert server.requests == []


def test_more_than_twenty_ids_are_not_read_at_once(client, server, target):
    with pytest.raises(ValueError, match="20"):
        client.get_by_ids(target, [str(i) for i in range(21)])
    assert server.requests == []


@pytest.mark.parametrize("account", ["0" * 32, "a/b"])
@pytest.mark.parametrize(
    ("index", "segment"),
    [("a/b", "a%2Fb"), ("..", "%2E%2E"), (".", "%2E"), ("v1.2", "v1.2"), ("ä b?#%", "%C3%A4%20b%3F%23%25")],
)
def test_an_odd_name_stays_inside_its_part_of_the_path(client, server, account, index, segment):
    server.result({"mutationId": MUTATION})
    client.delete_by_ids(Target("o", account, index), ["a"])
    path = server.requests[0].url.raw_path.decode()
    assert (
        path == f"/client/v4/accounts/{account.replace('/', '%2F')}/vectorize/v2/indexes/{segment}/delete_by_ids"
    )


def test_get_by_ids_names_those_that_are_there(client, server, target):
    server.result([{"id": "b", "values": [0.5, 1]}, {"id": "a", "values": []}])
    assert client.get_by_ids(target, ["a", "b", "c"]) == frozenset("ab")
    server.result([])
    assert client.get_by_ids(target, ["a"]) == frozenset()
    assert json.loads(server.requests[-1].content) == {"ids": ["a"]}


@pytest.mark.fault(22)
@pytest.mark.parametrize(
    "body",
    [
        {"success": True, "result": None},
        {"success": True, "result": {}},
        {"success": True},
        {"success": False, "result": []},
        {"result": []},
        {"success": True, "result": [], "errors": [{"code": 1000, "message": "partial"}]},
        {"success": True, "result": [{"id": "stranger"}]},
        {"success": True, "result": [{}]},
        {"success": True, "result": ["a"]},
        {"success": True, "result": [None]},
        {"success": True, "result": [{"id": 1}]},
        [],
        b"",
        b'{"success": true, "result": [',
    ],
    ids=lambda body: repr(body)[:60],
)
def test_a_doubtful_read_is_an_error_and_never_absence(client, server, target, body):
    server.says(200, body)
    with pytest.raises(ServiceFault) as caught:
        client.get_by_ids(target, ["a"])
    assert not caught.value.may_have_been_accepted


def test_a_list_is_read_page_by_page(client, server, target):
    server.result(page_of(["a", "b"], total=3, truncated=True, cursor="c/1", expires="2026-11-22T12:00:00Z"))
    assert client.list_page(target) == Page(("a", "b"), 3, True, "c/1", "2026-11-22T12:00:00Z")
    server.result(page_of(["c"], total=3))
    assert client.list_page(target, cursor="c/1", count=2) == Page(("c",), 3, False, None, None)
    first, second = (request.url for request in server.requests)
    assert dict(first.params) == {"count": "1000"}
    assert dict(second.params) == {"count": "2", "cursor": "c/1"}
    assert first.path.endswith("/articles/list")


@pytest.mark.parametrize("count", [0, 1001])
def test_a_page_size_that_the_service_refuses_is_not_sent(client, server, target, count):
    with pytest.raises(ValueError, match="1000"):
        client.list_page(target, cursor=None, count=count)
    assert server.requests == []


@pytest.mark.parametrize(
    "result",
    [
        None,
        [],
        {},
        page_of(["a"], truncated=True),
        page_of(["a"], truncated=True, cursor=""),
        page_of(["a"], truncated=True, cursor=5),
        page_of(["a"], truncated=True, cursor="\ud800"),
        page_of(["a"], truncated=True, cursor="c" * 70_000),
        page_of(["a"], truncated=True, cursor="same"),
        page_of(["a"], isTruncated="false"),
        page_of(["a"], isTruncated=None),
        page_of(["a"], totalCount=None),
        page_of(["a"], totalCount=True),
        page_of(["a"], totalCount=-1),
        page_of(["a"], count=2),
        page_of(["a"], vectors=None),
        page_of(["a"], vectors=["a"]),
        page_of(["a"], vectors=[{"id": ""}]),
        page_of(["a"], vectors=[{"id": "\ud800"}]),
        page_of(["a"], expires=5),
    ],
)
def test_a_page_with_something_missing_is_an_error_and_no_end_of_the_list(client, server, target, result):
    server.result(result)
    with pytest.raises(ServiceFault):
        client.list_page(target, cursor="same")


@pytest.mark.parametrize("status", [400, 404, 410])
@pytest.mark.parametrize("errors", [[], [(1234, "bad cursor")]])
def test_an_expired_cursor_is_told_from_a_broken_request(client, server, target, status, errors):
    server.refuses(status, *errors)
    with pytest.raises(CursorExpired) as caught:
        client.list_page(target, cursor="old")
    assert caught.value.status == status
    assert not caught.value.passing


@pytest.mark.parametrize(("status", "code"), [(404, 3000), (400, 10000), (400, 40041), (404, 7003), (400, 971)])
def test_what_the_service_says_clearly_is_no_expired_cursor(client, server, target, status, code):
    server.refuses(status, (code, "x"))
    with pytest.raises(Exception, match=str(code)) as caught:
        client.list_page(target, cursor="old")
    assert not isinstance(caught.value, CursorExpired)


def test_the_first_page_has_no_cursor_that_could_expire(client, server, target):
    server.refuses(404, (1234, "x"))
    with pytest.raises(Exception, match="1234") as caught:
        client.list_page(target, cursor=None)
    assert not isinstance(caught.value, CursorExpired)


def test_info_of_an_index_that_never_saw_a_mutation(client, server, target):
    server.result(
        {"dimensions": 768, "vectorCount": 0, "processedUpToDatetime": None, "processedUpToMutation": None}
    )
    assert client.info(target) == IndexInfo(768, 0, None, None)
    server.result({"dimensions": 768, "vectorCount": 0})
    assert client.info(target) == IndexInfo(768, 0, None, None)
    server.result(
        {"dimensions": 2, "vectorCount": 9, "processedUpToDatetime": "2026", "processedUpToMutation": "m"}
    )
    assert client.info(target) == IndexInfo(2, 9, "m", "2026")
    assert server.requests[0].method == "GET"
    assert server.requests[0].url.path.endswith("/articles/info")


@pytest.mark.parametrize(
    "result",
    [
        None,
        {"dimensions": 1},
        {"dimensions": "1", "vectorCount": 0},
        {"dimensions": 1, "vectorCount": 0, "processedUpToMutation": 5},
    ],
)
def test_info_of_another_shape_is_a_fault(client, server, target, result):
    server.result(result)
    with pytest.raises(ServiceFault):
        client.info(target)


def test_index_tells_which_index_bears_the_name(client, server, target):
    server.result({"name": "articles", "created_on": "2026-01-01T00:00:00Z", "modified_on": None})
    found = client.index(target)
    assert (found.name, found.created_on, found.modified_on) == ("articles", "2026-01-01T00:00:00Z", None)
    assert server.requests[0].url.path.endswith("/indexes/articles")


@pytest.mark.parametrize(
    "result",
    [None, {"name": "articles"}, {"name": "articles", "created_on": ""}, {"name": "other", "created_on": "2026"}],
)
def test_an_index_that_cannot_be_pinned_is_a_fault(client, server, target, result):
    server.result(result)
    with pytest.raises(ServiceFault):
        client.index(target)


@pytest.mark.parametrize("status", [200, 429, 502])
def test_every_answer_feeds_the_budget(client, server, target, status):
    server.says(status, {}, {"Ratelimit": '"default";r=50;t=30'})
    with pytest.raises(Exception, match=str(status)):
        client.info(target)
    assert [rates.quotas for rates in server.rates] == [(Quota("default", 50, 30.0),)]


def test_credentials_do_not_follow_a_redirect(client, server, target):
    server.says(307, b"", {"Location": "https://evil.example/"})
    with pytest.raises(ServiceFault) as caught:
        client.delete_by_ids(target, ["a"])
    assert len(server.requests) == 1
    assert not caught.value.passing
    assert caught.value.may_have_been_accepted


def test_credentials_are_not_sent_in_the_clear():
    with pytest.raises(UsageError):
        Client(Credentials.token(TOKEN), "http://api.example.com/client/v4")


@pytest.mark.fault(22)
@pytest.mark.parametrize(
    ("fault", "unknown"),
    [
        (httpx.ConnectError, False),
        (httpx.ConnectTimeout, False),
        (httpx.PoolTimeout, False),
        (httpx.ProxyError, False),
        (httpx.ReadTimeout, True),
        (httpx.WriteTimeout, True),
        (httpx.ReadError, True),
        (httpx.WriteError, True),
        (httpx.RemoteProtocolError, True),
    ],
)
def test_only_a_request_that_may_have_left_has_an_unknown_outcome(client, server, target, fault, unknown):
    def fail(request):
        raise fault("gone", request=request)

    server.answer = fail
    with pytest.raises(ConnectionFailed) as caught:
        client.delete_by_ids(target, ["a"])
    assert caught.value.may_have_been_accepted is unknown
    assert caught.value.passing
    with pytest.raises(ConnectionFailed) as caught:
        client.info(target)
    assert not caught.value.may_have_been_accepted


def test_a_protocol_error_that_quotes_a_header_does_not_show_the_token(client, server, target):
    def fail(request):
        raise httpx.LocalProtocolError(f"Illegal header value b'Bearer {TOKEN}'", request=request)

    server.answer = fail
    with pytest.raises(ConnectionFailed) as caught:
        client.delete_by_ids(target, ["a"])
    shown: BaseException | None = caught.value
    while shown is not None:
        assert TOKEN not in str(shown)
        shown = shown.__cause__ or (None if shown.__suppress_context__ else shown.__context__)


def test_a_retry_date_without_a_date_header_is_measured_on_the_injected_clock(server, target):
    server.says(429, b"", {"Retry-After": "Sun, 22 Nov 2026 12:01:30 GMT"})
    made = Client(
        Credentials.token(TOKEN), "https://a.example", transport=httpx.MockTransport(server), clock=ManualClock()
    )
    with made as client, pytest.raises(Exception, match="429") as caught:
        client.info(target)
    assert caught.value.retry_after == 90.0


def test_a_token_sent_back_as_a_name_never_reaches_the_state(client, server, target):
    token = "v1-0123456789abcdef-SECRET"
    server.result({"mutationId": token})
    with pytest.raises(ServiceFault) as caught:
        client.delete_by_ids(target, ["a"])
    assert caught.value.may_have_been_accepted
    server.result({"name": "articles", "created_on": f"2026 {token}"})
    with pytest.raises(ServiceFault) as read:
        client.index(target)
    assert token not in f"{caught.value}{read.value}"


def test_a_page_that_repeats_an_id_is_no_page(client, server, target):
    page = {"count": 2, "totalCount": 2, "isTruncated": False, "nextCursor": None, "vectors": [{"id": "z"}] * 2}
    server.result(page)
    with pytest.raises(ServiceFault, match="names an id twice"):
        client.list_page(target)


def test_a_count_beyond_all_vectors_is_no_count(client, server, target):
    page = {"count": 0, "totalCount": 10**400, "isTruncated": False, "nextCursor": None, "vectors": []}
    server.result(page)
    with pytest.raises(ServiceFault, match="totalCount"):
        client.list_page(target)
