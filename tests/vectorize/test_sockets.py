"""Faults of the connection itself, made by a server of a few lines on loopback."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from reconciler.errors import AuthenticationFailed, ConnectionFailed, ServiceFault, Throttled, UsageError
from reconciler.vectorize import Accepted, Client, Credentials

TOKEN = "v1-0123456789abcdef-SECRET"
BODY = json.dumps({"success": True, "errors": [], "messages": [], "result": {"mutationId": "m-1"}}).encode()


def answer(body: bytes, *, status: str = "200 OK", length: int | None = None, more: str = "") -> bytes:
    length = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{more}\r\n".encode() + body


def read_request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    length = int(lengths[0].split(b":")[1]) if lengths else 0
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


@contextmanager
def serving(*turns: Callable[[socket.socket], None]) -> Iterator[tuple[str, list[bytes]]]:
    """A server that hands each connection, after it read the request, to the next of `turns`."""
    seen: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)

        def serve() -> None:
            for turn in turns:
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(10)
                    seen.append(read_request(connection))
                    turn(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/client/v4", seen
        finally:
            thread.join(10)


def client_of(url: str, **options: float) -> Client:
    return Client(Credentials.token(TOKEN), url, **options)


def test_a_whole_conversation_over_a_real_connection(target, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")

    def twice(connection):
        connection.sendall(answer(BODY))
        seen.append(read_request(connection))
        connection.sendall(answer(BODY))

    with serving(twice) as (url, seen), client_of(url) as client:
        assert client.delete_by_ids(target, ["a"]) == Accepted("m-1")
        assert client.delete_by_ids(target, ["b"]) == Accepted("m-1")
    assert len(seen) == 2
    assert b"Authorization: Bearer " + TOKEN.encode() in seen[0]
    assert seen[1].endswith(b'{"ids":["b"]}')


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ALL_PROXY", "socks5://somebody:hunter22@127.0.0.1:1"),
        ("HTTPS_PROXY", "nonsense://hunter22"),
        ("SSL_CERT_FILE", "/nowhere"),
    ],
)
def test_an_environment_that_httpx_cannot_use_is_a_clear_error(monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    with pytest.raises(UsageError) as caught:
        client_of("https://api.example.com")
    assert variable in caught.value.hint
    assert "hunter22" not in str(caught.value)
    client_of("http://127.0.0.1:1").close()


def test_a_refused_connection_is_known_not_to_have_been_accepted(target):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with client_of(f"http://127.0.0.1:{port}") as client, pytest.raises(ConnectionFailed) as caught:
        client.delete_by_ids(target, ["a"])
    assert not caught.value.may_have_been_accepted
    assert caught.value.passing
    assert caught.value.status is None


def test_a_failed_tls_handshake_is_known_not_to_have_been_accepted(target):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def no_tls() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=no_tls)
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        with client_of(url) as client, pytest.raises(ConnectionFailed) as caught:
            client.delete_by_ids(target, ["a"])
        thread.join(10)
    assert not caught.value.may_have_been_accepted


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 20", b"HTTP/1.1 200 OK\r\nContent-"])
def test_a_connection_cut_before_the_answer_is_an_unknown_outcome(target, start):
    with (
        serving(lambda connection: connection.sendall(start)) as (url, seen),
        client_of(url) as client,
        pytest.raises(ConnectionFailed) as caught,
    ):
        client.delete_by_ids(target, ["a"])
    assert len(seen) == 1
    assert caught.value.may_have_been_accepted
    assert "not known" in caught.value.hint


def test_a_time_out_after_the_request_left_is_an_unknown_outcome(target):
    # The server reads on until the client gives up: no answer ever comes.
    with (
        serving(lambda connection: connection.recv(1)) as (url, seen),
        client_of(url, read_timeout=0.05) as client,
        pytest.raises(ConnectionFailed, match="time-out") as caught,
    ):
        client.delete_by_ids(target, ["a"])
    assert len(seen) == 1
    assert caught.value.may_have_been_accepted


def test_a_body_that_ends_too_early_is_an_unknown_outcome(target):
    with (
        serving(lambda c: c.sendall(answer(BODY[:40], length=len(BODY)))) as (url, _),
        client_of(url) as client,
        pytest.raises(ServiceFault, match="cut off") as caught,
    ):
        client.delete_by_ids(target, ["a"])
    assert caught.value.may_have_been_accepted
    assert caught.value.status == 200


@pytest.mark.parametrize(
    ("status", "kind", "unknown"),
    [
        ("401 Unauthorized", AuthenticationFailed, True),
        ("429 Slow", Throttled, False),
        ("500 No", ServiceFault, True),
    ],
)
def test_an_error_whose_body_ends_too_early_is_still_known_by_its_status(target, status, kind, unknown):
    reply = answer(b'{"succ', status=status, length=500, more="Retry-After: 120\r\n")
    with (
        serving(lambda connection: connection.sendall(reply)) as (url, _),
        client_of(url) as client,
        pytest.raises(kind) as caught,
    ):
        client.delete_by_ids(target, ["a"])
    assert caught.value.may_have_been_accepted is unknown
    assert caught.value.retry_after == 120.0


def test_a_server_that_drips_cannot_hold_a_call_for_ever(target):
    def drip(connection):
        connection.sendall(answer(b"", length=10_000))
        try:
            while True:
                connection.sendall(b" ")
                stop.wait(0.02)
        except OSError:
            pass

    stop = threading.Event()
    with (
        serving(drip) as (url, _),
        client_of(url, read_timeout=0.1) as client,
        pytest.raises(ServiceFault, match="not complete") as caught,
    ):
        client.delete_by_ids(target, ["a"])
    assert caught.value.may_have_been_accepted


def test_an_answer_without_end_does_not_fill_the_memory(target, monkeypatch):
    monkeypatch.setattr("reconciler.vectorize.wire.LONGEST_BODY", 1000)
    with (
        serving(lambda connection: connection.sendall(answer(b" " * 5000))) as (url, _),
        client_of(url) as client,
        pytest.raises(ServiceFault, match="longer") as caught,
    ):
        client.info(target)
    assert not caught.value.may_have_been_accepted
