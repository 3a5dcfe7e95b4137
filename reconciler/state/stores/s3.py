"""A log in an S3 bucket: one object a frame, written once by `put if absent`. Nothing else is relied on.

No If-Match, no conditional delete, no multipart: real servers get those wrong. The head is found by reading
forward until a position is free; LIST never says where it is, it only raises the alarm when something lies
beyond a position that reads as free.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from reconciler.clock import Clock, SystemClock
from reconciler.errors import StateDamaged, StateError, StoreUnavailable, UsageError
from reconciler.state.placing import HeadMoved, place
from reconciler.state.stores.interface import AppendOutcome, Conflict, Done, Store, Unknown
from reconciler.state.stores.probe import probe
from reconciler.state.stores.s3errors import explain

if TYPE_CHECKING:
    from obstore.store import S3Store as Bucket

#: Objects read or written at once while much is to be read or written.
WIDTH = 32

#: Seconds: to connect, and for a whole request.
_CONNECT_TIMEOUT, _TIMEOUT = 5, 20

#: Seconds before each further look at a frame that reads as free although a later one is there: some stores show
#: an object late, and nobody should be told of damage that is gone a moment later.
_LOOKS = (0.0, 0.05, 0.1, 0.2)

#: Where the library finds credentials by itself.
_ROLES = (
    ("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"),
    ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",),
    ("AWS_CONTAINER_CREDENTIALS_FULL_URI",),
)

_FRAME = re.compile(r"(\d{12})\.json\Z")


class S3Store(Store):
    """A log in a bucket.

    Args:
        bucket: its name.
        prefix: of all its objects, without slashes at its ends; may be empty.
        endpoint: base URL of the S3 API; None: AWS.
        environment: where credentials and the region come from.
    """

    def __init__(
        self, bucket: str, prefix: str = "", *, endpoint: str | None = None, environment: Mapping[str, str]
    ) -> None:
        self.url = f"s3://{bucket}" + (f"/{prefix}" if prefix else "")
        self.url += f"?endpoint={endpoint}" if endpoint else ""
        self._root = f"{prefix}/" if prefix else ""
        self._bucket = _open(bucket, endpoint, environment, self.url)
        self._pool: ThreadPoolExecutor | None = None
        self._known = 0

    # Reading

    def read(self, after: int) -> Iterator[bytes]:
        position, width = after, 1
        while True:
            found = self._fetch_many(range(position + 1, position + 1 + width))
            for offset, line in enumerate(found):
                if line is None and (line := self._doubted(position + 1, any(found[offset + 1 :]), after)) is None:
                    return
                position += 1
                self._known = max(self._known, position)
                yield line
            width = min(WIDTH, width * 2)

    def _doubted(self, position: int, more: bool, after: int) -> bytes | None:
        """`position` reads as free: look again where something says that it is not.

        A writer may have been at work between two reads, and some stores show an object late. After a whole
        log LIST is asked, too: it finds what lies behind a hole of any size.
        """
        more = more or self._known >= position or (after == 0 and self._any_beyond(position))
        if not more:
            return None
        for pause in _LOOKS:
            time.sleep(pause)
            if (line := self._fetch(position)) is not None:
                return line
        raise StateDamaged(
            f"frame {position} is missing from {self.url}, but later ones are there",
            hint="if a `state migrate` to here was interrupted, run it again; else an object was deleted: "
            "restore it, and let no lifecycle rule or person delete objects there",
        )

    def exists(self) -> bool:
        return self._fetch(1) is not None

    def _fetch(self, position: int) -> bytes | None:
        return self.get(self._name(position))

    def _fetch_many(self, positions: range) -> list[bytes | None]:
        if len(positions) == 1:
            return [self._fetch(positions[0])]
        return list(self._workers.map(self._fetch, positions))

    def _any_beyond(self, position: int) -> bool:
        """Does LIST know a frame at `position` or beyond? It must know the one before, which was just read."""
        import obstore  # noqa: PLC0415 - only who has such a state loads it

        before = self._name(position - 1)
        try:
            pages = obstore.list(
                self._bucket, f"{self._root}frames/", offset=self._name(max(0, position - 2)), chunk_size=WIDTH
            )
            names = (each["path"] for page in pages for each in page if _FRAME.search(each["path"]))
            found = list(islice(names, 2))
        except Exception as error:
            raise self._failed("listed", error)[0] from error
        if position > 1 and before not in found:
            # What something before the store answers in its place reads as an empty list.
            raise StoreUnavailable(
                f"the state {self.url} could not be listed: frame {position - 1}, just read, is not shown",
                hint="the credentials need s3:ListBucket on the bucket",
            )
        return any(name > before for name in found)

    # Writing

    def append(self, line: bytes, position: int) -> AppendOutcome:
        try:
            if position - 1 > self._known and self._fetch(position - 1) is None:
                return Conflict()
        except StateError as error:
            return Unknown(error)
        outcome = self._create(position, line)
        if isinstance(outcome, Done):
            self._known = max(self._known, position)
        return outcome

    def _create(self, position: int, line: bytes) -> AppendOutcome:
        return self.put_new(self._name(position), line)

    def receive(self, lines: Iterator[bytes], last: bytes, clock: Clock) -> None:
        """The last frame goes first: until all before it are there, readers find a hole and refuse the log."""
        from reconciler.state.frames import parse  # noqa: PLC0415 - frames know nothing of stores

        end = parse(last).position
        self._take_in(end, last, clock)
        try:
            self._take_in(1, next(lines), clock)
        except StoreUnavailable:
            raise  # the last frame stays: without it frame 1, if it is there, would pass for a whole log
        except StateError:
            if self._fetch(end) == last and self._fetch(end - 1) is None:
                self.remove(self._name(end))  # beyond the end of somebody else's log it would look like damage
            raise
        numbered = enumerate(lines, 2)
        while chunk := [(position, line) for position, line in islice(numbered, WIDTH) if position < end]:
            for done in [self._workers.submit(self._take_in, position, line, clock) for position, line in chunk]:
                done.result()

    def _take_in(self, position: int, line: bytes, clock: Clock) -> None:
        try:
            place(
                line,
                position,
                clock,
                append=lambda: self._create(position, line),
                standing=lambda: self._fetch(position),
            )
        except HeadMoved:
            raise StateError(
                f"another log is at {self.url}: its frame {position} is not the same",
                hint="nothing there was changed; choose another prefix",
            ) from None

    def probe(self) -> None:
        probe(self, f"{self._root}probe/{SystemClock().token()}")

    # Objects

    def put_new(self, name: str, body: bytes) -> AppendOutcome:
        """Write the object if there is none of that name."""
        import obstore  # noqa: PLC0415 - as above
        from obstore.exceptions import AlreadyExistsError  # noqa: PLC0415 - as above

        try:
            obstore.put(self._bucket, name, body, mode="create", use_multipart=False)
        except AlreadyExistsError:
            return (
                Conflict()
            )  # also what obstore makes of 409, a conflict of two writers that may have no winner yet
        except Exception as error:  # noqa: BLE001 - the library raises what its HTTP client raises
            failure, passing = self._failed("written", error)
            return Unknown(failure, retry=passing)
        return Done()

    def get(self, name: str) -> bytes | None:
        """The object, None when there is none.

        Raises:
            StoreUnavailable: it cannot be read.
        """
        import obstore  # noqa: PLC0415 - as above

        try:
            return bytes(obstore.get(self._bucket, name).bytes())
        except Exception as error:
            # Only the store itself says so, with its own code: a page of something before it proves nothing.
            if isinstance(error, FileNotFoundError) and "<Code>NoSuchKey</Code>" in str(error):
                return None
            raise self._failed("read", error)[0] from error

    def remove(self, name: str) -> None:
        """Delete the object if that is allowed here. Only ever what a probe wrote."""
        import obstore  # noqa: PLC0415 - as above

        with suppress(Exception):  # a bucket that takes nothing back is the better one
            obstore.delete(self._bucket, name)

    def _name(self, position: int) -> str:
        return f"{self._root}frames/{position:012d}.json"

    def _failed(self, what: str, error: Exception) -> tuple[StoreUnavailable, bool]:
        return explain(self.url, what, error)

    @property
    def _workers(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(WIDTH, thread_name_prefix="s3")
        return self._pool

    def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)


def _open(bucket: str, endpoint: str | None, environment: Mapping[str, str], url: str) -> Bucket:
    try:
        from obstore.store import S3Store as Bucket  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        raise UsageError(
            f"{url} needs a package that is not installed", hint="pip install 'obstore>=0.8'"
        ) from None
    known: Any = {
        "region": environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "us-east-1",
        # What the process's own environment says of these must not turn a condition off.
        "conditional_put": "etag",
        "virtual_hosted_style_request": False,
        **_credentials(environment, url),
    }
    if endpoint:
        known |= {"endpoint": endpoint, "aws_endpoint_url_s3": endpoint}  # whatever the environment says
    return Bucket(
        bucket,
        config=known,
        client_options={
            "allow_http": (endpoint or "").startswith("http:"),
            "connect_timeout": timedelta(seconds=_CONNECT_TIMEOUT),
            "timeout": timedelta(seconds=_TIMEOUT),
        },
        # A retry in there would meet its own first write, and call it somebody else's.
        retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=1)},
    )


def _credentials(environment: Mapping[str, str], url: str) -> dict[str, str]:
    """Static keys from `environment`; nothing where the library finds a role by itself.

    Raises:
        UsageError: there are none: the library would then ask the network for the role of this machine.
    """
    key, secret = environment.get("AWS_ACCESS_KEY_ID"), environment.get("AWS_SECRET_ACCESS_KEY")
    if key and secret:
        token = environment.get("AWS_SESSION_TOKEN")
        return {"access_key_id": key, "secret_access_key": secret, **({"session_token": token} if token else {})}
    if any(all(environment.get(name) for name in names) for names in _ROLES):
        return {}
    raise UsageError(
        f"{url}: there are no credentials for it",
        hint="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and AWS_REGION where the store has regions; "
        'for a profile or the role of a machine: eval "$(aws configure export-credentials --format env)"',
    )
