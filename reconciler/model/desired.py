"""What the manifests say: which ids must be absent, which must be kept, and where that is written."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from itertools import islice, takewhile
from pathlib import PurePosixPath
from typing import Any

from reconciler.model.diagnostic import Diagnostic, Position
from reconciler.model.idset import IdSet
from reconciler.model.target import Target

_NOTHING = IdSet()


@dataclass(frozen=True, slots=True)
class FileDigest:
    """A file the declarations were read from. `path` relative, POSIX; `sha256` hex, of its bytes on disk."""

    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Source:
    """One list of ids: an `ids:` list of a manifest, or one id file.

    Attributes:
        position: of the list in the manifest (kind "ids"), or of the id file's first line.
        kind: "ids" or "file".
        ids: the ids, each once.
        sha256: of the file, for kind "file"; "" otherwise (the manifest's digest covers it).
        column: for .csv the column, for .jsonl the field; "" otherwise.
    """

    position: Position
    kind: str
    ids: IdSet
    sha256: str = ""
    column: str = ""

    def document(self) -> dict[str, Any]:
        """What the state records of it: JSON values, without the ids."""
        return {
            "path": self.position.path,
            "kind": self.kind,
            "column": self.column,
            "count": len(self.ids),
            "digest": self.ids.digest(),
        }


@dataclass(frozen=True, slots=True)
class Prefix:
    """Every id that begins with `text`, byte for byte."""

    text: str
    position: Position


@dataclass(frozen=True)
class Declaration:
    """One entry under `absent`.

    Attributes:
        position: of the entry in its manifest; `position.path` is the manifest.
        ordinal: counts the entries of this manifest for this index, from 1.
        account_from: "manifest", "config", "environment" or "state": who named the account.
        until: from that day on no longer enforced; None = for ever.
    """

    position: Position
    ordinal: int
    target: Target
    reason: str
    until: date | None
    sources: tuple[Source, ...]
    prefixes: tuple[Prefix, ...] = ()
    account_from: str = "manifest"

    @property
    def manifest(self) -> str:
        """Path of the manifest, relative, POSIX."""
        return self.position.path

    @cached_property
    def ids(self) -> IdSet:
        """The explicit ids of all sources."""
        return IdSet.union(source.ids for source in self.sources)

    def document(self) -> dict[str, Any]:
        """What people compare: see `declaration_document`."""
        until = None if self.until is None else self.until.isoformat()
        sources = [source.document() for source in self.sources]
        return declaration_document(self.reason, until, sources, [prefix.text for prefix in self.prefixes])


def declaration_document(
    reason: str, until: str | None, sources: Iterable[Mapping[str, Any]], prefixes: Iterable[str]
) -> dict[str, Any]:
    """A declaration as people compare two of them: keyed by where ids come from; lines that moved do not count."""
    by_place = {}
    for source in sources:
        place = "ids" if source["kind"] == "ids" else " ".join(filter(None, (source["path"], source["column"])))
        by_place[place] = {"count": source["count"], "digest": source["digest"]}
    return {"reason": reason, "until": until, "sources": by_place, "prefixes": sorted(prefixes)}


@dataclass(frozen=True)
class Keep:
    """One entry under `keep`: what must never be deleted. `account_id` None protects the name in every account."""

    position: Position
    index: str
    account_id: str | None
    reason: str
    sources: tuple[Source, ...] = ()
    prefixes: tuple[Prefix, ...] = ()

    @cached_property
    def ids(self) -> IdSet:
        """The explicit ids of all sources."""
        return IdSet.union(source.ids for source in self.sources)

    def protects(self, ids: IdSet) -> IdSet:
        """Those of `ids` that this keep names or whose prefix it names."""
        return IdSet.union([ids & self.ids, *(ids.starting_with(p.text) for p in self.prefixes)])

    def holds(self, id_: str) -> bool:
        """True when this keep protects this one id."""
        return id_ in self.ids or any(id_.startswith(prefix.text) for prefix in self.prefixes)

    def covers(self, target: Target) -> bool:
        """True when this keep is about `target`."""
        return self.index == target.index and self.account_id in (None, target.account_id)


@dataclass(frozen=True)
class DesiredTarget:
    """All that is declared of one index.

    Attributes:
        declarations: in force, ordered by position.
        lapsed: those whose `until` has come.
    """

    target: Target
    declarations: tuple[Declaration, ...]
    lapsed: tuple[Declaration, ...] = ()
    keeps: tuple[Keep, ...] = ()

    @cached_property
    def ids(self) -> IdSet:
        """Explicit ids that must be absent (kept ones included: the planner blocks them)."""
        return IdSet.union([source.ids for declaration in self.declarations for source in declaration.sources])

    @property
    def prefixes(self) -> tuple[Prefix, ...]:
        """Prefixes of the declarations in force."""
        return tuple(prefix for declaration in self.declarations for prefix in declaration.prefixes)

    def kept(self, ids: IdSet) -> IdSet:
        """Those of `ids` that a keep protects."""
        if not self.keeps or not ids:
            return _NOTHING
        return IdSet.union([ids & self._kept_ids, self._kept_by_prefix(ids)])

    def keeps_near(self, prefix: str) -> tuple[list[str], IdSet]:
        """What protects ids that begin with `prefix`: prefixes, in order, and ids."""
        known, at = self._kept_prefixes, bisect_left(self._kept_prefixes, prefix)
        shorter = self._kept_prefix_set.intersection(prefix[:end] for end in range(1, len(prefix)))
        longer = takewhile(lambda text: text.startswith(prefix), islice(known, at, None))
        return sorted({*shorter, *longer}), self._kept_ids.starting_with(prefix)

    @cached_property
    def _kept_ids(self) -> IdSet:
        return IdSet.union(keep.ids for keep in self.keeps)

    @cached_property
    def _kept_prefixes(self) -> list[str]:
        return sorted(self._kept_prefix_set)

    @cached_property
    def _kept_prefix_set(self) -> frozenset[str]:
        return frozenset(prefix.text for keep in self.keeps for prefix in keep.prefixes)

    @cached_property
    def _widest(self) -> list[str]:
        """Those of `_kept_prefixes` that begin with none of the others: at most one of them fits an id."""
        found: list[str] = []
        for text in self._kept_prefixes:
            if not found or not text.startswith(found[-1]):
                found.append(text)
        return found

    def _kept_by_prefix(self, ids: IdSet) -> IdSet:
        widest = self._widest
        if len(widest) <= len(ids):
            return IdSet.union(map(ids.starting_with, widest))
        # The one that fits is the last that does not come after the id.
        return IdSet.of(id_ for id_ in ids if (at := bisect_right(widest, id_)) and id_.startswith(widest[at - 1]))


@dataclass(frozen=True)
class Desired:
    """What was loaded.

    Attributes:
        targets: ordered by target; one for each index that a declaration names.
        keeps: every keep, from PATHS and from the configured manifests.
        files: manifests and id files, ordered by path.
        scope: the PATHS asked for, relative POSIX; "." is the root.
        diagnostics: everything noticed on the way, in order of place. Errors mean the rest is not complete.
    """

    targets: tuple[DesiredTarget, ...] = ()
    keeps: tuple[Keep, ...] = ()
    files: tuple[FileDigest, ...] = ()
    scope: tuple[str, ...] = (".",)
    diagnostics: tuple[Diagnostic, ...] = ()

    def in_scope(self, manifest: str) -> bool:
        """True when the manifest path lies within the PATHS asked for."""
        known = self._in_scope.get(manifest)
        if known is None:
            known = any(PurePosixPath(manifest).is_relative_to(path) for path in self.scope)
            self._in_scope[manifest] = known
        return known

    @cached_property
    def _in_scope(self) -> dict[str, bool]:
        """What was asked before, by manifest: every declaration that the state remembers asks."""
        return {}

    def of(self, target: Target) -> DesiredTarget:
        """What is declared of `target`; an empty one when nothing is."""
        found = self._by_target.get(target)
        return found or DesiredTarget(target, (), (), tuple(k for k in self.keeps if k.covers(target)))

    @cached_property
    def _by_target(self) -> dict[Target, DesiredTarget]:
        return {each.target: each for each in self.targets}
