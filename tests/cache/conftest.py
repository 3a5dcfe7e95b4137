"""A private folder for a cache, and files in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.cache import Cache


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the cache is to be; not there yet."""
    return tmp_path / "derived"


@pytest.fixture
def cache(folder: Path) -> Cache:
    return Cache(folder, least=0)


@pytest.fixture
def files(folder: Path) -> Callable[[], list[Path]]:
    """What is in the folder, whatever it is called."""
    return lambda: sorted(folder.iterdir()) if folder.exists() else []
