"""The official Python SDK against the emulator: it must not notice the difference."""

import json
from datetime import timedelta

import pytest
from cloudflare import (
    APIConnectionError,
    AuthenticationError,
    BadRequestError,
    Cloudflare,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
)

from reconciler.emulator import Fault, Settings, running

pytestmark = [
    pytest.mark.compat,
    # The SDK's own way to send NDJSON, as its documentation shows it; its base class has begun to deprecate it.
    pytest.mark.filterwarnings("ignore:Passing raw bytes as `body`:DeprecationWarning"),
]

ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"


@pytest.fixture
def indexes(server):
    with Cloudflare(base_url=server.base_url, api_token="t", max_retries=0) as client:
        yield client.vectorize.indexes


def ndjson(*vectors):
    return "\n".join(json.dumps(vector) for vector in vectors).encode()


def vector(vector_id, first=1.0, **more):
    return {"id": vector_id, "values": [first, *[1.0] * 31], **more}


def create(indexes, name="docs"):
    return indexes.create(account_id=ACCOUNT, name=name, config={"dimensions": 32, "metric": "cosine"})


def test_the_life_of_an_index(indexes):
    created = create(indexes)
    assert (created.name, created.config.dimensions, created.config.metric) == ("docs", 32, "cosine")
    assert created.created_on.utcoffset() == timedelta(0)
    assert indexes.get("docs", account_id=ACCOUNT) == created
    assert [each.name for each in indexes.list(account_id=ACCOUNT)] == ["docs"]
    assert indexes.delete("docs", account_id=ACCOUNT) is None
    assert list(indexes.list(account_id=ACCOUNT)) == []
    assert create(indexes).created_on > created.created_on


def test_vectors_are_written_listed_read_and_deleted(server, indexes):
    create(indexes)
    body = ndjson(*(vector(f"id-{number}", metadata={"n": number}) for number in range(25)))
    written = indexes.upsert("docs", account_id=ACCOUNT, body=body)
    assert len(written.mutation_id) == 36
    indexes.insert("docs", account_id=ACCOUNT, body=ndjson(vector("id-0", 9.0), vector("new", namespace="n")))

    page = indexes.list_vectors("docs", account_id=ACCOUNT, count=20)
    assert (page.count, page.total_count, page.is_truncated) == (20, 26, True)
    assert page.cursor_expiration_timestamp is not None
    rest = indexes.list_vectors("docs", account_id=ACCOUNT, count=20, cursor=page.next_cursor)
    assert (rest.count, rest.is_truncated, rest.next_cursor) == (6, False, None)
    assert len({each.id for each in [*page.vectors, *rest.vectors]}) == 26

    read = indexes.get_by_ids("docs", account_id=ACCOUNT, ids=["id-0", "absent", "new"])
    assert [each["id"] for each in read] == ["id-0", "new"]
    assert read[0]["values"][0] == 1.0  # the insert left it alone
    assert read[1]["namespace"] == "n"

    deleted = indexes.delete_by_ids("docs", account_id=ACCOUNT, ids=["id-0", "absent"])
    info = indexes.info("docs", account_id=ACCOUNT)
    assert (info.processed_up_to_mutation, info.vector_count, info.dimensions) == (deleted.mutation_id, 25, 32)
    assert info.processed_up_to_datetime is not None
    assert "id-0" not in server.emulator.ids(ACCOUNT, "docs")


def test_discarding_unparsable_lines_reaches_the_emulator(indexes):
    create(indexes)
    body = ndjson(vector("a")) + b"\nnot json"
    with pytest.raises(BadRequestError) as refused:
        indexes.upsert("docs", account_id=ACCOUNT, body=body, unparsable_behavior="error")
    assert refused.value.errors[0].code == 40023
    indexes.upsert("docs", account_id=ACCOUNT, body=body, unparsable_behavior="discard")
    assert indexes.info("docs", account_id=ACCOUNT).vector_count == 1


def test_metadata_indexes_and_filtered_queries(indexes):
    create(indexes)
    made = indexes.metadata_index.create("docs", account_id=ACCOUNT, property_name="kind", index_type="string")
    assert made.mutation_id
    listed = indexes.metadata_index.list("docs", account_id=ACCOUNT)
    assert [(each.property_name, each.index_type) for each in listed.metadata_indexes] == [("kind", "string")]
    body = ndjson(vector("a", metadata={"kind": "shoe"}), vector("b", metadata={"kind": "hat"}))
    indexes.upsert("docs", account_id=ACCOUNT, body=body)
    answer = indexes.query(
        "docs",
        account_id=ACCOUNT,
        vector=[1.0] * 32,
        filter={"kind": {"$in": ["shoe"]}},
        return_metadata="all",
        return_values=True,
        top_k=5,
    )
    assert answer.count == 1
    assert answer.matches[0].id == "a"
    assert answer.matches[0].metadata == {"kind": "shoe"}
    assert answer.matches[0].score == pytest.approx(1.0)
    assert len(answer.matches[0].values) == 32
    assert indexes.metadata_index.delete("docs", account_id=ACCOUNT, property_name="kind").mutation_id
    assert indexes.metadata_index.list("docs", account_id=ACCOUNT).metadata_indexes == []


def test_errors_arrive_as_the_sdk_knows_them(server, indexes):
    with pytest.raises(NotFoundError) as missing:
        indexes.info("docs", account_id=ACCOUNT)
    assert missing.value.errors[0].code == 3000
    create(indexes)
    with pytest.raises(BadRequestError) as refused:
        indexes.delete_by_ids("docs", account_id=ACCOUNT, ids=[f"id-{number}" for number in range(101)])
    assert refused.value.errors[0].code == 40007
    assert refused.value.errors[0].message == "too many ids in payload; max id count is 100, got 101"
    for fault, expected in (
        (Fault(kind="error", status=429, retry_after=90), RateLimitError),
        (Fault(kind="error", status=403), PermissionDeniedError),
        (Fault(kind="error"), InternalServerError),
        (Fault(kind="raw"), InternalServerError),
        (Fault(kind="drop_after"), APIConnectionError),
    ):
        server.emulator.faults.add(fault)
        with pytest.raises(expected):
            indexes.delete_by_ids("docs", account_id=ACCOUNT, ids=["a"])
    server.emulator.faults.add(Fault(kind="null_mutation"))
    assert indexes.delete_by_ids("docs", account_id=ACCOUNT, ids=["a"]).mutation_id is None


def test_wrong_credentials_arrive_as_the_sdk_knows_them():
    settings = Settings(tokens={"read": "read"}, keys={("a@example.org", "key"): "write"})
    with running(settings) as server:
        for credentials, expected in (
            ({"api_token": "other"}, AuthenticationError),
            ({"api_token": "read"}, PermissionDeniedError),
        ):
            with (
                Cloudflare(base_url=server.base_url, max_retries=0, **credentials) as client,
                pytest.raises(expected) as refused,
            ):
                create(client.vectorize.indexes)
            assert refused.value.errors[0].code == 10000
        older = {"api_email": "a@example.org", "api_key": "key"}
        with Cloudflare(base_url=server.base_url, max_retries=0, **older) as client:
            assert create(client.vectorize.indexes).name == "docs"


def test_the_sdk_retries_on_its_own_what_passes(server):
    server.emulator.seed(ACCOUNT, "docs", ["a"])
    server.emulator.faults.add(Fault(kind="error", status=503, retry_after=0.01))
    with Cloudflare(base_url=server.base_url, api_token="t", max_retries=1) as client:
        client.vectorize.indexes.delete_by_ids("docs", account_id=ACCOUNT, ids=["a"])
    assert [entry.status for entry in server.emulator.record()] == [503, 200]
