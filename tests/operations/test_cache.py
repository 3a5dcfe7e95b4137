"""With a cache, cold or warm, every plan and every state is what it is without one."""

from __future__ import annotations

import gzip
import json
import os
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.cache import Cache
from reconciler.errors import CacheDamaged, PlanRefused
from reconciler.manifests import idfiles
from reconciler.operations.applying import ApplyOptions, apply
from reconciler.operations.interrupts import Interrupts
from reconciler.operations.planning import plan
from reconciler.planfile import encode

POOL = [f"id-{n:02}" for n in range(16)]
NAMES = ["a.txt", "a.csv", "a.jsonl", "b.txt.gz", "b.csv.gz", "b.jsonl.gz"]
numbers = count()

relaxed = settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def rows(name, ids, odd=""):
    """The bytes of an id file of that name; `odd` is something that is worth a warning."""
    match name.removesuffix(".gz").rpartition(".")[2]:
        case "txt":
            data = "".join(f"{each}\n" for each in ids)
        case "csv":
            data = "id,other\n" + "".join(f"{each},x{each}\n" for each in ids)
        case _:
            data = "".join(json.dumps({"id": each, "other": f"x{each}"}) + "\n" for each in ids)
    data = data.encode()
    data = b"\xef\xbb\xbf" + data if odd == "bom" else data
    return gzip.compress(data, mtime=0) if name.endswith(".gz") else data


def put(world, name, data):
    world.write(f"manifests/{name}", "")
    (world.root / "manifests" / name).write_bytes(data)


def source(name, column="id"):
    if ".txt" in name:
        return {"ids_from": [{"path": name}]}
    return {"ids_from": [{"path": name, "field" if ".jsonl" in name else "column": column}]}


def warm(world, folder):
    return replace(world.context(), cache=Cache(folder, least=0))


def document(context, **options):
    """The plan as a document, and what it says of the manifests; when it was made is no part of it."""
    planned = plan(context, (), **options)
    chunks = encode(
        planned.plan, tool_version="0", created_at=context.clock.now(), paths=planned.paths, only=planned.only
    )
    return json.loads("".join(chunks)), planned.desired.diagnostics, planned.plan.diagnostics


edits = st.fixed_dictionaries(
    {
        "files": st.dictionaries(st.sampled_from(NAMES), st.lists(st.sampled_from(POOL), min_size=1, max_size=9)),
        "odd": st.sampled_from(["", "", "bom"]),
        "column": st.sampled_from(["id", "id", "other"]),
        "ids": st.sets(st.sampled_from(POOL), max_size=6),
        "keep": st.sets(st.sampled_from(POOL), max_size=1),
        "reason": st.sampled_from(["ticket 1", "ticket 2"]),
        "then": st.sampled_from(["apply", "apply", "verify", "nothing"]),
        "back": st.sets(st.sampled_from(POOL), max_size=3),
        "clear": st.booleans(),
    }
)


@relaxed
@given(st.lists(edits, min_size=1, max_size=4))
def test_every_plan_with_a_cache_is_the_plan_without_one(make_world, tmp_path, story):
    world, folder = make_world(), tmp_path / str(next(numbers))
    world.seed([*POOL, *(f"x{each}" for each in POOL), *(f"other-{n}" for n in range(300))])
    for edit in story:
        for name, ids in edit["files"].items():
            put(world, name, rows(name, ids, edit["odd"]))
        there = sorted(p.name for p in (world.root / "manifests").iterdir()) if edit["files"] else []
        absent = [
            {"index": "docs", "reason": edit["reason"], **source(name, edit["column"])}
            for name in there
            if name in NAMES
        ]
        absent.append({"index": "docs", "reason": "inline", "ids": sorted({*edit["ids"], "id-00"})})
        keep = [{"index": "docs", "reason": "hold", "ids": sorted(edit["keep"])}] if edit["keep"] else []
        world.manifest(*absent, keep=keep)
        if edit["clear"] and folder.exists():
            for path in folder.iterdir():
                path.unlink()
        plain = document(world.context())
        assert not plan(world.context(), ()).plan.errored
        for _ in range(2):
            assert document(warm(world, folder)) == plain
        assert document(warm(world, folder), refresh=True) == document(world.context(), refresh=True)
        if edit["then"] == "apply":
            with suppress(PlanRefused):
                apply(
                    warm(world, folder),
                    (),
                    saved=None,
                    approve=None,
                    options=ApplyOptions(),
                    notify=print,
                    interrupts=Interrupts(),
                )
        elif edit["then"] == "verify" and world.state_path.exists():
            world.verify()
        world.seed(edit["back"])
        assert document(warm(world, folder)) == document(world.context())


ODD = {
    "bom.txt": b"\xef\xbb\xbfid-01\nid-02\n",
    "space.txt": b" id-01\nid-02 \n",
    "twice.txt": b"id-01\nid-01\n",
    "long.txt": b"x" * 70 + b"\nid-01\n",
    "odd.csv": b"\xef\xbb\xbfid\nid-01\n id-02\n",
    "wrong.csv": b"name\nid-01\n",
    "row.csv": b"id,b\nid-01\nid-02,x\n",
    "odd.jsonl": b'{"id": "id-01 "}\n{"id": 3}\n',
    "cut.txt.gz": gzip.compress(b"id-01\nid-02\n" * 50, mtime=0)[:-5],
    "latin.txt": b"id-01\n\xe9\n",
    "empty.txt": b"",
    "control.txt": b"id\x01\nid\xe2\x80\xae\n",
}


@pytest.mark.parametrize("name", ODD)
def test_what_was_wrong_with_a_file_is_told_each_time(world, tmp_path, name):
    put(world, name, ODD[name])
    world.manifest({"index": "docs", "reason": "r", **source(name)})
    plain = document(world.context())
    for _ in range(3):
        assert document(warm(world, tmp_path / "c")) == plain


def test_the_most_ordinary_file_is_read_once_and_hashed_each_time(world, tmp_path, monkeypatch):
    put(world, "a.txt", rows("a.txt", POOL))
    world.manifest({"index": "docs", "reason": "r", **source("a.txt")})
    plain = document(warm(world, tmp_path / "c"))
    monkeypatch.setattr(idfiles, "_parsed", None)
    assert document(warm(world, tmp_path / "c")) == plain


@pytest.mark.parametrize("name", NAMES)
def test_a_file_replaced_by_one_of_the_same_size_and_time_is_noticed(world, tmp_path, name):
    world.manifest({"index": "docs", "reason": "r", **source(name)})
    path = world.root / "manifests" / name
    for ids in (["doc-001", "doc-002"], ["doc-001", "doc-003"], ["doc-009", "doc-002"]):
        data = gzip.compress(rows(name[:-3], ids), 0, mtime=0) if name.endswith(".gz") else rows(name, ids)
        put(world, name, data)
        os.utime(path, (1_000_000_000, 1_000_000_000))
        found = plan(warm(world, tmp_path / "c"), ()).plan
        assert not found.errored, found.diagnostics
        sent = sorted(each for _, action in found.actions() if action.kind.sends for each in action.ids)
        assert sent == sorted(ids)


def test_one_file_under_two_columns_and_two_names_is_never_confused(world, tmp_path):
    for name in ("a.csv", "b.csv", "c.jsonl"):
        put(world, name, rows(name, ["1", "2"]))
    put(world, "d.txt", rows("a.csv", ["1", "2"]))
    (world.root / "manifests" / "e.txt").symlink_to("a.csv")
    for name, column in (("a.csv", "id"), ("a.csv", "other"), ("b.csv", "id"), ("c.jsonl", "other"), ("d.txt", ""), ("e.txt", "")):  # fmt: skip
        world.manifest({"index": "docs", "reason": "r", **source(name, column)})
        plain = document(world.context())
        for _ in range(2):
            assert document(warm(world, tmp_path / "c")) == plain


def test_names_and_columns_that_read_alike_when_joined_are_two(world, tmp_path):
    """`a` as `.csv`, column `x .csv y`; and `a .csv x` as `.csv`, column `y`: one and the same bytes."""
    data = b"x .csv y,y\n1,2\n"
    for name, link in (("a", "one.csv"), ("a .csv x", "two.csv")):
        put(world, name, data)
        (world.root / "manifests" / link).symlink_to(name)
    found = []
    for link, column in (("one.csv", "x .csv y"), ("two.csv", "y")):
        world.manifest({"index": "docs", "reason": "r", **source(link, column)})
        found.append(document(warm(world, tmp_path / "c"))[0])
        assert found[-1] == document(world.context())[0]
    assert found[0] != found[1]


def test_a_file_whose_name_is_no_utf8_is_read_and_kept(world, tmp_path):
    put(world, "x", b"")
    Path(os.fsdecode(os.fsencode(world.root / "manifests") + b"/\xff.txt")).write_bytes(b"doc-001\n")
    (world.root / "manifests" / "a.txt").symlink_to(os.fsdecode(b"\xff.txt"))
    world.manifest({"index": "docs", "reason": "r", **source("a.txt")})
    plain = document(world.context())
    for _ in range(2):
        assert document(warm(world, tmp_path / "c")) == plain


def test_a_damaged_cache_never_changes_a_plan(world, tmp_path):
    put(world, "a.txt", rows("a.txt", POOL))
    world.seed(POOL)
    world.manifest({"index": "docs", "reason": "r", **source("a.txt")})
    world.apply()
    folder, plain = tmp_path / "c", document(world.context())
    document(warm(world, folder))
    for path in sorted(folder.iterdir()):
        sound = path.read_bytes()
        for place in range(0, len(sound), 7):
            path.write_bytes(sound[:place] + bytes([sound[place] ^ 0x21]) + sound[place + 1 :])
            try:
                assert document(warm(world, folder)) == plain
            except CacheDamaged:
                assert not path.exists()
                assert document(warm(world, folder)) == plain
            path.write_bytes(sound)


def test_a_world_without_a_cache_keeps_nothing(world, tmp_path):
    assert world.context().cache.folder is None
