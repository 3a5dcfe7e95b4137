"""Ids, manifests and logs to measure with. Run as a process of its own for what needs memory:

python -m benchmarks.data ids FOLDER N
python -m benchmarks.data log FILE_OF_IDS LOG ORIGIN CREATED_ON
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.measuring import PYTHON, Wrong, environment

ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"
INDEX = "docs"
REASON = "GDPR Art. 17, ticket PRIV-4711"
API = "https://api.cloudflare.com"
CREATED_ON = "2026-01-01T00:00:00.000000Z"
ORDERS = ("any order", "sorted")
STATE = "reconciler.state.jsonl"

#: One id in so many is another one in the changed file.
CHANGED = 100
_BATCH = 100
_BLOCK = 100_000
_UUID = re.compile(r"(.{8})(.{4})(.{4})(.{4})(.{12})")


@dataclass(frozen=True)
class Ids:
    """Files of the same random UUIDs, one a line."""

    size: int
    folder: Path

    def path(self, order: str, *, changed: bool = False) -> Path:
        """The file; `changed`: one in a hundred is another one, in the same place."""
        return self.folder / f"{order.replace(' ', '-')}{'-changed' if changed else ''}.txt"

    @property
    def bytes(self) -> int:
        """Of the ids alone."""
        return 36 * self.size

    def first(self, count: int, order: str = "any order") -> list[str]:
        """The first ids of a file."""
        with self.path(order).open() as file:
            return [line.rstrip("\n") for line in islice(file, count)]


def ids(work: Path, size: int) -> Ids:
    """`size` ids, made if they are not there."""
    made = Ids(size, work / f"ids-{size}")
    if not made.folder.is_dir():
        _child("ids", str(made.folder), str(size))
    return made


def log(source: Path, target: Path, *, origin: str = API) -> None:
    """Write the log of a converged apply of the ids in `source` (`manifests/ids/ids.txt` of the manifest)."""
    _child("log", str(source), str(target), origin, CREATED_ON)


def project(folder: Path, side_file: Path | None = None, **api: int) -> Path:
    """A folder with a manifest that names `side_file`, and a configuration that lets everything pass."""
    (folder / "manifests" / "ids").mkdir(parents=True, exist_ok=True)
    settings = "".join(f"  {name}: {value}\n" for name, value in api.items())
    (folder / "reconciler.yaml").write_text(
        "version: 1\nlimits:\n  max_deletes: 1000000000\n" + (f"api:\n{settings}" if settings else "")
    )
    if side_file is not None:
        put(folder, side_file)
        (folder / "manifests" / "erasure.yaml").write_text(manifest("    ids_from:\n      - path: ids/ids.txt\n"))
    return folder


def put(folder: Path, side_file: Path) -> None:
    """`side_file` is the project's side file from now on."""
    place = folder / "manifests" / "ids" / "ids.txt"
    place.unlink(missing_ok=True)
    os.link(side_file, place)


def manifest(lists: str, index: str = INDEX) -> str:
    """A manifest of one declaration."""
    return f"version: 1\naccount_id: {ACCOUNT}\nabsent:\n" + entry(lists, index)


def entry(lists: str, index: str = INDEX) -> str:
    """One declaration."""
    return f'  - index: {index}\n    reason: "{REASON}"\n{lists}'


def inline(values: Iterable[str]) -> str:
    """Ids as a list of a declaration."""
    return "    ids:\n" + "".join(f"      - {value}\n" for value in values)


def _child(*arguments: str) -> None:
    command = [PYTHON, "-m", "benchmarks.data", *arguments]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise Wrong(f"cannot make the data: {done.stderr[-500:]}")


def _write_ids(folder: Path, size: int) -> None:
    chance = random.Random(size)
    values = []
    for start in range(0, size, _BLOCK):
        block = chance.randbytes(16 * min(_BLOCK, size - start)).hex()
        values += ["-".join(parts) for parts in _UUID.findall(block)]
    folder = folder.resolve()
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    unfinished.mkdir(parents=True, exist_ok=True)
    made = Ids(size, unfinished)
    for order in ORDERS:
        if order == "sorted":
            values.sort()
        # The last character makes another id of it, which sorts at the same place.
        for changed, chosen in ((False, values), (True, list(_changed(values)))):
            with made.path(order, changed=changed).open("w") as file:
                for start in range(0, size, _BLOCK):
                    file.write("\n".join(chosen[start : start + _BLOCK]) + "\n")
    unfinished.rename(folder)


def _changed(values: Sequence[str]) -> Iterator[str]:
    for place, value in enumerate(values):
        yield value if place % CHANGED else f"{value[:-1]}z"


def _write_log(source: Path, target: Path, origin: str, created_on: str) -> None:
    """As an apply writes it whose every batch was accepted, processed and found absent: through the same modules."""
    from reconciler.model.idset import IdSetBuilder  # noqa: PLC0415 - only this process needs them
    from reconciler.state import events as ev  # noqa: PLC0415
    from reconciler.state.frames import GENESIS, seal  # noqa: PLC0415

    builder = IdSetBuilder()
    with source.open() as file:
        while block := [line.rstrip("\n") for line in islice(file, _BLOCK)]:
            builder.extend(block)
    found = builder.build()
    names: dict[str, Any] = {"count": len(found), "digest": found.digest()}
    listed = {"path": "manifests/ids/ids.txt", "kind": "file", "column": "", **names}
    limits = {"max_deletes": 1_000_000_000, "max_percent": 30.0}
    head, position, run = GENESIS, 0, "b" * 32
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:

        def put(*events: ev.Event, of: str = run) -> None:
            nonlocal head, position
            position += 1
            at = f"2026-11-22T{position // 3600 % 24:02}:{position // 60 % 60:02}:{position % 60:02}.000Z"
            frame = seal(position, head, f"{position:032x}", at, of, events)
            file.write(frame.line)
            head = frame.hash

        put(ev.Header(lineage="a" * 32), of="")
        put(ev.RunStarted(command="apply", origin=origin, actor="benchmark", host="benchmark"))
        put(
            ev.TargetSeen(1, origin, ACCOUNT, INDEX, created_on),
            ev.Declared(
                1, 1, "manifests/erasure.yaml", 4, 1, REASON, sources=[listed], limits=limits, names=names
            ),
        )
        batches = 0
        for batch in found.chunks(_BATCH):
            accepted = [ev.Accepted(batches, _mutation(batches))] if batches else []
            batches += 1
            put(*accepted, ev.Intent(batches, 1, [[[1], len(batch)]], batch))
        put(ev.Accepted(batches, _mutation(batches)))
        put(ev.Processed(1, [[1, batches]], _mutation(batches), requests=1))
        put(ev.Verified(1, "list", [[1, batches]], requests=3))
        put(ev.RunFinished("done", {"accepted": len(found), "verified": len(found)}))


def _mutation(batch: int) -> str:
    return f"{batch:08x}-0000-4000-8000-000000000000"


if __name__ == "__main__":
    _, what, *rest = sys.argv
    if what == "ids":
        _write_ids(Path(rest[0]), int(rest[1]))
    else:
        _write_log(Path(rest[0]), Path(rest[1]), rest[2], rest[3])
