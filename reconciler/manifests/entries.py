"""From the nodes of a manifest to its declarations and keeps."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cache import NO_CACHE, Cache
from reconciler.manifests.checks import ADVICE, MAX_ID_BYTES, Findings, Lines, quoted, remarks, usable
from reconciler.manifests.config import is_account
from reconciler.manifests.files import leaves, printable_path, reason
from reconciler.manifests.positions import repeated
from reconciler.manifests.soundness import Soundness
from reconciler.manifests.yaml_events import ID_LISTS, Ids, Items, Node, Table, Text, compose
from reconciler.model.desired import FileDigest, Keep, Prefix, Source
from reconciler.model.diagnostic import Diagnostic, Position, Severity, error, warning
from reconciler.model.idset import IdSet

if TYPE_CHECKING:
    from reconciler.manifests.idfiles import IdFile

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
_DRIVE = re.compile(r"[A-Za-z]:")


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest whose structure was checked. `account` is None when it names none, or no sound one."""

    path: Path
    name: str
    account: str | None
    absent: tuple[Table, ...]
    keep: tuple[Table, ...]


@dataclass(slots=True)
class Entry:
    """An entry under `absent`, before it is known which account it is about."""

    position: Position
    index: Text
    reason: str
    until: tuple[date, Position] | None
    sources: tuple[Source, ...]
    prefixes: tuple[Prefix, ...]


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads manifests and the id files they name, each file once, and collects what is wrong with them."""

    root: Path
    diagnostics: list[Diagnostic] = field(default_factory=list)
    cache: Cache = NO_CACHE
    soundness: Soundness = field(default_factory=lambda: Soundness(NO_CACHE))
    _digests: dict[str, str] = field(default_factory=dict)
    _id_files: dict[tuple[str, str], IdFile] = field(default_factory=dict)

    def files(self) -> tuple[FileDigest, ...]:
        """Everything that was read, ordered by path."""
        return tuple(FileDigest(path, digest) for path, digest in sorted(self._digests.items()))

    def _record(self, name: str, digest: str) -> None:
        if self._digests.setdefault(name, digest) != digest:
            summary = "the file changed while it was read"
            self.diagnostics.append(
                error("file-changed", summary, "Try again when nothing writes it.", Position(name))
            )

    def manifest(self, path: Path, name: str) -> Manifest | None:
        """Read a manifest; None when it cannot be read at all."""
        try:
            composed = compose(path, name, ID_LISTS)
        except OSError as failed:
            self.diagnostics.append(error("unreadable", f"cannot read: {reason(failed)}", "", Position(name)))
            return None
        self._record(name, composed.sha256)
        self.diagnostics.extend(composed.diagnostics)
        if composed.root is None:
            return None
        self.diagnostics.extend(self.soundness.problems(composed.root, "manifest", composed.sha256))
        if not isinstance(composed.root, Table):
            return None
        account = composed.root.get("account_id")
        named = account.value if isinstance(account, Text) and is_account(account.value) else None
        return Manifest(path, name, named, _tables(composed.root, "absent"), _tables(composed.root, "keep"))

    def absent(self, manifest: Manifest) -> Iterator[Entry]:
        """The declarations of a manifest whose index is known."""
        for table in manifest.absent:
            sources = self._sources(table, manifest)
            prefixes = self._prefixes(table)
            until = self._until(table)
            index = self._index(table)
            if index is not None:
                yield Entry(table.position, index, self._reason(table), until, sources, prefixes)

    def keeps(self, manifest: Manifest) -> Iterator[tuple[Keep, Text]]:
        """The keeps of a manifest whose index is known, each with the index's name as it is written."""
        for table in manifest.keep:
            sources = self._sources(table, manifest)
            prefixes = self._prefixes(table)
            index = self._index(table)
            if index is not None:
                said = self._reason(table)
                yield Keep(table.position, index.value, manifest.account, said, sources, prefixes), index

    def _fail(self, code: str, summary: str, detail: str, position: Position) -> None:
        self.diagnostics.append(error(code, summary, detail, position))

    def _has_no_utf8(self, text: Text) -> bool:
        try:
            text.value.encode()
        except UnicodeEncodeError:
            summary = f"the text {quoted(text.value)} holds half of a surrogate pair"
            self._fail("invalid-unicode", summary, "Write the character itself.", text.position)
            return True
        return False

    def _remark(self, text: Text, what: str) -> None:
        for code, found in remarks(text.value):
            summary = f"{what} {quoted(text.value)} {found}"
            self.diagnostics.append(
                warning(code, summary, ADVICE[code].replace("id of the vector", what), text.position)
            )

    def _index(self, table: Table) -> Text | None:
        name = table.get("index")
        if not isinstance(name, Text) or name.is_nothing or not 0 < len(name.value) <= MAX_ID_BYTES:
            return None  # the schema has said so
        if self._has_no_utf8(name):
            return None
        if len(name.value.encode()) > MAX_ID_BYTES or name.value in (".", ".."):
            summary = f"{quoted(name.value)} cannot be the name of an index"
            self._fail(
                "index-name", summary, "A name has 1 to 64 bytes of UTF-8 and is not . or ..", name.position
            )
            return None
        self._remark(name, "index name")
        return name

    def _reason(self, table: Table) -> str:
        said = table.get("reason")
        if not isinstance(said, Text) or said.is_nothing or self._has_no_utf8(said):
            return ""
        return said.value

    def _until(self, table: Table) -> tuple[date, Position] | None:
        until = table.get("until")
        if not isinstance(until, Text) or not _DATE.match(until.value):
            return None  # absent, or the schema has said so
        try:
            return date.fromisoformat(until.value), until.position
        except ValueError:
            detail = "The calendar has no such day. Write YYYY-MM-DD, such as 2027-05-22."
            self._fail("until-date", f"{quoted(until.value)} is no date", detail, until.position)
            return None

    def _prefixes(self, table: Table) -> tuple[Prefix, ...]:
        listed = table.get("prefixes")
        if isinstance(listed, Ids):
            detail = "Write the prefixes out."
            self._fail(
                "wrong-type", "an alias to a list of ids cannot stand for prefixes", detail, listed.position
            )
        found: dict[str, Prefix] = {}
        for text in listed.items if isinstance(listed, Items) else ():
            if not isinstance(text, Text) or text.is_nothing or not 0 < len(text.value) <= MAX_ID_BYTES:
                continue  # the schema has said so
            if self._has_no_utf8(text):
                continue
            size = len(text.value.encode())
            if size > MAX_ID_BYTES:
                summary = f"the prefix {quoted(text.value)} has {size} bytes; no id has more than {MAX_ID_BYTES}"
                self._fail("prefix-length", summary, "It could match nothing.", text.position)
                continue
            self._remark(text, "prefix")
            first = found.setdefault(text.value, Prefix(text.value, text.position)).position
            if first != text.position:
                summary = f"the prefix {quoted(text.value)} is listed twice"
                self.diagnostics.append(
                    Diagnostic(
                        Severity.WARNING, "duplicate-prefix", summary, "Remove one.", text.position, (first,)
                    )
                )
        return tuple(found.values())

    def _sources(self, table: Table, manifest: Manifest) -> tuple[Source, ...]:
        listed = table.get("ids_from")
        items = listed.items if isinstance(listed, Items) else []
        made = [self._inline(table.get("ids"), manifest)]
        made += [self._file(item, manifest) for item in items if isinstance(item, Table)]
        return tuple([source for source in made if source is not None])

    def _inline(self, listed: Node | None, manifest: Manifest) -> Source | None:
        if isinstance(listed, Items):  # an alias to a list that was written under another key
            findings = Findings(manifest.name, listed.position)
            texts = [item for item in listed.items if isinstance(item, Text)]
            block = Lines([text.value for text in texts], [text.position.line for text in texts])
            ids = IdSet.of_raw(usable(block, findings))
            self.diagnostics.extend(findings.diagnostics())
            listed = Ids(listed.position, ids, len(ids), not texts)
        if not isinstance(listed, Ids) or not listed.ids:
            return None
        source = Source(listed.position, "ids", listed.ids)
        if listed.added > len(listed.ids):
            self.diagnostics.append(repeated(source, listed.added, root=self.root))
        return source

    def _file(self, item: Table, manifest: Manifest) -> Source | None:
        path = item.get("path")
        if not isinstance(path, Text) or path.is_nothing or not path.value:
            return None
        column = self._column(item, path)
        real = self._inside(path, manifest)
        if column is None or real is None:
            return None
        name = printable_path(os.path.normpath(os.path.join(os.path.dirname(manifest.name), path.value)))  # noqa: PTH118, PTH120  lexical
        allowed = item.get("allow_empty")
        allow_empty = isinstance(allowed, Text) and allowed.plain and allowed.value.lower() == "true"
        read = self._read(real, name, column, path, allow_missing=allow_empty)
        if read is None:
            return None
        if not read.ids and not read.diagnostics and not allow_empty:
            detail = "An export may have failed. If it may be empty, add `allow_empty: true` to the entry."
            self._fail("id-file-empty", f"the id file {quoted(name)} holds no id", detail, path.position)
        return Source(Position(name, 1), "file", read.ids, read.sha256, column)

    def _column(self, item: Table, path: Text) -> str | None:
        """The column or field that the kind of file needs, "" for text; None after a diagnostic."""
        from reconciler.manifests.idfiles import format_of  # noqa: PLC0415 - csv, gzip: only for id files

        kind = format_of(path.value)
        if kind is None:
            detail = "Id files are .txt, .csv or .jsonl, each also with .gz."
            self._fail("id-file-kind", f"unknown kind of id file: {quoted(path.value)}", detail, path.position)
            return None
        wanted = {"csv": "column", "jsonl": "field"}.get(kind)
        for key in ("column", "field"):
            if key != wanted and key in item.entries:
                detail = f"Remove it: it has no meaning for a .{kind} file."
                self._fail(
                    "unknown-key",
                    f"the key {quoted(key)} does not belong here",
                    detail,
                    item.entries[key][0].position,
                )
        if wanted is None:
            return ""
        value = item.get(wanted)
        if value is None:
            detail = f"Add `{wanted}:`, the one that holds the ids."
            self._fail(
                "missing-key", f"the key {quoted(wanted)} is missing for a .{kind} file", detail, item.position
            )
        if not isinstance(value, Text) or value.is_nothing or not value.value or self._has_no_utf8(value):
            return None
        return value.value

    def _inside(self, path: Text, manifest: Manifest) -> Path | None:
        """The resolved path of an id file; None after a diagnostic when it is not below the manifest's folder."""
        text = path.value
        folder = os.path.realpath(manifest.path.parent)
        detail = "Write a path relative to the manifest, with / between folders, that stays in its folder."
        if self._has_no_utf8(path):
            return None
        if "\0" in text or "\\" in text or text.startswith("/") or _DRIVE.match(text):
            self._fail("path-outside", f"the path {quoted(text)} is not a relative path", detail, path.position)
            return None
        real = os.path.realpath(os.path.join(folder, text))  # noqa: PTH118  realpath never raises, resolve() does on loops
        if os.path.normpath(text).split("/")[0] == ".." or leaves(real, folder):
            self._fail(
                "path-outside", f"the path {quoted(text)} leaves the manifest's folder", detail, path.position
            )
            return None
        return Path(real)

    def _read(self, real: Path, name: str, column: str, path: Text, *, allow_missing: bool) -> IdFile | None:
        from reconciler.manifests.idfiles import read_id_file  # noqa: PLC0415 - as above

        key = (name, column)  # the name also says how the file is read
        if key in self._id_files:
            return self._id_files[key]
        try:
            read = read_id_file(real, name, column, self.cache)
        except OSError as failed:
            missing = isinstance(failed, FileNotFoundError)
            if missing and allow_missing:
                summary = f"there is no id file {quoted(name)}: taken as empty, as `allow_empty` says"
                detail = "If it had ids, they are released. The path starts from the manifest's folder."
                self.diagnostics.append(warning("id-file-missing", summary, detail, path.position))
                return None
            code = "id-file-missing" if missing else "id-file-unreadable"
            detail = "The path starts from the manifest's folder."
            self._fail(code, f"cannot read the id file {quoted(name)}: {reason(failed)}", detail, path.position)
            return None
        self._record(name, read.sha256)
        self.diagnostics.extend(read.diagnostics)
        self._id_files[key] = read
        if read.added > len(read.ids):
            source = Source(Position(name, 1), "file", read.ids, read.sha256, column)
            self.diagnostics.append(repeated(source, read.added, root=self.root))
        return read


def _tables(root: Table, key: str) -> tuple[Table, ...]:
    listed = root.get(key)
    return tuple(item for item in listed.items if isinstance(item, Table)) if isinstance(listed, Items) else ()
