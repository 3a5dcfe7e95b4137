"""Writing, reading and deleting vectors: formats, limits, codes."""

import json

import pytest

from reconciler.emulator import Limits


@pytest.fixture
def docs(api):
    api.create()
    return api


def upload(api, body, content_type="application/x-ndjson", operation="upsert", **params):
    headers = {"content-type": content_type} if content_type else {}
    return api.refusal("POST", f"/docs/{operation}", content=body, headers=headers, params=params)


def test_upsert_replaces_what_insert_leaves_alone(docs, make_vector):
    docs.write([make_vector("a", 1.0)], "insert")
    docs.write([make_vector("a", 2.0), make_vector("b", 5.0)], "insert")
    [a] = docs.result("POST", "/docs/get_by_ids", json={"ids": ["a"]})
    assert a["values"][0] == 1.0
    docs.write([make_vector("a", 3.0)], "upsert")
    [a] = docs.result("POST", "/docs/get_by_ids", json={"ids": ["a"]})
    assert a["values"][0] == 3.0
    assert docs.info()["vectorCount"] == 2


def test_an_id_twice_in_one_upload_counts_once(docs, make_vector):
    docs.write([make_vector("a", 1.0), make_vector("a", 2.0)], "upsert")
    docs.write([make_vector("b", 1.0), make_vector("b", 2.0)], "insert")
    rows = docs.result("POST", "/docs/get_by_ids", json={"ids": ["a", "b"]})
    assert [row["values"][0] for row in rows] == [2.0, 1.0]
    assert docs.info()["vectorCount"] == 2


@pytest.mark.parametrize("content_type", ["application/x-ndjson", "application/json", "text/plain", None])
def test_ndjson_is_taken_under_any_type(docs, make_vector, content_type):
    headers = {"content-type": content_type} if content_type else {}
    body = json.dumps(make_vector("a")) + "\r\n\n" + json.dumps(make_vector("b"))
    docs.result("POST", "/docs/upsert", content=body, headers=headers)
    assert docs.live() == ["a", "b"]


def test_multipart_needs_a_part_named_vectors(docs, make_vector):
    lines = "\n".join(json.dumps(make_vector(each)) for each in ("a", "ü\r"))
    docs.result("POST", "/docs/upsert", files={"vectors": ("v.ndjson", lines, "application/x-ndjson")})
    assert docs.live() == ["a", "ü\r"]
    response = docs.call("POST", "/docs/upsert", files={"other": ("v.ndjson", lines)})
    assert (response.status_code, response.json()["errors"][0]["code"]) == (400, 40045)
    assert upload(docs, lines, "multipart/form-data") == (400, 40045)


@pytest.mark.parametrize(
    "line",
    [
        "not json",
        "[]",
        '{"id": 7, "values": []}',
        '{"id": "a"}',
        '{"id": "a", "values": {"0": 1}}',
        "[" * 100_000,
        '{"id": "a", "values": [true]}',
        '{"id": "a", "values": [1e400]}',
        '{"id": "a", "values": [], "metadata": 1}',
    ],
)
def test_an_unparsable_line_refuses_the_whole_upload_or_is_discarded(docs, make_vector, line):
    body = json.dumps(make_vector("good")) + "\n" + line
    assert upload(docs, body) == (400, 40023)
    assert docs.live() == []
    docs.result("POST", "/docs/upsert", content=body, params={"unparsable-behavior": "discard"})
    assert docs.live() == ["good"]


def test_an_unknown_unparsable_behaviour_and_an_empty_upload_are_refused(docs):
    assert upload(docs, "x", **{"unparsable-behavior": "maybe"})[0] == 400
    assert upload(docs, b"") == (400, 40023)


def test_wrong_dimensions_long_ids_and_big_metadata_are_refused(docs, make_vector):
    assert upload(docs, json.dumps({"id": "a", "values": [1.0] * 31})) == (400, 40012)
    assert upload(docs, json.dumps(make_vector("é" * 33))) == (400, 40008)
    assert upload(docs, json.dumps(make_vector("a", metadata={"t": "x" * 10_240}))) == (400, 40016)
    assert upload(docs, json.dumps(make_vector("a", namespace="n" * 65)))[0] == 400
    assert upload(docs, json.dumps(make_vector("")))[0] == 400
    docs.write([make_vector("é" * 32, metadata={"t": "x" * 10_000}, namespace="n" * 64)])


def test_too_many_vectors_too_large_a_body_and_a_full_index_are_refused(make, make_vector):
    api = make(limits=Limits(upsert_vectors=2, upload_bytes=2_000, vectors_per_index=3))
    api.create()
    three = "\n".join(json.dumps(make_vector(each)) for each in "abc")
    assert upload(api, three)[0] == 400
    assert upload(api, b"x" * 2_001)[0] == 413
    api.seed(["a", "b", "c"])
    assert upload(api, json.dumps(make_vector("d")))[0] == 400
    api.write([make_vector("c")])  # replacing needs no room
    assert api.live() == ["a", "b", "c"]


def test_reading_returns_what_was_written_and_omits_what_is_absent(docs, make_vector):
    docs.write([make_vector("a", namespace="n", metadata={"k": [1, {"ü": None}]}), make_vector("b")])
    rows = docs.result("POST", "/docs/get_by_ids", json={"ids": ["b", "absent", "a", "a"]})
    assert [row["id"] for row in rows] == ["b", "a"]
    assert rows[1]["metadata"] == {"k": [1, {"ü": None}]}
    assert rows[1]["namespace"] == "n"
    assert set(rows[0]) == {"id", "values"}
    assert len(rows[0]["values"]) == 32


@pytest.mark.parametrize(("operation", "maximum"), [("delete_by_ids", 100), ("get_by_ids", 20)])
def test_one_id_too_many_refuses_the_whole_request_and_says_the_maximum(docs, operation, maximum):
    ids = [f"id-{number}" for number in range(maximum + 1)]
    docs.seed(ids)
    response = docs.call("POST", f"/docs/{operation}", json={"ids": ids})
    error = response.json()["errors"][0]
    assert (response.status_code, error["code"]) == (400, 40007)
    assert error["message"] == f"too many ids in payload; max id count is {maximum}, got {maximum + 1}"
    assert len(docs.live()) == maximum + 1
    docs.result("POST", f"/docs/{operation}", json={"ids": ids[:maximum]})


def test_an_id_of_65_bytes_is_refused_whatever_its_characters(docs):
    response = docs.call("POST", "/docs/delete_by_ids", json={"ids": ["a", "é" * 32 + "x"]})
    assert response.json()["errors"][0] == {
        "code": 40008,
        "message": "id too long; max is 64 bytes, got 65 bytes",
    }
    docs.delete(["é" * 32])


@pytest.mark.parametrize("ids", [[], "a", None, [1], [""], ["\ud800"]])
def test_ids_that_no_client_may_send_are_refused(docs, ids):
    assert docs.refusal("POST", "/docs/delete_by_ids", content=json.dumps({"ids": ids}), headers=JSON)[0] == 400


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ('{"ids": ["a"]}', "text/plain"),
        ("{", "application/json"),
        ("[]", "application/json"),
        ('{"ids": ["a"]}', ""),
    ],
)
def test_a_body_that_is_not_json_is_refused(docs, body, content_type):
    headers = {"content-type": content_type} if content_type else {}
    assert docs.refusal("POST", "/docs/delete_by_ids", content=body, headers=headers) == (400, 40026)


def test_the_content_type_of_wrangler_is_json(docs):
    headers = {"content-type": "application/json; charset=utf-8;"}
    found = docs.result("POST", "/docs/delete_by_ids", content='{"ids":["a"]}', headers=headers)
    assert found["mutationId"]


def test_deleting_what_does_not_exist_succeeds_with_a_mutation_of_its_own(docs):
    first, second = docs.delete(["nobody"]), docs.delete(["nobody"])
    assert first != second
    assert docs.info()["processedUpToMutation"] == second


@pytest.mark.parametrize(
    "odd", ["a\u0000b", "  x ", "a/b#c:d", "日本語", "\U0001f600", "'; DROP TABLE vectors; --"]
)
def test_ids_of_any_characters_survive_every_operation(docs, make_vector, odd):
    docs.write([make_vector(odd), make_vector("z")])
    assert docs.get([odd]) == [odd]
    listed = docs.page(count=1)
    rest = docs.page(count=1, cursor=listed["nextCursor"])
    assert {listed["vectors"][0]["id"], rest["vectors"][0]["id"]} == {odd, "z"}
    docs.delete([odd])
    assert docs.live() == ["z"]
