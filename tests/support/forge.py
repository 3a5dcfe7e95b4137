"""A forge on loopback: as much of GitHub's REST API as a pipeline uses, with its refusals.

What it answers follows GitHub's reference: pages of at most 100 with `Link: …; rel="next"`, 401 for a token nobody
knows, 403 "Resource not accessible by integration" for what a token may not do, 404 for what is not there, 422 for a
comment that is too long, 302 to another address for the archive of an artifact.
"""

from __future__ import annotations

import io
import json
import re
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

REPOSITORY = "acme/erasures"
BOT = "github-actions[bot]"
WRITES = frozenset({"pull-requests", "issues", "contents"})


@dataclass
class Token:
    """Who it writes as, what it may write and read (None: everything), and whether it may ask who it is."""

    login: str = BOT
    may: frozenset[str] = WRITES
    may_read: frozenset[str] | None = None
    may_ask: bool = False

    def allows(self, method: str, needs: tuple[str, ...]) -> bool:
        """One of `needs` is enough."""
        if method != "GET":
            return bool(self.may & set(needs))
        granted = self.may | {"metadata"}  # which every token may read
        return self.may_read is None or bool((self.may_read | granted) & set(needs))


@dataclass
class Fault:
    """What the next matching request is answered with, instead of or after it was obeyed."""

    method: str
    path: str
    status: int = 500
    body: bytes = b'{"message": "boom"}'
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


class Forge:
    """A context manager. `url` is the address of the API; everything it knows is in plain lists."""

    def __init__(self, repository: str = REPOSITORY) -> None:
        self.repository = repository
        self.tokens: dict[str, Token] = {"ghs_0123456789abcdefSECRET": Token()}
        self.comments: list[dict[str, Any]] = []
        self.issues: list[dict[str, Any]] = []
        self.pull_requests: dict[int, dict[str, Any]] = {}
        self.reviews: dict[int, list[dict[str, Any]]] = {}
        self.writers = {"alice", "bob"}
        self.commits: dict[str, list[int]] = {}
        self.artifacts: list[dict[str, Any]] = []
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        self._last = datetime.min.replace(tzinfo=UTC)
        self._ids = 1000
        self._lock = threading.Lock()
        forge = self

        class Handler(_Handler):
            def _answer(self, method: str) -> None:
                forge._serve(self, method)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

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

    def stamp(self) -> str:
        """Whole seconds, each time a later one: what happens one after the other can be told apart."""
        self._last = max(self.now(), self._last + timedelta(seconds=1))
        return self._last.strftime("%Y-%m-%dT%H:%M:%SZ")

    def open_pull_request(self, number: int, head: str, *, author: str = "alice", base: str = "main") -> None:
        self.pull_requests[number] = {
            "number": number, "state": "open", "merged_at": None, "merge_commit_sha": None,
            "user": {"login": author}, "base": {"ref": base},
            "head": {"sha": head, "repo": {"full_name": self.repository}},
        }  # fmt: skip

    def push(self, number: int, head: str) -> None:
        self.pull_requests[number]["head"]["sha"] = head

    def approve(self, number: int, who: str = "bob", *, state: str = "APPROVED", **changes: Any) -> None:
        review = {
            "user": {"login": who}, "state": state, "submitted_at": self.stamp(),
            "commit_id": self.pull_requests[number]["head"]["sha"], **changes,
        }  # fmt: skip
        self.reviews.setdefault(number, []).append(review)

    def merge(self, number: int, commit: str) -> None:
        merged = {"state": "closed", "merged_at": self.stamp(), "merge_commit_sha": commit}
        self.pull_requests[number] |= merged
        self.commits.setdefault(commit, []).append(number)

    def say(self, number: int, who: str, body: str) -> dict[str, Any]:
        comment = {
            "id": self._id(), "issue": number, "user": {"login": who}, "body": body, "updated_at": self.stamp(),
        }  # fmt: skip
        self.comments.append(comment)
        return comment

    def upload(self, name: str, content: bytes, *, file: str = "plan.json") -> None:
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as packed:
            packed.writestr(file, content)
        made = {"id": self._id(), "name": name, "expired": False, "created_at": self.stamp()}
        self.artifacts.append({**made, "data": archive.getvalue()})

    def comments_of(self, number: int) -> list[dict[str, Any]]:
        return [each for each in self.comments if each["issue"] == number]

    def fault(self, method: str, path: str, **options: Any) -> None:
        self.faults.append(Fault(method, path, **options))

    # What it answers.

    def _id(self) -> int:
        self._ids += 1
        return self._ids

    def _serve(self, handler: _Handler, method: str) -> None:
        parts = urlsplit(handler.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        length = int(handler.headers.get("content-length") or 0)
        raw = handler.rfile.read(length) if length else b""
        shown = handler.headers.get("authorization", "").removeprefix("Bearer ")
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
        handler.respond(
            status, document if isinstance(document, bytes) else json.dumps(document).encode(), headers
        )

    def _obey(self, request: Request) -> tuple[int, Any, dict[str, str]]:
        if request.path.startswith("/signed/"):
            assert not request.token, "the token was sent to where an artifact lies"
            return 200, next(a["data"] for a in self.artifacts if f"/signed/{a['id']}" == request.path), {}
        token = self.tokens.get(request.token)
        if token is None:
            return 401, {"message": "Bad credentials"}, {}
        if (request.method, request.path) == ("GET", "/user"):
            return (200, {"login": token.login}, {}) if token.may_ask else (403, _FORBIDDEN, {})
        path = request.path.removeprefix(f"/repos/{self.repository}")
        for method, pattern, needs, answer in _ROUTES:
            match = re.fullmatch(pattern, path)
            if match and method == request.method and path != request.path:
                if not token.allows(method, needs):
                    return 403, _FORBIDDEN, {}
                found = answer(self, request, token, *match.groups())
                return found if len(found) == 3 else (*found, {})
        return 404, {"message": "Not Found"}, {}

    def _page(self, request: Request, items: list[Any]) -> tuple[int, Any, dict[str, str]]:
        size, page = min(100, int(request.query.get("per_page", 30))), int(request.query.get("page", 1))
        more = page * size < len(items)
        # The address points elsewhere on purpose: who follows it with a token gives the token away.
        link = {"link": f'<http://203.0.113.1/next?page={page + 1}>; rel="next"'} if more else {}
        return 200, items[(page - 1) * size : page * size], link

    def _list_comments(self, request: Request, _: Token, number: str) -> Any:
        return self._page(request, self.comments_of(int(number)))

    def _add_comment(self, request: Request, token: Token, number: str) -> Any:
        known = int(number) in self.pull_requests or any(i["number"] == int(number) for i in self.issues)
        if not known:
            return 404, {"message": "Not Found"}
        if refused := _too_long(request.body):
            return refused
        return 201, self.say(int(number), token.login, request.body["body"])

    def _change_comment(self, request: Request, _: Token, comment: str) -> Any:
        found = next((each for each in self.comments if each["id"] == int(comment)), None)
        if found is None:
            return 404, {"message": "Not Found"}
        if refused := _too_long(request.body):
            return refused
        found |= {"body": request.body["body"], "updated_at": self.stamp()}
        return 200, found

    def _list_issues(self, request: Request, _: Token) -> Any:
        state, creator = request.query.get("state", "open"), request.query.get("creator")
        found = [i for i in self.issues if i["state"] == state and creator in (None, i["user"]["login"])]
        return self._page(request, found)

    def _add_issue(self, request: Request, token: Token) -> Any:
        made = {"number": self._id(), "state": "open", "user": {"login": token.login}, **request.body}
        self.issues.append(made)
        return 201, made

    def _change_issue(self, request: Request, _: Token, number: str) -> Any:
        found = next((each for each in self.issues if each["number"] == int(number)), None)
        if found is None:
            return 404, {"message": "Not Found"}
        found |= request.body
        return 200, found

    def _pulls_of(self, request: Request, _: Token, commit: str) -> Any:
        return self._page(request, [self.pull_requests[n] for n in self.commits.get(commit, [])])

    def _reviews_of(self, request: Request, _: Token, number: str) -> Any:
        return self._page(request, self.reviews.get(int(number), []))

    def _permission(self, request: Request, _: Token, login: str) -> Any:
        return 200, {"permission": "write" if login in self.writers else "read"}

    def _list_artifacts(self, request: Request, _: Token) -> Any:
        found = [a for a in self.artifacts if a["name"] == request.query.get("name")]
        listed = [{k: v for k, v in a.items() if k != "data"} for a in found]
        return 200, {"total_count": len(listed), "artifacts": listed}

    def _archive(self, request: Request, _: Token, number: str) -> Any:
        return 302, b"", {"location": f"{self.url}/signed/{number}?sig=abc"}


_FORBIDDEN = {"message": "Resource not accessible by integration"}

_ROUTES: tuple[tuple[str, str, tuple[str, ...], Callable[..., Any]], ...] = (
    ("GET", r"/issues/(\d+)/comments", ("pull-requests", "issues"), Forge._list_comments),
    ("POST", r"/issues/(\d+)/comments", ("pull-requests", "issues"), Forge._add_comment),
    ("PATCH", r"/issues/comments/(\d+)", ("pull-requests", "issues"), Forge._change_comment),
    ("GET", r"/issues", ("issues",), Forge._list_issues),
    ("POST", r"/issues", ("issues",), Forge._add_issue),
    ("PATCH", r"/issues/(\d+)", ("issues",), Forge._change_issue),
    ("GET", r"/commits/([0-9a-f]+)/pulls", ("pull-requests",), Forge._pulls_of),
    ("GET", r"/pulls/(\d+)/reviews", ("pull-requests",), Forge._reviews_of),
    ("GET", r"/collaborators/([^/]+)/permission", ("metadata",), Forge._permission),
    ("GET", r"/actions/artifacts", ("actions",), Forge._list_artifacts),
    ("GET", r"/actions/artifacts/(\d+)/zip", ("actions",), Forge._archive),
)


def _too_long(body: Any) -> tuple[int, Any] | None:
    if len(body["body"]) <= 65_536:
        return None
    error = {"resource": "IssueComment", "code": "unprocessable", "message": "Body is too long"}
    return 422, {"message": "Validation Failed", "errors": [error]}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self, method: str) -> None:
        raise NotImplementedError

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_PATCH(self) -> None:
        self._answer("PATCH")

    def respond(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"content-length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def running_forge() -> Iterator[Forge]:
    with Forge() as forge:
        yield forge
