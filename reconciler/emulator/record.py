"""The emulator's record of every request: the witness that tests question. It never holds credentials."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from reconciler.emulator.storage import Storage


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One request as it was received and answered.

    Attributes:
        seq: order of arrival, from 1; unique, kept across restarts of a data file.
        at: clock seconds when it was performed or refused. With `delay_before`, later than its arrival.
        method: HTTP method.
        path: path as it was sent, without the query.
        operation: name of the operation, None if the path names none.
        account: account id of the path.
        index: index name of the path, percent-decoded.
        ids: the vector ids of the request in order, None for an operation without ids.
        arguments: `count`, `cursor` and `unparsable-behavior` of the query, if given.
        status: HTTP status of the answer; None if the connection was cut before one was made.
        code: code of the first error, None on success.
        mutation_id: id under which the mutation was accepted, even where a fault hid it from the client.
        accepted: whether the request was performed: a write has entered the log, a read was answered.
        answered: whether the whole answer was sent, as far as the ordered faults decide.
        faults: kinds of the ordered faults that it met.
    """

    seq: int
    at: float
    method: str
    path: str
    operation: str | None
    account: str | None
    index: str | None
    ids: tuple[str, ...] | None
    arguments: dict[str, str]
    status: int | None
    code: int | None
    mutation_id: str | None
    accepted: bool
    answered: bool
    faults: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The entry as the control route shows it."""
        return asdict(self)


class Record:
    """The entries of one storage. Must be used under the emulator's lock."""

    def __init__(self, storage: Storage) -> None:
        self._db = storage.db
        (last,) = self._db.execute("SELECT max(seq) FROM record").fetchone()
        self._last: int = last or 0

    def arrive(self) -> int:
        """The number of the next request."""
        self._last += 1
        return self._last

    def add(self, entry: Entry) -> None:
        """Keep one entry."""
        self._db.execute(
            "INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                entry.seq,
                entry.at,
                entry.method,
                entry.path,
                entry.operation,
                entry.account,
                entry.index,
                None if entry.ids is None else json.dumps(entry.ids),
                json.dumps(entry.arguments),
                entry.status,
                entry.code,
                entry.mutation_id,
                entry.accepted,
                entry.answered,
                json.dumps(entry.faults),
            ),
        )

    def read(self, *, after: int = 0, operation: str | None = None) -> list[Entry]:
        """The entries that arrived after number `after`, of one operation or of all, in order of arrival."""
        query = "SELECT * FROM record WHERE seq > ?"
        arguments: list[object] = [after]
        if operation is not None:
            query += " AND operation = ?"
            arguments.append(operation)
        return [_entry(row) for row in self._db.execute(f"{query} ORDER BY seq", arguments)]

    def length(self) -> int:
        """How many entries there are."""
        (count,) = self._db.execute("SELECT count(*) FROM record").fetchone()
        return int(count)

    def clear(self) -> None:
        """Forget every entry; numbers go on."""
        self._db.execute("DELETE FROM record")


def _entry(row: Sequence[Any]) -> Entry:
    return Entry(
        seq=row[0],
        at=row[1],
        method=row[2],
        path=row[3],
        operation=row[4],
        account=row[5],
        index=row[6],
        ids=None if row[7] is None else tuple(json.loads(row[7])),
        arguments=json.loads(row[8]),
        status=row[9],
        code=row[10],
        mutation_id=row[11],
        accepted=bool(row[12]),
        answered=bool(row[13]),
        faults=tuple(json.loads(row[14])),
    )
