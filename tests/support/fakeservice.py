"""A service that costs as little as possible: what an apply is measured against.

It keeps nothing but each index's last mutation. Every delete is accepted under a new mutation id, which is the
pointer at once; every id is absent. It checks nothing, so it is no emulator: `reconciler.emulator` is. Only the
standard library, and nothing of the package, so that it starts at once in a process of its own:

    python tests/support/fakeservice.py --latency 0.05
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_CREATED = "2026-01-01T00:00:00.000000Z"


class FakeService:
    """What all connections share.

    Args:
        latency: seconds from the last byte of a request to its answer.
        vectors: what `info` counts in every index: 0 makes a complete list the cheaper proof, many make it dear.
    """

    def __init__(self, *, latency: float = 0.0, vectors: int = 0) -> None:
        self.latency = latency
        self.vectors = vectors
        self._last: dict[bytes, str] = {}
        self._requests: dict[str, int] = {}
        self._deletes = 0
        self._first = self._end = 0.0
        self._in_flight = self._peak = 0

    def answer(self, line: bytes) -> bytes:
        """The whole answer to a request with this request line."""
        method, path, _ = line.split(b" ", 2)
        if path == b"/stats":
            return _response(self.stats())
        if path == b"/reset":
            return _response(self.reset())
        index, _, operation = path.partition(b"/indexes/")[2].partition(b"?")[0].partition(b"/")
        name = operation.decode() or "index"
        self._requests[name] = self._requests.get(name, 0) + 1
        return _envelope(self._result(method, index, name))

    def _result(self, method: bytes, index: bytes, operation: str) -> Any:
        if operation == "delete_by_ids":
            self._deletes += 1
            self._last[index] = mutation = f"{self._deletes:08x}-0000-4000-8000-000000000000"
            return {"mutationId": mutation}
        if operation == "get_by_ids":
            return []
        if operation == "list":
            return {"vectors": [], "isTruncated": False, "nextCursor": None, "count": 0, "totalCount": 0}
        if operation == "info":
            return {
                "dimensions": 3,
                "vectorCount": self.vectors,
                "processedUpToMutation": self._last.get(index),
                "processedUpToDatetime": _CREATED,
            }
        if operation == "index" and method == b"GET":
            return {"name": index.decode(), "created_on": _CREATED, "modified_on": _CREATED}
        raise ValueError(operation)

    def began(self, operation: bytes) -> None:
        """A request has arrived; of the deletes the moments are kept."""
        if b"/delete_by_ids " in operation:
            self._in_flight += 1
            self._peak = max(self._peak, self._in_flight)
            self._first = self._first or time.monotonic()

    def ended(self, operation: bytes) -> None:
        """Its answer was sent."""
        if b"/delete_by_ids " in operation:
            self._in_flight -= 1
            self._end = time.monotonic()

    def stats(self) -> dict[str, Any]:
        """Requests by operation; seconds from the first delete's arrival to the last one's answer; most at once."""
        return {"requests": self._requests, "seconds": self._end - self._first, "peak": self._peak}

    def reset(self) -> dict[str, Any]:
        """Count from zero."""
        self._requests, self._first, self._end, self._peak = {}, 0.0, 0.0, 0
        return self.stats()


class _Connection(asyncio.Protocol):
    def __init__(self, service: FakeService) -> None:
        self._service = service
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end]
            length = _LENGTH.search(head)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._buffer) < whole:
                return
            self._buffer = self._buffer[whole:]
            line = head[: head.find(b"\r\n")]
            self._service.began(line)
            if self._service.latency:
                asyncio.get_running_loop().call_later(self._service.latency, self._answer, line)
            else:
                self._answer(line)

    def _answer(self, line: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.write(self._service.answer(line))
        self._service.ended(line)


def _envelope(result: Any) -> bytes:
    return _response({"result": result, "success": True, "errors": [], "messages": []})


def _response(document: Any) -> bytes:
    body = json.dumps(document).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


async def _serve(port: int, service: FakeService) -> None:
    loop = asyncio.get_running_loop()
    listening = socket.create_server(("127.0.0.1", port), backlog=256)
    server = await loop.create_server(lambda: _Connection(service), sock=listening)
    sys.stdout.write(f"http://127.0.0.1:{listening.getsockname()[1]}\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


@contextmanager
def running(*, latency: float = 0.0, vectors: int = 0) -> Iterator[str]:
    """The service in a process of its own: yields its address, without a slash at its end."""
    command = [sys.executable, str(Path(__file__)), "--latency", str(latency), "--vectors", str(vectors)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def stats_of(address: str) -> dict[str, Any]:
    """What the service at `address` has counted so far: see `FakeService.stats`."""
    return _asked(f"{address}/stats")


def reset(address: str) -> None:
    """The service at `address` counts from zero."""
    _asked(f"{address}/reset")


def _asked(url: str) -> dict[str, Any]:
    with urlopen(url, timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def main() -> None:
    """Prints the address, and serves until it is terminated."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--port", type=int, default=0, help="0: any")
    options.add_argument("--latency", type=float, default=0.0, metavar="SECONDS")
    options.add_argument("--vectors", type=int, default=0, help="what info counts in every index")
    chosen = options.parse_args()
    try:
        asyncio.run(_serve(chosen.port, FakeService(latency=chosen.latency, vectors=chosen.vectors)))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
