"""Running the emulator on a socket: in a thread beside a test, or in the foreground."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from reconciler.emulator.app import ABORT, ConnectionDropped, create_app
from reconciler.emulator.emulator import Emulator
from reconciler.emulator.request import PREFIX
from reconciler.emulator.settings import Settings

# Longer than any client keeps an idle connection, so that the server is never the one to close a pooled one.
_KEEP_ALIVE_SECONDS = 600
_START_SECONDS = 30.0


class _Protocol(H11Protocol):
    """uvicorn's HTTP/1.1, with a way for the application to abort the connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        inner = self.app

        async def app(scope: Any, receive: Any, send: Any) -> None:
            scope.setdefault("extensions", {})[ABORT] = transport.abort
            await inner(scope, receive, send)

        self.app = app


class _Server(uvicorn.Server):
    """A server that says when it listens, and whose delays end when it stops."""

    def __init__(self, emulator: Emulator) -> None:
        self.stopping = asyncio.Event()
        self.listening = threading.Event()
        self.loop: asyncio.AbstractEventLoop | None = None
        super().__init__(
            uvicorn.Config(
                _swallowing(create_app(emulator, sleep=self._sleep)),
                http=_Protocol,
                ws="none",
                loop="asyncio",
                lifespan="off",
                log_config=None,
                log_level="error",
                access_log=False,
                server_header=False,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=5,
            )
        )

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), seconds)
        if self.stopping.is_set():
            raise ConnectionDropped("the emulator stops")

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.loop = asyncio.get_running_loop()
        self.listening.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.stopping.set()
        await super().shutdown(sockets)

    def stop(self) -> None:
        """Ask the server to end; from any thread."""
        self.should_exit = True


def _swallowing(app: ASGIApp) -> ASGIApp:
    # What the client sees of a dropped connection is done by then; the server need not report it as a crash.
    async def swallowing(scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(ConnectionDropped):
            await app(scope, receive, send)

    return swallowing


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio turns Nagle's algorithm off only then, and with it on every answer of
    # two packets waits 40 ms for the client's delayed acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        # Listening from here on: a client may connect before the server's loop runs, and just waits.
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}{PREFIX}" if ":" in host else f"http://{host}:{port}{PREFIX}"


class RunningEmulator:
    """An emulator that answers on loopback from a thread of this process. A context manager; see `running`.

    Attributes:
        emulator: the service: faults, controls, record.
        base_url: such as `http://127.0.0.1:40123/client/v4`; what `CLOUDFLARE_BASE_URL` wants.
        control_url: such as `http://127.0.0.1:40123/__emulator__`; see `control.py`.
        port: the TCP port.
    """

    def __init__(self, emulator: Emulator, *, port: int = 0) -> None:
        self.emulator = emulator
        listener = _bind("127.0.0.1", port)
        self.port: int = listener.getsockname()[1]
        self.base_url = _url(listener)
        self.control_url = self.base_url.removesuffix(PREFIX) + "/__emulator__"
        self._server = _Server(emulator)
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name=f"emulator-{self.port}", daemon=True
        )
        self._thread.start()
        if not self._server.listening.wait(_START_SECONDS):
            listener.close()
            raise RuntimeError(f"the emulator did not start within {_START_SECONDS:.0f} seconds")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop answering, end running delays by cutting their connections, close the storage. Idempotent."""
        if not self._thread.is_alive():
            return
        self._server.stop()
        self._thread.join()
        self.emulator.close()


def running(
    settings: Settings | None = None,
    *,
    data: str | Path | None = None,
    clock: Callable[[], float] = time.time,
    port: int = 0,
) -> RunningEmulator:
    """Start an emulator on 127.0.0.1 in a thread; it answers when this returns.

    Args:
        settings: how it behaves.
        data: a SQLite file that keeps everything; None: memory.
        clock: seconds since 1970, its only source of time besides delays.
        port: 0 takes a free one.

    Raises:
        DataFileError: the data file cannot be used.
        OSError: the port is taken.
    """
    emulator = Emulator(settings, data=data, clock=clock)
    try:
        return RunningEmulator(emulator, port=port)
    except BaseException:
        emulator.close()
        raise


def serve(
    host: str = "127.0.0.1",
    port: int = 8787,
    *,
    data: str | Path | None = None,
    lag: float = 0.0,
    settings: Settings | None = None,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Run an emulator in the foreground until SIGINT or SIGTERM. Must be called from the main thread.

    Args:
        host: address to listen on; the control routes answer only on loopback, wherever it listens.
        port: TCP port; 0 takes a free one.
        data: a SQLite file that keeps everything; None: memory.
        lag: seconds until a mutation is processed; ignored if `settings` are given.
        settings: how it behaves.
        on_ready: called once with the base URL, as soon as requests are answered or wait to be.

    Raises:
        DataFileError: the data file cannot be used.
        OSError: the address cannot be listened on.
    """
    with Emulator(settings or Settings(lag=lag), data=data) as emulator:
        listener = _bind(host, port)
        try:
            if on_ready is not None:
                on_ready(_url(listener))
            # uvicorn shuts down in good order on a signal and then raises it again.
            with suppress(KeyboardInterrupt):
                _Server(emulator).run([listener])
        finally:
            listener.close()
