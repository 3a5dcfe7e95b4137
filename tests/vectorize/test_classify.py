from __future__ import annotations

import pytest

from reconciler.errors import (
    AuthenticationFailed,
    IndexNotFound,
    PermissionDenied,
    RequestRejected,
    ServiceError,
    ServiceFault,
    Throttled,
    TooManyIds,
)

TOKEN = "v1-0123456789abcdef-SECRET"


def failed(client, target, *, read=False) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        client.info(target) if read else client.delete_by_ids(target, [str(i) for i in range(101)])
    return caught.value


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, 10000, AuthenticationFailed),
        (403, 10000, AuthenticationFailed),
        (400, 10000, AuthenticationFailed),
        (403, 9109, AuthenticationFailed),
        (400, 9106, AuthenticationFailed),
        (400, 6003, AuthenticationFailed),
        (403, 7403, PermissionDenied),
        (403, 1234, PermissionDenied),
        (401, 1234, AuthenticationFailed),
        (400, 3000, IndexNotFound),
        (404, 3000, IndexNotFound),
        (404, 3005, IndexNotFound),
        (410, 3005, IndexNotFound),
        (400, 40007, TooManyIds),
        (413, 40007, TooManyIds),
        (400, 40041, Throttled),
        (429, 40041, Throttled),
        (400, 971, Throttled),
        (429, 971, Throttled),
        (429, 1234, Throttled),
        (400, 40008, RequestRejected),
        (400, 40026, RequestRejected),
        (404, 7003, RequestRejected),
        (400, 1234, RequestRejected),
        (404, 1234, RequestRejected),
        (415, 1234, RequestRejected),
        (500, 1234, ServiceFault),
        (503, 1234, ServiceFault),
        (530, 1234, ServiceFault),
        (408, 1234, ServiceFault),
    ],
)
def test_the_code_decides_before_the_status(client, server, target, status, code, kind):
    server.refuses(status, (code, "why"))
    error = failed(client, target)
    assert type(error) is kind
    assert (error.code, error.status) == (code, status)
    assert error.passing is (kind in (Throttled, ServiceFault))
    assert error.may_have_been_accepted is (status >= 500 or status == 408)
    assert "why" in error.message


@pytest.mark.parametrize("code", [10000, 3000, 971])
def test_a_5xx_leaves_the_outcome_unknown_whatever_its_code_says(client, server, target, code):
    server.refuses(502, (code, "why"))
    assert failed(client, target).may_have_been_accepted


@pytest.mark.parametrize(
    ("status", "body", "kind", "unknown"),
    [
        (502, b"<html>Bad gateway</html>", ServiceFault, True),
        (504, b"", ServiceFault, True),
        (500, {"success": True, "result": {}}, ServiceFault, True),
        (400, b"<html>", ServiceFault, True),
        (404, b"404 page not found", ServiceFault, True),
        (413, b"", ServiceFault, True),
        (400, {"success": True, "errors": [{"code": 1234}]}, ServiceFault, True),
        (400, {"error": "x"}, ServiceFault, True),
        (400, {"success": False}, RequestRejected, False),
        (400, {"success": False, "errors": "x"}, RequestRejected, False),
        (400, {"success": False, "errors": [None, 5, {"code": True, "message": 7}]}, RequestRejected, False),
        (400, {"errors": [{"code": "40026", "message": "x"}]}, RequestRejected, False),
        (401, b"", AuthenticationFailed, True),
        (403, b"<html>blocked</html>", PermissionDenied, True),
        (429, b"error code: 1015", Throttled, False),
        (418, {"success": False}, RequestRejected, False),
    ],
)
def test_a_page_of_something_on_the_way_is_not_the_apis_word(client, server, target, status, body, kind, unknown):
    server.says(status, body)
    error = failed(client, target)
    assert type(error) is kind
    assert error.may_have_been_accepted is unknown


def test_what_stops_a_run_is_not_hidden_behind_what_passes(client, server, target):
    server.refuses(400, (40041, "Too Many Requests"), (1234, "?"), (10000, "Authentication error"))
    error = failed(client, target)
    assert isinstance(error, AuthenticationFailed)
    assert error.code == 10000
    assert "Too Many Requests; ?; Authentication error" in error.message


def test_an_error_chain_is_read_and_shown(client, server, target):
    chain = [{"code": 6103, "message": "Invalid format for X-Auth-Key header"}]
    error = {"code": 6003, "message": "Invalid request headers", "error_chain": chain}
    server.says(400, {"success": False, "errors": [error], "result": None})
    found = failed(client, target)
    assert isinstance(found, AuthenticationFailed)
    assert found.code == 6003
    assert "Invalid request headers; Invalid format" in found.message
    server.says(
        400, {"success": False, "errors": [{"code": 5000, "message": "a", "error_chain": chain}, {"code": 1}]}
    )
    assert isinstance(failed(client, target), AuthenticationFailed)


@pytest.mark.parametrize("code", [10000, 7403])
def test_the_hint_names_the_permission_that_is_missing(client, server, target, code):
    server.refuses(403, (code, "no"))
    assert "Vectorize Write" in failed(client, target).hint
    assert "Vectorize Read" not in failed(client, target).hint
    assert "Vectorize Read" in failed(client, target, read=True).hint


def test_a_missing_index_says_that_a_misspelt_name_looks_the_same(client, server, target):
    server.refuses(404, (3000, "vectorize.index_not_found"))
    error = failed(client, target)
    assert "misspelt" in error.message
    assert "articles" in error.message


@pytest.mark.parametrize(
    ("text", "maximum"),
    [
        ("too many ids in payload; max id count is 100, got 101", 100),
        ("too many ids in payload; max id count is 50, got 101", 50),
        ("maximum: 7", 7),
        ("too many ids; got 101", None),
        ("max id count is 0, got 101", None),
        ("max id count is 101, got 101", None),
        ("max id count is 99999999999999999999, got 101", None),
        ("", None),
    ],
)
def test_the_stated_maximum_is_learned_when_it_makes_sense(client, server, target, text, maximum):
    server.refuses(400, (40007, text))
    error = failed(client, target)
    assert isinstance(error, TooManyIds)
    assert error.maximum == maximum
    assert not error.may_have_been_accepted


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("90", 90.0), ("400", 400.0), ("Sun, 22 Nov 2026 12:01:00 GMT", 60.0), ("-5", None), (None, None)],
)
def test_retry_after_reaches_the_caller(client, server, target, header, seconds):
    headers = {"Date": "Sun, 22 Nov 2026 12:00:00 GMT"} | ({} if header is None else {"Retry-After": header})
    server.refuses(429, (971, "Please wait"), headers=headers)
    assert failed(client, target).retry_after == seconds


def test_a_server_that_echoes_the_token_does_not_put_it_into_the_log(client, server, target):
    echo = f"bad header Authorization: Bearer {TOKEN}"
    padding = "x" * 480
    server.refuses(400, (1234, echo), (1235, padding + " " + TOKEN), (10000, TOKEN))
    error = failed(client, target)
    for shown in (str(error), repr(error), error.hint, repr(error.args)):
        assert TOKEN not in shown
        assert TOKEN[:10] not in shown
    server.says(200, {"success": False, "errors": [{"code": 1, "message": echo}]})
    assert TOKEN not in failed(client, target).message


def test_the_services_words_cannot_drive_a_terminal_or_fill_a_log(client, server, target):
    server.refuses(400, (1234, "a\x1b[2Jb\r\n::error::c\u202ed\u2028\x00" + "z" * 10_000))
    message = failed(client, target).message
    assert message.isprintable()
    assert len(message) < 700
    assert message.endswith("…")


def test_a_known_error_on_a_delete_says_where(client, server, target):
    server.refuses(404, (7003, "Could not route"))
    error = failed(client, target)
    assert error.message.startswith(
        "delete_by_ids on 023e105f4ecef8ad9ca31a8372d0c353/articles: 404 Not Found, code 7003"
    )
    assert "base URL" in error.hint
