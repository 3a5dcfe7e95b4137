"""Where an id is written. No position is held for each id: the source is read again when somebody asks."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from reconciler.manifests.checks import Block, quoted
from reconciler.model.desired import Source
from reconciler.model.diagnostic import Diagnostic, Position, Severity

#: Examples of repeated ids that a warning names.
_EXAMPLES = 3
#: Repeated ids are looked for among this many different ones; the search must not cost more than the load.
_SEARCHED = 2_000_000


def locate(source: Source, wanted: Collection[str], *, root: Path) -> dict[str, Position]:
    """The first place in `source` of each of the `wanted` ids that it holds.

    Reads the file again. An id that is not found any more, because the file has changed since, is left out.

    Args:
        source: of a Desired that was loaded with the same `root`.
        wanted: ids.
        root: the folder that paths in positions start from.
    """
    open_ = set(wanted)
    found: dict[str, Position] = {}
    for block in _blocks(source, root):
        if not open_:
            break
        if open_.isdisjoint(block.ids):
            continue
        for number, id_ in enumerate(block.ids):
            if id_ in open_:
                open_.remove(id_)
                found[id_] = Position(source.position.path, *block.place(number))
    return found


def _blocks(source: Source, root: Path) -> Iterator[Block]:
    path = root / source.position.path
    if source.kind == "file":
        from reconciler.manifests.idfiles import id_file_blocks  # noqa: PLC0415  as below

        return id_file_blocks(path, source.column)
    from reconciler.manifests.yaml_events import id_list_blocks  # noqa: PLC0415  the parser is not cheap to import

    return id_list_blocks(path, source.position.line, source.position.column)


def repeated(source: Source, added: int, *, root: Path) -> Diagnostic:
    """The warning that `source`, of `added` ids, holds some of them more than once."""
    count = added - len(source.ids)
    found = _repeats(source, root)
    extra = "1 id is" if count == 1 else f"{count} ids are"
    named = "; ".join(f"{quoted(id_)} in lines {first.line} and {again.line}" for id_, first, again in found)
    more = ", …" if len(found) < count else ""
    summary = f"{extra} repeated in this list" + (f": {named}{more}" if found else "")
    position, related = (found[0][2], (found[0][1],)) if found else (source.position, ())
    detail = "An id counts once. Remove the repetition, or check that another id was not meant."
    return Diagnostic(Severity.WARNING, "duplicate-id", summary, detail, position, related)


def _repeats(source: Source, root: Path) -> list[tuple[str, Position, Position]]:
    """The first few repeated ids with the places of the first and of the second time."""
    seen: set[str] = set()
    again: dict[str, Position] = {}
    for block in _blocks(source, root):
        if len(seen) > _SEARCHED or len(again) == _EXAMPLES:
            break
        before = len(seen)
        if seen.isdisjoint(block.ids):
            seen.update(block.ids)
            if len(seen) == before + len(block.ids):
                continue
            seen.difference_update(block.ids)
        for number, id_ in enumerate(block.ids):
            if id_ in seen and id_ in source.ids and id_ not in again and len(again) < _EXAMPLES:
                again[id_] = Position(source.position.path, *block.place(number))
            seen.add(id_)
    firsts = locate(source, again, root=root)
    return [(id_, firsts[id_], place) for id_, place in again.items() if id_ in firsts]
