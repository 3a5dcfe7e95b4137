"""The projection of a log, kept in the cache: a plan for millions of ids need not parse the log again.

A snapshot is found by the lineage and used for the very head at which it was made. Whoever uses it has hashed
every frame up to that head: what was folded then is what is there now, byte for byte. A log that is longer,
shorter or another is folded as if there were no snapshot. Writers always fold the log.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from functools import partial
from typing import Any

from reconciler.cache import Cache, Contents, Writer
from reconciler.model.batches import COLUMNS, Batches, Columns
from reconciler.model.chunks import Chunk
from reconciler.model.kept import Kept
from reconciler.model.pages import Pages
from reconciler.model.status import Status
from reconciler.model.target import Target
from reconciler.model.tombstones import (
    DeclarationRecord,
    Held,
    IgnoredLimits,
    Names,
    Projection,
    RunRecord,
    TargetRecord,
)

#: Columns that are numbers, and those that are one byte a row; the others are texts, and shapes.
_NUMBERS = ("number", "intent", "accepted", "offset", "attempts")
_BYTES = ("status", "unknown")

#: The fields of a declaration that are written as they are.
_SAID = tuple(each.name for each in fields(DeclarationRecord) if each.name not in ("names", "held"))

#: Rows that are written and read at once.
_ROWS = 8_192


def keep(cache: Cache, projection: Projection, size: int) -> None:
    """Keep the projection of a log of `size` bytes, if that is worth it."""
    if projection.lineage and size >= cache.least:
        head = {name: getattr(projection, name) for name in ("lineage", "position", "head")}
        cache.keep(_name(projection.lineage), head, partial(_write, projection))


def find(cache: Cache, lineage: str) -> Snapshot | None:
    """What is kept of the log of that lineage."""
    contents = cache.find(_name(lineage))
    return None if contents is None else Snapshot(contents)


def _name(lineage: str) -> str:
    return f"state {lineage}"


class Snapshot:
    """The projection of a log at one head.

    Attributes:
        position: of that head.
        head: its hash.
    """

    def __init__(self, contents: Contents) -> None:
        """`contents`: as `keep` wrote it."""
        self._contents = contents
        self.position = int(contents.key["position"])
        self.head = str(contents.key["head"])

    def projection(self) -> Projection:
        """The projection. Ids and batches are read when they are asked for."""
        said = self._contents.document
        chunk, block = self._contents.chunk, self._contents.block
        pages = Pages(chunk(number) if in_order else block(number) for in_order, number in said["pages"])
        targets = [self._target(each, pages) for each in said["targets"]]
        declarations = [self._declaration(each) for each in said["declarations"]]
        return Projection(
            lineage=str(self._contents.key["lineage"]),
            position=self.position,
            head=self.head,
            origin=said["origin"],
            targets={each.number: each for each in targets},
            declarations={each.number: each for each in declarations},
            runs=tuple(RunRecord(**each) for each in said["runs"]),
            unknown_kinds=tuple(said["unknown_kinds"]),
            moved_to=said["moved_to"],
            next_batch=said["next_batch"],
            requests=tuple((at, count) for at, count in said["requests"]),
            limits_ignored=tuple(
                IgnoredLimits(**{**each, "limits": tuple(each["limits"])}) for each in said["limits_ignored"]
            ),
        )

    def _target(self, said: Mapping[str, Any], pages: Pages) -> TargetRecord:
        set_ = self._contents.set
        number = said["number"]
        return TargetRecord(
            number,
            Target(*said["target"]),
            said["created_on"],
            said["closed"],
            Batches(said["count"], partial(self._columns, number, said["columns"], pages)),
            {Status(status): set_(ids) for status, ids in said["by_status"]},
            tuple((tuple(numbers), set_(ids)) for numbers, ids in said["by_declaration"]),
            tuple((at, set_(ids)) for at, ids in said["releases"]),
        )

    def _columns(self, number: int, blocks: Sequence[int], pages: Pages) -> Columns:
        columns = Columns(number, pages)
        for block in blocks:
            _unpack(columns, json.loads(self._contents.block(block).read()))
        return columns

    def _declaration(self, said: Mapping[str, Any]) -> DeclarationRecord:
        held, names = said["held"], said["names"]
        made = {name: tuple(said[name]) for name in ("sources", "prefixes")}
        return DeclarationRecord(
            **{
                **said,
                **made,
                "names": None if names is None else Names(**names),
                "held": Held(
                    tuple((first, last) for first, last in held["batches"]),
                    self._contents.set(held["except_ids"]),
                    self._contents.set(held["ids"]),
                    tuple(held["declarations"]),
                ),
            }
        )


def _write(projection: Projection, writer: Writer) -> Mapping[str, Any]:
    """Add the ids and the batches to `writer`: what there is to say besides."""
    named = ("origin", "unknown_kinds", "moved_to", "next_batch", "requests")
    pages: Pages | None = None
    targets = []
    for record in projection.targets.values():
        batches = record.batches
        if isinstance(batches, Batches):  # as every fold makes them
            pages = batches.columns.pages
            targets.append(_written(record, batches, writer))
    return {
        **{name: getattr(projection, name) for name in named},
        "targets": targets,
        "pages": [] if pages is None else [_written_page(page, writer) for page in pages.pages()],
        "declarations": [_written_declaration(each, writer) for each in projection.declarations.values()],
        "runs": [asdict(run) for run in projection.runs],
        "limits_ignored": [asdict(each) for each in projection.limits_ignored],
    }


def _written_page(page: Kept, writer: Writer) -> tuple[bool, int]:
    """Is it in order, and its number. What is in order is most often a part of a set, too, and is there once."""
    return (True, writer.chunk(page)) if isinstance(page, Chunk) else (False, writer.block(page.read()))


def _written(record: TargetRecord, batches: Batches, writer: Writer) -> Mapping[str, Any]:
    return {
        "number": record.number,
        "target": (record.target.origin, record.target.account_id, record.target.index),
        "created_on": record.created_on,
        "closed": record.closed,
        "count": len(batches),
        "columns": [writer.block(json.dumps(each).encode()) for each in _packed(batches.columns)],
        "by_status": [(status, writer.set(ids)) for status, ids in record.by_status.items()],
        "by_declaration": [(numbers, writer.set(ids)) for numbers, ids in record.by_declaration],
        "releases": [(at, writer.set(ids)) for at, ids in record.releases],
    }


def _written_declaration(declaration: DeclarationRecord, writer: Writer) -> Mapping[str, Any]:
    held, names = declaration.held, declaration.names
    return {
        **{name: getattr(declaration, name) for name in _SAID},
        "names": None if names is None else asdict(names),
        "held": {
            "batches": held.batches,
            "except_ids": writer.set(held.except_ids),
            "ids": writer.set(held.ids),
            "declarations": held.declarations,
        },
    }


def _packed(columns: Columns) -> Iterator[dict[str, list[Any]]]:
    """The columns, some rows at a time; texts and shapes as places in a list: most are there many times."""
    for start in range(0, len(columns.number), _ROWS):
        places: dict[Any, int] = {}
        found: dict[str, list[Any]] = {}
        for name in COLUMNS:
            column = getattr(columns, name)[start : start + _ROWS]
            plain = name in _NUMBERS or name in _BYTES
            found[name] = list(column) if plain else [places.setdefault(each, len(places)) for each in column]
        yield {**found, "values": list(places)}


def _unpack(columns: Columns, packed: Mapping[str, list[Any]]) -> None:
    """Add packed rows."""
    values = packed["values"]
    shapes = {place: _shape(values[place]) for place in set(packed["shape"])}
    for name in COLUMNS:
        rows = packed[name]
        if name == "shape":
            rows = [shapes[place] for place in rows]
        elif name not in _NUMBERS and name not in _BYTES:
            rows = [values[place] for place in rows]
        getattr(columns, name).extend(rows)


def _shape(said: Iterable[Sequence[Any]]) -> tuple[tuple[tuple[int, ...], int], ...]:
    return tuple((tuple(numbers), size) for numbers, size in said)
