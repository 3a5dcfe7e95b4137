"""What an id must be, checked a block at a time.

A block without anything remarkable costs a few passes in C; only a block with something in it is looked
at id by id. Findings about single ids are listed up to a number and counted beyond it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from reconciler.model.diagnostic import Diagnostic, Position, Severity

#: The service's limit for an id, and so for a prefix that could match one: bytes of UTF-8.
MAX_ID_BYTES = 64
#: Single findings of one kind in one list are listed up to this number, then counted.
LISTED = 20
#: Quotations of untrusted text are cut to this many characters.
_QUOTED = 80

#: How a comment begins in other files; here it begins an id.
_COMMENT = "# "

_BLANK = ord(" ")

#: The ASCII that `str.isprintable` allows, which this asks for in a fifth of the time; and with line ends.
_PRINTABLE = bytes(range(0x20, 0x7F))
_PRINTABLE_LINES = _PRINTABLE + b"\n"

#: Controls, formatting such as bidi marks, and the separators of lines and paragraphs.
_INVISIBLE = frozenset({"Cc", "Cf", "Zl", "Zp"})


class Block(Protocol):
    """Some ids as they were read, and where."""

    @property
    def ids(self) -> Sequence[str]:
        """The ids, in the order of the file."""

    def place(self, number: int) -> tuple[int, int]:
        """(line, column), both from 1, of the id at `number` in `ids`."""

    def plain(self) -> list[bytes] | None:
        """The ids as UTF-8, if there is nothing remarkable about any of them; else None."""


@dataclass(frozen=True, slots=True)
class Lines:
    """A block of a file that has one id a line; `lines[n]` is the line of the n-th."""

    ids: Sequence[str]
    lines: Sequence[int]

    def place(self, number: int) -> tuple[int, int]:
        """See Block."""
        return self.lines[number], 1

    def plain(self) -> list[bytes] | None:
        """See Block."""
        return plain_texts(self.ids)


def quoted(text: str) -> str:
    """`text` in quotation marks, cut to 80 characters; halves of surrogate pairs become escapes."""
    cut = text if len(text) <= _QUOTED else text[: _QUOTED - 1] + "…"
    return '"' + cut.encode("utf-8", "backslashreplace").decode() + '"'


class Findings:
    """Diagnostics about the single ids of one list; `whole` is the place of the list itself."""

    def __init__(self, path: str, whole: Position) -> None:
        self._path = path
        self._whole = whole
        self._counts: dict[tuple[Severity, str], int] = {}
        self._listed: list[Diagnostic] = []

    def add(self, severity: Severity, code: str, place: tuple[int, int], summary: str, detail: str = "") -> None:
        """Note one finding."""
        count = self._counts[severity, code] = self._counts.get((severity, code), 0) + 1
        if count <= LISTED:
            self._listed.append(Diagnostic(severity, code, summary, detail, Position(self._path, *place)))

    def diagnostics(self) -> list[Diagnostic]:
        """What was listed, and for each kind that overflowed one more that says how many there are."""
        return self._listed + [
            Diagnostic(severity, code, f"…and {count - LISTED} more like this in the same list", "", self._whole)
            for (severity, code), count in self._counts.items()
            if count > LISTED
        ]


def usable(block: Block, findings: Findings) -> list[bytes]:
    """The ids of `block` that can be sent, as UTF-8. Everything remarkable goes to `findings`."""
    plain = block.plain()
    if plain is not None:
        return plain
    return [id_.encode() for n, id_ in enumerate(block.ids) if _examine(id_, block, n, findings)]


def plain_texts(ids: Sequence[str]) -> list[bytes] | None:
    """`ids` as UTF-8, if each can be sent and none needs a remark; None if one of them has to be looked at."""
    joined = "".join(ids)
    # What prints has no half of a surrogate pair in it.
    odd = joined.encode().translate(None, _PRINTABLE) if joined.isascii() else not joined.isprintable()
    if odd or not ids:
        return None if odd else []
    raw = "\n".join(ids).encode().split(b"\n")  # no line end prints
    return raw if _sendable(raw, blanks=" " in joined) else None


def plain_lines(data: bytes) -> list[bytes] | None:
    """As `plain_texts`, of whole lines of sound UTF-8, each an id. Blank lines are none."""
    if data.isascii():
        odd = bool(data.translate(None, _PRINTABLE_LINES))
    else:
        odd = not data.decode().replace("\n", "").isprintable()
    if odd:
        return None
    ids = data.split(b"\n")
    if not ids[-1]:
        ids.pop()  # after the last line end there is no further line
    if b"" in ids:
        ids = [id_ for id_ in ids if id_]
    return ids if _sendable(ids, blanks=b" " in data) else None


def _sendable(ids: list[bytes], *, blanks: bool) -> bool:
    """True when each of `ids`, all of which print, can be sent and needs no remark; `blanks`: some have blanks."""
    sizes = set(map(len, ids))
    if sizes and not 0 < min(sizes) <= max(sizes) <= MAX_ID_BYTES:
        return False
    # The only white space that counts as printable is the blank.
    return not blanks or not any(i[0] == _BLANK or i[-1] == _BLANK or i.startswith(b"# ") for i in ids)


def _examine(id_: str, block: Block, number: int, findings: Findings) -> bool:
    """True when `id_` can be sent."""
    problem = _problem(id_)
    if problem:
        findings.add(Severity.ERROR, problem[0], block.place(number), problem[1], problem[2])
        return False
    for code, found in remarks(id_):
        findings.add(Severity.WARNING, code, block.place(number), f"id {quoted(id_)} {found}", ADVICE[code])
    return True


def _problem(id_: str) -> tuple[str, str, str] | None:
    """Why `id_` cannot be the id of a vector: code, summary, detail."""
    if not id_:
        return "empty-id", "an id is empty", "An id has 1 to 64 bytes. Remove it."
    try:
        size = len(id_.encode())
    except UnicodeEncodeError:
        return (
            "invalid-unicode",
            f"id {quoted(id_)} holds half of a surrogate pair",
            "Such text has no UTF-8. Write the character itself.",
        )
    if size > MAX_ID_BYTES:
        return (
            "id-too-long",
            f"id {quoted(id_)} has {size} bytes ({len(id_)} characters); the limit is {MAX_ID_BYTES} bytes",
            "Vectorize holds no id longer than 64 bytes of UTF-8: this cannot be the id of a vector.",
        )
    return None


#: What to do about a remark, by its code.
ADVICE = {
    "white-space": "It is kept as it is written. Remove it unless the id of the vector has it.",
    "comment": "There are no comments between ids: this is an id, and is deleted. Remove it if it is none.",
    "control-character": "It is kept as it is written. Check that the id of the vector has it.",
}


def remarks(text: str) -> list[tuple[str, str]]:
    """What is unusual about an id or a prefix: pairs (code, what was found)."""
    found = []
    if text != text.strip():
        found.append(("white-space", "has white space at an end"))
    if text.startswith(_COMMENT):
        found.append(("comment", "looks like a comment"))
    if not text.isprintable():
        invisible = next((c for c in text if unicodedata.category(c) in _INVISIBLE), None)
        if invisible is not None:
            found.append(("control-character", f"holds the control character U+{ord(invisible):04X}"))
    return found
