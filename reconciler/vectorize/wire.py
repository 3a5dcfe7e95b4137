"""One request over HTTP: the only module that imports httpx, and imported only when a client is made."""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from reconciler.errors import UsageError
from reconciler.model.target import is_loopback

#: A page of 1,000 ids is under 100 KB, 20 vectors with values and metadata under 2 MB.
LONGEST_BODY = 32 * 1024 * 1024

#: Idle connections are let go before common servers do it (5 s): a request on a connection that the server
#: is just closing is a delete of unknown outcome, for nothing.
_KEEP_ALIVE_SECONDS = 4.0

#: Failures that happen before the first byte of the request leaves. TLS failures are ConnectErrors.
_BEFORE_SENDING = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)


_ONE = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=_KEEP_ALIVE_SECONDS)


class Response(NamedTuple):
    """What came back. `broken` says why the body is not whole; empty when it is."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    broken: str


class Unanswered(Exception):
    """No status line arrived. `sent`: the request may have left; `certificate`: it was the server's."""

    def __init__(self, reason: str, *, sent: bool, certificate: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.sent = sent
        self.certificate = certificate


class Wire:
    """Connections to one base URL. Thread-safe. Makes one attempt, follows nothing.

    As many connections as there are calls at once; who calls takes the one that was used last, so that few stay
    open at a low pace. One pool for all of them would be searched under a lock for each request, which at 32
    calls at once takes longer than the request itself; and httpx's client would look for cookies, redirects and
    authentication that are none here.
    """

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        *,
        transport: httpx.BaseTransport | None,
        connect_timeout: float,
        read_timeout: float,
    ) -> None:
        self._base_url = base_url
        self._read_headers = httpx.Headers(headers)
        self._write_headers = httpx.Headers({**headers, "Content-Type": "application/json"})
        self._urls: dict[str, httpx.URL] = {}
        self._read_timeout = read_timeout
        timeout = httpx.Timeout(
            connect=connect_timeout, read=read_timeout, write=read_timeout, pool=connect_timeout
        )
        self._extensions = {"timeout": timeout.as_dict()}
        self._transport = transport
        self._idle: list[httpx.BaseTransport] = []
        self._made: list[httpx.BaseTransport] = []
        plain = urlsplit(base_url).scheme == "http"
        try:
            # Loading the certificates takes 20 ms, which plain http to the emulator has no use for.
            unused = plain or transport is not None
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if unused else httpx.create_ssl_context()
            self._proxy = _proxy(base_url)
            self._idle.append(self._connection())
        except (ImportError, ValueError, OSError, httpx.InvalidURL):
            # Not chained, not quoted: a proxy's URL may hold a password.
            raise UsageError(
                "the HTTP client cannot use the proxy or the certificates that the environment names",
                hint="check HTTPS_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE and SSL_CERT_DIR",
            ) from None

    def _connection(self) -> httpx.BaseTransport:
        if self._transport is not None:
            return self._transport
        made = httpx.HTTPTransport(verify=self._tls, limits=_ONE, proxy=self._proxy)
        self._made.append(made)
        return made

    def exchange(self, method: str, path: str, body: bytes | None) -> Response:
        """Sends one request and reads its answer, whatever its status.

        Raises:
            Unanswered: nothing came back.
        """
        headers = self._read_headers if body is None else self._write_headers
        request = httpx.Request(
            method, self._url(path), headers=headers, content=body, extensions=self._extensions
        )
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._connection()
        try:
            return self._exchanged(connection, request)
        finally:
            self._idle.append(connection)

    def _exchanged(self, connection: httpx.BaseTransport, request: httpx.Request) -> Response:
        try:
            response = connection.handle_request(request)
        except httpx.LocalProtocolError:
            # Its text may quote a header, and so the token: neither shown nor chained.
            raise Unanswered("the request could not be written", sent=True, certificate=False) from None
        except httpx.RequestError as error:
            raise Unanswered(
                _described(error), sent=not isinstance(error, _BEFORE_SENDING), certificate=_is_certificate(error)
            ) from error
        try:
            whole, broken = self._read(response)
        finally:
            response.close()
        return Response(response.status_code, response.headers, whole, broken)

    def _url(self, path: str) -> httpx.URL:
        url = self._urls.get(path)
        if url is None:
            url = httpx.URL(self._base_url + path)
            if "?" not in path:  # a list's pages have a path each, the other calls one an index
                self._urls[path] = url
        return url

    def _read(self, response: httpx.Response) -> tuple[bytes, str]:
        body = bytearray()
        # The read time-out is one of silence: a server that sends a byte now and then would hold us for ever.
        deadline = time.monotonic() + self._read_timeout
        try:
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > LONGEST_BODY:
                    return b"", f"the answer is longer than {LONGEST_BODY} bytes"
                if time.monotonic() > deadline:
                    return b"", f"the answer was not complete after {self._read_timeout:g} s"
        except httpx.RequestError as error:
            return b"", f"the answer was cut off ({_described(error)})"
        return bytes(body), ""

    def close(self) -> None:
        """Closes the connections."""
        for connection in self._made:
            connection.close()


def _proxy(base_url: str) -> str | None:
    """The proxy that the environment names for `base_url`. Never one for this machine, nor for plain http."""
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    if parts.scheme == "http" or is_loopback(host) or proxy_bypass(host):
        return None
    named = getproxies()
    proxy = named.get("https") or named.get("all")
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


def _described(error: httpx.RequestError) -> str:
    kinds: dict[type[httpx.RequestError], str] = {
        httpx.ConnectTimeout: "time-out while connecting",
        httpx.ReadTimeout: "time-out while waiting for it",
        httpx.WriteTimeout: "time-out while sending",
        httpx.PoolTimeout: "no connection of the pool became free",
    }
    return kinds.get(type(error)) or str(error) or type(error).__name__


def _is_certificate(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False
