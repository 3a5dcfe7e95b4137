"""What a machine may lack: a test then skips and says why; in CI it fails instead."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path
from typing import NoReturn

import pytest


def unavailable(reason: str) -> NoReturn:
    """Skip the test that needs what `reason` says is missing; in CI it must not skip."""
    if os.environ.get("CI", "").lower() not in ("", "0", "false"):
        pytest.fail(f"must be tested in CI: {reason}")
    pytest.skip(reason)


def program(name: str, *folders: str) -> str | None:
    """The path of a program in PATH, or in one of `folders` (patterns), newest name first."""
    found = shutil.which(name)
    if found is not None:
        return found
    for pattern in folders:
        root = Path(pattern.partition("*")[0])
        hits = sorted(root.glob(pattern[len(str(root)) + 1 :] + f"/{name}" if "*" in pattern else name))
        if hits:
            return str(hits[-1])
    return None


#: Ports that this process was told of: a server that is slow to start has not taken its own yet.
_told: set[int] = set()

#: Test processes that run at once draw from different ports: those whose rest by this is their number.
_WORKERS = 16


def free_port() -> int:
    """A port of this machine that is free now, below the range in which others are taken by chance; none twice."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
    for _ in range(500):
        port = 20_000 + int.from_bytes(os.urandom(4)) % (11_000 // _WORKERS) * _WORKERS + worker
        if port in _told:
            continue
        with socket.socket() as taken:
            if taken.connect_ex(("127.0.0.1", port)) == 0:
                continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            _told.add(port)
            return port
    raise AssertionError("no free port")


def lesser_user() -> str | None:
    """A user for servers that refuse to run as root; None when this process is none."""
    if os.getuid() != 0:
        return None
    import pwd  # noqa: PLC0415 - only there

    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    return None
