"""Credentials, permissions, routes, rate limits."""

import pytest

from reconciler.emulator import Settings

TOKENS = {"tokens": {"write-token": "write", "read-token": "read"}}
READS = [
    ("GET", ""),
    ("GET", "/docs"),
    ("GET", "/docs/info"),
    ("GET", "/docs/list"),
    ("GET", "/docs/metadata_index/list"),
    ("POST", "/docs/get_by_ids"),
    ("POST", "/docs/query"),
]
WRITES = [
    ("POST", ""),
    ("DELETE", "/docs"),
    ("POST", "/docs/insert"),
    ("POST", "/docs/upsert"),
    ("POST", "/docs/delete_by_ids"),
    ("POST", "/docs/metadata_index/create"),
    ("POST", "/docs/metadata_index/delete"),
]


def with_headers(api, headers, method="GET", path=""):
    api.http.headers = headers
    return api.refusal(method, path)


@pytest.mark.parametrize(
    "headers", [{}, {"x-auth-email": "a@b.c"}, {"x-auth-key": "k"}, {"x-auth-email": "", "x-auth-key": ""}]
)
def test_a_request_without_credentials_is_refused(api, headers):
    assert with_headers(api, headers) == (400, 9106)


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", "Basic abc", "token", "Bearer a b", "Bearer\ttoken"])
def test_a_malformed_authorization_is_6003_with_its_chain(api, value):
    api.http.headers = {"authorization": value}
    response = api.call("GET")
    assert response.status_code == 400
    [error] = response.json()["errors"]
    assert error["code"] == 6003
    assert [each["code"] for each in error["error_chain"]] == [6103]


def test_an_unknown_token_or_key_is_refused(make):
    api = make(**TOKENS, keys={("a@b.c", "key"): "read"})
    assert with_headers(api, {"authorization": "Bearer other"}) == (401, 10000)
    assert with_headers(api, {"x-auth-email": "a@b.c", "x-auth-key": "other"}) == (403, 9103)
    api.http.headers = {"x-auth-email": "a@b.c", "x-auth-key": "key"}
    assert api.result("GET") == []
    assert api.refusal("POST") == (403, 10000)


@pytest.mark.parametrize("headers", [{"authorization": "bearer x"}, {"x-auth-email": "a@b.c", "x-auth-key": "k"}])
def test_by_default_any_credential_may_write(api, headers):
    api.http.headers = headers
    api.create()
    assert [each["name"] for each in api.result("GET")] == ["docs"]


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_a_read_token_changes_nothing(make, method, path):
    api = make(**TOKENS)
    api.seed(["a"])
    options = {"json": {"ids": ["a"]}}
    api.http.headers = {"authorization": "Bearer read-token"}
    assert api.refusal(method, path, **options) == (403, 10000)
    assert api.live() == ["a"]
    assert api.emulator.mutations(api.account, "docs") == []


@pytest.mark.parametrize(("method", "path"), READS)
def test_a_read_token_reads(make, method, path):
    api = make(**TOKENS)
    api.seed(["a"])
    api.http.headers = {"authorization": "Bearer read-token"}
    body = {"json": {"ids": ["a"], "vector": [1.0] * 32}} if method == "POST" else {}
    api.result(method, path, **body)


def test_an_account_out_of_reach_is_refused(make):
    api = make(accounts=frozenset({"f" * 32}))
    assert api.refusal("GET") == (403, 7403)


@pytest.mark.parametrize(
    "path",
    [
        "/client/v4",
        "/client/v4/",
        "/client/v4/accounts/x/vectorize/v2/indexes",
        "/client/v4/accounts/{a}/vectorize/indexes",
        "/client/v4/accounts/{a}/vectorize/v2/indexes/",
        "/client/v4/accounts/{a}/vectorize/v2/indexes/docs/unknown",
        "/client/v4/accounts/{a}/vectorize/v2/indexes/docs/metadata_index",
        "/accounts/{a}/vectorize/v2/indexes",
        "/",
    ],
)
def test_a_wrong_account_id_or_base_url_is_no_route(api, path):
    response = api.http.get(path.format(a=api.account))
    assert response.status_code == 404
    assert [each["code"] for each in response.json()["errors"]] == [7003, 7000]


def test_a_known_path_with_another_method_says_so(api):
    assert api.refusal("PATCH", "/docs") == (405, 7001)
    assert api.refusal("GET", "/docs/delete_by_ids") == (405, 7001)


def test_the_budget_is_counted_announced_and_enforced_until_its_window_ends(make):
    api = make(budget=3, window=300, burst=None)
    api.create()
    response = api.call("GET")
    assert response.headers["ratelimit"] == '"default";r=1;t=300'
    assert response.headers["ratelimit-policy"] == '"default";q=3;w=300'
    api.clock.advance(100.5)
    api.result("GET")
    refused = api.call("POST", "/docs/delete_by_ids", json={"ids": ["a"]})
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (429, 971)
    assert refused.headers["retry-after"] == "200"
    assert refused.headers["ratelimit"] == '"default";r=0;t=200'
    assert api.emulator.mutations(api.account, "docs") == []
    api.clock.advance(199)
    assert api.refusal("GET") == (429, 971)
    api.clock.advance(0.5)
    api.result("GET")


def test_the_budget_belongs_to_a_credential_and_can_be_reset(make):
    api = make(budget=1, burst=None)
    api.result("GET")
    assert api.refusal("GET") == (429, 971)
    api.http.headers = {"authorization": "Bearer another"}
    api.result("GET")
    assert api.refusal("GET") == (429, 971)
    api.emulator.reset_rate_limit()
    api.result("GET")


def test_refusals_count_against_the_budget(make):
    api = make(budget=2, burst=None)
    api.refusal("GET", "/docs")
    api.refusal("GET", "/docs")
    assert api.refusal("GET", "/docs") == (429, 971)


def test_a_burst_of_one_address_is_refused_for_a_second(make):
    api = make(burst=2, budget=None)
    api.result("GET")
    api.result("GET")
    response = api.call("GET")
    assert (response.status_code, response.headers["retry-after"]) == (429, "1")
    assert "ratelimit" not in response.headers
    api.clock.advance(1)
    api.result("GET")


def test_the_default_budget_is_the_documented_one():
    assert (Settings().budget, Settings().window, Settings().burst) == (1_200, 300, 200)
