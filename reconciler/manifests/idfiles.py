"""Id files: .txt, .csv and .jsonl, each also .gz, read as streams.

Only the ids themselves are held. A decompressed line, a block and the findings are bounded, so that a
small file cannot unpack into a large process.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from reconciler.cache import NO_CACHE, Cache, Writer
from reconciler.manifests.checks import Block, Findings, Lines, plain_lines, quoted, usable
from reconciler.manifests.files import HashingFile, reason
from reconciler.model.diagnostic import Diagnostic, Position, Severity, error
from reconciler.model.idset import IdSet, IdSetBuilder

_CHUNK = 262_144
#: No id is longer than 64 bytes and a JSON line carries a few fields: a longer line is a mistake or an attack.
MAX_LINE_BYTES = 1_048_576
_ROWS = 8_192
_BOM = b"\xef\xbb\xbf"
_EXTENSION = re.compile(r"\.(txt|csv|jsonl)(\.gz)?\Z")


class _Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


class Unreadable(Exception):
    """The rest of a file cannot be read; `diagnostic` says why and where."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.summary)
        self.diagnostic = diagnostic


@dataclass(frozen=True, slots=True)
class IdFile:
    """What an id file holds. `added` counts its ids, repeated ones included."""

    ids: IdSet
    added: int
    sha256: str
    diagnostics: tuple[Diagnostic, ...]


def format_of(path: str) -> str | None:
    """The kind of an id file by its name: "txt", "csv" or "jsonl", with or without .gz; None for any other."""
    found = _EXTENSION.search(path.lower())
    return found[1] if found else None


def _suffix(path: str) -> str:
    """What of a name decides how the file is read."""
    found = _EXTENSION.search(path.lower())
    return found[0] if found else ""


def read_id_file(path: Path, shown: str, column: str, cache: Cache = NO_CACHE) -> IdFile:
    """Read the whole file once; or hash it, and take what was read when it was the same, byte for byte.

    Args:
        path: of the file to open.
        shown: its name in diagnostics; what it ends in says how the file is read.
        column: of a csv file, the field of a jsonl file, "" for text.
        cache: has the ids of files that were read before, and nothing to say of them.

    Raises:
        OSError: it cannot be opened.
    """
    size = path.stat().st_size
    if size < cache.least:
        return _parsed(path, shown, column)
    name = "\0".join(("ids", str(path), _suffix(shown), column))  # what no path holds keeps them apart
    kept = cache.find(name)
    if kept is not None and kept.key.get("size") == size:
        with HashingFile(path) as file:
            digest = file.sha256()
        if kept.key.get("sha256") == digest:
            return IdFile(kept.set(0), int(kept.document["added"]), digest, ())
    read = _parsed(path, shown, column)
    if not read.diagnostics:

        def write(writer: Writer) -> dict[str, int]:
            writer.set(read.ids)
            return {"added": read.added}

        cache.keep(name, {"size": size, "sha256": read.sha256}, write)
    return read


def _parsed(path: Path, shown: str, column: str) -> IdFile:
    findings = Findings(shown, Position(shown, 1))
    builder = IdSetBuilder()
    fatal: list[Diagnostic] = []
    with HashingFile(path) as file:
        try:
            for block in _blocks(file, shown, column, findings):
                builder.extend_raw(usable(block, findings))
        except Unreadable as stopped:
            fatal.append(stopped.diagnostic)
        digest = file.sha256()
    return IdFile(builder.build(), builder.added, digest, (*findings.diagnostics(), *fatal))


def id_file_blocks(path: Path, column: str) -> Iterator[Block]:
    """The ids of a file once more, with their places; ends early where the file cannot be read."""
    shown = str(path)
    try:
        with HashingFile(path) as file:
            yield from _blocks(file, shown, column, Findings(shown, Position(shown)))
    except (Unreadable, OSError):
        return


def _blocks(file: HashingFile, shown: str, column: str, findings: Findings) -> Iterator[Block]:
    stream: _Readable = gzip.GzipFile(fileobj=file, mode="rb") if shown.lower().endswith(".gz") else file  # type: ignore[call-overload]
    pieces = _pieces(stream, shown, findings)
    match format_of(shown):
        case "csv":
            return _csv_blocks(_texts(pieces, shown), shown, column, findings)
        case "jsonl":
            return _jsonl_blocks(_texts(pieces, shown), column, findings)
    return _txt_blocks(pieces, shown)


def _pieces(stream: _Readable, shown: str, findings: Findings) -> Iterator[tuple[int, bytes]]:
    """Pieces that end with a line, each with the number of its first line."""
    rest, line, first = b"", 1, True
    while True:
        chunk = _read(stream, shown, line)
        cut = chunk.rfind(b"\n") + 1 if chunk else 0
        data, rest = (rest + chunk[:cut], chunk[cut:]) if cut else (rest + chunk, b"")
        if (data.find(b"\n") if cut else len(data)) > MAX_LINE_BYTES:
            raise Unreadable(
                error(
                    "line-too-long",
                    f"a line is longer than {MAX_LINE_BYTES} bytes",
                    "Write one id a line. If this is binary data, it is no id file.",
                    Position(shown, line),
                )
            )
        if chunk and not cut:
            rest = data
            continue
        if first and data:
            first = False
            if data.startswith(_BOM):
                data = data[len(_BOM) :]
                findings.add(
                    Severity.WARNING,
                    "bom",
                    (1, 1),
                    "the file starts with a byte order mark",
                    "It is ignored here. Save the file as UTF-8 without BOM.",
                )
        if data:
            yield line, data
            line += data.count(b"\n")
        if not chunk:
            return


def _texts(pieces: Iterator[tuple[int, bytes]], shown: str) -> Iterator[tuple[int, str]]:
    for line, data in pieces:
        yield line, _decoded(data, line, shown)


def _read(stream: _Readable, shown: str, line: int) -> bytes:
    try:
        return stream.read(_CHUNK)
    except EOFError:
        code, summary = "truncated-gzip", f"the gzip data ends early, after {line - 1} whole lines"
    except (gzip.BadGzipFile, zlib.error) as failed:
        code, summary = "bad-gzip", f"not sound gzip data: {failed}"
    except OSError as failed:
        code, summary = "id-file-unreadable", f"reading failed: {reason(failed)}"
    raise Unreadable(error(code, summary, "Write the file again from its source.", Position(shown, line)))


def _decoded(data: bytes, line: int, shown: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as failed:
        start = data.rfind(b"\n", 0, failed.start) + 1
        column = len(data[start : failed.start].decode()) + 1
        line += data.count(b"\n", 0, failed.start)
        utf16 = line == 1 and data[:1] in (b"\xff", b"\xfe")
        raise Unreadable(
            error(
                "not-utf8",
                f"not UTF-8: byte 0x{data[failed.start]:02X} at byte {failed.start - start + 1} of line {line}",
                "It looks like UTF-16. Save it as UTF-8." if utf16 else "Save the file as UTF-8.",
                Position(shown, line, column),
            )
        ) from None


@dataclass(frozen=True)
class _Text:
    """A block of a .txt file: whole lines of UTF-8, and what they are only if somebody wants to know."""

    data: bytes
    line: int

    @cached_property
    def _numbered(self) -> tuple[list[str], Sequence[int]]:
        ids = self.data.decode().split("\n")
        if "" not in ids:
            return ids, range(self.line, self.line + len(ids))
        return [id_ for id_ in ids if id_], [n for n, id_ in enumerate(ids, self.line) if id_]

    @property
    def ids(self) -> Sequence[str]:
        """See Block."""
        return self._numbered[0]

    def place(self, number: int) -> tuple[int, int]:
        """See Block."""
        return self._numbered[1][number], 1

    def plain(self) -> list[bytes] | None:
        """See Block."""
        return plain_lines(self.data)


def _txt_blocks(pieces: Iterator[tuple[int, bytes]], shown: str) -> Iterator[Block]:
    for line, data in pieces:
        if not data.isascii():
            _decoded(data, line, shown)  # refuses what is no UTF-8
        yield _Text(data.replace(b"\r\n", b"\n") if b"\r" in data else data, line)


def _csv_blocks(texts: Iterator[tuple[int, str]], shown: str, column: str, findings: Findings) -> Iterator[Block]:
    # newline="\n": a line ends at LF only, so the reader itself judges a lone CR.
    lines = (row for _, text in texts for row in io.StringIO(text, newline="\n"))
    rows = csv.reader(lines, strict=True)
    header = _next_row(rows, shown)
    if header is None:
        return
    at = _column_number(header, column, shown)
    ids: list[str] = []
    places: list[int] = []
    while True:
        begins = rows.line_num + 1
        if (row := _next_row(rows, shown)) is None:
            break
        if len(row) == len(header):
            ids.append(row[at])
            places.append(begins)
        elif row:
            findings.add(
                Severity.ERROR,
                "csv-row",
                (begins, 1),
                f"the row has {len(row)} columns, the header has {len(header)}",
                "A value that holds a comma, a quotation mark or a line end stands in double quotes.",
            )
        if len(ids) == _ROWS:
            yield Lines(ids, places)
            ids, places = [], []
    yield Lines(ids, places)


def _next_row(rows: Any, shown: str) -> list[str] | None:
    begins = rows.line_num + 1
    try:
        row: list[str] | None = next(rows, None)
    except csv.Error as failed:
        raise Unreadable(
            error(
                "csv-syntax",
                f"not sound csv: {failed}",
                "Values are separated by commas; a quotation mark inside a quoted value is doubled.",
                Position(shown, begins),
            )
        ) from None
    return row


def _column_number(header: list[str], column: str, shown: str) -> int:
    if header.count(column) == 1:
        return header.index(column)
    named = ", ".join(quoted(name) for name in header[:10]) + (", …" if len(header) > 10 else "")
    problem = "names the column {} more than once" if column in header else "has no column {}"
    detail = f"The header names: {named}." if header else "The first line is the header; it is blank."
    if len(header) == 1 and re.search(r"[;\t]", header[0]):
        detail += " Values must be separated by commas."
    raise Unreadable(
        error("csv-column", f"the header {problem.format(quoted(column))}", detail, Position(shown, 1, 1))
    )


def _jsonl_blocks(texts: Iterator[tuple[int, str]], field: str, findings: Findings) -> Iterator[Block]:
    for line, text in texts:
        ids: list[str] = []
        places: list[int] = []
        for number, row in enumerate(text.split("\n"), line):
            if not row or row.isspace():
                continue
            found = _field(row, field)
            if isinstance(found, str):
                ids.append(found)
                places.append(number)
            else:
                findings.add(Severity.ERROR, found.code, (number, 1), found.summary, found.detail)
        yield Lines(ids, places)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys are there once: which of two values is the id must not be a guess."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key is there twice")
    return made


#: One for all lines: making one costs as much as reading a line.
_DECODER = json.JSONDecoder(object_pairs_hook=_once)


@dataclass(frozen=True, slots=True)
class _NoId:
    """Why a JSON line gives no id."""

    code: str
    summary: str
    detail: str


def _field(row: str, field: str) -> str | _NoId:
    """The id of one JSON line."""
    try:
        value = _DECODER.decode(row)
    except (ValueError, RecursionError) as failed:
        said = "nested too deeply" if isinstance(failed, RecursionError) else str(failed).split(": line")[0][:80]
        return _NoId("jsonl-syntax", f"the line is not sound JSON: {said}", "Write one JSON object a line.")
    if not isinstance(value, dict):
        return _NoId(
            "jsonl-object", "the line is not a JSON object", f'Write one object a line: {{"{field}": "…"}}.'
        )
    if field not in value:
        names = ", ".join(quoted(name) for name in list(value)[:10])
        return _NoId("jsonl-field", f"the object has no field {quoted(field)}", f"It has: {names or 'none'}.")
    id_ = value[field]
    if isinstance(id_, str):
        return id_
    number = isinstance(id_, int | float) and not isinstance(id_, bool)
    kind = "a number" if number else "not text"
    return _NoId(
        "jsonl-type", f"the field {quoted(field)} is {kind}", "Ids are strings: write it in quotation marks."
    )
