"""`Emulator`: the service itself, and its remote control in Python."""

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from reconciler.emulator import errors, log, operations
from reconciler.emulator.auth import authenticate, authorize
from reconciler.emulator.errors import ApiError
from reconciler.emulator.faults import Fault, FaultBook
from reconciler.emulator.log import Log, Mutation
from reconciler.emulator.ratelimit import RateLimiter
from reconciler.emulator.record import Entry, Record
from reconciler.emulator.reply import Reply, make_refusal, shape
from reconciler.emulator.request import WRITES, Call
from reconciler.emulator.settings import Settings
from reconciler.emulator.storage import IndexRow, Storage

_RECORDED_ARGUMENTS = ("count", "cursor", "unparsable-behavior")


class Emulator:
    """One emulated service: every account, its indexes, their logs, the ordered faults and the record.

    Safe to use from any thread; one lock serialises everything. Usable as a context manager.

    Args:
        settings: how it behaves.
        data: a SQLite file that keeps everything; None keeps it in memory. The file is locked while in use.
        clock: seconds since 1970; the only source of time besides ordered delays.

    Attributes:
        settings: as given.
        faults: the faults in force; add to it to order one.

    Raises:
        DataFileError: the file cannot be used.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        data: str | Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings or Settings()
        self.faults = FaultBook()
        self._clock = clock
        self._lock = threading.RLock()
        self._storage = Storage(data)
        self._log = Log(self._storage, self.settings)
        self._record = Record(self._storage)
        self._limiter = RateLimiter(self.settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the storage; a file keeps everything. Nothing else may be called afterwards."""
        with self._lock:
            self._storage.close()

    # Requests: the ASGI application's side

    def arrive(self, call: Call) -> tuple[int, tuple[Fault, ...]]:
        """Note the arrival of a request: its number in the record, and the faults that it meets."""
        with self._lock:
            met = self.faults.meet(call.operation, call.route.account, call.route.index, call.claimed_ids)
            return self._record.arrive(), met

    def drop(self, call: Call, seq: int, met: tuple[Fault, ...]) -> None:
        """Record a request whose connection is cut before it was looked at."""
        with self._lock, self._storage.transaction():
            self._keep(call, seq, met, None, mutation_id=None)

    def perform(self, call: Call, seq: int, met: tuple[Fault, ...]) -> Reply:
        """Do what a request asks, or refuse it; make the answer that its faults leave of it; record both."""
        with self._lock:
            now = self._clock()
            self._log.advance(now)
            # One transaction for the effect and its record: after a kill there are both or neither.
            with self._storage.transaction():
                reply, mutation_id = self._answer(call, met, now)
                self._keep(call, seq, met, reply, mutation_id=mutation_id)
            self._log.advance(now)  # with no lag the mutation is due already
            return reply

    def _answer(self, call: Call, met: tuple[Fault, ...], now: float) -> tuple[Reply, str | None]:
        headers: dict[str, str] = {}
        mutation_id: str | None = None
        try:
            headers = self._admit(call, now)
            refusal = next((fault for fault in met if not fault.performs and fault.kind != "drop_before"), None)
            if refusal is not None:
                return make_refusal(refusal, call, headers), None
            result, mutation_id = self._operate(call, now)
        except ApiError as error:
            reply = Reply.refused(error, {**headers, **error.headers})
        else:
            reply = Reply.succeeded(result, headers)
        return shape(reply, met, call), mutation_id

    def _admit(self, call: Call, now: float) -> dict[str, str]:
        """Let a request in: route, credentials, budget. The `Ratelimit` headers of its answer."""
        if call.operation is None:
            if call.route.known:
                raise errors.method_not_available(call.method)
            raise errors.no_route(call.path)
        identity = authenticate(call.headers, self.settings)
        headers, refusal = self._limiter.take(identity.digest, call.address, now)
        try:
            if refusal is not None:
                raise refusal
            write = call.operation in WRITES
            authorize(identity, call.route.account or "", write=write, settings=self.settings)
            if len(call.body) > self.settings.limits.upload_bytes:
                raise errors.invalid("request body too large", status=413)
        except ApiError as error:
            error.headers = {**headers, **error.headers}
            raise
        return headers

    def _operate(self, call: Call, now: float) -> tuple[Any, str | None]:
        context = operations.Context(
            call=call,
            account=call.route.account or "",
            name=call.route.index or "",
            now=now,
            storage=self._storage,
            log=self._log,
            settings=self.settings,
        )
        return operations.TABLE[call.operation or ""](context), context.mutation_id

    def _keep(
        self, call: Call, seq: int, met: tuple[Fault, ...], reply: Reply | None, *, mutation_id: str | None
    ) -> None:
        kinds = tuple(fault.kind for fault in met)
        with_ids = call.operation in ("insert", "upsert", "delete_by_ids", "get_by_ids")
        self._record.add(
            Entry(
                seq=seq,
                at=self._clock(),
                method=call.method,
                path=_storable(call.path),
                operation=call.operation,
                account=call.route.account,
                index=None if call.route.index is None else _storable(call.route.index),
                ids=call.claimed_ids if with_ids else None,
                arguments={name: call.query[name] for name in _RECORDED_ARGUMENTS if name in call.query},
                status=None if reply is None else reply.status,
                code=None if reply is None else reply.code,
                mutation_id=mutation_id,
                accepted=reply is not None and reply.performed,
                answered=reply is not None and not {"drop_after", "cut_body"}.intersection(kinds),
                faults=kinds,
            )
        )

    # Control: tests, the demonstration, the control routes

    def create_index(
        self,
        account: str,
        index: str,
        *,
        dimensions: int = 32,
        metric: str = "cosine",
        description: str = "",
    ) -> None:
        """Create an index without a request.

        Raises:
            ValueError: the account has an index of this name.
        """
        with self._lock, self._storage.transaction():
            if self._storage.find(account, index) is not None:
                raise ValueError(f"index {index!r} exists")
            self._create(account, index, dimensions, metric, description)

    def _create(
        self, account: str, index: str, dimensions: int, metric: str = "cosine", description: str = ""
    ) -> IndexRow:
        return self._storage.create(
            account,
            index,
            description=description,
            dimensions=dimensions,
            metric=metric,
            preset=None,
            created_us=round(self._clock() * 1_000_000),
        )

    def delete_index(self, account: str, index: str) -> None:
        """Delete an index without a request.

        Raises:
            KeyError: there is none.
        """
        with self._lock, self._storage.transaction():
            self._storage.drop(self._find(account, index), round(self._clock() * 1_000_000))

    def seed(self, account: str, index: str, ids: Iterable[str], *, dimensions: int = 32) -> int:
        """Put vectors into an index at once, past the log: the pointer does not move and nothing is recorded.

        Vectors that exist are replaced. The values follow from the ids and take no memory. A missing index is
        created with `dimensions` and the metric cosine. Ids are not checked. An iterable of a million ids is
        consumed as a stream.

        Returns:
            How many vectors the index gained.
        """
        with self._lock, self._storage.transaction():
            now = self._clock()
            self._log.advance(now)
            found = self._storage.find(account, index) or self._create(account, index, dimensions)
            version = found.version + 1
            fresh = found.version == 0
            gained = self._storage.seed(found.number, version, ids, fresh=fresh)
            self._storage.update(found.number, version=version)
            self._log.set_count(found, found.count + gained, now)
            return gained

    def remove(self, account: str, index: str, ids: Iterable[str]) -> int:
        """Take vectors out of an index at once, past the log. Returns how many there were.

        Raises:
            KeyError: there is no such index.
        """
        with self._lock, self._storage.transaction():
            now = self._clock()
            self._log.advance(now)
            found = self._find(account, index)
            version = found.version + 1
            gone = self._storage.bury(found.number, version, [(each,) for each in ids])
            self._storage.update(found.number, version=version)
            self._log.set_count(found, found.count - gone, now)
            return gone

    def ids(self, account: str, index: str) -> list[str]:
        """The ids that are live now, in order. The truth, whatever the API shows.

        Raises:
            KeyError: there is no such index.
        """
        with self._lock:
            self._log.advance(self._clock())
            found = self._find(account, index)
            return self._storage.page(found.number, found.version, None, -1)

    def indexes(self) -> list[tuple[str, str]]:
        """(account, name) of every index, oldest first."""
        with self._lock:
            return [(index.account, index.name) for index in self._storage.indexes()]

    def mutations(self, account: str, index: str) -> list[Mutation]:
        """Every mutation that an index accepted, in order, processed or not.

        Raises:
            KeyError: there is no such index.
        """
        with self._lock:
            self._log.advance(self._clock())
            return self._log.mutations(self._find(account, index).number)

    def record(self, *, after: int = 0, operation: str | None = None) -> list[Entry]:
        """Every request, in order of arrival; see `Entry`."""
        with self._lock:
            return self._record.read(after=after, operation=operation)

    def record_length(self) -> int:
        """How many requests are recorded."""
        with self._lock:
            return self._record.length()

    def clear_record(self) -> None:
        """Forget the recorded requests."""
        with self._lock:
            self._record.clear()

    def set_lag(self, seconds: float) -> None:
        """Change the lag of mutations accepted from now on."""
        with self._lock:
            self._log.advance(self._clock())
            self._log.lag = seconds

    def reset_rate_limit(self) -> None:
        """Give every credential a fresh budget."""
        with self._lock:
            self._limiter.reset()

    def hold(self, account: str | None = None, index: str | None = None) -> None:
        """Process nothing until `release`: of one index, of an account, or (without arguments) of everything.

        Requests are still accepted. Holding everything holds indexes created later too. A restart forgets it.

        Raises:
            KeyError: there is no such index.
        """
        with self._lock:
            self._log.advance(self._clock())
            self._log.hold(self._numbers(account, index))

    def release(self, account: str | None = None, index: str | None = None) -> None:
        """Undo `hold`; what became due meanwhile is processed now.

        Raises:
            KeyError: there is no such index.
        """
        with self._lock:
            now = self._clock()
            self._log.advance(now)  # what is not held has been processed at its own time
            self._log.release(self._numbers(account, index), now)
            self._log.advance(now)

    @property
    def held(self) -> bool:
        """Whether any log is held."""
        return self._log.held

    def process(self, account: str | None = None, index: str | None = None, *, count: int | None = None) -> int:
        """Apply what waits in the logs now, due or not, held or not; the pointer moves as with any job.

        Args:
            account: only its indexes.
            index: only indexes of this name.
            count: only the first so many mutations of each index.

        Returns:
            How many mutations were applied.

        Raises:
            KeyError: there is no such index.
        """
        with self._lock:
            now = self._clock()
            self._log.advance(now)
            return sum(self._log.process(each, now, count=count) for each in self._matching(account, index))

    def foreign_mutation(self, account: str, index: str, *, process: bool = True) -> str:
        """Move the pointer to a mutation of another writer, as if that one had changed something of its own.

        Args:
            account: account id.
            index: index name.
            process: apply everything that waits first, as a mutation entered last implies. False: the foreign
                mutation was accepted before those that wait, so they stay unprocessed.

        Returns:
            The foreign mutation id.

        Raises:
            KeyError: there is no such index.
        """
        with self._lock, self._storage.transaction():
            now = self._clock()
            self._log.advance(now)
            found = self._find(account, index)
            if process:
                mutation_id = self._log.accept(found, log.FOREIGN, now)
                self._log.process(found, now)
                return mutation_id
            return self._log.pass_by(found, now)

    def _find(self, account: str, index: str) -> IndexRow:
        found = self._storage.find(account, index)
        if found is None:
            raise KeyError(f"no index {index!r} in account {account!r}")
        return found

    def _matching(self, account: str | None, index: str | None) -> list[IndexRow]:
        found = [each for each in self._storage.indexes(account) if index in (None, each.name)]
        if index is not None and not found:
            raise KeyError(f"no index {index!r} in {'any account' if account is None else f'account {account}'}")
        return found

    def _numbers(self, account: str | None, index: str | None) -> list[int] | None:
        if account is None and index is None:
            return None
        return [each.number for each in self._matching(account, index)]


def _storable(text: str) -> str:
    # A path may hold what is no UTF-8; the record must be able to keep it all the same.
    with suppress(UnicodeEncodeError):
        text.encode()
        return text
    return text.encode("utf-8", "backslashreplace").decode()
