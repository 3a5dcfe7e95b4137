"""A real PostgreSQL that the tests start, kill and start again; and PgBouncer before it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

from support.needs import free_port, lesser_user, program, unavailable

OWNER = "reconciler_owner"
PASSWORD = "hunter2-PG-SECRET"
_BIN = "/usr/lib/postgresql/*/bin"


class Postgres:
    """One server in a folder of its own. fsync stays on: what is tested is that commits survive."""

    def __init__(self) -> None:
        initdb, self._server = program("initdb", _BIN), program("postgres", _BIN)
        if initdb is None or self._server is None:
            unavailable("PostgreSQL is not installed (Debian: postgresql)")
        self._user = lesser_user()
        self._folder = Path(tempfile.mkdtemp(prefix="reconciler-pg-"))
        self._own(self._folder)
        self.port = free_port()
        self._names = count(1)
        self._process: subprocess.Popen[bytes] | None = None
        try:
            password = self._folder / "pw"
            password.write_text(PASSWORD)
            self._own(password)
            self._run(
                initdb, "-D", str(self.data), "-U", OWNER, f"--pwfile={password}", "-A", "scram-sha-256",
                "-E", "UTF8", "--locale=C", "--no-sync",
            )  # fmt: skip
            self.start()
        except BaseException:
            self.stop()
            raise

    @property
    def data(self) -> Path:
        return self._folder / "data"

    def url(
        self, database: str = "postgres", *, user: str = OWNER, password: str = PASSWORD, port: int = 0
    ) -> str:
        return f"postgresql://{quote(user)}:{quote(password)}@127.0.0.1:{port or self.port}/{database}"

    def connect(self, database: str = "postgres", **options: Any) -> psycopg.Connection:
        return psycopg.connect(self.url(database, **options), autocommit=True)

    def create_database(self) -> str:
        """The name of a new, empty database."""
        name = f"state_{os.getpid()}_{next(self._names)}"
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return name

    def start(self) -> None:
        """Start on the same data, and wait until it answers: after a kill it recovers first."""
        # No time limit on recovery is needed: the log that is replayed has seconds.
        self._process = self._popen(
            str(self._server), "-D", str(self.data), "-p", str(self.port), "-c", "listen_addresses=127.0.0.1",
            "-c", f"unix_socket_directories={self._folder}", "-c", "shared_buffers=16MB",
            "-c", "max_connections=60", "-c", "autovacuum=off", "-c", "log_min_messages=fatal",
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while True:
            try:
                self.connect().close()
            except psycopg.OperationalError:
                assert self._process.poll() is None, f"PostgreSQL ended at its start: {self._said()}"
                assert time.monotonic() < deadline, f"PostgreSQL does not answer: {self._said()}"
                time.sleep(0.02)
            else:
                return

    def kill(self) -> None:
        """kill -9 of the postmaster and of every process of its; returns when all of them are gone."""
        assert self._process is not None
        postmaster = self._process.pid
        # Stopped first, it forks no further process between the look at them and the kill.
        os.kill(postmaster, signal.SIGSTOP)
        os.waitpid(postmaster, os.WUNTRACED)
        children = [pid for pid, (parent, _) in processes().items() if parent == postmaster]
        for pid in (postmaster, *children):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        self._process = None
        # One that waits for the disk dies late, and nothing starts on its shared memory before.
        deadline = time.monotonic() + 60
        while any(state != "Z" for pid, (_, state) in processes().items() if pid in children):
            assert time.monotonic() < deadline, "a process of PostgreSQL does not die"
            time.sleep(0.002)

    def terminate_backends(self) -> int:
        """Cut every connection but this one; how many there were."""
        with self.connect() as connection:
            query = (
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
            row = connection.execute(query).fetchone()
        assert row is not None
        return int(row[0])

    def stop(self) -> None:
        """End it, and take its folder away."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _own(self, path: Path) -> None:
        if self._user is not None:
            shutil.chown(path, self._user)

    def _run(self, *arguments: str) -> None:
        subprocess.run(arguments, check=True, capture_output=True, user=self._user, cwd=self._folder)

    def _popen(self, *arguments: str) -> subprocess.Popen[bytes]:
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                arguments, user=self._user, cwd=self._folder, start_new_session=True, stdout=log, stderr=log
            )

    def _said(self) -> str:
        """The last words of the server."""
        return (self._folder / "log").read_text(errors="replace")[-500:]


class PgBouncer:
    """A transaction pooler before a `Postgres`: each transaction may meet another server process."""

    def __init__(self, postgres: Postgres) -> None:
        found = program("pgbouncer", "/usr/sbin")
        if found is None:
            unavailable("PgBouncer is not installed (Debian: pgbouncer)")
        self._user = lesser_user()
        self._folder = Path(tempfile.mkdtemp(prefix="reconciler-bouncer-"))
        self.port = free_port()
        users, settings = self._folder / "users.txt", self._folder / "pgbouncer.ini"
        users.write_text(f'"{OWNER}" "{PASSWORD}"\n')
        settings.write_text(
            f"[databases]\n* = host=127.0.0.1 port={postgres.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
            f"listen_port = {self.port}\nauth_type = plain\nauth_file = {users}\npool_mode = transaction\n"
            "default_pool_size = 3\nserver_round_robin = 1\nunix_socket_dir =\n"
        )
        for path in (self._folder, users, settings):
            if self._user is not None:
                shutil.chown(path, self._user)
        self._process = subprocess.Popen(
            [found, str(settings)], user=self._user, cwd=self._folder,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 20
        while True:
            try:
                psycopg.connect(postgres.url(port=self.port), autocommit=True, prepare_threshold=None).close()
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    raise AssertionError("PgBouncer does not start") from None
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        """End it, and take its folder away."""
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


def processes() -> dict[int, tuple[int, str]]:
    """Parent and state of every process, by its id. `ps` is not on every machine, /proc not on every system."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended meanwhile
            pid, _, rest = path.read_text().partition(" ")
            state, parent = rest.rpartition(")")[2].split()[:2]
            found[int(pid)] = (int(parent), state)
    if not found:
        listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True)
        for line in listed.stdout.splitlines():
            number, parent, state = line.split()
            found[int(number)] = (int(parent), state[0])
    return found
