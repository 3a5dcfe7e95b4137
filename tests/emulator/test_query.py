"""Queries: metrics, filters on metadata indexes, what matches show."""

import math

import pytest


@pytest.fixture
def shop(api, make_vector):
    """Four vectors; metadata indexes on kind (string), price (number), sold (boolean), deep.key (string)."""
    api.create()
    for name, kind in (("kind", "string"), ("price", "number"), ("sold", "boolean"), ("deep.key", "string")):
        api.result("POST", "/docs/metadata_index/create", json={"propertyName": name, "indexType": kind})
    api.write(
        [
            make_vector("a", 1, metadata={"kind": "shoe", "price": 10, "sold": True, "free": "x"}),
            make_vector("b", 2, metadata={"kind": "shoe", "price": 20.5, "sold": False, "deep": {"key": "v"}}),
            make_vector("c", 3, metadata={"kind": "hat", "price": 30}, namespace="n"),
            make_vector("d", 4),
        ]
    )
    return api


def ask(api, first=1.0, name="docs", **options):
    body = {"vector": [first, 1.0, *[0.0] * 30], **options}
    return api.result("POST", f"/{name}/query", json=body)


def matched(api, condition):
    return "".join(sorted(match["id"] for match in ask(api, filter=condition)["matches"]))


@pytest.mark.parametrize(
    ("metric", "nearest", "score"),
    [("cosine", "a", 1.0), ("euclidean", "a", 0.0), ("dot-product", "d", -5.0)],
)
def test_each_metric_ranks_and_scores_as_documented(api, make_vector, metric, nearest, score):
    api.create(metric=metric)
    api.write([make_vector(name, first) for first, name in enumerate("abcd", 1)])
    answer = ask(api, topK=3)
    assert answer["count"] == len(answer["matches"]) == 3
    assert answer["matches"][0]["id"] == nearest
    assert math.isclose(answer["matches"][0]["score"], score, abs_tol=1e-6)


def test_a_zero_vector_has_a_score(api):
    api.create()
    api.seed(["a"])
    answer = api.result("POST", "/docs/query", json={"vector": [0] * 32})
    assert answer["matches"] == [{"id": "a", "score": 0.0}]


def test_a_match_shows_only_what_was_asked(shop):
    assert set(ask(shop)["matches"][0]) == {"id", "score"}
    full = ask(shop, returnValues=True, returnMetadata="all")["matches"][0]
    assert full["metadata"]["free"] == "x"
    assert full["values"][:2] == [1.0, 1.0]
    indexed = ask(shop, returnMetadata="indexed")["matches"]
    assert indexed[0]["metadata"] == {"kind": "shoe", "price": 10, "sold": True}
    assert [match.get("namespace") for match in indexed] == [None, None, "n", None]
    assert ask(shop, returnMetadata=True)["matches"][0]["metadata"]["free"] == "x"


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"kind": "shoe"}, "ab"),
        ({"kind": {"$eq": "shoe"}}, "ab"),
        ({"kind": {"$ne": "shoe"}}, "cd"),
        ({"kind": {"$in": ["hat", "sock"]}}, "c"),
        ({"kind": {"$nin": ["hat", "sock"]}}, "abd"),
        ({"kind": None}, "d"),
        ({"price": {"$lt": 20.5}}, "a"),
        ({"price": {"$lte": 20.5}}, "ab"),
        ({"price": {"$gt": 10}}, "bc"),
        ({"price": {"$gte": 10, "$lt": 30}}, "ab"),
        ({"kind": {"$gte": "i"}}, "ab"),
        ({"price": {"$lt": "5"}}, ""),
        ({"sold": True}, "a"),
        ({"sold": 1}, ""),
        ({"deep.key": "v"}, "b"),
        ({"kind": "shoe", "price": 10}, "a"),
        ({"free": "x"}, ""),  # no metadata index
    ],
)
def test_a_filter_selects(shop, condition, expected):
    assert matched(shop, condition) == expected


@pytest.mark.parametrize(
    "condition",
    [
        {},
        [],
        "x",
        {"": 1},
        {"$eq": 1},
        {'a"b': 1},
        {"k": {"$like": "x"}},
        {"k": {"$lt": 1, "$eq": 1}},
        {"k": {"$lt": 1, "$lte": 1}},
        {"k": {}},
        {"k": {"$in": []}},
        {"k": {"$in": "x"}},
        {"k": [1]},
        {"k": "x" * 2_048},
    ],
)
def test_a_malformed_filter_is_refused(shop, condition):
    body = {"vector": [1.0] * 32, "filter": condition}
    assert shop.refusal("POST", "/docs/query", json=body)[0] == 400


def test_vectors_older_than_a_metadata_index_are_not_in_it(api, make_vector):
    api.create()
    api.write([make_vector("old", metadata={"k": "v"})])
    api.result("POST", "/docs/metadata_index/create", json={"propertyName": "k", "indexType": "string"})
    api.write([make_vector("new", metadata={"k": "v"})])
    assert matched(api, {"k": "v"}) == "new"


def test_a_namespace_narrows_a_query(shop):
    assert [match["id"] for match in ask(shop, namespace="n")["matches"]] == ["c"]


def test_a_query_by_the_id_of_a_vector(shop):
    answer = shop.result("POST", "/docs/query", json={"vectorId": "d", "topK": 1})
    assert answer["matches"][0]["id"] == "d"
    assert shop.refusal("POST", "/docs/query", json={"vectorId": "nobody"})[0] == 400


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"vector": [1.0] * 31}, 40006),
        ({"topK": 101}, 40025),
        ({"topK": 51, "returnValues": True}, 40025),
        ({"topK": 51, "returnMetadata": "all"}, 40025),
    ],
)
def test_limits_of_a_query_have_their_codes(shop, options, code):
    assert shop.refusal("POST", "/docs/query", json={"vector": [1.0] * 32, **options}) == (400, code)


@pytest.mark.parametrize(
    "options",
    [
        {"vector": "x"},
        {"vector": None},
        {"topK": 0},
        {"topK": 1.5},
        {"topK": True},
        {"returnMetadata": "some"},
        {"returnValues": 1},
        {"namespace": 5},
    ],
)
def test_a_malformed_query_is_refused(shop, options):
    assert shop.refusal("POST", "/docs/query", json={"vector": [1.0] * 32, **options})[0] == 400


def test_seeded_vectors_have_the_same_values_every_time(api):
    api.seed(["a"])
    [first] = api.result("POST", "/docs/get_by_ids", json={"ids": ["a"]})
    [again] = api.result("POST", "/docs/get_by_ids", json={"ids": ["a"]})
    assert first == again
    assert len(set(first["values"])) > 8


def test_metadata_indexes_come_and_go_through_the_log(make):
    api = make(lag=5)
    api.create()
    create, listing, delete = (f"/docs/metadata_index/{each}" for each in ("create", "list", "delete"))
    body = {"propertyName": "k", "indexType": "string"}
    first = api.result("POST", create, json=body)["mutationId"]
    assert api.result("GET", listing) == {"metadataIndexes": []}
    api.result("POST", create, json=body)  # creating it twice succeeds
    assert api.refusal("POST", create, json={**body, "indexType": "number"})[0] == 400
    api.clock.advance(5)
    assert api.result("GET", listing) == {"metadataIndexes": [body]}
    assert first != api.info()["processedUpToMutation"]
    api.result("POST", delete, json={"propertyName": "k"})
    assert api.refusal("POST", delete, json={"propertyName": "k"}) == (400, 40005)
    api.clock.advance(5)
    assert api.result("GET", listing) == {"metadataIndexes": []}


def test_the_eleventh_metadata_index_and_bad_ones_are_refused(api):
    api.create()
    for number in range(10):
        body = {"propertyName": f"p{number}", "indexType": "number"}
        api.result("POST", "/docs/metadata_index/create", json=body)
    for body in (
        {"propertyName": "p10", "indexType": "number"},
        {"propertyName": "p1", "indexType": "date"},
        {"propertyName": "", "indexType": "number"},
        {"propertyName": "$x", "indexType": "number"},
        {"indexType": "number"},
    ):
        assert api.refusal("POST", "/docs/metadata_index/create", json=body)[0] == 400
