"""An emulator with a clock that only moves when told to, and a small client that reads like the API's table."""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from reconciler.emulator import Emulator, Settings, create_app

ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"


class Clock:
    """Seconds since 1970, as the test says."""

    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class InProcess:
    """An httpx client of an ASGI application, without a socket and without a thread."""

    def __init__(self, app: Any, address: str = "127.0.0.1") -> None:
        self.headers = {"authorization": "Bearer secret-token"}
        self._runner = asyncio.Runner()
        transport = httpx.ASGITransport(app, client=(address, 40000))
        self._client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")

    def request(self, method: str, path: str, *, headers: Any = None, **options: Any) -> httpx.Response:
        headers = self.headers if headers is None else {**self.headers, **headers}
        return self._runner.run(self._client.request(method, path, headers=headers, **options))

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def close(self) -> None:
        self._runner.run(self._client.aclose())
        self._runner.close()


class Client:
    """The API in process. `call` gives the response; the others give the result and insist on success."""

    account = ACCOUNT

    def __init__(self, emulator: Emulator, clock: Clock) -> None:
        self.emulator = emulator
        self.clock = clock
        self.slept: list[float] = []

        async def sleep(seconds: float) -> None:
            self.slept.append(seconds)
            clock.advance(seconds)

        self.http = InProcess(create_app(emulator, sleep=sleep))

    def call(self, method: str, path: str = "", **options: Any) -> httpx.Response:
        return self.http.request(method, f"/client/v4/accounts/{ACCOUNT}/vectorize/v2/indexes{path}", **options)

    def result(self, method: str, path: str = "", **options: Any) -> Any:
        response = self.call(method, path, **options)
        document = response.json()
        assert response.status_code == 200, document
        assert document["success"] is True
        assert document["errors"] == []
        return document["result"]

    def refusal(self, method: str, path: str = "", **options: Any) -> tuple[int, int]:
        """(status, code) of a refusal."""
        response = self.call(method, path, **options)
        document = response.json()
        assert document["success"] is False, document
        assert document["result"] is None
        return response.status_code, document["errors"][0]["code"]

    def create(self, name: str = "docs", dimensions: int = 32, metric: str = "cosine") -> Any:
        return self.result("POST", json={"name": name, "config": {"dimensions": dimensions, "metric": metric}})

    def write(
        self, vectors: list[dict[str, Any]], operation: str = "upsert", name: str = "docs", **params: str
    ) -> str:
        body = "\n".join(json.dumps(vector) for vector in vectors)
        headers = {"content-type": "application/x-ndjson"}
        answer = self.result("POST", f"/{name}/{operation}", content=body, headers=headers, params=params)
        return str(answer["mutationId"])

    def delete(self, ids: list[str], name: str = "docs") -> str:
        return str(self.result("POST", f"/{name}/delete_by_ids", json={"ids": ids})["mutationId"])

    def get(self, ids: list[str], name: str = "docs") -> list[str]:
        return [row["id"] for row in self.result("POST", f"/{name}/get_by_ids", json={"ids": ids})]

    def info(self, name: str = "docs") -> Any:
        return self.result("GET", f"/{name}/info")

    def page(self, name: str = "docs", **params: Any) -> Any:
        return self.result("GET", f"/{name}/list", params=params)

    def control(self, method: str, path: str, **options: Any) -> Any:
        response = self.http.request(method, f"/__emulator__{path}", **options)
        assert response.status_code == 200, response.text
        return response.json()

    def seed(self, ids: list[str], name: str = "docs") -> None:
        self.emulator.seed(ACCOUNT, name, ids)

    def live(self, name: str = "docs") -> list[str]:
        return self.emulator.ids(ACCOUNT, name)


def vector(vector_id: str, first: float = 1.0, **more: Any) -> dict[str, Any]:
    """A vector of 32 dimensions that points a little elsewhere for each `first`."""
    return {"id": vector_id, "values": [first, 1.0, *[0.0] * 30], **more}


@pytest.fixture
def make_vector() -> Callable[..., dict[str, Any]]:
    return vector


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(clock: Clock) -> Iterator[Callable[..., Client]]:
    """A client of a new emulator; keyword arguments are settings, `data` apart."""
    clients: list[Client] = []

    def new(*, data: Any = None, **settings: Any) -> Client:
        client = Client(Emulator(Settings(**settings), data=data, clock=clock), clock)
        clients.append(client)
        return client

    yield new
    for client in clients:
        client.http.close()
        client.emulator.close()


@pytest.fixture
def api(make: Callable[..., Client]) -> Client:
    """A client of an emulator without lag or budget."""
    return make(budget=None, burst=None)
