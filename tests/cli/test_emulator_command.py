"""`emulator serve`: says where it listens, serves, and goes when it is told to."""

from __future__ import annotations

import os
import signal
import socket

import httpx
import pytest

INDEXES = "/accounts/023e105f4ecef8ad9ca31a8372d0c353/vectorize/v2/indexes"
HEADERS = {"authorization": "Bearer any"}


@pytest.fixture
def serve(process, tmp_path):
    def begin(*arguments: str, **options: object):
        running = process("emulator", "serve", *arguments, cwd=tmp_path, **options)
        return running, running.popen.stdout.readline().decode().strip()

    return begin


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_names_its_address_serves_and_ends_cleanly(number, serve):
    running, url = serve("--port", "0")
    assert url.startswith("http://127.0.0.1:")
    assert url.endswith("/client/v4")
    assert httpx.get(url + INDEXES, headers=HEADERS).json()["result"] == []
    running.signal(number)
    ended = running.end(seconds=10)
    assert ended.code == 0
    assert ended.out == ""
    assert "not Cloudflare" in ended.err
    assert f"export CLOUDFLARE_BASE_URL={url} CLOUDFLARE_API_TOKEN=" in ended.err
    assert "Traceback" not in ended.err


def test_a_port_that_is_taken_is_said(cli):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = cli("emulator", "serve", "--port", str(port))
    assert (ended.code, ended.out) == (1, "")
    assert f"port {port} is taken" in ended.err


def test_a_data_file_keeps_what_was_there(serve):
    index = {"name": "docs", "config": {"dimensions": 32, "metric": "cosine"}}
    running, url = serve("--port", "0", "--data", "vectors.sqlite")
    assert httpx.post(url + INDEXES, headers=HEADERS, json=index).status_code == 200
    running.signal(signal.SIGTERM)
    assert running.end().code == 0
    running, url = serve("--port", "0", "--data", "vectors.sqlite")
    assert [each["name"] for each in httpx.get(url + INDEXES, headers=HEADERS).json()["result"]] == ["docs"]
    running.signal(signal.SIGTERM)
    assert running.end().code == 0


def test_a_file_that_is_no_data_file_is_refused_and_left_alone(cli, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("not a database\n" * 100)
    ended = cli("emulator", "serve", "--port", "0", "--data", str(path))
    assert (ended.code, ended.out) == (1, "")
    assert "cannot start" in ended.err
    assert "--port" not in ended.err, "another port would not help"
    assert path.read_text() == "not a database\n" * 100


def test_the_command_that_it_prints_works(serve, process, project):
    running, _ = serve("--port", "0", "--lag", "0")
    (line,) = [text for text in iter(running.popen.stderr.readline, b"Ctrl-C ends it.\n") if b"export" in text]
    variables = dict(each.split("=", 1) for each in line.decode().split()[1:])
    project.declare(["a"])
    ended = process("plan", "--refresh", env=variables).end()
    assert ended.code == 1
    assert "docs" in ended.out  # it asked the emulator, which has no such index
    running.signal(signal.SIGINT)
    running.end()


def test_nobody_reading_its_address_is_no_traceback(process, tmp_path):
    read, write = os.pipe()
    os.close(read)
    ended = process("emulator", "serve", "--port", "0", stdout=write, cwd=tmp_path).end(seconds=10)
    os.close(write)
    assert ended.code == 1
    assert "Traceback" not in ended.err
