"""Listing: pages, snapshots, cursors."""

import pytest


def ids(page):
    return [each["id"] for each in page["vectors"]]


@pytest.fixture
def ten(api):
    api.seed([f"id-{number}" for number in range(10)])
    return api


def test_a_list_ends_where_it_says(ten):
    first = ten.page(count=4)
    assert (first["count"], first["totalCount"], first["isTruncated"]) == (4, 10, True)
    second = ten.page(count=4, cursor=first["nextCursor"])
    third = ten.page(count=4, cursor=second["nextCursor"])
    assert ids(first) + ids(second) + ids(third) == [f"id-{number}" for number in range(10)]
    assert (third["count"], third["isTruncated"]) == (2, False)
    assert third["nextCursor"] is None
    assert third["cursorExpirationTimestamp"] is None


def test_a_page_that_ends_exactly_is_not_truncated(ten):
    assert ten.page(count=10)["isTruncated"] is False
    assert ten.page()["count"] == 10


def test_an_empty_index_lists_as_empty(api):
    api.create()
    assert api.page() == {
        "count": 0,
        "totalCount": 0,
        "isTruncated": False,
        "nextCursor": None,
        "cursorExpirationTimestamp": None,
        "vectors": [],
    }


@pytest.mark.parametrize("count", ["0", "1001", "-1", "x", "1.5", "", "٣", "9" * 5000])
def test_a_count_out_of_range_is_refused(ten, count):
    assert ten.refusal("GET", "/docs/list", params={"count": count})[0] == 400


def test_a_list_shows_its_snapshot_not_later_deletes_inserts_or_replacements(ten, make_vector):
    first = ten.page(count=3)
    ten.delete(["id-5", "id-1"])
    ten.write([make_vector("id-6"), make_vector("id-55")])
    ten.seed(["id-77", "id-8"])
    ten.emulator.remove(ten.account, "docs", ["id-9"])
    rest = ten.page(count=100, cursor=first["nextCursor"])
    assert ids(rest) == [f"id-{number}" for number in range(3, 10)]
    assert rest["totalCount"] == 10
    fresh = ten.page(count=100)
    assert ids(fresh) == ["id-0", "id-2", "id-3", "id-4", "id-55", "id-6", "id-7", "id-77", "id-8"]
    assert fresh["totalCount"] == 9 == ten.info()["vectorCount"]


def test_two_snapshots_do_not_mix(ten):
    first = ten.page(count=5)
    ten.delete(["id-7"])
    second = ten.page(count=5)
    ten.delete(["id-8"])
    assert ids(ten.page(count=9, cursor=first["nextCursor"])) == ["id-5", "id-6", "id-7", "id-8", "id-9"]
    assert ids(ten.page(count=9, cursor=second["nextCursor"])) == ["id-5", "id-6", "id-8", "id-9"]


def test_a_cursor_can_be_asked_again(ten):
    cursor = ten.page(count=5)["nextCursor"]
    assert ten.page(count=2, cursor=cursor)["vectors"] == ten.page(count=2, cursor=cursor)["vectors"]


@pytest.mark.parametrize("status", [400, 404, 410])
def test_a_snapshot_expires_as_announced_with_all_its_cursors(make, status):
    api = make(cursor_lifetime=60, cursor_error_status=status)
    api.seed([f"id-{number}" for number in range(10)])
    first = api.page(count=2)
    assert first["cursorExpirationTimestamp"] == "2026-09-21T14:14:20.000000Z"
    api.clock.advance(59)
    second = api.page(count=2, cursor=first["nextCursor"])
    assert second["cursorExpirationTimestamp"] == first["cursorExpirationTimestamp"]
    api.clock.advance(1)
    for cursor in (first["nextCursor"], second["nextCursor"]):
        assert api.refusal("GET", "/docs/list", params={"cursor": cursor})[0] == status


@pytest.mark.parametrize("cursor", ["x", "x.y", ".", "é.é", "0" * 32 + ".aWQ="])
def test_a_made_up_cursor_is_refused(ten, cursor):
    ten.page(count=2)
    assert ten.refusal("GET", "/docs/list", params={"cursor": cursor})[0] == 400


def test_a_cursor_belongs_to_its_index(ten):
    ten.seed([f"x-{number}" for number in range(5)], "other")
    cursor = ten.page(count=2)["nextCursor"]
    assert ten.refusal("GET", "/other/list", params={"cursor": cursor})[0] == 400
    ten.result("DELETE", "/docs")
    ten.create()
    assert ten.refusal("GET", "/docs/list", params={"cursor": cursor})[0] == 400


def test_what_only_expired_snapshots_saw_is_removed_for_good(ten):
    rows = "SELECT count(*) FROM vectors"
    ten.page(count=2)
    ten.delete([f"id-{number}" for number in range(8)])
    database = ten.emulator._storage.db
    assert database.execute(rows).fetchone() == (10,)
    ten.clock.advance(900)
    ten.page(count=1)
    assert database.execute(rows).fetchone() == (2,)


def test_a_page_of_a_large_index_does_not_read_the_whole_index(api):
    assert api.emulator.seed(api.account, "docs", (f"id-{number:06d}" for number in range(200_000))) == 200_000
    first = api.page(count=1000)
    reads = []
    api.emulator._storage.db.set_progress_handler(lambda: reads.append(1) and 0, 1_000)
    page = api.page(count=1000, cursor=first["nextCursor"])
    api.emulator._storage.db.set_progress_handler(None, 0)
    assert ids(page)[0] == "id-001000"
    assert (
        len(reads) < 60
    )  # thousands of SQLite steps for 1,000 ids; the whole index would be a thousand times more
