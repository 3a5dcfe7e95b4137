"""A proxy before a real object store that loses, invents, delays and doubles, by a seeded hand; it counts what it did."""

from __future__ import annotations

import http.client
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

_XML = "<?xml version='1.0'?><Error><Code>{}</Code><Message>chaos</Message></Error>"

#: What may happen to a PUT or a GET of a frame, and how often. The rest passes.
FAULTS = {
    "lost before": 0.06,
    "lost after": 0.05,
    "reset after": 0.03,
    "409": 0.05,
    "412 before": 0.04,
    "429": 0.04,
    "403": 0.02,
    "503 after": 0.04,
    "500 after": 0.02,
    "500 before": 0.04,
    "html": 0.03,
    "duplicate": 0.06,
    "truncated": 0.03,
    "stale": 0.03,
}
_STATUS = {
    "409": (409, "ConditionalRequestConflict"),
    "412 before": (412, "PreconditionFailed"),
    "429": (429, "SlowDown"),
    "403": (403, "AccessDenied"),
    "503 after": (503, "ServiceUnavailable"),
    "500 after": (500, "InternalError"),
    "500 before": (500, "InternalError"),
    "stale": (404, "NoSuchKey"),
}
_AFTER = frozenset({"lost after", "reset after", "503 after", "500 after", "truncated", "stale"})
_ONLY_PUT = frozenset({"409", "412 before", "duplicate", "lost after", "reset after", "503 after", "500 after"})
_ONLY_GET = frozenset({"truncated", "stale"})


class ChaosProxy:
    """Forwards to `upstream`, with the Host header as it came, so that signatures stay valid.

    Args:
        upstream: base URL of the store.
        seed: of the hand.
        faults: the share of each; the names are those of FAULTS.

    Attributes:
        endpoint: where it listens.
        done: how often each fault happened: a cut or a stale read only where there was an object to read.
        calm: True: everything passes.
    """

    def __init__(self, upstream: str, seed: int, faults: Mapping[str, float] = FAULTS) -> None:
        self._upstream = urlsplit(upstream).netloc
        self._random = random.Random(seed)
        self._faults = faults
        self._stale: set[str] = set()
        self._lock = threading.Lock()
        self._late: list[tuple[str, str, dict[str, str], bytes]] = []
        self.done: Counter[str] = Counter()
        self.calm = False
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_PUT(self) -> None:
                proxy._handle(self)

            do_GET = do_POST = do_DELETE = do_HEAD = do_PUT  # noqa: N815 - names that http.server looks for

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _choose(self, method: str) -> str:
        with self._lock:
            number = self._random.random()
        if self.calm or method not in ("PUT", "GET"):
            return ""
        for name, share in self._faults.items():
            if number < share:
                wrong = _ONLY_GET if method == "PUT" else _ONLY_PUT
                return "" if name in wrong else name
            number -= share
        return ""

    def _handle(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("content-length") or 0))
        sent = (request.command, request.path, dict(request.headers.items()), body)
        what = self._choose(request.command)
        with self._lock:
            late, self._late = self._late, []
            if what == "duplicate":
                self._late.append(sent)
        answer = None
        if what in ("", "duplicate") or what in _AFTER:
            answer = self._forward(*sent)
        for again in late:
            self._forward(*again)
        if what in _ONLY_GET and not (answer and answer[0] == 200 and self._may(what, request.path)):
            what = ""
        with self._lock:
            self.done[what or "passed"] += 1
        self._reply(request, what, answer)

    def _may(self, what: str, path: str) -> bool:
        """A list is cut, and never absent; an object reads as absent once."""
        if what != "stale":
            return True
        with self._lock:
            known = path in self._stale or "?" in path
            self._stale.add(path)
        return not known

    def _forward(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self._upstream, timeout=30)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders(body or None)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def _reply(
        self, request: BaseHTTPRequestHandler, what: str, answer: tuple[int, list[tuple[str, str]], bytes] | None
    ) -> None:
        if what in ("lost before", "lost after", "reset after"):
            request.close_connection = True
            if what == "reset after":  # closing with a linger of no seconds
                request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            request.connection.close()
            return
        if what == "html":
            self._send(request, 502, [("content-type", "text/html")], b"<html>Bad gateway</html>")
        elif what in _STATUS:
            status, code = _STATUS[what]
            self._send(request, status, [("content-type", "application/xml")], _XML.format(code).encode())
        elif answer is not None:
            status, headers, body = answer
            cut = len(body) // 2 if what == "truncated" else len(body)
            self._send(request, status, headers, body[:cut], promise=len(body) - cut)

    def _send(
        self,
        request: BaseHTTPRequestHandler,
        status: int,
        headers: list[tuple[str, str]],
        body: bytes,
        *,
        promise: int = 0,
    ) -> None:
        request.send_response(status)
        for name, value in headers:
            if name.lower() not in ("content-length", "connection", "transfer-encoding", "date", "server"):
                request.send_header(name, value)
        request.send_header("content-length", str(len(body) + promise))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(body)
        if promise:
            request.close_connection = True
