"""Lists of ids taken out of a plan's text while it is read: ten million ids never stand in memory as JSON.

Only lists that are laid out as `encoding` does it are taken, and only if they hold nothing but ids, each once. A
string of JSON holds no line end, so a line of the file that is the beginning of such a list is one. What stands
elsewhere, or is laid out otherwise, is left in the text, for the JSON parser.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Final

from reconciler.model.idset import IdSet, IdSetBuilder

#: Bytes of UTF-8 in an id.
MAX_ID_BYTES: Final = 64

_BEGIN: Final = b'          "ids": [\n'
_END: Final = b"          ]\n"
_LINES_AT_ONCE: Final = 4096


class NotPlain(Exception):
    """A list holds something else than ids, each once: whoever parses the whole text can say what, and where."""


def extract(lines: Iterable[bytes], mark: str) -> tuple[bytes, list[IdSet]]:
    """The text without its lists of ids, and those.

    Args:
        lines: of the file, with their ends.
        mark: cannot be guessed by who wrote the file: in the text, `[[mark, n]]` stands in for the n-th list.

    Raises:
        NotPlain: a list that begins like one of ids is none.
    """
    text: list[bytes] = []
    taken: list[IdSet] = []
    rest = iter(lines)
    for line in rest:
        if line == _BEGIN:
            text.append(b'          "ids": [["%s", %d]]\n' % (mark.encode(), len(taken)))
            taken.append(_ids(rest))
        else:
            text.append(line)
    return b"".join(text), taken


def _ids(lines: Iterator[bytes]) -> IdSet:
    builder = IdSetBuilder()
    first = True
    for some, last in _portions(lines):
        if not last and not some[-1].endswith(b",\n"):
            raise NotPlain
        items = b"".join(some)
        try:
            found = json.loads(b"[" + (items if last else items[:-2]) + b"]")
            raw = [id_.encode() for id_ in found if type(id_) is str]
        except (ValueError, RecursionError):  # UnicodeEncodeError is one
            raise NotPlain from None
        if not found and not (first and last):  # a comma with nothing before or behind it
            raise NotPlain
        first = False
        sizes = set(map(len, raw))
        if len(raw) != len(found) or (sizes and not (min(sizes) >= 1 and max(sizes) <= MAX_ID_BYTES)):
            raise NotPlain
        builder.extend_raw(raw)
    made = builder.build()
    if len(made) != builder.added:
        raise NotPlain
    return made


def _portions(lines: Iterator[bytes]) -> Iterator[tuple[list[bytes], bool]]:
    """Some lines of the list, and whether it ends after them."""
    some: list[bytes] = []
    for line in lines:
        if line == _END:
            yield some, True
            return
        if len(some) == _LINES_AT_ONCE:
            yield some, False
            some = []
        some.append(line)
    raise NotPlain  # the file ends in the middle
