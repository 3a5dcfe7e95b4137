from __future__ import annotations

import threading

import httpx
import pytest

from reconciler.vectorize import Client, Credentials
from reconciler.vectorize.wire import Wire, _proxy
from support.fakeservice import reset, running, stats_of

TOKEN = "v1-0123456789abcdef-SECRET"


@pytest.fixture
def no_proxies(monkeypatch):
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("variables", "url", "proxy"),
    [
        ({}, "https://api.example.com", None),
        ({"HTTPS_PROXY": "http://p:1"}, "https://api.example.com", "http://p:1"),
        ({"HTTPS_PROXY": "p:1"}, "https://api.example.com", "http://p:1"),
        ({"ALL_PROXY": "socks5://p:1"}, "https://api.example.com", "socks5://p:1"),
        ({"ALL_PROXY": "http://a:1", "HTTPS_PROXY": "http://p:1"}, "https://api.example.com", "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "example.com"}, "https://api.example.com", None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}, "https://api.example.com", None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "example.org"}, "https://api.example.com", "http://p:1"),
        ({"HTTP_PROXY": "http://p:1"}, "https://api.example.com", None),
        ({"HTTPS_PROXY": "http://p:1", "ALL_PROXY": "http://p:1"}, "https://127.0.0.1:8", None),
        ({"HTTPS_PROXY": "http://p:1", "ALL_PROXY": "http://p:1"}, "https://[::1]:8", None),
        ({"HTTP_PROXY": "http://p:1", "ALL_PROXY": "http://p:1"}, "http://127.0.0.1:8", None),
    ],
)
def test_the_proxy_of_the_environment_is_used_as_everywhere_but_never_for_this_machine(
    no_proxies, variables, url, proxy
):
    for name, value in variables.items():
        no_proxies.setenv(name, value)
    assert _proxy(url) == proxy


def test_a_proxy_that_is_named_is_the_one_that_is_asked(no_proxies, target):
    no_proxies.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    made = []

    class Recorded(httpx.HTTPTransport):
        def __init__(self, **options):
            made.append(options["proxy"])
            super().__init__(**options)

    no_proxies.setattr(httpx, "HTTPTransport", Recorded)
    with Client(Credentials.token(TOKEN), "https://api.example.com"):
        assert made == ["http://127.0.0.1:9"]


def test_calls_one_after_another_use_one_connection_and_calls_at_once_as_many_as_there_are(monkeypatch):
    made = []
    together = threading.Barrier(1)

    class Counted(httpx.BaseTransport):
        def __init__(self, **_options):
            made.append(self)

        def handle_request(self, _request):
            together.wait(10)
            return httpx.Response(200)

    monkeypatch.setattr(httpx, "HTTPTransport", Counted)
    wire = Wire("http://127.0.0.1:1", {}, transport=None, connect_timeout=1, read_timeout=1)
    for _ in range(3):
        wire.exchange("GET", "/a", None)
    assert len(made) == 1
    together = threading.Barrier(4)
    threads = [threading.Thread(target=wire.exchange, args=("GET", "/a", None)) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(made) == 4


def test_the_fake_service_answers_all_that_a_client_asks(target):
    with running(vectors=7) as address, Client(Credentials.token(TOKEN), address) as client:
        assert client.info(target).processed_up_to_mutation is None
        mutation = client.delete_by_ids(target, ["a"]).mutation_id
        info = client.info(target)
        assert (info.processed_up_to_mutation, info.vector_count) == (mutation, 7)
        assert client.get_by_ids(target, ["a"]) == frozenset()
        assert client.list_page(target).ids == ()
        assert client.index(target).name == target.index
        stats = stats_of(address)
        assert stats["requests"] == {"info": 2, "delete_by_ids": 1, "get_by_ids": 1, "list": 1, "index": 1}
        reset(address)
        assert stats_of(address) == {"requests": {}, "seconds": 0.0, "peak": 0}


def test_a_connection_whose_call_failed_serves_the_next_one():
    answers = iter([httpx.ConnectError("gone"), httpx.Response(200, content=b"x")])

    def answer(_request):
        found = next(answers)
        if isinstance(found, Exception):
            raise found
        return found

    wire = Wire("http://127.0.0.1:1", {}, transport=httpx.MockTransport(answer), connect_timeout=1, read_timeout=1)
    with pytest.raises(Exception, match="gone"):
        wire.exchange("GET", "/a", None)
    assert wire.exchange("GET", "/a", None).body == b"x"
    assert len(wire._idle) == 1
