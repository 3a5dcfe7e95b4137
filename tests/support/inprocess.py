"""A Vectorize in this process: no socket, no thread, and a clock that only moves when told to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

from reconciler.clock import ManualClock
from reconciler.emulator import ConnectionDropped, Emulator, Settings, create_app
from reconciler.operations.context import Context, open_context

ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"
READ_TIMEOUT = 60.0


class _Cut(httpx.SyncByteStream):
    def __init__(self, body: bytes) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        yield self._body
        raise httpx.RemoteProtocolError("cut in the middle of the answer")


class Bridge(httpx.BaseTransport):
    """From httpx into an ASGI application that never really waits: no socket, no thread, no event loop.

    Attributes:
        before: called with each request when it arrives, before anything happens to it. May raise.
        refuse: what to raise instead of answering, None to answer.
    """

    def __init__(self, app: Any, clock: ManualClock) -> None:
        self._app = app
        self._clock = clock
        self.before: list[Callable[[httpx.Request], None]] = []
        self.refuse: Callable[[httpx.Request], Exception | None] = lambda _: None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        for hook in list(self.before):
            hook(request)
        if (refusal := self.refuse(request)) is not None:
            raise refusal
        sent: list[dict[str, Any]] = []
        began = self._clock.elapsed()
        try:
            self._run(request, sent)
        except ConnectionDropped as dropped:
            if not dropped.started:
                raise httpx.ReadError(str(dropped)) from dropped
        if self._clock.elapsed() - began > READ_TIMEOUT:
            raise httpx.ReadTimeout("the answer took too long")
        start, *rest = sent
        body = b"".join(message["body"] for message in rest)
        headers = [(name.decode(), value.decode()) for name, value in start["headers"]]
        if rest[-1].get("more_body"):
            return httpx.Response(start["status"], headers=headers, stream=_Cut(body))
        return httpx.Response(start["status"], headers=headers, content=body)

    def _run(self, request: httpx.Request, sent: list[dict[str, Any]]) -> None:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": "http",
            "path": request.url.path,
            "raw_path": request.url.raw_path,
            "root_path": "",
            "query_string": request.url.query,
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "client": ("127.0.0.1", 40000),
            "server": ("127.0.0.1", 80),
        }

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": request.read(), "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        step = self._app(scope, receive, send)
        try:
            while True:
                step.send(None)
        except StopIteration:
            return


class Service:
    """One service with its clock, without rate limits; waiting moves the clock and returns at once.

    Args:
        settings: of the emulator.
    """

    def __init__(self, **settings: Any) -> None:
        self.clock = ManualClock()
        self.emulator = Emulator(
            Settings(**{"budget": None, "burst": None, **settings}), clock=lambda: self.clock.now().timestamp()
        )

        async def sleep(seconds: float) -> None:
            self.clock.advance(seconds)

        self.bridge = Bridge(create_app(self.emulator, sleep=sleep), self.clock)

    def context(self, root: Path) -> Context:
        """A context of its own for each command in the folder `root`, as a new process would have."""
        return open_context(
            root,
            environment={"CLOUDFLARE_API_TOKEN": "token-0123456789"},
            base_url="http://127.0.0.1:9/client/v4",
            clock=self.clock,
            transport=self.bridge,
            threads=False,
        )

    def close(self) -> None:
        """End the service; what it held is gone."""
        self.emulator.close()
