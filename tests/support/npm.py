"""Programs from npm, installed once into a folder outside the repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from filelock import FileLock

from support.needs import unavailable


def package(name: str, version: str, *, node: int = 0) -> Path:
    """The folder of the package, installed if it is not there. Skips without npm, or with an older node.

    It lies in $RECONCILER_<NAME>_DIR, else in `reconciler/<name>-<version>` of the user's cache.
    """
    npm, runtime = shutil.which("npm"), shutil.which("node")
    if npm is None or runtime is None:
        unavailable("npm and node are not installed")
    said = subprocess.run([runtime, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(said.removeprefix("v").split(".")[0]) < node:
        unavailable(f"node {said} is older than {node}")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    home = Path(os.environ.get(f"RECONCILER_{name.upper()}_DIR") or cache / "reconciler" / f"{name}-{version}")
    home.mkdir(parents=True, exist_ok=True)
    folder = home / "node_modules" / name
    with FileLock(home / "install.lock"):  # several test processes may come at once
        if not (folder / "package.json").is_file() or installed(folder) != version:
            command = [npm, "install", "--no-audit", "--no-fund", "--no-save", f"{name}@{version}"]
            done = subprocess.run(
                [*command, "--prefix", str(home)], cwd=home, capture_output=True, text=True, check=False
            )
            if done.returncode:
                unavailable(f"npm cannot install {name} {version}: {done.stderr.strip()[-500:]}")
    return folder


def installed(folder: Path) -> str:
    """The version that is there."""
    version: str = json.loads((folder / "package.json").read_text())["version"]
    return version
