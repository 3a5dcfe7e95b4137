"""The write-ahead log: mutations are accepted at once and applied later, in order, by jobs.

Lazy time. There is no background thread: whoever asks first calls `advance(now)`, which runs every job that would
have run until then, each at its own moment. So the outcome depends on the clock alone, not on who asked when.

The rules of a job, for each index on its own:

- it starts when the oldest waiting mutation is due (accepted_at + lag), but not before `job_seconds` after the
  previous job and not while the log is held;
- it takes the due mutations from the front of the log, at most 1,000 requests and at most 200,000 vectors together
  (one larger mutation goes alone), applies them in order, and moves the pointer to the last of them.
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reconciler.emulator.settings import Settings
from reconciler.emulator.storage import LIVE, IndexRow, Storage

PendingVector = tuple[str, str | None, str | None, bytes | None]
"""id, namespace, metadata as JSON text, values as float32 bytes."""

DELETE = "delete_by_ids"
INSERT = "insert"
UPSERT = "upsert"
METADATA_CREATE = "metadata_index_create"
METADATA_DELETE = "metadata_index_delete"
FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class Mutation:
    """One accepted mutation. Times are clock seconds; `processed_at` and `job` are None while it waits."""

    seq: int
    mutation_id: str
    operation: str
    size: int
    accepted_at: float
    due_at: float
    processed_at: float | None
    job: int | None


_COLUMNS = ", ".join(Mutation.__dataclass_fields__)

# Named, because SQLite's planner otherwise walks every mutation that the table ever held.
_WAITING = "mutations INDEXED BY mutations_pending WHERE number = ? AND processed_at IS NULL"


class Log:
    """The logs of all indexes of one storage. Must be used under the emulator's lock."""

    def __init__(self, storage: Storage, settings: Settings) -> None:
        self._storage = storage
        self._db = storage.db
        self._settings = settings
        self.lag = settings.lag
        self._held_all = False
        self._held: set[int] = set()
        self._released_at = float("-inf")

    def accept(
        self,
        index: IndexRow,
        operation: str,
        now: float,
        *,
        vectors: Sequence[PendingVector] = (),
        argument: str | None = None,
        lag: float | None = None,
    ) -> str:
        """Enter a mutation into the log of an index; its id is a new UUIDv4.

        Args:
            index: the index.
            operation: one of the constants of this module.
            now: clock seconds.
            vectors: what is written; for a delete only the ids count.
            argument: the property and type of a metadata index.
            lag: seconds until it is due; None: the log's.
        """
        mutation_id = str(uuid.uuid4())
        due = now + (self.lag if lag is None else lag)
        cursor = self._db.execute(
            "INSERT INTO mutations (number, mutation_id, operation, size, argument, accepted_at, due_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (index.number, mutation_id, operation, len(vectors), argument, now, due),
        )
        seq = cursor.lastrowid
        self._db.executemany(
            "INSERT INTO pending (seq, id, namespace, metadata, vals) VALUES (?, ?, ?, ?, ?)",
            ((seq, *vector) for vector in vectors),
        )
        return mutation_id

    def advance(self, now: float) -> None:
        """Run every job that is due at `now`."""
        if self._held_all:
            return
        waiting = self._db.execute(
            "SELECT DISTINCT number FROM mutations INDEXED BY mutations_pending"
            " WHERE processed_at IS NULL AND due_at <= ?",
            (now,),
        ).fetchall()
        for (number,) in waiting:
            if number not in self._held:
                with self._storage.transaction():
                    self._drain(number, now)

    def _drain(self, number: int, now: float) -> None:
        while True:
            index = self._storage.by_number(number)
            first = self._db.execute(
                f"SELECT due_at FROM {_WAITING} ORDER BY seq LIMIT 1",  # noqa: S608
                (number,),
            ).fetchone()
            if first is None:
                return
            at = max(first[0], self._released_at)
            if index.job_at is not None:
                at = max(at, index.job_at + self._settings.job_seconds)
            if at > now:
                return
            self._run_job(index, self._front(number, due=at), at)

    def process(self, index: IndexRow, now: float, *, count: int | None = None) -> int:
        """Apply what waits in the log of an index at once, whatever is due or held; in jobs of the usual limits.

        Args:
            index: the index.
            now: clock seconds.
            count: only the first so many mutations; None: all.

        Returns:
            How many mutations were applied.
        """
        done = 0
        with self._storage.transaction():
            while batch := self._front(index.number, count=None if count is None else count - done):
                self._run_job(self._storage.by_number(index.number), batch, now)
                done += len(batch)
        return done

    def pass_by(self, index: IndexRow, now: float) -> str:
        """Move the pointer to a foreign mutation that was accepted before all that wait; its id."""
        mutation_id = str(uuid.uuid4())
        self._db.execute(
            "INSERT INTO mutations (number, mutation_id, operation, size, accepted_at, due_at, processed_at, job)"
            " VALUES (?, ?, ?, 0, ?, ?, ?, ?)",
            (index.number, mutation_id, FOREIGN, now, now, now, index.job + 1),
        )
        self._storage.update(index.number, job=index.job + 1, pointer=mutation_id, pointer_at=now)
        return mutation_id

    def _front(self, number: int, *, due: float | None = None, count: int | None = None) -> list[Mutation]:
        """What the next job takes: the front of the log, in order, within the limits of a job."""
        limits = self._settings.limits
        most = limits.job_requests if count is None else min(limits.job_requests, count)
        rows = self._db.execute(
            f"SELECT {_COLUMNS} FROM {_WAITING} ORDER BY seq LIMIT ?",  # noqa: S608
            (number, most),
        )
        batch: list[Mutation] = []
        size = 0
        for row in rows:
            mutation = Mutation(*row)
            size += mutation.size
            if (due is not None and mutation.due_at > due) or (batch and size > limits.job_vectors):
                break
            batch.append(mutation)
        return batch

    def _run_job(self, index: IndexRow, batch: Sequence[Mutation], at: float) -> None:
        count, version, job = index.count, index.version, index.job + 1
        for mutation in batch:
            version += 1
            count += self._apply(index.number, version, mutation)
        self._db.executemany(
            "UPDATE mutations SET processed_at = ?, job = ?, argument = NULL WHERE seq = ?",
            [(at, job, mutation.seq) for mutation in batch],
        )
        self._storage.update(
            index.number,
            version=version,
            job=job,
            job_at=at,
            pointer=batch[-1].mutation_id,
            pointer_at=at,
        )
        self.set_count(index, count, at)

    def set_count(self, index: IndexRow, count: int, at: float) -> None:
        """Store the number of live vectors; what `info` shows follows after `count_lag`."""
        lag = self._settings.count_lag
        if lag <= 0:
            self._storage.update(index.number, count=count, shown_count=count, shown_due=None)
        elif index.shown_due is None:
            self._storage.update(index.number, count=count, shown_due=at + lag)
        else:
            self._storage.update(index.number, count=count)

    def _apply(self, number: int, version: int, mutation: Mutation) -> int:
        """Do what one mutation says; by how much the number of live vectors changed."""
        names = {"number": number, "version": version, "live": LIVE, "seq": mutation.seq}
        gained = 0
        if mutation.operation in (DELETE, UPSERT):
            removal = self._storage.removal(number, version)
            those = "number = :number AND deleted = :live AND id IN (SELECT id FROM pending WHERE seq = :seq)"
            gained -= self._db.execute(f"{removal} WHERE {those}", names).rowcount
        if mutation.operation in (INSERT, UPSERT):
            # For an insert the key conflicts with the ids that are live, which therefore stay as they are.
            gained += self._db.execute(
                "INSERT INTO vectors (number, id, deleted, inserted, namespace, metadata, vals)"
                " SELECT :number, id, :live, :version, namespace, metadata, vals FROM pending WHERE seq = :seq"
                " ON CONFLICT DO NOTHING",
                names,
            ).rowcount
        if mutation.operation in (METADATA_CREATE, METADATA_DELETE):
            self._apply_metadata(number, version, mutation)
        self._db.execute("DELETE FROM pending WHERE seq = :seq", names)
        return gained

    def _apply_metadata(self, number: int, version: int, mutation: Mutation) -> None:
        query = "SELECT argument FROM mutations WHERE seq = ?"
        (argument,) = self._db.execute(query, (mutation.seq,)).fetchone()
        if mutation.operation == METADATA_DELETE:
            self._db.execute("DELETE FROM metadata_indexes WHERE number = ? AND property = ?", (number, argument))
            return
        kind, _, name = argument.partition(" ")
        # Creating one twice succeeds (measured); which vectors it covers does not change by it (chosen).
        self._db.execute(
            "INSERT INTO metadata_indexes VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (number, name, kind, version),
        )

    def pending_metadata(self, number: int) -> list[tuple[str, str]]:
        """The metadata mutations that wait, in order: (operation, argument)."""
        return self._db.execute(
            f"SELECT operation, argument FROM {_WAITING} AND operation IN (?, ?) ORDER BY seq",  # noqa: S608
            (number, METADATA_CREATE, METADATA_DELETE),
        ).fetchall()

    def hold(self, numbers: Iterable[int] | None) -> None:
        """Run no jobs on these indexes (None: on any) until they are released."""
        if numbers is None:
            self._held_all = True
        else:
            self._held.update(numbers)

    def release(self, numbers: Iterable[int] | None, now: float) -> None:
        """Run jobs again; what waited is applied from `now` on. None releases everything."""
        self._released_at = now
        if numbers is None:
            self._held_all = False
            self._held.clear()
        else:
            self._held.difference_update(numbers)

    @property
    def held(self) -> bool:
        """Whether any log is held."""
        return self._held_all or bool(self._held)

    def mutations(self, number: int) -> list[Mutation]:
        """Every mutation of an index, in the order of acceptance."""
        query = f"SELECT {_COLUMNS} FROM mutations WHERE number = ? ORDER BY seq"  # noqa: S608
        return [Mutation(*row) for row in self._db.execute(query, (number,))]
