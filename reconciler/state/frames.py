"""One frame: one line of the log. Sealing writes the only bytes a frame can have; parsing accepts no others."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from operator import itemgetter
from typing import Any, NamedTuple, NoReturn

from reconciler.clock import parse_timestamp
from reconciler.errors import StateDamaged, StateTooNew
from reconciler.state.events import Event, decode, encode

VERSION = 1

#: `prev` of the first frame.
GENESIS = "0" * 64

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode

#: What JSON has besides arrays and objects. (Only finite floats; those that are not cannot be rendered.)
_SCALARS = frozenset({str, int, float, bool, type(None)})

#: Arrays and objects in each other, in what an event says; far more than any needs, far fewer than a parser bears.
_DEEPEST = 32

_MEMBERS = ("v", "pos", "prev", "nonce", "at", "run", "events")
_values = itemgetter(*_MEMBERS)
_TAIL = re.compile(rb',"hash":"([0-9a-f]{64})"\}\n\Z')
_TAIL_LENGTH = len(',"hash":""}\n') + 64
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Frame(NamedTuple):
    """One append.

    Attributes:
        position: from 1, contiguous.
        prev: `hash` of the frame before, GENESIS for the first.
        nonce: unique: two frames that say the same are still two.
        at: RFC 3339, when it was sealed. For people, never for order.
        run: the run that wrote it; "" for frames outside of any run (header, unlock, move).
        events: in order.
        hash: SHA-256 (hex) of the line's bytes before `,"hash"`.
        line: the frame as stored, with its LF.
    """

    position: int
    prev: str
    nonce: str
    at: str
    run: str
    events: tuple[Event, ...]
    hash: str
    line: bytes


def seal(  # noqa: PLR0917 - in the order in which they stand in the line
    position: int, prev: str, nonce: str, at: str, run: str, events: Iterable[Event]
) -> Frame:
    """Make the line, and the frame that `parse` reads from it: what no reader would accept is not written.

    Raises:
        ValueError: a text holds half of a surrogate pair, a number is not finite, something is no JSON, or is not
            of the type that its place asks for.
    """
    members = (VERSION, position, prev, nonce, at, run, [encode(event) for event in events])
    document = _as_read(dict(zip(_MEMBERS, members, strict=True)), _DEEPEST)
    body = _encode(document).encode()[:-1]
    digest = hashlib.sha256(body).hexdigest()
    return _frame(document, digest, body + b',"hash":"' + digest.encode() + b'"}\n')


def _as_read(value: Any, depth: int) -> Any:
    """A copy of `value`: what a reader of its JSON gets, down to the types.

    Of these values, and of no others, rendering and reading are each other's inverse. So the line need not be
    read back to know that it will be read as it was meant.

    Raises:
        ValueError: a reader would get something else.
    """
    kind = type(value)
    if kind in _SCALARS:
        return value
    if kind in (list, tuple) and depth:
        if set(map(type, value)) <= _SCALARS:  # thousands of ids, most often
            return list(value)
        return [_as_read(each, depth - 1) for each in value]
    if kind is dict and depth and set(map(type, value)) <= {str}:
        return {name: _as_read(each, depth - 1) for name, each in value.items()}
    raise ValueError(f"{kind.__name__} is not what a line can hold here")


def parse(line: bytes) -> Frame:
    """The frame that `line` is: complete, with its LF.

    Raises:
        StateDamaged: it is not byte for byte what `seal` writes: another hash, order, spacing, escape,
            line end, a repeated member, a byte order mark, not UTF-8, not finite, a member of another type.
        StateTooNew: an intact frame of a later format.
    """
    tail = _TAIL.search(line, max(0, len(line) - _TAIL_LENGTH))
    if tail is None:
        raise StateDamaged("the line does not end as a frame does")
    body = line[: tail.start()]
    digest = tail[1].decode()
    if hashlib.sha256(body).hexdigest() != digest:
        raise StateDamaged("its bytes do not match its hash")
    try:
        document = _read(line)
        _check_members(tuple(document))
        return _frame(document, digest, line)
    except (ValueError, RecursionError) as error:
        raise StateDamaged(f"it cannot be read: {error}") from error


def hash_of(line: bytes, position: int, prev: str) -> str | None:
    """The hash of `line` if it is the frame of `position` after the one with the hash `prev`, else None.

    As far as hashes tell: that it says something sound is known only to whoever has parsed these very bytes.
    """
    digest = hashlib.sha256(memoryview(line)[:-_TAIL_LENGTH]).hexdigest()
    begins = line.startswith(b'{"v":%d,"pos":%d,"prev":"%s","nonce":"' % (VERSION, position, prev.encode()))
    return digest if begins and line.endswith(b',"hash":"%s"}\n' % digest.encode()) else None


def _read(line: bytes) -> dict[str, Any]:
    """What `line` says.

    Raises:
        ValueError, RecursionError: it is not JSON.
        StateDamaged: it is not rendered as `seal` renders what it says.
        StateTooNew: it is of a later format.
    """
    plain = _read_plain(line)
    document = json.loads(line) if plain is None else plain
    if isinstance(document, dict):
        _refuse_other_version(document)
    # Rendering it again refuses at once what a JSON parser forgives: repeated members, spaces, escapes, NaN.
    if plain is None and (not isinstance(document, dict) or _encode(document).encode() + b"\n" != line):
        raise StateDamaged("it is not written the way frames are")
    return document


def _read_plain(line: bytes) -> dict[str, Any] | None:
    """What `line` says, where it shows that rendering it again would give just this line; None where it may not.

    Nearly all of a log is plain: nothing is escaped and nothing stands between the tokens, so that only a number
    could be written otherwise, and only a repeated member could get lost.
    """
    try:
        text = line.decode()
        if "\\" in text or " " in text or "\t" in text or "\r" in text or text.find("\n") < len(text) - 1:
            return None
        document, end = _decode_plain(text)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) and end == len(text) - 1 else None


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(members)
    if len(document) < len(members):
        raise ValueError("a name is there twice")
    return document


def _natural(digits: str) -> int:
    if digits[0] == "-":
        raise ValueError("it may be a zero")
    return int(digits)


def _unclear(number: str) -> NoReturn:
    raise ValueError(f"{number} may be written in several ways")


_decode_plain = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_natural, parse_float=_unclear, parse_constant=_unclear
).raw_decode


def _refuse_other_version(document: dict[str, Any]) -> None:
    version = document.get("v")
    if isinstance(version, int) and not isinstance(version, bool) and version > VERSION:
        raise StateTooNew(
            f"a frame of format {version}; this version reads format {VERSION}",
            hint="use the version of reconciler that wrote this state, or a later one",
        )


def _check_members(names: tuple[str, ...]) -> None:
    if names[: len(_MEMBERS)] != _MEMBERS or names[-1] != "hash":
        raise ValueError("its members are not those of a frame, in their order")


def _frame(document: dict[str, Any], digest: str, line: bytes) -> Frame:
    """The frame, once every member is what it should be. ValueError otherwise."""
    version, position, prev, nonce, at, run, events = _values(document)
    if version is not VERSION:
        raise ValueError(f"its version is {version!r}")
    if type(position) is not int or position < 1:
        raise ValueError("its position is not a positive integer")
    if not isinstance(prev, str) or not _SHA256.fullmatch(prev):
        raise ValueError("its prev is not a hash")
    if not (nonce and type(nonce) is type(at) is type(run) is str):
        raise ValueError("its nonce, time or run is not text")
    parse_timestamp(at)
    if not isinstance(events, list) or not events or set(map(type, events)) != {dict}:
        raise ValueError("its events are not a list of objects")
    return Frame(position, prev, nonce, at, run, tuple(map(decode, events)), digest, line)
