from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import httpx
import pytest

from reconciler.model.target import Target
from reconciler.vectorize import Client, Credentials

TOKEN = "v1-0123456789abcdef-SECRET"
ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"
BASE_URL = "https://api.example.com/client/v4"


@pytest.fixture
def target() -> Target:
    return Target("https://api.example.com", ACCOUNT, "articles")


class Server:
    """Answers every request with `answer`, and remembers what was asked."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.answer: Callable[[httpx.Request], httpx.Response] = lambda request: httpx.Response(500)
        self.rates: list[object] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.answer(request)

    def says(self, status: int = 200, body: object = None, headers: dict[str, str] | None = None) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answer = lambda request: httpx.Response(status, content=content, headers=headers)

    def result(self, result: object, **envelope: object) -> None:
        self.says(200, {"success": True, "errors": [], "messages": [], "result": result} | envelope)

    def refuses(self, status: int, *errors: tuple[int, str], headers: dict[str, str] | None = None) -> None:
        stated = [{"code": code, "message": message} for code, message in errors]
        self.says(status, {"success": False, "errors": stated, "messages": [], "result": None}, headers)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    transport = httpx.MockTransport(server)
    with Client(Credentials.token(TOKEN), BASE_URL, transport=transport, on_answer=server.rates.append) as made:
        yield made
