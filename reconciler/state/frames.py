"""One frame: one line of the log. Sealing writes the only bytes a frame can have; parsing accepts no others."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Annotated, Any, Literal, NamedTuple, NoReturn

from msgspec import Meta, MsgspecError, Struct, ValidationError, convert
from msgspec.json import Decoder, Encoder

from reconciler.clock import parse_timestamp
from reconciler.errors import StateDamaged, StateTooNew
from reconciler.state.events import Event, Plain, Text, check, decode, encode

VERSION = 1

#: `prev` of the first frame.
GENESIS = "0" * 64

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode

#: What JSON has besides arrays and objects. (Only finite floats; those that are not cannot be rendered.)
_SCALARS = frozenset({str, int, float, bool, type(None)})

#: Arrays and objects in each other, in what an event says; far more than any needs, far fewer than a parser bears.
_DEEPEST = 32

_MEMBERS = ("v", "pos", "prev", "nonce", "at", "run", "events")
_TAIL = re.compile(rb',"hash":"[0-9a-f]{64}"\}\n\Z')
_TAIL_LENGTH = len(',"hash":""}\n') + 64


class _Members(Struct):
    """What a frame has besides its events: see Frame."""

    v: Literal[1]
    pos: Annotated[int, Meta(ge=1)]
    prev: Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
    nonce: Text
    at: str
    run: str


class _PlainLine(_Members):
    """A whole line, all of whose events are plain."""

    events: Annotated[list[Plain], Meta(min_length=1)]
    hash: str


class _AnyLine(_Members):
    """A line whose events may be of later kinds."""

    events: Annotated[list[dict[str, Any]], Meta(min_length=1)]


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
    kinds: set[type] = set()
    document = _as_read(dict(zip(_MEMBERS, members, strict=True)), _DEEPEST, kinds)
    body = _rendered(document, kinds)[:-1]
    digest = hashlib.sha256(body).hexdigest()
    return _general(document, digest, body + b',"hash":"' + digest.encode() + b'"}\n')


def _rendered(document: Mapping[str, Any], kinds: Container[type]) -> bytes:
    """What json's encoder makes of `document`, which holds values of these `kinds`.

    Without escapes and fractions it can be written in one way only: then the faster library does. What that
    refuses (half of a surrogate pair, for one) is left to json, too.
    """
    if float not in kinds:
        with suppress(ValueError, OverflowError):
            body = _encode_plain(document)
            if b"\\" not in body:
                return body
    return _encode(document).encode()


def _as_read(value: Any, depth: int, kinds: set[type]) -> Any:
    """A copy of `value`: what a reader of its JSON gets, down to the types. `kinds` gets those of what is in it.

    Of these values, and of no others, rendering and reading are each other's inverse. So the line need not be
    read back to know that it will be read as it was meant.

    Raises:
        ValueError: a reader would get something else.
    """
    kind = type(value)
    if kind in _SCALARS:
        kinds.add(kind)
        return value
    if kind in (list, tuple) and depth:
        inner = set(map(type, value))
        if inner <= _SCALARS:  # thousands of ids, most often
            kinds |= inner
            return list(value)
        return [_as_read(each, depth - 1, kinds) for each in value]
    if kind is dict and depth and set(map(type, value)) <= {str}:
        return {name: _as_read(each, depth - 1, kinds) for name, each in value.items()}
    raise ValueError(f"{kind.__name__} is not what a line can hold here")


def parse(line: bytes) -> Frame:
    """The frame that `line` is: complete, with its LF.

    Raises:
        StateDamaged: it is not byte for byte what `seal` writes: another hash, order, spacing, escape,
            line end, a repeated member, a byte order mark, not UTF-8, not finite, a member of another type.
        StateTooNew: an intact frame of a later format.
    """
    digest = _digest(line)
    if not _bears(line, digest):
        ends = _TAIL.search(line, max(0, len(line) - _TAIL_LENGTH))
        raise StateDamaged("its bytes do not match its hash" if ends else "the line does not end as a frame does")
    try:
        plain = _read_plain(line)
        return _general(_read(line), digest, line) if plain is None else _frame(plain, plain.events, digest, line)
    except (ValueError, RecursionError) as error:
        raise StateDamaged(f"it cannot be read: {error}") from error


def hash_of(line: bytes, position: int, prev: str) -> str | None:
    """The hash of `line` if it is the frame of `position` after the one with the hash `prev`, else None.

    As far as hashes tell: that it says something sound is known only to whoever has parsed these very bytes.
    """
    digest = _digest(line)
    begins = line.startswith(b'{"v":%d,"pos":%d,"prev":"%s","nonce":"' % (VERSION, position, prev.encode()))
    return digest if begins and _bears(line, digest) else None


def _digest(line: bytes) -> str:
    """SHA-256 (hex) of all that stands before the hash of a frame."""
    return hashlib.sha256(memoryview(line)[:-_TAIL_LENGTH]).hexdigest()


def _bears(line: bytes, digest: str) -> bool:
    """Does it end as the frame with this hash does?"""
    return line.endswith(b',"hash":"%s"}\n' % digest.encode())


def _read(line: bytes) -> dict[str, Any]:
    """What `line` says.

    Raises:
        ValueError, RecursionError: it is not JSON, or not the members of a frame.
        StateDamaged: it is not rendered as `seal` renders what it says.
        StateTooNew: it is of a later format.
    """
    document = json.loads(line)
    if isinstance(document, dict):
        _refuse_other_version(document)
    # Rendering it again refuses at once what a JSON parser forgives: repeated members, spaces, escapes, NaN.
    if not isinstance(document, dict) or _encode(document).encode() + b"\n" != line:
        raise StateDamaged("it is not written the way frames are")
    _check_members(tuple(document))
    return document


def _read_plain(line: bytes) -> _PlainLine | None:
    """What `line` says, where rendering just that gives this line again; None where something else may be needed.

    Nearly all of a log is plain: known events with known fields, without escapes and fractions. Those two are what
    msgspec may render otherwise than `seal` does; all the rest of JSON without spaces has one form.
    """
    if b"\\" in line:
        return None
    try:
        found: _PlainLine = _decode_plain(line)
        for event in found.events:
            check(event)
        return found if _encode_plain(found) == line[:-1] else None
    except (MsgspecError, ValueError, RecursionError):
        return None


def _unclear(number: str) -> NoReturn:
    raise ValueError(f"{number} may be written in several ways")


_decode_plain = Decoder(_PlainLine, float_hook=_unclear).decode
_encode_plain = Encoder().encode


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


def _general(document: dict[str, Any], digest: str, line: bytes) -> Frame:
    """The frame that `document` is. ValueError: a member is not what it should be."""
    try:
        found = convert(document, _AnyLine)
    except ValidationError as error:
        raise ValueError(str(error)) from error
    return _frame(found, list(map(decode, found.events)), digest, line)


def _frame(found: _Members, events: Sequence[Event], digest: str, line: bytes) -> Frame:
    """The frame, once its time is one. ValueError otherwise."""
    parse_timestamp(found.at)
    return Frame(found.pos, found.prev, found.nonce, found.at, found.run, tuple(events), digest, line)
