"""The emulator on a real socket: cut connections, clean ends, the blocking server."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from reconciler.emulator import Fault, Settings, running

ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"
DOCS = f"/accounts/{ACCOUNT}/vectorize/v2/indexes/docs"
FREE = Settings(budget=None, burst=None)


@pytest.fixture
def server():
    with running(FREE) as server:
        server.emulator.seed(ACCOUNT, "docs", [f"id-{number:05d}" for number in range(10_000)])
        yield server


@pytest.fixture
def client(server):
    with httpx.Client(base_url=server.base_url, headers={"authorization": "Bearer t"}, timeout=20) as client:
        yield client


def delete(client, ids):
    return client.post(f"{DOCS}/delete_by_ids", json={"ids": ids})


@pytest.mark.parametrize(("kind", "accepted"), [("drop_before", False), ("drop_after", True), ("cut_body", True)])
def test_a_cut_connection_looks_like_one(server, client, kind, accepted):
    server.emulator.faults.add(Fault(kind=kind))
    with pytest.raises(httpx.RemoteProtocolError):
        delete(client, ["id-00000"])
    [entry] = server.emulator.record()
    assert (entry.accepted, entry.answered) == (accepted, False)
    assert ("id-00000" in server.emulator.ids(ACCOUNT, "docs")) is not accepted
    assert delete(client, ["id-00001"]).status_code == 200  # the server lives on


def test_a_client_that_gave_up_waiting_was_accepted_all_the_same(server, client):
    server.emulator.faults.add(Fault(kind="delay_after", seconds=600))
    with pytest.raises(httpx.ReadTimeout):
        client.post(f"{DOCS}/delete_by_ids", json={"ids": ["id-00000"]}, timeout=0.2)
    while not server.emulator.record():
        time.sleep(0.001)  # a slow machine may still be at it
    assert server.emulator.record()[0].accepted
    assert "id-00000" not in server.emulator.ids(ACCOUNT, "docs")


def test_closing_ends_delays_and_leaves_no_thread_and_no_port():
    server = running(FREE)
    server.emulator.seed(ACCOUNT, "docs", ["a"])
    server.emulator.faults.add(Fault(kind="delay_before", seconds=600))
    port = server.port
    with ThreadPoolExecutor(1) as pool, httpx.Client(base_url=server.base_url, timeout=30) as client:
        answer = pool.submit(client.get, f"{DOCS}/info", headers={"authorization": "Bearer t"})
        while not server.emulator.faults.listing()[0]["hits"]:
            time.sleep(0.001)  # until the request has arrived; no assertion depends on how long
        started = time.monotonic()
        server.close()
        server.close()
        with pytest.raises(httpx.HTTPError):
            answer.result()
    assert time.monotonic() - started < 5
    assert f"emulator-{port}" not in [thread.name for thread in threading.enumerate()]
    with pytest.raises(OSError, match=r".+"), socket.create_connection(("127.0.0.1", port), timeout=1):
        pass


def test_a_taken_port_is_an_error_at_once(server):
    with pytest.raises(OSError, match=r".+"):
        running(FREE, port=server.port)


def test_requests_at_once_are_all_recorded_and_applied_once(server, client):
    batches = [[f"id-{number:05d}" for number in range(start, start + 100)] for start in range(0, 5_000, 100)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda ids: delete(client, ids).json()["result"]["mutationId"], batches))
    record = server.emulator.record()
    assert len(set(answers)) == 50
    assert sorted(entry.mutation_id for entry in record) == sorted(answers)
    assert [entry.seq for entry in record] == list(range(1, 51))
    assert sorted(map(list, (entry.ids for entry in record))) == batches
    assert len(server.emulator.ids(ACCOUNT, "docs")) == 5_000


def test_a_body_in_chunks_arrives_whole(server, client):
    body = json.dumps({"ids": ["id-00000"]}).encode()
    response = client.post(
        f"{DOCS}/delete_by_ids",
        content=(bytes([byte]) for byte in body),
        headers={"content-type": "application/json"},
    )
    assert response.status_code == 200
    assert server.emulator.record()[0].ids == ("id-00000",)


def test_a_client_that_leaves_in_the_middle_of_its_request_is_not_recorded(server, client):
    with socket.create_connection(("127.0.0.1", server.port)) as half:
        head = f"POST /client/v4{DOCS}/delete_by_ids HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n"
        half.sendall(head.encode() + b'{"ids"')
    assert client.get(f"{DOCS}/info").status_code == 200
    assert [entry.operation for entry in server.emulator.record()] == ["info"]


def test_answers_are_not_held_back_by_the_transport(server):
    # asyncio turns Nagle's algorithm off only on sockets that name their protocol; with it, an answer takes 40 ms more.
    [listener] = server._server.servers[0].sockets
    assert listener.proto == socket.IPPROTO_TCP


SERVE = """
import sys
from reconciler.emulator import serve
serve(port=0, data=sys.argv[1], on_ready=lambda url: (sys.stdout.write(url + "\\n"), sys.stdout.flush()))
"""


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_blocking_server_ends_on_a_signal_and_its_file_keeps_what_was_accepted(tmp_path, end):
    data = tmp_path / "data.db"
    command = [sys.executable, "-W", "error", "-c", SERVE, str(data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        base_url = process.stdout.readline().strip()
        with httpx.Client(base_url=base_url, headers={"authorization": "Bearer t"}) as client:
            control = base_url.removesuffix("/client/v4") + "/__emulator__"
            where = {"account": ACCOUNT, "index": "docs"}
            client.post(f"{control}/seed", json={**where, "ids": ["a", "b"]}).raise_for_status()
            mutation = delete(client, ["a"]).json()["result"]["mutationId"]
        os.kill(process.pid, end)
        _, errors = process.communicate(timeout=20)
    assert errors == ""
    assert process.returncode in (0, -end)
    with running(FREE, data=data) as server:
        assert server.emulator.ids(ACCOUNT, "docs") == ["b"]
        assert [entry.mutation_id for entry in server.emulator.record()] == [mutation]


def test_without_its_extra_the_import_says_what_to_install():
    code = "import sys; sys.modules['uvicorn'] = None; import reconciler.emulator"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'starlette>=0.40' 'uvicorn>=0.30'" in done.stderr
