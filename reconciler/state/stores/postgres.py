"""A log in PostgreSQL: a row a frame, its bytes as they are; compare-and-swap on a head row.

One append is one short transaction, so a transaction pooler may stand before the server. No advisory lock: behind
a pooler it proves nothing. Tables are made by `state init`; whoever appends needs SELECT and INSERT on the frames,
SELECT and UPDATE on the heads, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from reconciler.clock import Clock
from reconciler.errors import StateDamaged, StateError, StoreUnavailable, UsageError
from reconciler.state.identity import printable
from reconciler.state.stores.interface import AppendOutcome, Conflict, Done, Store, Unknown

if TYPE_CHECKING:
    from psycopg import Connection, Error
    from psycopg.rows import TupleRow

#: How often the tables are tried to be made, while others do the same.
_CREATORS = 10

#: Rows fetched at once: frames have 25 KB as a rule.
_ROWS = 200

_ENDS = re.compile(rb'^\{"v":\d+,"pos":\d+,"prev":"([0-9a-f]{64})".*"hash":"([0-9a-f]{64})"\}\n\Z', re.DOTALL)

_CREATE = """
CREATE TABLE IF NOT EXISTS reconciler_frame (
    log text NOT NULL, position bigint NOT NULL CHECK (position > 0), line bytea NOT NULL,
    PRIMARY KEY (log, position)
);
CREATE TABLE IF NOT EXISTS reconciler_head (
    log text PRIMARY KEY, position bigint NOT NULL, hash text NOT NULL
);
CREATE OR REPLACE FUNCTION reconciler_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_TABLE_NAME = 'reconciler_head' AND TG_OP = 'UPDATE'
        AND NEW.log = OLD.log AND NEW.position = OLD.position + 1 THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE OR REPLACE TRIGGER reconciler_append_only BEFORE UPDATE OR DELETE ON reconciler_frame
    FOR EACH ROW EXECUTE FUNCTION reconciler_append_only();
CREATE OR REPLACE TRIGGER reconciler_append_only BEFORE UPDATE OR DELETE ON reconciler_head
    FOR EACH ROW EXECUTE FUNCTION reconciler_append_only();
CREATE OR REPLACE TRIGGER reconciler_keep BEFORE TRUNCATE ON reconciler_frame
    FOR EACH STATEMENT EXECUTE FUNCTION reconciler_append_only();
CREATE OR REPLACE TRIGGER reconciler_keep BEFORE TRUNCATE ON reconciler_head
    FOR EACH STATEMENT EXECUTE FUNCTION reconciler_append_only();
"""

#: Whatever the server or the role has as defaults: an acknowledged commit is on disk, nothing waits for ever.
_BEGIN = (
    "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL synchronous_commit = on; "
    "SET LOCAL lock_timeout = '10s'; SET LOCAL statement_timeout = '25s'"
)
_FIRST = """
WITH head AS (
    INSERT INTO reconciler_head (log, position, hash) VALUES (%(log)s, 1, %(hash)s)
    ON CONFLICT DO NOTHING RETURNING position
)
INSERT INTO reconciler_frame (log, position, line) SELECT %(log)s, 1, %(line)s FROM head
"""
_NEXT = """
WITH head AS (
    UPDATE reconciler_head SET position = %(position)s, hash = %(hash)s
    WHERE log = %(log)s AND position = %(position)s - 1 AND hash = %(prev)s RETURNING position
)
INSERT INTO reconciler_frame (log, position, line) SELECT %(log)s, %(position)s, %(line)s FROM head
"""

_HINTS = {
    "28P01": "the password is wrong: PGPASSWORD, a password file, or the one in RECONCILER_STATE",
    "28000": "the server does not let this user in",
    "3D000": "create the database, or correct its name",
    "42P01": "create it: reconciler state init",
    "42501": "the role needs SELECT and INSERT on reconciler_frame, SELECT and UPDATE on reconciler_head",
    "25006": "this server is a standby, or read-only: connect to the primary",
    "53100": "the disk of the server is full",
}

_SAID = {
    'role "': "create the role, or correct the user in the URL",
    "password authentication failed": _HINTS["28P01"],
    "no password supplied": _HINTS["28P01"],
    "does not exist": _HINTS["3D000"],
    "does not support SSL": "it has no TLS; on a network that you trust, add ?sslmode=disable to the URL",
}

#: SQLSTATE classes after which the same append may succeed: connections, rollbacks by the server, resources,
#: locks, an operator's intervention.
_PASSING = ("08", "40", "53300", "53400", "55", "57")


class PostgresStore(Store):
    """A log in a database.

    Args:
        dsn: of libpq, with whatever credentials it carries. Never shown.
        url: printable, without a password.
        address: as `moved` events name it: without a user.
        log: name of the log: a database may hold several.
        options: further connection parameters.
    """

    def __init__(self, dsn: str, *, url: str, address: str, log: str, options: Mapping[str, str | int]) -> None:
        self.url = url
        self._address = address
        self._dsn = dsn
        self._log = log
        self._options = options
        self._connection: Connection[TupleRow] | None = None
        self._known = 0

    def address(self, source: Store | None = None) -> str:  # noqa: ARG002 - a store's signature
        return self._address

    # Reading

    def read(self, after: int) -> Iterator[bytes]:
        position, head = after, self._known
        while True:
            head, rows = self._rows(position)
            for found, line in rows:
                if found != position + 1:
                    raise self._hole(position + 1)
                position = found
                self._known = max(self._known, position)
                yield line
            if position >= head:
                break
        if head < self._known:
            raise StateDamaged(
                f"the state went backwards: {self.url} ends at {head}, frame {self._known} was there before",
                hint="was the database restored, or did a standby without the last commits take over?",
            )

    def _rows(self, after: int) -> tuple[int, list[tuple[int, bytes]]]:
        """The position of the head, 0 where there is no log, and some of the rows that follow `after`."""
        from psycopg import Error, errors  # noqa: PLC0415 - only who has such a state loads it

        query = (
            "SELECT head.position, frame.position, frame.line FROM reconciler_head AS head "
            "LEFT JOIN reconciler_frame AS frame "
            "ON frame.log = head.log AND frame.position > %s AND frame.position <= head.position "
            "WHERE head.log = %s ORDER BY frame.position LIMIT %s"
        )
        try:
            with self._connected() as connection:
                rows = connection.execute(query, (after, self._log, _ROWS)).fetchall()
        except errors.UndefinedTable:
            return 0, []
        except Error as error:
            raise self._failed("read", error) from error
        found = [(int(row[1]), bytes(row[2])) for row in rows if row[1] is not None]
        if rows and not found and after < int(rows[0][0]):
            raise self._hole(after + 1)
        return (int(rows[0][0]) if rows else 0), found

    def _hole(self, position: int) -> StateDamaged:
        return StateDamaged(f"frame {position} is missing from {self.url}, although its head lies beyond")

    def exists(self) -> bool:
        return self._rows(0)[0] > 0

    # Writing

    def append(self, line: bytes, position: int) -> AppendOutcome:
        from psycopg import Error, errors  # noqa: PLC0415 - as above

        ends = _ENDS.match(line)
        if ends is None:
            return Unknown(StateError(f"not a frame: {line[:40]!r}"), retry=False)
        said = {
            "log": self._log, "position": position, "line": line,
            "prev": ends[1].decode(), "hash": ends[2].decode(),
        }  # fmt: skip
        try:
            with self._transaction() as connection:
                made = connection.execute(_FIRST if position == 1 else _NEXT, said).rowcount
        except errors.UniqueViolation:
            return Conflict()
        except Error as error:
            return Unknown(self._failed("written", error), retry=_passing(error))
        except StateError as error:
            return Unknown(error)
        if made != 1:
            return Conflict()
        self._known = max(self._known, position)
        return Done()

    def receive(self, lines: Iterator[bytes], last: bytes, clock: Clock) -> None:  # noqa: ARG002 - nothing waits here
        """All rows and the head in one transaction."""
        from psycopg import Error, errors  # noqa: PLC0415 - as above

        ends = _ENDS.match(last)
        if ends is None:
            raise StateError(f"not a frame: {last[:40]!r}")
        count = 0
        copy_in = "COPY reconciler_frame (log, position, line) FROM STDIN"
        try:
            with self._transaction() as connection:
                connection.execute("SET LOCAL statement_timeout = 0")
                with connection.cursor() as cursor, cursor.copy(copy_in) as copy:
                    for count, line in enumerate(lines, 1):
                        copy.write_row((self._log, count, line))
                head = "INSERT INTO reconciler_head (log, position, hash) VALUES (%s, %s, %s)"
                connection.execute(head, (self._log, count, ends[2].decode()))
        except errors.UniqueViolation:
            raise StateError(
                f"another log is at {self.url}", hint="nothing there was changed; choose another ?log="
            ) from None
        except Error as error:
            raise self._failed("written", error) from error

    def probe(self) -> None:
        """Make the tables if they are missing, and try a compare-and-swap that is taken back."""
        from psycopg import Error  # noqa: PLC0415 - as above

        for attempt in range(1, _CREATORS + 1):
            try:
                with self._transaction() as connection:
                    if not self._has_tables(connection):
                        connection.execute(_CREATE)
                seen = self._compared()
                break
            except (
                Error
            ) as error:  # somebody else may be making them at the same moment: then they are there next time
                if attempt == _CREATORS or error.sqlstate is None:
                    raise self._failed("created", error) from error
        if seen != [1, 0, 0, 1]:
            raise StateError(f"{self.url} does not compare before it writes: saw {seen} instead of [1, 0, 0, 1]")

    def _compared(self) -> list[int]:
        """Rows that a first, a second first, a wrong and a right next frame made; nothing of it stays."""
        said = {"log": f"{self._log} (probe)", "line": b"\n", "prev": "0" * 64, "hash": "1" * 64}
        with self._connected() as connection:
            connection.execute(_BEGIN)
            seen = [
                connection.execute(_FIRST, said).rowcount,
                connection.execute(_FIRST, said).rowcount,
                connection.execute(_NEXT, {**said, "position": 2, "prev": "9" * 64}).rowcount,
                connection.execute(_NEXT, {**said, "position": 2, "prev": "1" * 64}).rowcount,
            ]
            connection.execute("ROLLBACK")
        return seen

    def _has_tables(self, connection: Connection[TupleRow]) -> bool:
        query = "SELECT to_regclass('reconciler_frame') IS NOT NULL AND to_regclass('reconciler_head') IS NOT NULL"
        row = connection.execute(query).fetchone()
        return bool(row and row[0])

    # Connections

    @contextmanager
    def _transaction(self) -> Iterator[Connection[TupleRow]]:
        with self._connected() as connection:
            connection.execute(_BEGIN)
            yield connection
            connection.execute("COMMIT")

    @contextmanager
    def _connected(self) -> Iterator[Connection[TupleRow]]:
        """A connection that works, as far as that is known. After an error it is closed, which rolls back."""
        if self._connection is None or self._connection.closed:
            self._connection = self._connect()
        try:
            yield self._connection
        except BaseException:
            self.close()
            raise

    def _connect(self) -> Connection[TupleRow]:
        import psycopg  # noqa: PLC0415 - as above

        # Statements are not prepared on the server: behind a pooler the next may meet another server process.
        return psycopg.connect(self._dsn, autocommit=True, prepare_threshold=None, **self._options)  # type: ignore[arg-type]

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):
                connection.close()

    def _failed(self, what: str, error: Error) -> StoreUnavailable:
        text = printable(" ".join(str(error).split()), 300) or type(error).__name__
        hint = _HINTS.get(error.sqlstate or "", "")
        if not hint:  # what ends a connection before it is one comes without a code
            hint = next((advice for words, advice in _SAID.items() if words in text), "")
        return StoreUnavailable(f"the state {self.url} could not be {what}: {text}", hint=hint)


def _passing(error: Error) -> bool:
    """May the same append succeed later? Without a code of the server nobody knows."""
    return error.sqlstate is None or error.sqlstate.startswith(_PASSING)


def require_psycopg(url: str) -> None:
    """Raise UsageError where the driver is not installed."""
    try:
        import psycopg  # noqa: F401, PLC0415 - an extra
    except ImportError:
        raise UsageError(
            f"{url} needs a package that is not installed", hint="pip install 'psycopg[binary]>=3.2'"
        ) from None
