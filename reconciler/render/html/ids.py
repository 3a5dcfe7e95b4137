"""The ids that a page carries: inert JSON at its end, which the script reads when somebody looks for one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from reconciler.model.idset import IdSet
from reconciler.render.escape import item, plain

#: Ids that a page carries at most. Beyond that it grows past what a browser searches at every key.
PAGE_IDS = 100_000

_IDS_A_CHUNK = 4096


@dataclass(frozen=True, slots=True)
class Entry:
    """Ids that stand together on the page.

    Attributes:
        anchor: of the element where they stand.
        where: says in a few words where that is.
        ids: of which the page carries the first `held`.
        count: how many they are, exactly.
        key: another text by which they are found, such as a mutation id; "" for none.
        searched: the filter looks here; False where the same ids are searched elsewhere on the page.
        status: of all of them, but for those in `now`; "" for none.
        now: (status, ids) of those that have another one.
    """

    anchor: str
    where: str
    ids: IdSet
    held: int
    count: int
    key: str = ""
    searched: bool = True
    status: str = ""
    now: tuple[tuple[str, IdSet], ...] = ()


class Carried:
    """Collects what a page carries, as far as there is room.

    Args:
        limit: ids at most; a tenth as many again that are not searched here.
    """

    def __init__(self, limit: int = PAGE_IDS) -> None:
        self.entries: list[Entry] = []
        self._room = {True: limit, False: limit // 10}

    def room(self, *, searched: bool = True) -> int:
        """Ids that can still be taken."""
        return self._room[searched]

    def add(
        self,
        anchor: str,
        where: str,
        ids: IdSet,
        count: int,
        *,
        key: str = "",
        searched: bool = True,
        status: str = "",
        now: tuple[tuple[str, IdSet], ...] = (),
    ) -> None:
        """Take as many of the `count` ids `ids` as there is room for. Without room `ids` may be left empty.

        The other arguments are attributes of Entry.
        """
        held = min(self._room[searched], len(ids))
        self._room[searched] -= held
        kept = ids if held else IdSet()
        self.entries.append(Entry(anchor, where, kept, held, count, key, searched, status, now))

    def chunks(self) -> Iterator[Any]:
        """The JSON, in pieces: ASCII that holds no character which ends a script or begins a tag.

        One object an entry: at (anchor), where, key, total (count), searched, status, now (by place in ids), ids.
        Texts are made visible, as everywhere on the page.
        """
        from markupsafe import Markup  # noqa: PLC0415 - comes with jinja2, which only pages need

        before = "[\n"
        for entry in self.entries:
            head: dict[str, Any] = {
                "at": entry.anchor,
                "where": plain(entry.where),
                "key": plain(entry.key),
                "total": entry.count,
                "searched": entry.searched,
            }
            if entry.status:
                head |= {"status": plain(entry.status), "now": _now(entry)}
            yield Markup(f'{before}{_inert(head)[:-1]},"ids":[')  # noqa: S704 - escaped by _inert
            ids = map(item, islice(entry.ids, entry.held))
            comma = ""
            while chunk := list(islice(ids, _IDS_A_CHUNK)):
                yield Markup(f"{comma}{_inert(chunk)[1:-1]}")  # noqa: S704 - as above
                comma = ","
            yield Markup("]}")
            before = ",\n"
        yield Markup("\n]") if self.entries else "[]"


def _now(entry: Entry) -> dict[int, str]:
    """The statuses of single ids among those that are held, by their place."""
    if not entry.now:
        return {}
    held = enumerate(islice(entry.ids, entry.held))
    return {place: status for place, each in held for status, ids in entry.now if each in ids}


def _inert(value: Any) -> str:
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
