"""Exactly which ids a declaration names, put together again from what the log says of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from reconciler.model.idset import IdSet
from reconciler.model.tombstones import REJECTED, BatchRecord, DeclarationRecord, Names, TargetRecord

#: (numbers of declarations, ids) of reads of ids that were never sent.
Groups = Iterable[tuple[tuple[int, ...], IdSet]]


class Accounts:
    """Those of the declarations of one target.

    An id is accounted for under the number of a declaration that held it when it was recorded, or that a request
    or a read of it bears. Requests that the service refused are none. Released ids stay accounted for: a number
    whose ids were released is never declared again.

    Args:
        record: of the target.
        declarations: by number; those of other targets do not matter.
        read: ids of reads that bore the numbers of declarations, besides those of `record.by_declaration`.
        strange: ids that a read found present under a number though they were never sent. An audit finds such
            under prefixes; what the declaration named when it was recorded did not count them.
    """

    def __init__(
        self,
        record: TargetRecord,
        declarations: Mapping[int, DeclarationRecord],
        *,
        read: Groups = (),
        strange: IdSet | None = None,
    ) -> None:
        self._record = record
        self._declarations = declarations
        self._read = read
        self._strange = strange or IdSet()
        self._now = _by_number(record.by_declaration)
        self._ever: dict[int, list[IdSet]] | None = None
        self._numbered: dict[int, BatchRecord] = {}
        self._found: dict[int, tuple[IdSet, bool]] = {}

    def of(self, number: int) -> IdSet:
        """The ids accounted for under the declaration `number`: all that it names, if it `is_complete`.

        Strange ones, too.
        """
        return self._account(number)[0]

    def is_complete(self, number: int) -> bool:
        """True when these are all that the declaration `number` names; but for strange ones no more."""
        return self._account(number)[1]

    def in_force(self, number: int) -> IdSet:
        """The ids, none of them released, whose last request or read bears `number`."""
        return IdSet.union(self._now.get(number, ()))

    def borne(self, numbers: Iterable[int]) -> IdSet:
        """Every id of a request or a read that bore one of `numbers`."""
        return IdSet.union(ids for number in numbers for ids in self._all().get(number, ()))

    def _account(self, number: int) -> tuple[IdSet, bool]:
        if number not in self._found:
            declaration = self._declarations[number]
            found = IdSet.union([self.in_force(number), self._held(declaration)])
            complete = _are(declaration.names, found)  # most often that is all
            if not complete:
                found |= IdSet.union(self._all().get(number, ()))
                complete = _are(declaration.names, found) or (
                    bool(self._strange) and _are(declaration.names, found - self._strange)
                )
            self._found[number] = found, complete
        return self._found[number]

    def _held(self, declaration: DeclarationRecord) -> IdSet:
        held = declaration.held
        if held.batches and not self._numbered:
            self._numbered = {batch.number: batch for batch in self._record.batches}
        numbers = (number for first, last in held.batches for number in range(first, last + 1))
        whole = IdSet.union(self._numbered[number].ids for number in numbers)
        return IdSet.union([whole - held.except_ids, held.ids, *map(self.of, held.declarations)])

    def _all(self) -> Mapping[int, list[IdSet]]:
        """By number: everything that ever bore it."""
        if self._ever is None:
            sent = [batch.declared for batch in self._record.batches if batch.status != REJECTED]
            self._ever = _by_number(group for groups in (*sent, self._read) for group in groups)
        return self._ever


def _are(names: Names | None, ids: IdSet) -> bool:
    return names is not None and names.are(ids)


def _by_number(groups: Groups) -> dict[int, list[IdSet]]:
    found: dict[int, list[IdSet]] = {}
    for numbers, ids in groups:
        for number in numbers:
            found.setdefault(number, []).append(ids)
    return found
