"""The SQLite database under the emulator: schema, transactions, indexes, vectors and list snapshots.

Nothing here knows HTTP, time or faults. Every method must be called under the emulator's lock.

Versions. An index counts a version up at each applied mutation. A row of `vectors` is visible at version v
when `inserted <= v < deleted`; live rows carry `deleted = LIVE`. A list snapshot is therefore just a number,
and a page of it is one range scan over the key. Rows that no snapshot can see any more are removed for good.

Durability. In a file the journal is a write-ahead log with `synchronous=NORMAL`: what was committed survives
the death of the process (kill -9), not necessarily that of the machine. The file is locked exclusively: two
emulators on one file would hand out the same versions.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

LIVE = 2**62
"""`deleted` of a row that is not deleted."""

FORMAT = 1
"""`user_version` of the database; a file of another format is refused."""

_SCHEMA = """
CREATE TABLE indexes (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL, name TEXT NOT NULL, description TEXT NOT NULL,
    dimensions INTEGER NOT NULL, metric TEXT NOT NULL, preset TEXT,
    created_us INTEGER NOT NULL, deleted_us INTEGER,
    version INTEGER NOT NULL DEFAULT 0,
    count INTEGER NOT NULL DEFAULT 0, shown_count INTEGER NOT NULL DEFAULT 0, shown_due REAL,
    pointer TEXT, pointer_at REAL, job INTEGER NOT NULL DEFAULT 0, job_at REAL
);
CREATE UNIQUE INDEX indexes_live ON indexes (account, name) WHERE deleted_us IS NULL;
CREATE INDEX indexes_name ON indexes (account, name);

CREATE TABLE vectors (
    number INTEGER NOT NULL, id TEXT NOT NULL, deleted INTEGER NOT NULL, inserted INTEGER NOT NULL,
    namespace TEXT, metadata TEXT, vals BLOB,
    PRIMARY KEY (number, id, deleted)
) WITHOUT ROWID;
CREATE INDEX vectors_dead ON vectors (number, deleted) WHERE deleted < 4611686018427387904;

CREATE TABLE metadata_indexes (
    number INTEGER NOT NULL, property TEXT NOT NULL, type TEXT NOT NULL, version INTEGER NOT NULL,
    PRIMARY KEY (number, property)
) WITHOUT ROWID;

CREATE TABLE snapshots (
    token TEXT PRIMARY KEY, number INTEGER NOT NULL, version INTEGER NOT NULL,
    total INTEGER NOT NULL, expires_at REAL NOT NULL
) WITHOUT ROWID;

CREATE TABLE mutations (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, number INTEGER NOT NULL, mutation_id TEXT NOT NULL,
    operation TEXT NOT NULL, size INTEGER NOT NULL, argument TEXT,
    accepted_at REAL NOT NULL, due_at REAL NOT NULL, processed_at REAL, job INTEGER
);
CREATE INDEX mutations_pending ON mutations (number, seq) WHERE processed_at IS NULL;

CREATE TABLE pending (
    seq INTEGER NOT NULL, id TEXT NOT NULL, namespace TEXT, metadata TEXT, vals BLOB,
    PRIMARY KEY (seq, id)
) WITHOUT ROWID;

CREATE TABLE record (
    seq INTEGER PRIMARY KEY, at REAL NOT NULL, method TEXT NOT NULL, path TEXT NOT NULL, operation TEXT,
    account TEXT, index_name TEXT, ids TEXT, arguments TEXT NOT NULL, status INTEGER, code INTEGER,
    mutation_id TEXT, accepted INTEGER NOT NULL, answered INTEGER NOT NULL, faults TEXT NOT NULL
);
"""


class DataFileError(OSError):
    """The data file cannot be used: no database, of another format, in use by another emulator, not writable."""


@dataclass(frozen=True, slots=True)
class IndexRow:
    """One index. `created_us` is microseconds since 1970; `number` tells a re-created index from the old one."""

    number: int
    account: str
    name: str
    description: str
    dimensions: int
    metric: str
    preset: str | None
    created_us: int
    version: int
    count: int
    shown_count: int
    shown_due: float | None
    pointer: str | None
    pointer_at: float | None
    job: int
    job_at: float | None


_SELECT_VECTOR = "SELECT id, inserted, namespace, metadata, vals FROM vectors"
_INDEX_COLUMNS = ", ".join(IndexRow.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class VectorRow:
    """One stored vector. `metadata` is JSON text; `values` are float32, None for a seeded vector."""

    id: str
    inserted: int
    namespace: str | None
    metadata: str | None
    values: bytes | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A list in progress: what its pages read, how much there is, and when it ends (clock seconds)."""

    token: str
    number: int
    version: int
    total: int
    expires_at: float


class Storage:
    """One database. `path` None keeps everything in memory.

    Raises:
        DataFileError: the file cannot be used.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self._depth = 0
        try:
            self.db = sqlite3.connect(
                ":memory:" if path is None else str(path), isolation_level=None, check_same_thread=False, timeout=0
            )
        except sqlite3.Error as error:
            raise DataFileError(f"{path}: cannot be opened as the emulator's data: {error}") from error
        try:
            self._prepare()
        except (sqlite3.Error, DataFileError) as error:
            self.db.close()
            raise DataFileError(f"{path}: cannot be used as the emulator's data: {error}") from error

    def _prepare(self) -> None:
        self.db.execute("PRAGMA locking_mode=EXCLUSIVE")
        # Look before touching: somebody else's database is left as it is.
        (found,) = self.db.execute("PRAGMA user_version").fetchone()
        (tables,) = self.db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if found != FORMAT and (found or tables):
            raise DataFileError(f"format {found} is not the emulator's format {FORMAT}")
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA synchronous=NORMAL")
        self.db.execute("PRAGMA temp_store=MEMORY")
        with self.transaction():
            if found == FORMAT:
                return  # the transaction was to take the file's lock
            for statement in _SCHEMA.split(";"):
                self.db.execute(statement)
            self.db.execute(f"PRAGMA user_version={FORMAT}")

    def close(self) -> None:
        """Close the database; what was committed stays in a file."""
        self.db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing. Inner transactions belong to the outermost one."""
        if self._depth:
            yield
            return
        self.db.execute("BEGIN IMMEDIATE")
        self._depth += 1
        try:
            yield
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        else:
            self.db.execute("COMMIT")
        finally:
            self._depth -= 1

    # Indexes

    def find(self, account: str, name: str) -> IndexRow | None:
        """The live index of this name."""
        row = self.db.execute(
            f"SELECT {_INDEX_COLUMNS} FROM indexes WHERE account = ? AND name = ? AND deleted_us IS NULL",  # noqa: S608
            (account, name),
        ).fetchone()
        return None if row is None else IndexRow(*row)

    def by_number(self, number: int) -> IndexRow:
        """The index of this number, which must exist."""
        query = f"SELECT {_INDEX_COLUMNS} FROM indexes WHERE number = ?"  # noqa: S608
        return IndexRow(*self.db.execute(query, (number,)).fetchone())

    def was_deleted(self, account: str, name: str) -> bool:
        """Whether an index of this name existed once."""
        query = "SELECT 1 FROM indexes WHERE account = ? AND name = ? AND deleted_us IS NOT NULL LIMIT 1"
        return self.db.execute(query, (account, name)).fetchone() is not None

    def indexes(self, account: str | None = None) -> list[IndexRow]:
        """The live indexes, of one account or of all, oldest first."""
        query = f"SELECT {_INDEX_COLUMNS} FROM indexes WHERE deleted_us IS NULL"  # noqa: S608
        if account is None:
            rows = self.db.execute(f"{query} ORDER BY number")
        else:
            rows = self.db.execute(f"{query} AND account = ? ORDER BY number", (account,))
        return [IndexRow(*row) for row in rows]

    def create(
        self,
        account: str,
        name: str,
        *,
        description: str,
        dimensions: int,
        metric: str,
        preset: str | None,
        created_us: int,
    ) -> IndexRow:
        """A new index. Its `created_us` is later than that of any earlier index of the same name."""
        (last,) = self.db.execute(
            "SELECT max(created_us) FROM indexes WHERE account = ? AND name = ?", (account, name)
        ).fetchone()
        created_us = created_us if last is None else max(created_us, last + 1)
        cursor = self.db.execute(
            "INSERT INTO indexes (account, name, description, dimensions, metric, preset, created_us)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (account, name, description, dimensions, metric, preset, created_us),
        )
        return self.by_number(int(cursor.lastrowid or 0))

    def drop(self, index: IndexRow, deleted_us: int) -> None:
        """Delete an index with its vectors, its snapshots and what its log still held."""
        number = (index.number,)
        self.db.execute("UPDATE indexes SET deleted_us = ? WHERE number = ?", (deleted_us, index.number))
        self.db.execute(
            "DELETE FROM pending WHERE seq IN"
            " (SELECT seq FROM mutations WHERE number = ? AND processed_at IS NULL)",
            number,
        )
        self.db.execute("DELETE FROM mutations WHERE number = ? AND processed_at IS NULL", number)
        for table in ("vectors", "metadata_indexes", "snapshots"):
            self.db.execute(f"DELETE FROM {table} WHERE number = ?", number)  # noqa: S608

    def update(self, number: int, **columns: object) -> None:
        """Set columns of one index."""
        assignments = ", ".join(f"{name} = ?" for name in columns)
        query = f"UPDATE indexes SET {assignments} WHERE number = ?"  # noqa: S608
        self.db.execute(query, (*columns.values(), number))

    # Vectors

    def get(self, number: int, ids: Iterable[str]) -> list[VectorRow]:
        """The live vectors of these ids, in the order asked; absent ids are missing."""
        query = f"{_SELECT_VECTOR} WHERE number = ? AND id = ? AND deleted = ?"
        found = (self.db.execute(query, (number, each, LIVE)).fetchone() for each in ids)
        return [VectorRow(*row) for row in found if row is not None]

    def scan(self, number: int, namespace: str | None) -> Iterator[VectorRow]:
        """Every live vector, of one namespace or of all."""
        query = f"{_SELECT_VECTOR} WHERE number = ? AND deleted = ?"
        if namespace is None:
            rows = self.db.execute(query, (number, LIVE))
        else:
            rows = self.db.execute(f"{query} AND namespace = ?", (number, LIVE, namespace))
        return (VectorRow(*row) for row in rows)

    def page(self, number: int, version: int, after: str | None, count: int) -> list[str]:
        """Up to `count` ids visible at `version`, in order, after the id `after`."""
        # "" sorts before every id, since an id has at least one byte.
        rows = self.db.execute(
            "SELECT id FROM vectors WHERE number = ? AND id > ? AND inserted <= ? AND deleted > ?"
            " ORDER BY id LIMIT ?",
            (number, after or "", version, version, count),
        )
        return [row[0] for row in rows]

    def seed(self, number: int, version: int, ids: Iterable[str], *, fresh: bool) -> int:
        """Insert vectors without values, replacing what is there; `fresh` promises an index without any vector.

        Returns:
            How many live vectors the index gained.
        """
        gained = 0
        remaining = iter(ids)
        # A repeated id within one seed is one vector: the key conflicts and the row stays as it is.
        insert = (
            f"INSERT INTO vectors (number, id, deleted, inserted) VALUES ({number}, ?, {LIVE}, {version})"  # noqa: S608
            " ON CONFLICT DO NOTHING"
        )
        while chunk := [(each,) for each in islice(remaining, 50_000)]:
            if not fresh:
                gained -= self.bury(number, version, chunk)
            gained += self.db.executemany(insert, chunk).rowcount
        return gained

    def bury(self, number: int, version: int, ids: list[tuple[str]]) -> int:
        """Delete live vectors inserted before `version`; how many there were.

        They stay visible to open snapshots.
        """
        verb = self.removal(number, version)
        query = f"{verb} WHERE number = {number} AND id = ? AND deleted = {LIVE} AND inserted < {version}"
        return self.db.executemany(query, ids).rowcount

    def removal(self, number: int, version: int) -> str:
        """The start of the statement that ends vectors at `version`: kept for snapshots, or removed for good."""
        query = "SELECT 1 FROM snapshots WHERE number = ? LIMIT 1"
        if self.db.execute(query, (number,)).fetchone() is None:
            return "DELETE FROM vectors"
        return f"UPDATE vectors SET deleted = {version}"  # noqa: S608

    # Snapshots

    def add_snapshot(self, snapshot: Snapshot) -> None:
        """Keep what this snapshot sees until it expires."""
        self.db.execute(
            "INSERT INTO snapshots VALUES (?, ?, ?, ?, ?)",
            (snapshot.token, snapshot.number, snapshot.version, snapshot.total, snapshot.expires_at),
        )

    def snapshot(self, token: str) -> Snapshot | None:
        """The snapshot of this token, unless it was purged."""
        query = "SELECT token, number, version, total, expires_at FROM snapshots WHERE token = ?"
        row = self.db.execute(query, (token,)).fetchone()
        return None if row is None else Snapshot(*row)

    def purge(self, now: float) -> None:
        """Drop expired snapshots, and the vectors that only they could see."""
        expired = self.db.execute(
            "DELETE FROM snapshots WHERE expires_at <= ? RETURNING number", (now,)
        ).fetchall()
        for number in {row[0] for row in expired}:
            (oldest,) = self.db.execute(
                "SELECT min(version) FROM snapshots WHERE number = ?", (number,)
            ).fetchone()
            limit = LIVE - 1 if oldest is None else oldest
            self.db.execute("DELETE FROM vectors WHERE number = ? AND deleted <= ?", (number, limit))

    # Metadata indexes

    def metadata_indexes(self, number: int) -> dict[str, tuple[str, int]]:
        """Property -> (type, the version it was created at); only vectors inserted later are indexed."""
        rows = self.db.execute(
            "SELECT property, type, version FROM metadata_indexes WHERE number = ? ORDER BY property", (number,)
        )
        return {name: (kind, version) for name, kind, version in rows}
