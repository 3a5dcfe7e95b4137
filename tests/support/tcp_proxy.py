"""A TCP proxy that cuts a connection after so many bytes, once; what comes afterwards passes."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Self


class ByteCutter:
    """Forwards to a port of this machine. Use it as a context manager.

    Args:
        upstream: the port.
        allowed: bytes that pass in `direction` before the connection is cut: the next ones are lost.
        direction: "there" to the server, or "back" from it.

    Attributes:
        port: where it listens.
        hits: how many connections were cut; at most one.
    """

    def __init__(self, upstream: int, allowed: int, direction: str) -> None:
        self._upstream = upstream
        self._allowed = allowed
        self._direction = direction
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self.hits = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self._listener, *self._open):
            _end(each)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._upstream))
            except OSError:
                return
            self._open += [client, server]
            for source, aim, name in ((client, server, "there"), (server, client, "back")):
                threading.Thread(target=self._pump, args=(source, aim, name), daemon=True).start()

    def _pump(self, source: socket.socket, aim: socket.socket, name: str) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                passes = self._take(len(data)) if name == self._direction else len(data)
                aim.sendall(data[:passes])
                if passes < len(data):
                    break
        _end(source)
        _end(aim)

    def _take(self, size: int) -> int:
        """How many of `size` bytes may pass."""
        with self._lock:
            if self.hits or size <= self._allowed:
                self._allowed -= size
                return size
            self.hits += 1
            return self._allowed


def _end(each: socket.socket) -> None:
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
