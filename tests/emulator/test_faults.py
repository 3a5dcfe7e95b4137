"""Every fault that a test can order, and that it hits exactly the requests it was ordered for."""

import httpx
import pytest

from reconciler.emulator import ConnectionDropped, Fault
from reconciler.emulator.faults import KINDS


@pytest.fixture
def docs(api):
    api.seed(["a", "b", "c", "d"])
    return api


def order(api, kind, **more):
    return api.emulator.faults.add(Fault(kind=kind, **more))


def send(api, ids=("a",)):
    return api.call("POST", "/docs/delete_by_ids", json={"ids": list(ids)})


def last(api):
    return api.emulator.record()[-1]


def test_a_connection_dropped_before_acceptance_leaves_no_mutation(docs):
    order(docs, "drop_before")
    with pytest.raises(ConnectionDropped):
        send(docs)
    entry = last(docs)
    assert (entry.accepted, entry.answered, entry.status, entry.mutation_id) == (False, False, None, None)
    assert entry.ids == ("a",)
    assert "a" in docs.live()


@pytest.mark.parametrize("kind", ["drop_after", "cut_body"])
def test_a_connection_dropped_after_acceptance_leaves_a_mutation_that_only_the_record_knows(docs, kind):
    order(docs, kind)
    with pytest.raises(ConnectionDropped):
        send(docs)
    entry = last(docs)
    assert (entry.accepted, entry.answered, entry.status) == (True, False, 200)
    assert entry.mutation_id == docs.info()["processedUpToMutation"]
    assert "a" not in docs.live()


def test_a_delay_passes_before_or_after_acceptance(docs):
    start = docs.clock.now
    order(docs, "delay_before", seconds=40)
    assert send(docs).status_code == 200
    assert last(docs).at == start + 40
    order(docs, "delay_after", seconds=50)
    assert send(docs).status_code == 200
    assert last(docs).at == start + 40
    assert docs.slept == [40, 50]


@pytest.mark.parametrize(
    ("fault", "status", "code", "headers"),
    [
        ({}, 500, 10001, {}),
        ({"status": 429, "retry_after": 90}, 429, 971, {"retry-after": "90"}),
        (
            {"status": 429, "retry_after": "Mon, 23 Nov 2026 10:00:00 GMT"},
            429,
            971,
            {"retry-after": "Mon, 23 Nov 2026 10:00:00 GMT"},
        ),
        ({"status": 400, "code": 40041}, 400, 40041, {}),
        ({"status": 401}, 401, 10000, {}),
        ({"status": 403}, 403, 10000, {}),
        ({"status": 404, "code": 3000, "message": "vectorize.index.not_found"}, 404, 3000, {}),
        ({"status": 503, "headers": {"x-extra": "1"}}, 503, 10001, {"x-extra": "1"}),
    ],
)
def test_an_error_in_place_of_an_answer_does_nothing(docs, fault, status, code, headers):
    order(docs, "error", **fault)
    response = send(docs)
    assert (response.status_code, response.json()["errors"][0]["code"]) == (status, code)
    assert {name: response.headers[name] for name in headers} == headers
    assert (last(docs).accepted, last(docs).status, last(docs).code) == (False, status, code)
    assert "a" in docs.live()
    assert send(docs).status_code == 200


@pytest.mark.parametrize("kind", ["error", "raw"])
def test_an_error_may_hide_an_acceptance(docs, kind):
    order(docs, kind, accept=True)
    assert send(docs).status_code in (500, 502)
    assert last(docs).accepted
    assert last(docs).mutation_id is not None
    assert "a" not in docs.live()


def test_a_gateway_page_is_not_json(docs):
    order(docs, "raw")
    response = send(docs)
    assert response.status_code == 502
    assert response.headers["content-type"].startswith("text/html")
    assert response.text.startswith("<!DOCTYPE html>")
    order(docs, "raw", status=200, body="", content_type="application/json")
    assert send(docs).content == b""
    assert "a" in docs.live()


def test_a_redirect_is_not_followed_by_an_acceptance(docs):
    order(docs, "redirect", location="http://elsewhere.example/")
    response = send(docs)
    assert (response.status_code, response.headers["location"]) == (307, "http://elsewhere.example/")
    assert not last(docs).accepted


@pytest.mark.parametrize("status", [400, 404])
def test_an_index_can_seem_missing_with_either_status(docs, status):
    order(docs, "index_missing", status=status)
    assert docs.refusal("GET", "/docs") == (status, 3000)
    order(docs, "index_missing", code=3005)
    assert docs.refusal("GET", "/docs") == (404, 3005)
    docs.result("GET", "/docs")


def test_a_lower_id_limit_holds_until_it_is_withdrawn(docs):
    number = order(docs, "id_limit", limit=2, times=None, operation="delete_by_ids")
    response = send(docs, "abc")
    assert response.status_code == 400
    assert response.json()["errors"][0] == {
        "code": 40007,
        "message": "too many ids in payload; max id count is 2, got 3",
    }
    assert docs.live() == ["a", "b", "c", "d"]
    assert send(docs, "ab").status_code == 200
    assert docs.get(["a", "b", "c"]) == ["c"]
    assert send(docs, "abc").status_code == 400
    assert docs.emulator.faults.hits(number) == 2
    assert docs.emulator.faults.remove(number)
    assert not docs.emulator.faults.remove(number)
    assert send(docs, "abc").status_code == 200


@pytest.mark.parametrize(
    ("kind", "more", "result"),
    [
        ("null_mutation", {}, {"mutationId": None}),
        ("missing_result", {}, None),
        ("result", {"result": {}}, {}),
        ("result", {"result": {"mutationId": 7}}, {"mutationId": 7}),
        ("result", {"result": ["a"]}, ["a"]),
    ],
)
def test_a_success_without_a_usable_mutation_id_was_accepted_all_the_same(docs, kind, more, result):
    order(docs, kind, **more)
    assert docs.result("POST", "/docs/delete_by_ids", json={"ids": ["a"]}) == result
    assert last(docs).mutation_id == docs.info()["processedUpToMutation"]
    assert "a" not in docs.live()


def test_a_truncated_json_is_a_complete_http_answer(docs):
    order(docs, "truncate")
    response = send(docs)
    assert response.status_code == 200
    assert len(response.content) == int(response.headers["content-length"]) > 0
    with pytest.raises(ValueError, match=r".+"):
        response.json()
    assert last(docs).accepted


def test_messages_and_headers_on_success(docs):
    order(docs, "message", code=1234, message="look out")
    order(docs, "headers", headers={"Ratelimit": '"default";r=5;t=9', "Content-Type": "application/json; x"})
    response = send(docs)
    assert response.json()["messages"] == [{"code": 1234, "message": "look out"}]
    assert response.json()["success"] is True
    assert response.headers.get_list("ratelimit") == ['"default";r=5;t=9']
    assert response.headers.get_list("content-type") == ["application/json; x"]
    assert last(docs).faults == ("message", "headers")


def test_a_fault_hits_the_nth_matching_request_and_so_many_after_it(docs):
    order(docs, "error", operation="delete_by_ids", nth=2, times=2)
    docs.info()
    assert [send(docs).status_code for _ in range(5)] == [200, 500, 500, 200, 200]


def test_a_fault_for_ever_ends_when_cleared(docs):
    order(docs, "error", times=None, nth=2)
    assert [send(docs).status_code for _ in range(4)] == [200, 500, 500, 500]
    docs.emulator.faults.clear()
    assert send(docs).status_code == 200


def test_a_fault_keeps_to_its_operation_account_index_and_id(docs):
    docs.seed(["a"], "other")
    order(docs, "error", operation="info", times=None)
    order(docs, "error", account="f" * 32, times=None)
    order(docs, "error", index="other", times=None)
    order(docs, "error", with_id="b", times=None)
    assert send(docs, "ac").status_code == 200
    assert send(docs, "ab").status_code == 500
    assert docs.call("GET", "/docs/info").status_code == 500
    assert docs.call("GET", "/other/list").status_code == 500


def test_a_fault_can_mean_an_upload_by_an_id_in_it(docs, make_vector):
    order(docs, "error", with_id="x", times=None)
    docs.write([make_vector("y")])
    response = docs.call("POST", "/docs/upsert", files={"vectors": ("v", '{"id": "x", "values": []}\n')})
    assert response.status_code == 500


def test_a_refused_request_gains_nothing_from_success_faults(docs):
    for kind in ("null_mutation", "message", "truncate", "result"):
        order(docs, kind)
    assert docs.refusal("GET", "/nothing") == (404, 3000)


def test_faults_do_not_spare_the_credentials(make):
    api = make(tokens={})
    order(api, "error", accept=True)
    assert api.refusal("GET") == (401, 10000)


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"kind": "nonsense"},
        {"kind": "error", "operation": "delete"},
        {"kind": "error", "colour": "red"},
        {"kind": "error", "nth": 0},
        {"kind": "error", "times": 0},
        {"kind": "error", "nth": "1"},
        {"kind": "error", "nth": None},
        {"kind": "error", "status": True},
        {"kind": "error", "headers": []},
        {"kind": "error", "accept": 1},
        {"kind": "delay_after", "seconds": -1},
        {"kind": "id_limit"},
        {"kind": "redirect"},
    ],
)
def test_a_misspelt_fault_is_refused_and_not_ignored(document):
    with pytest.raises(ValueError, match=r".+"):
        Fault.from_json(document)


def test_every_kind_goes_through_json_unchanged():
    for kind in KINDS:
        fault = Fault(kind=kind, limit=5, location="/x", times=None, result=[1], retry_after="soon", nth=3)
        assert Fault.from_json(fault.to_json()) == fault


@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "cut_body"])
def test_an_in_process_client_sees_a_broken_connection_as_an_exception(docs, kind):
    order(docs, kind)
    with pytest.raises((ConnectionDropped, httpx.HTTPError)):
        docs.info()
