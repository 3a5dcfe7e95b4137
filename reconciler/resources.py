"""Files that ship with the program: JSON Schemas and the example manifests."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).resolve().parent


def _folder(name: str) -> Path:
    """A wheel carries the folder inside the package; a checkout has it beside the package."""
    shipped = _PACKAGE / "_data" / name
    return shipped if shipped.is_dir() else _PACKAGE.parent / name


@cache
def schema(name: str) -> dict[str, Any]:
    """The JSON Schema `name` ("manifest", "config", "plan", "state-frame", "events"), parsed."""
    loaded: dict[str, Any] = json.loads(schema_text(name))
    return loaded


def schema_text(name: str) -> str:
    """The JSON Schema `name`, as it is shipped."""
    return (_folder("schemas") / f"{name}.schema.json").read_text("utf-8")


def scaffold(name: str) -> str:
    """A file that `init` writes, with @NAMES@ to be filled in."""
    return (_PACKAGE / "scaffold" / name).read_text("utf-8")


def example_manifests() -> Path:
    """The folder of the example manifests that the demo uses."""
    return _folder("manifests")
