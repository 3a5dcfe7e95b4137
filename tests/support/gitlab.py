"""A GitLab on loopback: as much of API v4 as a note needs, with its refusals.

What it answers follows GitLab's reference: pages of at most 100 with `x-next-page`, 401 for a token nobody knows, 403
`insufficient_scope` for one without `api`, 404 for what is not there or hidden, 400 for a note that is too long.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import yaml

PROJECT = 4711
BOT = "project_4711_bot_0c5f"
LONGEST = 1_000_000


@dataclass
class Token:
    """Who it writes as, and its scopes."""

    username: str = BOT
    scopes: frozenset[str] = frozenset({"api"})


@dataclass
class Fault:
    """What the next matching request is answered with, instead of or after it was obeyed."""

    method: str
    path: str
    status: int = 500
    body: bytes = b'{"message": "500 Internal Server Error"}'
    headers: dict[str, str] = field(default_factory=dict)
    obeyed: bool = False  # done, although the answer says otherwise
    cut: bool = False  # no answer at all


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, str]
    token: str
    body: Any


class FakeGitLab:
    """A context manager. `url` is CI_API_V4_URL; everything it knows is in plain lists."""

    def __init__(self, project: int = PROJECT) -> None:
        self.project = project
        self.tokens: dict[str, Token] = {"glpat-0123456789abcdefSECRET": Token()}
        self.merge_requests: dict[int, dict[str, Any]] = {}
        self.notes: list[dict[str, Any]] = []
        self.commits: dict[str, list[int]] = {}
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        self._ids = 1000
        self._lock = threading.Lock()
        gitlab = self

        class Handler(_Handler):
            def answer(self, method: str) -> None:
                gitlab._serve(self, method)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/api/v4"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    # What people do.

    @property
    def token(self) -> str:
        return next(iter(self.tokens))

    def open_merge_request(self, number: int, head: str, *, target: str = "main") -> None:
        self.merge_requests[number] = {
            "iid": number, "state": "opened", "sha": head, "target_branch": target,
            "merge_commit_sha": None, "squash_commit_sha": None, "project_id": self.project,
        }  # fmt: skip

    def merge(self, number: int, commit: str, *, how: str = "merge_commit_sha") -> None:
        self.merge_requests[number] |= {"state": "merged", how: commit}
        self.commits.setdefault(commit, []).append(number)

    def say(self, number: int, who: str, body: str, *, system: bool = False) -> dict[str, Any]:
        self._ids += 1
        note = {"id": self._ids, "noteable_iid": number, "author": {"username": who}, "body": body}
        self.notes.append({**note, "system": system})
        return self.notes[-1]

    def fault(self, method: str, path: str, **options: Any) -> None:
        self.faults.append(Fault(method, path, **options))

    # What it answers.

    def _serve(self, handler: _Handler, method: str) -> None:
        parts = urlsplit(handler.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        length = int(handler.headers.get("content-length") or 0)
        raw = handler.rfile.read(length) if length else b""
        shown = handler.headers.get("private-token", "")
        request = Request(method, parts.path, query, shown, json.loads(raw) if raw else None)
        with self._lock:
            self.requests.append(request)
            fault = next((f for f in self.faults if f.method == method and re.search(f.path, parts.path)), None)
            if fault is not None:
                self.faults.remove(fault)
                if fault.obeyed:
                    self._obey(request)
                if fault.cut:
                    handler.close_connection = True
                    return
                handler.respond(fault.status, fault.body, fault.headers)
                return
            status, document, headers = self._obey(request)
        handler.respond(status, json.dumps(document).encode(), headers)

    def _obey(self, request: Request) -> tuple[int, Any, dict[str, str]]:
        token = self.tokens.get(request.token)
        if token is None:
            return 401, {"message": "401 Unauthorized"}, {}
        if (request.method, request.path) == ("GET", "/api/v4/user"):
            return 200, {"id": 7, "username": token.username}, {}
        if "api" not in token.scopes and (request.method != "GET" or "read_api" not in token.scopes):
            return 403, _INSUFFICIENT, {}
        path = request.path.removeprefix(f"/api/v4/projects/{self.project}")
        if path == request.path:
            return 404, {"message": "404 Project Not Found"}, {}
        for method, pattern, answer in _ROUTES:
            match = re.fullmatch(pattern, path)
            if match and method == request.method:
                found = answer(self, request, token, *match.groups())
                return found if len(found) == 3 else (*found, {})
        return 404, {"error": "404 Not Found"}, {}

    def _page(self, request: Request, items: list[Any]) -> tuple[int, Any, dict[str, str]]:
        size, page = min(100, int(request.query.get("per_page", 20))), int(request.query.get("page", 1))
        more = page * size < len(items)
        # The address points elsewhere on purpose: who follows it with a token gives the token away.
        headers = {"link": f'<http://203.0.113.1/next?page={page + 1}>; rel="next"'} if more else {}
        headers |= {"x-page": str(page), "x-next-page": str(page + 1) if more else ""}
        return 200, items[(page - 1) * size : page * size], headers

    def _list(self, request: Request, _: Token, number: str) -> Any:
        if int(number) not in self.merge_requests:
            return 404, {"message": "404 Not found"}
        found = [each for each in self.notes if each["noteable_iid"] == int(number)]
        # GitLab's own order is the newest first.
        return self._page(request, found if request.query.get("sort") == "asc" else found[::-1])

    def _add(self, request: Request, token: Token, number: str) -> Any:
        if int(number) not in self.merge_requests:
            return 404, {"message": "404 Not found"}
        return _too_long(request.body) or (201, self.say(int(number), token.username, request.body["body"]))

    def _change(self, request: Request, token: Token, number: str, note: str) -> Any:
        found = next((each for each in self.notes if each["id"] == int(note)), None)
        if found is None or found["noteable_iid"] != int(number):
            return 404, {"message": "404 Note Not Found"}
        if found["author"]["username"] != token.username:
            return 403, {"message": "403 Forbidden"}
        if refused := _too_long(request.body):
            return refused
        found["body"] = request.body["body"]
        return 200, found

    def _read(self, _: Request, __: Token, number: str) -> Any:
        found = self.merge_requests.get(int(number))
        return (404, {"message": "404 Not found"}) if found is None else (200, found)

    def _merged(self, request: Request, _: Token, commit: str) -> Any:
        return self._page(request, [self.merge_requests[n] for n in self.commits.get(commit, [])])


_INSUFFICIENT = {
    "error": "insufficient_scope",
    "error_description": "The request requires higher privileges than provided by the access token.",
    "scope": "api",
}

_NOTES = r"/merge_requests/(\d+)/notes"
_ROUTES: tuple[tuple[str, str, Callable[..., Any]], ...] = (
    ("GET", _NOTES, FakeGitLab._list),
    ("POST", _NOTES, FakeGitLab._add),
    ("PUT", _NOTES + r"/(\d+)", FakeGitLab._change),
    ("GET", r"/merge_requests/(\d+)", FakeGitLab._read),
    ("GET", r"/repository/commits/([0-9a-f]+)/merge_requests", FakeGitLab._merged),
)


def _too_long(body: Any) -> tuple[int, Any] | None:
    if len(body["body"]) <= LONGEST:
        return None
    return 400, {"message": {"note": ["is too long (maximum is 1000000 characters)"]}}


def scripts_of(pipeline: Path, room: Path) -> dict[str, str]:
    """What the shell of each scaffolded job runs, by name: all but the installation, with `room` for what is in /tmp."""
    jobs = yaml.safe_load(pipeline.read_text())
    environment, install, *rest = jobs[".reconciler"]["before_script"]
    assert "venv" in environment
    assert install.startswith("pip install")
    scripts = {name: "\n".join([*rest, *job["script"]]) for name, job in jobs.items() if "script" in job}
    return {name: script.replace("/tmp/reconciler", str(room)) for name, script in scripts.items()}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, method: str) -> None:
        raise NotImplementedError

    def do_GET(self) -> None:
        self.answer("GET")

    def do_POST(self) -> None:
        self.answer("POST")

    def do_PUT(self) -> None:
        self.answer("PUT")

    def respond(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"content-length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass
