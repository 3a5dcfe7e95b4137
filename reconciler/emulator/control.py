"""The remote control over HTTP, for tests and tools in another process.

Only for clients on this machine: another peer address, or a Host header that names another machine (a web page
that points its own name at 127.0.0.1), gets 403. No credentials. JSON in, JSON out; a bad request gets 400 and
`{"error": text}`, an unknown index 404. `account` and `index` are strings; optional ones are marked with ?.

    GET    /__emulator__/              {"indexes": [{account, index}], "held": bool, "faults": int, "record": int}
    POST   /__emulator__/faults        a fault: the fields of `Fault`, at least {"kind"} -> {"number": int}
    GET    /__emulator__/faults        {"faults": [{number, seen, hits, fault}]}
    DELETE /__emulator__/faults        withdraws all -> {}
    DELETE /__emulator__/faults/{n}    withdraws one -> {}
    GET    /__emulator__/record        ?after=SEQ&operation=NAME -> {"record": [entry]}, fields as in `Entry`
    DELETE /__emulator__/record        forgets the record -> {}
    POST   /__emulator__/seed          {account, index, ids: [str], dimensions?: int} -> {"gained": int}; instead
                                       of ids: count: int, prefix?: str for prefix + 0000000, 0000001, ...
    POST   /__emulator__/remove        {account, index, ids: [str]} -> {"removed": int}
    GET    /__emulator__/ids           ?account=A&index=I -> {"ids": [str]}: the truth, not what the API shows
    GET    /__emulator__/mutations     ?account=A&index=I -> {"mutations": [mutation]}, fields as in `Mutation`
    POST   /__emulator__/hold          {account?, index?} -> {}
    POST   /__emulator__/release       {account?, index?} -> {}
    POST   /__emulator__/process       {account?, index?, count?: int} -> {"processed": int}
    POST   /__emulator__/pointer       {account, index, process?: bool} -> {"mutation_id": str}: a foreign mutation
    POST   /__emulator__/lag           {seconds: number} -> {}
    POST   /__emulator__/rate_limit    {} -> {}: every credential gets a fresh budget
"""

import ipaddress
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from reconciler.emulator.emulator import Emulator
from reconciler.emulator.faults import Fault

Endpoint = Callable[[Request], Awaitable[JSONResponse]]
Answer = Mapping[str, Any]


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def control_routes(emulator: Emulator) -> list[Route]:
    """The routes of the module's docstring, relative to `/__emulator__`."""
    controls = _Controls(emulator)
    posts: dict[str, Callable[[dict[str, Any]], Answer]] = {
        "/faults": controls.order,
        "/seed": controls.seed,
        "/remove": controls.remove,
        "/hold": controls.hold,
        "/release": controls.release,
        "/process": controls.process,
        "/pointer": controls.pointer,
        "/lag": controls.lag,
        "/rate_limit": controls.rate_limit,
    }
    gets: dict[str, Callable[[Mapping[str, str]], Answer]] = {
        "/": controls.status,
        "/faults": controls.faults,
        "/record": controls.record,
        "/ids": controls.ids,
        "/mutations": controls.mutations,
    }
    deletes: dict[str, Callable[[Mapping[str, str]], Answer]] = {
        "/faults": controls.withdraw,
        "/faults/{number:int}": controls.withdraw,
        "/record": controls.forget,
    }
    return [
        *(Route(path, _guarded(_with_body(action)), methods=["POST"]) for path, action in posts.items()),
        *(Route(path, _guarded(_with_query(action)), methods=["GET"]) for path, action in gets.items()),
        *(Route(path, _guarded(_with_query(action)), methods=["DELETE"]) for path, action in deletes.items()),
    ]


def _guarded(endpoint: Endpoint) -> Endpoint:
    async def guarded(request: Request) -> JSONResponse:
        peer = request.client.host if request.client else ""
        host = request.url.hostname or ""
        if not is_loopback(peer) or not is_loopback(host):
            return JSONResponse({"error": "the controls answer only on loopback"}, 403)
        try:
            return await endpoint(request)
        except KeyError as error:
            return JSONResponse({"error": str(error.args[0])}, 404)
        except ValueError as error:
            return JSONResponse({"error": str(error)}, 400)

    return guarded


def _with_body(action: Callable[[dict[str, Any]], Answer]) -> Endpoint:
    async def endpoint(request: Request) -> JSONResponse:
        document = json.loads(await request.body() or b"{}")
        if not isinstance(document, dict):
            raise ValueError("expected a JSON object")  # noqa: TRY004 - the caller's, not a programmer's, mistake
        return JSONResponse(action(document))

    return endpoint


def _with_query(action: Callable[[Mapping[str, str]], Answer]) -> Endpoint:
    async def endpoint(request: Request) -> JSONResponse:
        arguments = {name: str(value) for name, value in request.path_params.items()}
        return JSONResponse(action({**request.query_params, **arguments}))

    return endpoint


def _text(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name!r} must be a non-empty string")
    return value


def _optional_text(document: Mapping[str, Any], name: str) -> str | None:
    return None if document.get(name) is None else _text(document, name)


def _whole(document: Mapping[str, Any], name: str, default: int | None) -> int | None:
    value = document.get(name, default)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        raise ValueError(f"{name!r} must be a whole number")
    return value


def _ids(document: Mapping[str, Any]) -> list[str]:
    ids = document.get("ids")
    if not isinstance(ids, list) or not all(isinstance(each, str) and each for each in ids):
        raise ValueError("'ids' must be an array of non-empty strings")
    return ids


class _Controls:
    """One method for each route; errors are ValueError (400) and KeyError (404)."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    def status(self, _: Mapping[str, str]) -> Answer:
        return {
            "indexes": [{"account": account, "index": name} for account, name in self._emulator.indexes()],
            "held": self._emulator.held,
            "faults": len(self._emulator.faults.listing()),
            "record": self._emulator.record_length(),
        }

    def order(self, document: dict[str, Any]) -> Answer:
        return {"number": self._emulator.faults.add(Fault.from_json(document))}

    def faults(self, _: Mapping[str, str]) -> Answer:
        return {"faults": self._emulator.faults.listing()}

    def withdraw(self, arguments: Mapping[str, str]) -> Answer:
        if "number" not in arguments:
            self._emulator.faults.clear()
        elif not self._emulator.faults.remove(int(arguments["number"])):
            raise KeyError(f"no fault {arguments['number']}")
        return {}

    def record(self, arguments: Mapping[str, str]) -> Answer:
        after = int(arguments.get("after", "0"))
        entries = self._emulator.record(after=after, operation=arguments.get("operation"))
        return {"record": [entry.to_json() for entry in entries]}

    def forget(self, _: Mapping[str, str]) -> Answer:
        self._emulator.clear_record()
        return {}

    def seed(self, document: dict[str, Any]) -> Answer:
        ids: Iterable[str]
        if "ids" in document:
            ids = _ids(document)
        else:
            prefix = _optional_text(document, "prefix") or ""
            ids = (f"{prefix}{number:07d}" for number in range(_whole(document, "count", 0) or 0))
        dimensions = _whole(document, "dimensions", 32) or 32
        account, index = _text(document, "account"), _text(document, "index")
        return {"gained": self._emulator.seed(account, index, ids, dimensions=dimensions)}

    def remove(self, document: dict[str, Any]) -> Answer:
        account, index = _text(document, "account"), _text(document, "index")
        return {"removed": self._emulator.remove(account, index, _ids(document))}

    def ids(self, arguments: Mapping[str, str]) -> Answer:
        return {"ids": self._emulator.ids(_text(arguments, "account"), _text(arguments, "index"))}

    def mutations(self, arguments: Mapping[str, str]) -> Answer:
        found = self._emulator.mutations(_text(arguments, "account"), _text(arguments, "index"))
        return {"mutations": [asdict(mutation) for mutation in found]}

    def hold(self, document: dict[str, Any]) -> Answer:
        self._emulator.hold(_optional_text(document, "account"), _optional_text(document, "index"))
        return {}

    def release(self, document: dict[str, Any]) -> Answer:
        self._emulator.release(_optional_text(document, "account"), _optional_text(document, "index"))
        return {}

    def process(self, document: dict[str, Any]) -> Answer:
        account, index = _optional_text(document, "account"), _optional_text(document, "index")
        return {"processed": self._emulator.process(account, index, count=_whole(document, "count", None))}

    def pointer(self, document: dict[str, Any]) -> Answer:
        process = document.get("process", True)
        if not isinstance(process, bool):
            raise ValueError("'process' must be true or false")  # noqa: TRY004 - as above
        account, index = _text(document, "account"), _text(document, "index")
        return {"mutation_id": self._emulator.foreign_mutation(account, index, process=process)}

    def lag(self, document: dict[str, Any]) -> Answer:
        seconds = document.get("seconds")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 0:
            raise ValueError("'seconds' must be a number that is not negative")
        self._emulator.set_lag(seconds)
        return {}

    def rate_limit(self, _: dict[str, Any]) -> Answer:
        self._emulator.reset_rate_limit()
        return {}
