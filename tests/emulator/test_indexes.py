"""Indexes: creation, names, configurations, deletion, re-creation."""

import pytest

from reconciler.emulator import Limits


def test_an_index_shows_the_fields_that_clients_pin(api):
    created = api.create()
    assert set(created) == {"name", "description", "created_on", "modified_on", "config"}
    assert created["config"] == {"dimensions": 32, "metric": "cosine"}
    assert created["created_on"].endswith("Z")
    assert api.result("GET", "/docs") == created
    assert api.result("GET") == [created]


def test_a_preset_gives_its_dimensions_and_metric(api):
    created = api.result("POST", json={"name": "p", "config": {"preset": "@cf/baai/bge-base-en-v1.5"}})
    assert created["config"] == {"dimensions": 768, "metric": "cosine", "preset": "@cf/baai/bge-base-en-v1.5"}


@pytest.mark.parametrize("name", ["", "-a", "a b", "a/b", "ü", "x" * 65, 7, None])
def test_a_bad_name_is_refused(api, name):
    assert api.refusal("POST", json={"name": name, "config": {"dimensions": 32, "metric": "cosine"}}) == (
        400,
        3001,
    )


@pytest.mark.parametrize(
    "config",
    [
        None,
        {},
        {"dimensions": 31, "metric": "cosine"},
        {"dimensions": 1537, "metric": "cosine"},
        {"dimensions": "32", "metric": "cosine"},
        {"dimensions": 32, "metric": "manhattan"},
        {"preset": "unknown"},
        {"preset": ["x"]},
    ],
)
def test_a_bad_configuration_is_refused(api, config):
    assert api.refusal("POST", json={"name": "docs", "config": config}) == (400, 3003)


def test_a_second_index_of_the_same_name_is_refused(api):
    api.create()
    config = {"dimensions": 32, "metric": "cosine"}
    assert api.refusal("POST", json={"name": "docs", "config": config}) == (400, 3002)


def test_accounts_do_not_see_each_other(api):
    api.create()
    other = "f" * 32
    assert api.http.get(f"/client/v4/accounts/{other}/vectorize/v2/indexes").json()["result"] == []
    assert (
        api.http.get(f"/client/v4/accounts/{other}/vectorize/v2/indexes/docs").json()["errors"][0]["code"] == 3000
    )


@pytest.mark.parametrize("status", [400, 404])
def test_a_missing_and_a_deleted_index_have_their_own_codes(make, status):
    api = make(missing_index_status=status)
    assert api.refusal("POST", "/docs/delete_by_ids", json={"ids": ["a"]}) == (status, 3000)
    api.create()
    assert api.result("DELETE", "/docs") is None
    assert api.refusal("GET", "/docs/info") == (status, 3005)
    assert api.result("GET") == []


def test_an_index_recreated_in_the_same_instant_has_another_created_on_and_no_vectors(api):
    first = api.create()
    api.seed(["a", "b"])
    api.delete(["a"])
    api.result("DELETE", "/docs")
    second = api.create()  # the clock has not moved
    assert second["created_on"] > first["created_on"]
    assert api.live() == []
    assert api.info()["processedUpToMutation"] is None


def test_what_the_log_held_does_not_reach_a_recreated_index(make, make_vector):
    api = make(lag=10)
    api.create()
    api.write([make_vector("ghost")])
    api.result("DELETE", "/docs")
    api.create()
    api.clock.advance(60)
    assert api.live() == []


def test_data_writes_do_not_move_modified_on(api, make_vector):
    created = api.create()
    api.clock.advance(100)
    api.write([make_vector("a")])
    assert api.result("GET", "/docs")["modified_on"] == created["modified_on"]


def test_a_percent_encoded_name_reaches_the_index_of_that_name(api):
    api.emulator.create_index(api.account, "a/b #ü")
    assert api.result("GET", "/a%2Fb%20%23%C3%BC/info")["dimensions"] == 32


def test_indexes_above_the_account_limit_are_refused(make):
    api = make(limits=Limits(indexes_per_account=1))
    api.create("one")
    status, _ = api.refusal("POST", json={"name": "two", "config": {"dimensions": 32, "metric": "cosine"}})
    assert status == 400
