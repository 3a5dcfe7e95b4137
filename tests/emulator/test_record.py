"""The record as a witness; what a data file keeps; concurrent requests."""

import json
import sqlite3
import threading

import pytest

from reconciler.emulator import DataFileError, Emulator, Fault, Settings
from reconciler.emulator.record import Entry


def test_the_record_names_every_request_in_order(api, make_vector):
    api.create()
    upserted = api.write([make_vector("a"), make_vector("b")])
    api.clock.advance(5)
    deleted = api.delete(["b", "a", "b"])
    api.call("POST", "/docs/delete_by_ids", json={"ids": ["x" * 65]})
    api.page(count=7, ignored="secret")
    api.call("GET", "/../nowhere")
    record = api.emulator.record()
    assert [entry.seq for entry in record] == [1, 2, 3, 4, 5, 6]
    assert [entry.operation for entry in record] == [
        *("index_create", "upsert", "delete_by_ids", "delete_by_ids", "list", None)
    ]
    assert [entry.mutation_id for entry in record] == [None, upserted, deleted, None, None, None]
    assert [entry.accepted for entry in record] == [True, True, True, False, True, False]
    assert [entry.code for entry in record] == [None, None, None, 40008, None, 7003]
    assert record[1].ids == ("a", "b")
    assert record[2] == Entry(
        seq=3,
        at=api.clock.now,
        method="POST",
        path=f"/client/v4/accounts/{api.account}/vectorize/v2/indexes/docs/delete_by_ids",
        operation="delete_by_ids",
        account=api.account,
        index="docs",
        ids=("b", "a", "b"),
        arguments={},
        status=200,
        code=None,
        mutation_id=deleted,
        accepted=True,
        answered=True,
        faults=(),
    )
    assert record[4].arguments == {"count": "7"}
    assert api.emulator.record(after=3, operation="delete_by_ids") == record[3:4]
    api.emulator.clear_record()
    api.info()
    assert [entry.seq for entry in api.emulator.record()] == [7]


def test_no_credential_reaches_the_record_or_the_file(make, tmp_path):
    api = make(data=tmp_path / "data.db")
    api.create()
    api.http.headers = {"x-auth-email": "somebody@example.org", "x-auth-key": "secret-key"}
    api.call("GET", "/docs/list", params={"token": "secret-token"})
    api.emulator.close()
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for secret in (b"secret-token", b"secret-key", b"somebody@example.org"):
        assert secret not in content


def test_a_file_keeps_indexes_vectors_log_snapshots_and_record(make, tmp_path, make_vector):
    before = make(data=tmp_path / "data.db", lag=30)
    created = before.create()
    before.seed([f"id-{number}" for number in range(5)])
    before.write([make_vector("new", metadata={"k": "v"})])
    before.clock.advance(30)
    cursor = before.page(count=2)["nextCursor"]
    waiting = before.delete(["id-0"])
    record = before.emulator.record()
    before.emulator.close()

    after = make(data=tmp_path / "data.db", lag=30)
    assert after.result("GET", "/docs") == created
    assert after.page(count=9, cursor=cursor)["count"] == 4
    assert after.emulator.record()[: len(record)] == record
    assert "id-0" in after.live()
    after.clock.advance(30)
    assert after.info()["processedUpToMutation"] == waiting
    assert "id-0" not in after.live()
    seqs = [entry.seq for entry in after.emulator.record()]
    assert seqs == list(range(1, len(seqs) + 1))


def test_two_emulators_cannot_share_a_file(tmp_path):
    with Emulator(data=tmp_path / "data.db"), pytest.raises(DataFileError, match="locked"):
        Emulator(data=tmp_path / "data.db")
    Emulator(data=tmp_path / "data.db").close()


def test_a_file_that_is_no_data_of_an_emulator_is_refused_and_left_alone(tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("these are notes, not a database, and long enough to be told apart from one " * 20)
    foreign = tmp_path / "foreign.db"
    connection = sqlite3.connect(foreign)
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    before = text.read_bytes() + foreign.read_bytes()
    for path in (text, foreign, tmp_path, tmp_path / "missing" / "data.db"):
        with pytest.raises(DataFileError, match=str(path)):
            Emulator(data=path)
    assert text.read_bytes() + foreign.read_bytes() == before


def test_an_effect_and_its_record_are_kept_together(api, monkeypatch):
    api.seed(["a"])
    monkeypatch.setattr(api.emulator._record, "add", None)
    with pytest.raises(TypeError):
        api.call("POST", "/docs/delete_by_ids", json={"ids": ["a"]})
    assert api.live() == ["a"]
    assert api.emulator.mutations(api.account, "docs") == []


def test_seeding_replaces_removes_and_counts(api):
    assert api.emulator.seed(api.account, "docs", ["a", "b", "a"]) == 2
    assert api.emulator.seed(api.account, "docs", ["b", "c", "c"]) == 1
    assert api.emulator.remove(api.account, "docs", ["a", "a", "zzz"]) == 1
    assert api.live() == ["b", "c"]
    assert api.info()["vectorCount"] == 2
    assert api.info()["processedUpToMutation"] is None
    with pytest.raises(ValueError, match="exists"):
        api.emulator.create_index(api.account, "docs")
    api.emulator.delete_index(api.account, "docs")
    assert api.emulator.indexes() == []


def test_concurrent_callers_lose_nothing():
    account = "a" * 32
    with Emulator(Settings(budget=None, burst=None)) as emulator:
        emulator.seed(account, "docs", [f"{worker}-{number}" for worker in range(8) for number in range(50)])
        failures = []

        def work(worker):
            try:
                for number in range(50):
                    emulator.remove(account, "docs", [f"{worker}-{number}"])
                    emulator.seed(account, "docs", [f"new-{worker}-{number}"])
                    emulator.faults.add(Fault(kind="message"))
                    emulator.ids(account, "docs")
            except Exception as error:  # noqa: BLE001
                failures.append(error)

        threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        expected = sorted(f"new-{worker}-{number}" for worker in range(8) for number in range(50))
        assert emulator.ids(account, "docs") == expected
        assert len({each["number"] for each in emulator.faults.listing()}) == 400


def test_the_controls_do_over_http_what_the_methods_do(api):
    where = {"account": api.account, "index": "docs"}
    assert api.control("POST", "/seed", json={**where, "ids": ["a", "b"]}) == {"gained": 2}
    assert api.control("POST", "/seed", json={**where, "count": 3, "prefix": "x-"}) == {"gained": 3}
    assert api.control("POST", "/remove", json={**where, "ids": ["b"]}) == {"removed": 1}
    assert api.control("GET", "/ids", params=where) == {"ids": ["a", "x-0000000", "x-0000001", "x-0000002"]}
    assert api.control("POST", "/hold", json=where) == {}
    mutation = api.delete(["a"])
    [waiting] = api.control("GET", "/mutations", params=where)["mutations"]
    assert (waiting["mutation_id"], waiting["processed_at"]) == (mutation, None)
    assert api.control("GET", "/")["held"] is True
    assert api.control("POST", "/process", json={**where, "count": 1}) == {"processed": 1}
    assert api.control("POST", "/release") == {}
    foreign = api.control("POST", "/pointer", json={**where, "process": False})["mutation_id"]
    assert api.info()["processedUpToMutation"] == foreign
    assert api.control("POST", "/lag", json={"seconds": 9}) == {}
    api.delete(["x-0000000"])
    assert "x-0000000" in api.live()
    [entry] = api.control("GET", "/record", params={"after": 2})["record"]
    assert entry["ids"] == ["x-0000000"]
    assert api.control("DELETE", "/record") == {}
    assert api.control("GET", "/") == {
        "indexes": [where],
        "held": False,
        "faults": 0,
        "record": 0,
    }
    assert api.control("POST", "/rate_limit") == {}


def test_faults_are_ordered_and_withdrawn_over_http(api):
    fault = {"kind": "error", "operation": "info", "status": 503, "times": None}
    first = api.control("POST", "/faults", json=fault)["number"]
    second = api.control("POST", "/faults", json=fault)["number"]
    api.seed(["a"])
    assert api.call("GET", "/docs/info").status_code == 503
    assert api.control("DELETE", f"/faults/{second}") == {}
    [listed] = api.control("GET", "/faults")["faults"]
    assert listed == {"number": first, "seen": 1, "hits": 1, "fault": fault}
    assert api.control("DELETE", "/faults") == {}
    api.info()
    assert api.http.request("DELETE", f"/__emulator__/faults/{first}").status_code == 404


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/faults", {"kind": "nonsense"}),
        ("/seed", {"account": "a"}),
        ("/seed", {"account": "a", "index": "i", "ids": [1]}),
        ("/seed", {"account": "a", "index": "i", "count": -1}),
        ("/lag", {"seconds": "1"}),
        ("/pointer", {"account": "a", "index": "i", "process": 1}),
        ("/hold", []),
    ],
)
def test_a_malformed_control_request_is_refused(api, path, body):
    response = api.http.request("POST", f"/__emulator__{path}", content=json.dumps(body))
    assert response.status_code == 400
    assert response.json()["error"]


def test_the_controls_answer_only_on_loopback(api):
    assert api.http.get("/__emulator__/", headers={"host": "attacker.example"}).status_code == 403
    assert api.http.get("/__emulator__/", headers={"host": "localhost:80"}).status_code == 200
    assert api.http.get("/__emulator__/", headers={"host": "[::1]:80"}).status_code == 200
    stranger = type(api.http)(api.http._client._transport.app, address="203.0.113.9")
    assert stranger.get("/__emulator__/").status_code == 403
    stranger.close()


def test_controls_on_an_unknown_index_are_404(api):
    response = api.http.get("/__emulator__/ids", params={"account": "a", "index": "i"})
    assert response.status_code == 404
