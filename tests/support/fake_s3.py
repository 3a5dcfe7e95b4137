"""A small S3 server that can be bent: conditions ignored, reads that are behind, any answer on order.

Path-style PUT (If-None-Match), GET (Range), HEAD, DELETE, DeleteObjects and ListObjectsV2 on one bucket that always
exists. Signatures are not looked at. Every request is recorded.
"""

from __future__ import annotations

import hashlib
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape, unescape

_KEYS = re.compile("<Key>([^<]*)</Key>")
_RANGE = re.compile(r"bytes=(\d+)-(\d*)\Z")
_XML = {"content-type": "application/xml"}


@dataclass(frozen=True)
class Answer:
    """What comes instead of the honest answer.

    Attributes:
        status: of the answer; 0: the connection is closed without one.
        reset: where it is closed, by a reset.
        hold: no answer, and no end of the connection either, until this is set.
        code: of an XML error, "" for `body`.
        body: as it is sent.
        perform: the request takes effect all the same.
        content_type: of `body`.
        promise: bytes that Content-Length promises beyond those that are sent.
        later: a PUT takes effect, once more, with this many further requests, before the last of them is answered.
        headers: further ones.
    """

    status: int = 0
    code: str = ""
    body: bytes = b""
    perform: bool = False
    content_type: str = "application/xml"
    promise: int = 0
    later: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    reset: bool = False
    hold: threading.Event | None = None


LOST_AFTER = Answer(perform=True)
LOST_BEFORE = Answer()
RESET_AFTER = Answer(perform=True, reset=True)
RESET_BEFORE = Answer(reset=True)
HTML = Answer(503, body=b"<html><h1>Service Unavailable</h1></html>", content_type="text/html")


@dataclass(frozen=True)
class Seen:
    """One request.

    Attributes:
        condition: its If-None-Match, "" without one.
        status: of the answer; 0: it got none.
    """

    method: str
    key: str
    condition: str
    status: int


@dataclass
class FakeS3:
    """The server, and how it is bent. Use it as a context manager.

    Attributes:
        fault: called with method, key and the number of such requests so far; an Answer, or None for honesty.
        ignore_conditions: a second PUT overwrites.
        race_seconds: between looking and writing.
        behind: so many of the newest objects are not shown to GET and LIST.
        requests: (method, key) in order of arrival.
        seen: the same in full, in order of the answers.
    """

    fault: Callable[[str, str, int], Answer | None] = lambda _method, _key, _nth: None
    ignore_conditions: bool = False
    race_seconds: float = 0.0
    behind: int = 0
    requests: list[tuple[str, str]] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._objects: dict[str, bytes] = {}
        self._late: list[tuple[int, str, bytes]] = []
        self._lock = threading.RLock()
        self._counts: Counter[tuple[str, str]] = Counter()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_PUT(self) -> None:
                fake._handle(self)

            do_GET = do_HEAD = do_POST = do_DELETE = do_PUT  # noqa: N815 - names that http.server looks for

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

    def env(self) -> dict[str, str]:
        """The variables that a state there needs."""
        return {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_ENDPOINT_URL_S3": self.endpoint}

    #: Any name is a bucket.
    bucket = "bucket"

    @property
    def objects(self) -> dict[str, bytes]:
        """What is stored, by key, as it is; delete from it to lose an object."""
        return self._objects

    def count(self, method: str) -> int:
        """Requests of this method so far."""
        return sum(each == method for each, _ in self.requests)

    def _handle(self, request: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(request.path)
        key = unquote(parts.path).partition("/")[2].partition("/")[2]
        body = request.rfile.read(int(request.headers.get("content-length") or 0))
        with self._lock:
            self.requests.append((request.command, key))
            self._counts[request.command, key] += 1
            nth = self._counts[request.command, key]
            late = [(left - 1, late_key, late_body) for left, late_key, late_body in self._late]
            self._late = [each for each in late if each[0]]
        bent = self.fault(request.command, key, nth)
        honest = self._perform(request, key, body, parts.query) if bent is None or bent.perform else None
        with self._lock:
            for left, late_key, late_body in late:
                if not left:
                    self._objects.setdefault(late_key, late_body)
            if bent is not None and bent.later:
                self._late.append((bent.later, key, body))
            condition = request.headers.get("if-none-match") or ""
            status = bent.status if bent is not None else honest[0] if honest else 0
            self.seen.append(Seen(request.command, key, condition, status))
        if bent is not None:
            self._bend(request, bent)
        elif honest is not None:
            self._answer(request, *honest)

    def _perform(
        self, request: BaseHTTPRequestHandler, key: str, body: bytes, query: str
    ) -> tuple[int, bytes, dict[str, str]]:
        if request.command == "PUT":
            return self._put(key, body, conditional=request.headers.get("if-none-match") == "*")
        if request.command == "POST":  # DeleteObjects
            names = _KEYS.findall(body.decode())
            with self._lock:
                for name in names:
                    self._objects.pop(unescape(name), None)
            gone = "".join(f"<Deleted><Key>{name}</Key></Deleted>" for name in names)
            return 200, f"<?xml version='1.0'?><DeleteResult>{gone}</DeleteResult>".encode(), _XML
        if request.command == "DELETE":
            with self._lock:
                self._objects.pop(key, None)
            return 204, b"", {}
        with self._lock:
            shown = dict(list(self._objects.items())[: max(0, len(self._objects) - self.behind)])
        if not key:
            return 200, _listing(shown, parse_qs(query)), _XML
        if key not in shown:
            return 404, _error("NoSuchKey"), _XML
        return _object(shown[key], request.headers.get("range"))

    def _put(self, key: str, body: bytes, *, conditional: bool) -> tuple[int, bytes, dict[str, str]]:
        with self._lock:
            taken = key in self._objects
            if not self.race_seconds and not (taken and conditional and not self.ignore_conditions):
                self._objects[key] = body
                return 200, b"", {"etag": _etag(body)}
        if taken and conditional and not self.ignore_conditions:
            return 412, _error("PreconditionFailed"), {}
        time.sleep(self.race_seconds)
        with self._lock:
            self._objects[key] = body
        return 200, b"", {"etag": _etag(body)}

    def _bend(self, request: BaseHTTPRequestHandler, bent: Answer) -> None:
        if bent.hold is not None:
            bent.hold.wait()
        if not bent.status:
            request.close_connection = True
            if bent.reset:  # closing with a linger of no seconds
                request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            request.connection.close()
            return
        body = _error(bent.code) if bent.code else bent.body
        headers = {"content-type": bent.content_type, **dict(bent.headers)}
        self._answer(request, bent.status, body, headers, promise=bent.promise)

    def _answer(
        self,
        request: BaseHTTPRequestHandler,
        status: int,
        body: bytes,
        headers: dict[str, str],
        *,
        promise: int = 0,
    ) -> None:
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        if status != 204:
            request.send_header("content-length", str(len(body) + promise))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(body)
        if promise:
            request.close_connection = True


def _object(body: bytes, wanted: str | None) -> tuple[int, bytes, dict[str, str]]:
    headers = {"etag": _etag(body), "last-modified": "Sun, 22 Nov 2026 12:00:00 GMT"}
    asked = _RANGE.match(wanted or "")
    if asked is None:
        return 200, body, headers
    start = int(asked[1])
    if start >= len(body):
        return 416, _error("InvalidRange"), _XML
    part = body[start : int(asked[2]) + 1 if asked[2] else None]
    headers["content-range"] = f"bytes {start}-{start + len(part) - 1}/{len(body)}"
    return 206, part, headers


def _etag(body: bytes) -> str:
    return f'"{hashlib.md5(body).hexdigest()}"'


def _error(code: str) -> bytes:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>told by the test</Message></Error>".encode()


def _listing(objects: dict[str, bytes], query: dict[str, list[str]]) -> bytes:
    prefix, after = query.get("prefix", [""])[0], query.get("start-after", [""])[0]
    most = int(query.get("max-keys", ["1000"])[0])
    after = query.get("continuation-token", [after])[0]
    keys = sorted(key for key in objects if key.startswith(prefix) and key > after)
    rows = "".join(
        f"<Contents><Key>{escape(key)}</Key><Size>{len(objects[key])}</Size>"
        f"<LastModified>2026-11-22T12:00:00Z</LastModified><ETag>{escape(_etag(objects[key]))}</ETag></Contents>"
        for key in keys[:most]
    )
    more = len(keys) > most
    token = f"<NextContinuationToken>{escape(keys[most - 1])}</NextContinuationToken>" if more else ""
    return (
        f"<?xml version='1.0'?><ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>"
        f"<KeyCount>{len(keys[:most])}</KeyCount>{token}{rows}</ListBucketResult>"
    ).encode()
