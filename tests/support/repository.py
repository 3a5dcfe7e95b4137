"""A git repository as a forge holds it, and what people do with it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from reconciler.cli.app import run

ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"
SECRET = "v1-0123456789abcdef-SECRET"


def manifest(*ids: str, reason: str = "PRIV-1") -> str:
    lines = "".join(f'      - "{each}"\n' for each in ids)
    head = f'version: 1\naccount_id: "{ACCOUNT}"\nabsent:\n'
    return f'{head}  - index: docs\n    reason: "{reason}"\n    ids:\n{lines}'


def git(folder: Path, *arguments: str) -> str:
    """git as one author, untouched by the machine's own configuration."""
    done = subprocess.run(
        ["git", "-c", "user.name=alice", "-c", "user.email=alice@example.com", *arguments],
        cwd=folder, check=True, capture_output=True, text=True,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"},
    )  # fmt: skip
    return done.stdout.strip()


class Repository:
    """A bare repository, and a clone in which somebody works."""

    def __init__(self, folder: Path) -> None:
        self.bare, self.clone = folder / "origin.git", folder / "clone"
        folder.mkdir(parents=True)
        git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(self.bare))
        # What GitHub allows: a commit can be fetched by its name.
        git(self.bare, "config", "uploadpack.allowAnySHA1InWant", "true")
        git(folder, "clone", "--quiet", str(self.bare), str(self.clone))
        git(self.clone, "switch", "--quiet", "--orphan", "main")

    def write(self, **files: str) -> None:
        for name, text in files.items():
            path = self.clone / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def commit(self, message: str, files: dict[str, str]) -> str:
        self.write(**files)
        git(self.clone, "add", "--all")
        git(self.clone, "commit", "--quiet", "--allow-empty", "--message", message)
        return git(self.clone, "rev-parse", "HEAD")

    def push(self, branch: str) -> None:
        git(self.clone, "push", "--quiet", "--force", "origin", f"HEAD:refs/heads/{branch}")

    def init_state(self, branch: str = "state") -> None:
        """What the README says: an orphan branch with an empty state."""
        other = self.clone.parent / "state-clone"
        git(self.clone.parent, "clone", "--quiet", str(self.bare), str(other))
        git(other, "switch", "--quiet", "--orphan", branch)
        here = Path.cwd()
        os.chdir(other)
        try:
            assert run(["state", "init"]) == 0
        finally:
            os.chdir(here)
        git(other, "add", "--force", "reconciler.state.jsonl")
        git(other, "commit", "--quiet", "--message", "state: created")
        git(other, "push", "--quiet", "origin", f"HEAD:refs/heads/{branch}")

    def branches(self) -> list[str]:
        return git(self.bare, "for-each-ref", "--format=%(refname:short)", "refs/heads").split()

    def state(self, branch: str = "state") -> list[dict[str, Any]]:
        """The frames of the state on a branch."""
        text = git(self.bare, "show", f"{branch}:reconciler.state.jsonl")
        return [json.loads(line) for line in text.splitlines()]
