"""Which files PATHS mean: files as they are named, folders by what is in them."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.manifests.files import inside_of, leaves, reason, shown
from reconciler.model.diagnostic import Diagnostic, Position, error

_ENDINGS = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Found:
    """Files of manifests, by their resolved path: (path to open, name in diagnostics), ordered by name."""

    files: dict[str, tuple[Path, str]] = field(default_factory=dict)
    diagnostics: list[Diagnostic] = field(default_factory=list)


def discover(paths: Collection[str], root: Path, *, skip: Collection[str] = ()) -> Found:
    """The manifests that `paths` (relative to `root`, or absolute) mean.

    A folder means its *.yaml and *.yml, recursively, without anything hidden. Symbolic links inside it are
    followed as long as they stay inside it: what is in a folder is what its reviewers see.

    Args:
        paths: files and folders.
        root: the folder that relative paths and the names in diagnostics start from.
        skip: resolved paths of files that folders may hold but that are no manifests (the configuration).
    """
    found = Found()
    listed: dict[str, tuple[Path, str]] = {}
    for path in dict.fromkeys(paths):
        name = shown(path, root)
        if "\0" in path:
            found.diagnostics.append(_missing(name, "a path cannot hold a NUL character"))
            continue
        whole = root / path
        if not whole.is_dir():
            if os.path.lexists(whole):
                listed.setdefault(os.path.realpath(whole), (whole, name))
            else:
                found.diagnostics.append(_missing(name, "no such file or folder"))
            continue
        inside = [each for each in _walk(whole, root, found.diagnostics) if each[0] not in skip]
        for real, file, known_as in inside:
            listed.setdefault(real, (file, known_as))
        if not inside:
            detail = "Name a folder that has *.yaml or *.yml files; hidden ones do not count."
            found.diagnostics.append(
                error("no-manifests", "the folder holds no manifests", detail, Position(name))
            )
    found.files.update(sorted(listed.items(), key=lambda item: item[1][1]))
    return found


def _missing(name: str, why: str) -> Diagnostic:
    return error(
        "path-missing", f"{why}: {name}", "Check the path; it starts from the working folder.", Position(name)
    )


def _walk(top: Path, root: Path, diagnostics: list[Diagnostic]) -> Iterator[tuple[str, Path, str]]:
    """The manifests below `top`, sorted by name: resolved path, path to open, name in diagnostics.

    Each real folder is visited once, so loops of links end.
    """
    base = os.path.realpath(top)
    visited: set[str] = set()
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        real, named = os.path.realpath(folder), shown(folder, root)
        if real in visited:
            continue
        visited.add(real)
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as failed:
            summary = f"cannot list the folder: {reason(failed)}"
            diagnostics.append(error("unreadable", summary, "", Position(named)))
            continue
        for entry in entries:
            path, is_link = folder / entry.name, entry.is_symlink()
            is_folder = path.is_dir() if is_link else entry.is_dir()
            if entry.name.startswith(".") or not (is_folder or entry.name.endswith(_ENDINGS)):
                continue
            if is_link and leaves(os.path.realpath(path), base):
                place = Position(shown(path, root))
                detail = "Put the file itself into the folder, or name it on the command line."
                diagnostics.append(error("path-outside", "the link leaves the folder of manifests", detail, place))
            elif is_folder:
                waiting.append(path)
            elif is_link:
                yield os.path.realpath(path), path, shown(path, root)
            else:
                # As the functions above say it, without asking the disk about thousands of files.
                yield f"{real.rstrip('/')}/{entry.name}", path, inside_of(named, entry.name)
