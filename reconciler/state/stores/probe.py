"""Whether an object store keeps its promises: found out at `state init`, because many servers ignore conditions.

What a log in an object store rests on: a second `put if absent` is refused and changes nothing; of many at once
one wins; what was written is read. A server that only mostly keeps the second promise may pass: it is tried
`ROUNDS` times, and a broken chain shows it later.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from reconciler.errors import StateError, StoreUnavailable
from reconciler.state.stores.interface import AppendOutcome, Conflict, Done, Unknown

#: Writers at once, and how often they race.
WRITERS = 16
ROUNDS = 3

_HINT = (
    "this store cannot hold a state: two runs could both believe that they hold it. "
    "Use one that honours `If-None-Match: *` (AWS S3, Cloudflare R2 do)"
)


class Objects(Protocol):
    """What is probed: names that are written once."""

    def put_new(self, name: str, body: bytes) -> AppendOutcome: ...

    def get(self, name: str) -> bytes | None: ...

    def remove(self, name: str) -> None: ...


def probe(objects: Objects, folder: str) -> None:
    """Try the promises under names in `folder`, which nobody else uses, and take away what it wrote.

    Raises:
        StateError: a promise is broken; the message says what was seen.
        StoreUnavailable: it could not be found out.
    """
    names = [f"{folder}/once", *(f"{folder}/race-{each}" for each in range(1, ROUNDS + 1))]
    try:
        _check_once(objects, names[0])
        for name in names[1:]:
            _check_race(objects, name)
    finally:
        for name in names:
            objects.remove(name)


def _check_once(objects: Objects, name: str) -> None:
    first, second = b"first\n", b"second\n"
    if objects.get(name) is not None:
        raise StateError(f"an object that was never written can be read: {name}", hint=_HINT)
    _require(objects.put_new(name, first), Done, "a first write was refused")
    if objects.get(name) != first:
        raise StateError("an object that was just written cannot be read, or reads differently", hint=_HINT)
    _require(objects.put_new(name, second), Conflict, "a second write to the same name was accepted")
    if objects.get(name) != first:
        raise StateError("a second write that was refused has changed the object", hint=_HINT)


def _check_race(objects: Objects, name: str) -> None:
    bodies = [f"writer {each}\n".encode() for each in range(WRITERS)]
    with ThreadPoolExecutor(WRITERS) as pool:
        outcomes = list(pool.map(lambda body: objects.put_new(name, body), bodies))
    winners = [body for body, outcome in zip(bodies, outcomes, strict=True) if isinstance(outcome, Done)]
    if len(winners) > 1:
        raise StateError(
            f"of {WRITERS} writers at once {len(winners)} were told that theirs was the first", hint=_HINT
        )
    standing = objects.get(name)
    doubts = [outcome.error for outcome in outcomes if isinstance(outcome, Unknown)]
    if standing not in bodies or (winners and standing != winners[0]):
        if standing is None and doubts:
            raise StoreUnavailable(f"the store could not be probed: {doubts[0].message}", hint=doubts[0].hint)
        raise StateError(f"after {WRITERS} writes at once the object is not the one that won", hint=_HINT)


def _require(outcome: AppendOutcome, wanted: type[Done | Conflict], otherwise: str) -> None:
    if isinstance(outcome, Unknown):
        raise outcome.error
    if not isinstance(outcome, wanted):
        raise StateError(otherwise, hint=_HINT)
