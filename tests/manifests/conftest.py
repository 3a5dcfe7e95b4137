"""A folder with manifests, and `load` with the values that most tests do not care about."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from reconciler.manifests import Config, load
from reconciler.model.desired import Desired

ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"


@dataclass
class Folder:
    root: Path

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def load(self, *paths: str, config: Config | None = None, **options) -> Desired:
        return load(
            paths or ("manifests",),
            root=self.root,
            config=config or Config(),
            origin="loopback",
            environment_account=options.pop("environment_account", ACCOUNT),
            today=options.pop("today", date(2026, 11, 23)),
            **options,
        )

    def problems(self, *paths: str, **options) -> list[str]:
        """Every diagnostic as "place severity code", with the places related to it after an arrow."""
        return [described(d) for d in self.load(*paths, **options).diagnostics]


def described(diagnostic) -> str:
    related = "".join(f" -> {place}" for place in diagnostic.related)
    return f"{diagnostic.position} {diagnostic.severity} {diagnostic.code}{related}"


@pytest.fixture
def folder(tmp_path) -> Folder:
    return Folder(tmp_path)


@pytest.fixture(name="describe")
def _describe():
    return described
