"""Ids that are declared absent and kept at once: which, and where each of the two is written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from reconciler.manifests.checks import LISTED, quoted
from reconciler.manifests.positions import locate
from reconciler.model.desired import DesiredTarget, Keep, Source
from reconciler.model.diagnostic import Diagnostic, Position, Severity
from reconciler.model.idset import IdSet

_DETAIL = "Decide which of the two holds: take the id out of the declaration, or end the keep."


def conflicts(target: DesiredTarget, *, root: Path, severity: Severity) -> Iterator[Diagnostic]:
    """One diagnostic for each explicit id of `target` and each keep that protects it.

    Beyond LISTED of one keep the rest is counted.
    """
    for keep in target.keeps:
        hit = keep.protects(target.ids)
        if not hit:
            continue
        listed = hit.first(LISTED)
        sources = [source for declaration in target.declarations for source in declaration.sources]
        places = _places(sources, listed, root)
        protected = _places(keep.sources, [id_ for id_ in listed if id_ in keep.ids], root)
        by = f' by the keep "{keep.reason[:80]}"' if keep.reason else ""
        for id_ in listed:
            summary = f"{quoted(id_)} of index {quoted(target.target.index)} is declared absent and kept{by}"
            related = protected.get(id_) or _prefix(keep, id_) or keep.position
            yield Diagnostic(severity, "kept", summary, _DETAIL, places.get(id_), (related,))
        if len(hit) > LISTED:
            last = places.get(listed[-1])
            summary = f"…and {len(hit) - LISTED} more ids of index {quoted(target.target.index)} that are kept{by}"
            yield Diagnostic(severity, "kept", summary, _DETAIL, last, (keep.position,))


def _places(sources: Iterable[Source], ids: list[str], root: Path) -> dict[str, Position]:
    """The first place of each id: exact, or that of its list if the file has changed in the meantime."""
    places: dict[str, Position] = {}
    for source in sources:
        wanted = IdSet.of(id_ for id_ in ids if id_ not in places and id_ in source.ids)
        if wanted:
            exact = locate(source, list(wanted), root=root)
            places |= {id_: exact.get(id_, source.position) for id_ in wanted}
    return places


def _prefix(keep: Keep, id_: str) -> Position | None:
    return next((prefix.position for prefix in keep.prefixes if id_.startswith(prefix.text)), None)
