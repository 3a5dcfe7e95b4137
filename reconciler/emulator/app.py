"""The ASGI application: the API under `/client/v4`, the controls under `/__emulator__`.

A connection that a fault cuts. The emulator's own server (`server.py`) puts a function into the ASGI scope
that aborts the transport, so the client sees a connection closed without an answer. Elsewhere the application
starts an answer, leaves its body incomplete and raises `ConnectionDropped`: another server then closes the
connection, and an in-process client (httpx.ASGITransport, starlette's TestClient) gets the exception.
"""

import asyncio
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from reconciler.emulator.control import control_routes
from reconciler.emulator.emulator import Emulator
from reconciler.emulator.faults import Fault
from reconciler.emulator.reply import Reply
from reconciler.emulator.request import PREFIX, Call, route

ABORT = "reconciler.emulator.abort"
"""Name of the scope extension that closes the connection at once."""

Sleep = Callable[[float], Awaitable[object]]


class ConnectionDropped(ConnectionError):
    """A fault cut the connection. `started`: the head of an answer had left by then."""

    def __init__(self, message: str, *, started: bool = False) -> None:
        super().__init__(message)
        self.started = started


def create_app(emulator: Emulator | None = None, *, sleep: Sleep = asyncio.sleep) -> ASGIApp:
    """The ASGI application of an emulator.

    Args:
        emulator: the service behind it; None makes a new one in memory.
        sleep: awaited with seconds for the delays of faults and for `Settings.latency`. May raise
            `ConnectionDropped` to cut the connection instead.
    """
    service = emulator or Emulator()
    api = Api(service, sleep)
    return Starlette(
        routes=[
            Mount("/__emulator__", routes=control_routes(service)),
            # Whatever else is asked gets the API's own answer for an unknown route.
            Mount("/", app=api),
        ]
    )


class Api:
    """The API as an ASGI application."""

    def __init__(self, emulator: Emulator, sleep: Sleep) -> None:
        self._emulator = emulator
        self._sleep = sleep

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        if scope["type"] != "http":
            return
        try:
            call = await _read(scope, receive, self._emulator.settings.limits.upload_bytes)
        except ClientDisconnect:
            return  # the request never arrived as a whole
        try:
            await self._serve(call, send)
        except ConnectionDropped as dropped:
            await _cut(scope, receive, send, dropped)
            raise

    async def _serve(self, call: Call, send: Send) -> None:
        seq, met = self._emulator.arrive(call)
        kinds = {fault.kind for fault in met}
        await self._delay(met, "delay_before")
        if "drop_before" in kinds:
            self._emulator.drop(call, seq, met)
            raise ConnectionDropped("cut before the request was accepted")
        reply = self._emulator.perform(call, seq, met)
        if self._emulator.settings.latency > 0:
            await self._sleep(self._emulator.settings.latency)
        await self._delay(met, "delay_after")
        if "drop_after" in kinds:
            raise ConnectionDropped("cut after the request was accepted")
        if "cut_body" in kinds:
            await _start(send, reply)
            await send({"type": "http.response.body", "body": reply.content[:-1], "more_body": True})
            raise ConnectionDropped("cut in the middle of the answer", started=True)
        await _start(send, reply)
        await send({"type": "http.response.body", "body": reply.content})

    async def _delay(self, met: tuple[Fault, ...], kind: str) -> None:
        seconds = sum(fault.seconds for fault in met if fault.kind == kind)
        if seconds > 0:
            await self._sleep(seconds)


async def _read(scope: Scope, receive: Receive, maximum: int) -> Call:
    request = Request(scope, receive)
    body = bytearray()
    async for chunk in request.stream():
        # One byte too many is enough to refuse it; the rest is read, so that the client gets to hear the answer.
        body += chunk[: max(0, maximum + 1 - len(body))]
    # The path as it was sent, still encoded: an index name may hold an encoded slash.
    raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
    path = raw_path.partition(b"?")[0].decode("ascii", "backslashreplace")
    query: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        query.setdefault(name, value)
    return Call(
        method=request.method,
        path=path,
        route=route(request.method, path),
        query=query,
        headers={name.lower(): value for name, value in request.headers.items()},
        body=bytes(body),
        address=request.client.host if request.client else "",
    )


async def _start(send: Send, reply: Reply) -> None:
    headers = {**reply.headers, "content-length": str(len(reply.content))}
    encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": reply.status, "headers": encoded})


async def _cut(scope: Scope, receive: Receive, send: Send, dropped: ConnectionDropped) -> None:
    abort = scope.get("extensions", {}).get(ABORT)
    if abort is not None:
        abort()
        while (await receive())["type"] != "http.disconnect":
            pass  # until the server has seen it too, so that it does not try to answer
    elif not dropped.started:
        await _start(send, Reply(200, b"lost", {"content-type": "application/json"}))
        await send({"type": "http.response.body", "body": b"l", "more_body": True})


__all__ = ["ABORT", "PREFIX", "Api", "ConnectionDropped", "create_app"]
