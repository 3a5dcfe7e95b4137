"""YAML read as events: nodes that know their place, and lists of ids that never become nodes.

pyyaml's loaders turn `no` into False, `012` into 10 and accept a key twice; here every scalar stays the
text that was written, and whoever needs a number or a boolean interprets it by the schema.

Aliases are accepted while they stand for little: all aliases of a file together may expand to
MAX_EXPANSION nodes and ids. Merge keys (`<<`) are unknown keys like any other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import Any, Never

import yaml
from yaml import AliasEvent, MappingEndEvent, MappingStartEvent, ScalarEvent, SequenceEndEvent, SequenceStartEvent

from reconciler.manifests.checks import Findings, plain_texts, quoted, usable
from reconciler.manifests.files import HashingFile
from reconciler.manifests.yaml_errors import Stop, explain
from reconciler.model.diagnostic import Diagnostic, Position, Severity, error, warning
from reconciler.model.idset import IdSet, IdSetBuilder

MAX_DEPTH = 32
MAX_SCALAR_BYTES = 65_536
MAX_EXPANSION = 100_000

#: A text of so many characters has no more bytes than MAX_SCALAR_BYTES, whatever they are.
_SHORT = MAX_SCALAR_BYTES // 4

#: Events are some 300 bytes each: few at a time stay in the cache and out of the collector's way.
_BLOCK = 512
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STRING_TAG = "tag:yaml.org,2002:str"
#: Plain scalars that other readers of YAML take for "nothing".
_NULLS = frozenset({"~", "null", "Null", "NULL"})
#: Where in a manifest lists of ids stand.
ID_LISTS = frozenset({("absent", "[]", "ids"), ("keep", "[]", "ids")})


# Nodes are not frozen: a manifest has tens of thousands, and making frozen ones takes three times as long.


@dataclass(slots=True)
class Text:
    """A scalar as it was written. `path`, `line`, `column`: as of a Position; `plain`: without quotes."""

    path: str
    line: int
    column: int
    value: str
    plain: bool

    @property
    def position(self) -> Position:
        """Where it starts. Made when it is asked for: of most texts nobody wants to know."""
        return Position(self.path, self.line, self.column)

    @property
    def is_nothing(self) -> bool:
        """True for a key without a value, `~` and `null`."""
        return self.plain and (not self.value or self.value in _NULLS)


@dataclass(slots=True)
class Items:
    """A list."""

    position: Position
    items: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class Table:
    """A mapping: key -> (the key where it is written, value). Of a repeated key the first is kept."""

    position: Position
    entries: dict[str, tuple[Text, Node]] = field(default_factory=dict)

    def get(self, key: str) -> Node | None:
        """The value of `key`, None when it is not there."""
        return self.entries[key][1] if key in self.entries else None


@dataclass(slots=True)
class Ids:
    """A list of ids. `added` counts those that can be sent, repeated ones too; `empty`: no item is there."""

    position: Position
    ids: IdSet
    added: int
    empty: bool


Node = Text | Items | Table | Ids


@dataclass(frozen=True, slots=True)
class Composed:
    """A YAML file. `root` is None when it could not be read to its end."""

    root: Node | None
    sha256: str
    diagnostics: tuple[Diagnostic, ...]


@dataclass(slots=True)
class EventBlock:
    """A block of ids of a YAML list, with the events they came from (see checks.Block)."""

    ids: list[str]
    events: list[Any]

    def place(self, number: int) -> tuple[int, int]:
        """See checks.Block."""
        mark = self.events[number].start_mark
        return mark.line + 1, mark.column + 1

    def plain(self) -> list[bytes] | None:
        """See checks.Block."""
        return plain_texts(self.ids)


def compose(path: Path, shown: str, id_lists: Collection[tuple[str, ...]] = ()) -> Composed:
    """Read a file of one YAML document.

    Args:
        path: of the file.
        shown: its name in diagnostics.
        id_lists: the places (keys, "[]" for an item of a list) of lists that hold ids.

    Raises:
        OSError: it cannot be opened.
    """
    with HashingFile(path) as file:
        composer = _Composer(shown, id_lists)
        root: Node | None = None
        try:
            if file.is_utf16:
                composer.stop("not-utf8", "the file is UTF-16", "Save it as UTF-8.", Position(shown, 1, 1))
            root = composer.document(_Events(file))
        except Stop as stopped:
            composer.diagnostics.append(stopped.diagnostic)
        except (yaml.YAMLError, ValueError, RecursionError, OSError) as failed:
            composer.diagnostics.append(explain(failed, path, shown))
        if file.has_bom:
            composer.diagnostics.append(
                warning(
                    "bom",
                    "the file starts with a byte order mark",
                    "It is ignored here. Save the file as UTF-8 without BOM.",
                    Position(shown, 1, 1),
                )
            )
        return Composed(root, file.sha256(), tuple(composer.diagnostics))


def id_list_blocks(path: Path, line: int, column: int) -> Iterator[EventBlock]:
    """The ids of the list that starts at `line` and `column`, once more, with their places.

    Aliases inside the list are passed over. Ends early where the file cannot be read.
    """
    try:
        with HashingFile(path) as file:
            events = _parsed(file)
            for event in events:
                mark = event.start_mark
                if isinstance(event, SequenceStartEvent) and (mark.line + 1, mark.column + 1) == (
                    line,
                    column,
                ):
                    break
            block: list[Any] = []
            for event in events:
                if isinstance(event, ScalarEvent):
                    block.append(event)
                elif not isinstance(event, AliasEvent):
                    break
                if len(block) == _BLOCK:
                    yield EventBlock([e.value for e in block], block)
                    block = []
            yield EventBlock([e.value for e in block], block)
    except (yaml.YAMLError, ValueError, OSError):
        return


_value = attrgetter("value")


def _parsed(file: HashingFile) -> Iterator[Any]:
    """The events of a file. As `yaml.parse`, without a generator between the parser and whoever wants an event."""
    return iter(_LOADER(file).get_event, None)


class _Events(Iterator[Any]):
    """The events of a file, one by one or many scalars at a time."""

    def __init__(self, file: HashingFile) -> None:
        self._parsed = _parsed(file)
        self._ahead: list[Any] = []  # the last is next

    def __next__(self) -> Any:
        return self._ahead.pop() if self._ahead else next(self._parsed)

    def scalars(self) -> list[Any]:
        """Those of the next events, up to a block of them, that are scalars without anchor and tag."""
        if not self._ahead:
            self._ahead = list(islice(self._parsed, _BLOCK))[::-1]
        ahead = self._ahead
        left = len(ahead)
        for event in reversed(ahead):
            if type(event) is not ScalarEvent or event.anchor is not None or event.tag is not None:
                break
            left -= 1
        found = ahead[left:]
        found.reverse()
        del ahead[left:]
        return found


class _Composer:
    """Turns the events of one file into nodes."""

    _events: _Events

    def __init__(self, shown: str, id_lists: Collection[tuple[str, ...]]) -> None:
        self._shown = shown
        self._id_lists = id_lists
        self._anchors: dict[str, tuple[Node, int] | None] = {}
        self._expanded = 0
        #: Nodes and ids below the node being made, aliases expanded; what an alias to it would cost.
        self._size = 0
        self.diagnostics: list[Diagnostic] = []

    def stop(self, code: str, summary: str, detail: str, position: Position) -> Never:
        """Give the file up."""
        raise Stop(error(code, summary, detail, position))

    def document(self, events: _Events) -> Node:
        """The node that the only document of a file is."""
        self._events = events
        root: Node | None = None
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    detail = "Write one document a file: no `---` after the first."
                    self.stop(
                        "several-documents", "the file holds several YAML documents", detail, self._at(event)
                    )
                root = self._node(next(events), ())
        if root is None:
            detail = "Start it with `version: 1`."
            self.stop(
                "empty-file", "the file holds nothing but comments or space", detail, Position(self._shown, 1, 1)
            )
        return root

    def _at(self, event: Any) -> Position:
        return Position(self._shown, event.start_mark.line + 1, event.start_mark.column + 1)

    def _node(self, event: Any, trail: tuple[str, ...]) -> Node:
        kind = type(event)
        if kind is AliasEvent:
            return self._alias(event)
        if len(trail) > MAX_DEPTH:
            detail = "No manifest needs that. Look for brackets that are not closed."
            self.stop("nested-too-deeply", f"more than {MAX_DEPTH} levels of nesting", detail, self._at(event))
        anchor, before = event.anchor, self._size
        if anchor is not None:
            self._anchors[anchor] = None  # until it is complete: an alias inside would be endless
        if event.tag is not None:
            self._check_tag(event)
        self._size += 1
        node: Node
        if kind is ScalarEvent:
            if len(event.value) > _SHORT:
                self._check_size(event)
            mark = event.start_mark
            node = Text(self._shown, mark.line + 1, mark.column + 1, event.value, event.implicit[0])
        elif kind is MappingStartEvent:
            node = self._table(event, trail)
        elif trail in self._id_lists:
            node = self._ids(event, trail)
        else:
            node = self._items(event, trail)
        if anchor is not None:
            self._anchors[anchor] = (node, self._size - before)
        return node

    def _items(self, start: Any, trail: tuple[str, ...]) -> Items:
        node, below = Items(self._at(start)), (*trail, "[]")
        while type(event := next(self._events)) is not SequenceEndEvent:
            node.items.append(self._node(event, below))
        return node

    def _check_tag(self, event: Any) -> None:
        tag = event.tag
        if tag == _STRING_TAG and isinstance(event, ScalarEvent):
            return
        self.diagnostics.append(
            error(
                "yaml-tag",
                f"the YAML tag {quoted(tag)} is not accepted",
                "Values have no tags here, but for !!str. Remove it; to keep a text as it is, put it in quotes.",
                self._at(event),
            )
        )

    def _check_size(self, event: Any) -> None:
        if len(event.value.encode("utf-8", "replace")) > MAX_SCALAR_BYTES:
            detail = "Look for a quotation mark that is not closed."
            self.stop("text-too-long", f"a text is longer than {MAX_SCALAR_BYTES} bytes", detail, self._at(event))

    def _table(self, start: Any, trail: tuple[str, ...]) -> Table:
        table, of_key = Table(self._at(start)), (*trail, "?")
        entries = table.entries
        while type(event := next(self._events)) is not MappingEndEvent:
            key = self._node(event, of_key)
            if not isinstance(key, Text):
                self._complain("wrong-type", "a key is not text", "Write keys as plain words.", key.position)
                self._node(next(self._events), of_key)
                continue
            value = self._node(next(self._events), (*trail, key.value))
            if key.value not in entries:
                entries[key.value] = (key, value)
                continue
            first = entries[key.value][0].position
            summary = f"the key {quoted(key.value)} is there twice; first in line {first.line}"
            detail = "Join the two, or remove one: only one of them could count."
            self.diagnostics.append(
                Diagnostic(Severity.ERROR, "duplicate-key", summary, detail, self._at(event), (first,))
            )
        return table

    def _complain(self, code: str, summary: str, detail: str, position: Position) -> None:
        self.diagnostics.append(error(code, summary, detail, position))

    def _ids(self, start: Any, trail: tuple[str, ...]) -> Ids:
        place, events = self._at(start), self._events
        builder, findings = IdSetBuilder(), Findings(self._shown, place)
        empty = True
        while True:
            block = events.scalars()
            odd = None if block else next(events)
            if type(odd) is SequenceEndEvent:
                break
            empty = False
            self._add(block or self._odd_id(odd, trail, findings), builder, findings)
        self.diagnostics += findings.diagnostics()
        return Ids(place, builder.build(), builder.added, empty)

    def _odd_id(self, event: Any, trail: tuple[str, ...], findings: Findings) -> list[Any]:
        """An item of an id list that is no plain or quoted scalar: the events to take as ids."""
        node = self._node(event, (*trail, "[]"))
        if isinstance(node, Text):
            implicit = (node.plain, not node.plain)
            return [ScalarEvent(None, None, implicit, node.value, event.start_mark, event.end_mark)]
        place = (event.start_mark.line + 1, event.start_mark.column + 1)
        what = "a mapping" if isinstance(node, Table) else "a list"
        detail = "Put the id in quotes: `: ` and brackets have a meaning of their own in YAML."
        findings.add(Severity.ERROR, "wrong-type", place, f"expected an id, found {what}", detail)
        return []

    def _add(self, events: list[Any], builder: IdSetBuilder, findings: Findings) -> None:
        values = list(map(_value, events))
        block = EventBlock(values, events)
        if not _NULLS.isdisjoint(values):
            for number, event in enumerate(events):
                if event.value in _NULLS and event.implicit[0]:
                    summary = f"the id {quoted(event.value)} means nothing in YAML; it is taken as that text"
                    detail = "Put it in quotes if it is an id."
                    findings.add(Severity.WARNING, "ambiguous-id", block.place(number), summary, detail)
        builder.extend_raw(usable(block, findings))
        self._size += len(events)

    def _alias(self, event: Any) -> Node:
        position = self._at(event)
        name = quoted(event.anchor)
        if event.anchor not in self._anchors:
            self.stop("yaml-alias", f"the alias {name} has no anchor before it", "Write the value out.", position)
        known = self._anchors[event.anchor]
        if known is None:
            self.stop(
                "yaml-alias", f"the alias {name} stands inside its own anchor", "Write the value out.", position
            )
        node, size = known
        self._expanded += size
        if self._expanded > MAX_EXPANSION:
            summary = f"the aliases of this file expand to more than {MAX_EXPANSION} values"
            self.stop("alias-bomb", summary, "Write the values out, or share an id file.", position)
        self._size += size
        return node
