"""A TCP proxy that cuts a connection around a word that passes through it, once."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Self


class Cutter:
    """Forwards to a port of this machine.

    Args:
        upstream: the port.
        word: what the client sends when it happens.
        mode: "cut before" the word reaches the server, "cut after" the server has answered it, without that answer;
            "swallow": as that, but the connection is cut only when the client gives up or sends more.

    Attributes:
        port: where it listens.
        hits: how often it happened; at most once.
        refuse: True: connections are cut as soon as they come.
    """

    def __init__(self, upstream: int, word: bytes = b"", mode: str = "") -> None:
        self._upstream = upstream
        self._word = word
        self._mode = mode
        self.hits = 0
        self.refuse = False
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """End every connection there is."""
        for each in self._open:
            _end(each)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.refuse:
                _end(client)
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._upstream))
            except OSError:
                _end(client)
                continue
            self._open += [client, server]
            deaf = threading.Event()
            threading.Thread(target=self._there, args=(client, server, deaf), daemon=True).start()
            threading.Thread(target=self._back, args=(client, server, deaf), daemon=True).start()

    def _there(self, client: socket.socket, server: socket.socket, deaf: threading.Event) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                if self._word and self._word in data and not self.hits:
                    self.hits += 1
                    if self._mode == "cut before":
                        break
                    deaf.set()
                server.sendall(data)
        _end(client)
        _end(server)

    def _back(self, client: socket.socket, server: socket.socket, deaf: threading.Event) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                if not deaf.is_set():
                    client.sendall(data)
                elif self._mode == "cut after":
                    break
                elif self._mode == "swallow":
                    client.shutdown(socket.SHUT_WR)
        _end(client)
        _end(server)


def _end(each: socket.socket) -> None:
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
