"""What is remembered of files: the same as reading them again, warnings and errors included."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler import resources
from reconciler.cache import NO_CACHE, Cache
from reconciler.manifests import idfiles, structure
from reconciler.manifests.idfiles import read_id_file


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache", least=0)


@pytest.fixture
def parsed(monkeypatch):
    """Names of the id files that were read id by id."""
    names: list[str] = []
    real = idfiles._parsed

    def parse(path, shown, column):
        names.append(shown)
        return real(path, shown, column)

    monkeypatch.setattr(idfiles, "_parsed", parse)
    return names


@pytest.fixture
def checked(monkeypatch):
    """How many files the schema checker saw."""
    names: list[str] = []
    real = structure.check

    def check(root, name):
        names.append(name)
        return real(root, name)

    monkeypatch.setattr(structure, "check", check)
    return names


FILES = {
    "txt": ("a.txt", b"a\nb\n\nc\n", ""),
    "csv": ("a.csv", b'id,other\na,x\n"b,b",y\n', "id"),
    "jsonl": ("a.jsonl", b'{"id": "a", "other": "x"}\n{"id": "\xc3\xa9", "other": "y"}\n', "id"),
}
FILES |= {
    f"{kind}.gz": (f"{name}.gz", gzip.compress(data), column) for kind, (name, data, column) in FILES.items()
}
WARNED = {
    "bom": ("a.txt", b"\xef\xbb\xbfa\nb\n", ""),
    "white space": ("a.txt", b" a\nb\n", ""),
    "bom in csv": ("a.csv", b"\xef\xbb\xbfid\na\n", "id"),
    "too long": ("a.txt", b"a\n" + b"x" * 65 + b"\n", ""),
    "not UTF-8": ("a.txt", b"a\n\xff\n", ""),
    "no such column": ("a.csv", b"x\na\n", "id"),
    "not JSON": ("a.jsonl", b'{"id": "a"}\n{\n', "id"),
    "gzip cut short": ("a.txt.gz", gzip.compress(b"a\nb\n")[:-6], ""),
}


def write(root: Path, name: str, data: bytes) -> Path:
    path = root / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("kind", FILES)
def test_a_file_without_findings_is_parsed_once(tmp_path, cache, parsed, kind):
    name, data, column = FILES[kind]
    path = write(tmp_path, name, data)
    fresh = read_id_file(path, name, column, NO_CACHE)
    parsed.clear()
    assert read_id_file(path, name, column, cache) == fresh
    assert read_id_file(path, name, column, cache) == fresh
    assert fresh.diagnostics == ()
    assert parsed == [name]


@pytest.mark.parametrize("what", WARNED)
def test_findings_are_told_every_time(tmp_path, cache, what):
    name, data, column = WARNED[what]
    path = write(tmp_path, name, data)
    fresh = read_id_file(path, name, column, NO_CACHE)
    assert fresh.diagnostics
    assert [read_id_file(path, name, column, cache) for _ in range(3)] == [fresh] * 3


def test_a_file_replaced_by_one_of_the_same_size_and_time_is_noticed(tmp_path, cache, parsed):
    path = write(tmp_path, "a.txt", b"a\nb\n")
    os.utime(path, (1, 1))
    read_id_file(path, "a.txt", "", cache)
    write(tmp_path, "a.txt", b"a\nc\n")
    os.utime(path, (1, 1))
    assert list(read_id_file(path, "a.txt", "", cache).ids) == ["a", "c"]
    assert len(parsed) == 2


def test_one_file_under_other_columns_and_names_is_not_confused(tmp_path, cache):
    path = write(tmp_path, "a.csv", b"id,other\na,x\nb,y\n")
    for _ in range(2):
        assert list(read_id_file(path, "a.csv", "id", cache).ids) == ["a", "b"]
        assert list(read_id_file(path, "a.csv", "other", cache).ids) == ["x", "y"]
        assert list(read_id_file(path, "a.txt", "", cache).ids) == ["a,x", "b,y", "id,other"]


def test_names_with_spaces_are_not_taken_for_one_another(tmp_path, cache):
    one, other = tmp_path / "f.csv", tmp_path / "f.csv .csv a"
    for path in (one, other):
        path.write_bytes(b"b,a .csv b\n1,2\n")
    for _ in range(2):
        assert list(read_id_file(one, "x.csv", "a .csv b", cache).ids) == ["2"]
        assert list(read_id_file(other, "x.csv", "b", cache).ids) == ["1"]


def test_a_file_whose_name_is_no_utf_8_is_kept_like_any_other(tmp_path, cache, parsed):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.txt"))
    try:
        path.write_bytes(b"a\nb\n")
    except OSError:
        pytest.skip("this file system holds no such name")
    assert [list(read_id_file(path, "x.txt", "", cache).ids) for _ in range(2)] == [["a", "b"]] * 2
    assert parsed == ["x.txt"]


contents = st.binary(max_size=30) | st.lists(st.text(min_size=1, max_size=5), max_size=5).map(
    lambda ids: "\n".join(ids).encode()
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(["a.txt", "b.txt"]), contents), min_size=1, max_size=6))
def test_whatever_was_read_before_a_file_gives_what_is_in_it_now(tmp_path, cache, steps):
    for name, data in steps:
        path = write(tmp_path, name, data)
        for _ in range(2):
            assert read_id_file(path, name, "", cache) == read_id_file(path, name, "", NO_CACHE)


SOUND = """version: 1
absent:
  - index: docs
    reason: ticket
    ids: [a]
"""


def test_a_sound_manifest_is_checked_once_until_a_byte_of_it_changes(folder, cache, checked):
    folder.write("manifests/a.yaml", SOUND)
    first = folder.load(cache=cache)
    assert checked == ["manifest"]
    assert folder.load(cache=cache) == first
    assert checked == ["manifest"]
    folder.write("manifests/a.yaml", SOUND + " ")
    folder.load(cache=cache)
    assert checked == ["manifest"] * 2
    folder.write("manifests/a.yaml", SOUND)
    folder.write("manifests/copy.yaml", SOUND)
    folder.load(cache=cache)
    assert checked == ["manifest"] * 2


def test_a_sound_manifest_is_checked_again_when_a_schema_changes(folder, cache, checked, monkeypatch):
    folder.write("manifests/a.yaml", SOUND)
    folder.load(cache=cache)
    real = resources.schema_text
    for name in ("manifest", "config"):
        with monkeypatch.context() as patch:
            patch.setattr(resources, "schema_text", lambda each, name=name: real(each) + "\n" * (each == name))
            checked.clear()
            folder.load(cache=cache)
            folder.load(cache=cache)
            assert checked == ["manifest"]
        folder.load(cache=cache)


def test_a_manifest_with_an_error_says_so_every_time(folder, cache, checked):
    folder.write("manifests/bad.yaml", SOUND + "extra: 1\n")
    folder.write("manifests/good.yaml", SOUND)
    expected = folder.problems(cache=NO_CACHE)
    assert any("unknown-key" in each for each in expected)
    checked.clear()
    assert [folder.problems(cache=cache) for _ in range(3)] == [expected] * 3
    assert checked == ["manifest"] * 4


def test_only_so_many_files_are_remembered(folder, cache, checked, monkeypatch):
    monkeypatch.setattr("reconciler.manifests.soundness.MOST", 2)
    for name in "abc":
        folder.write(f"manifests/{name}.yaml", SOUND + f"# {name}\n")
    expected = folder.load(cache=NO_CACHE)
    assert [folder.load(cache=cache) for _ in range(3)] == [expected] * 3
    assert len(checked) == 6  # those of the last load are remembered, however many
    for name in "abc":
        folder.write(f"manifests/{name}.yaml", SOUND + f"# another {name}\n")
    folder.load(cache=cache)
    for name in "abc":
        folder.write(f"manifests/{name}.yaml", SOUND + f"# {name}\n")
    checked.clear()
    assert folder.load(cache=cache) == expected
    assert len(checked) == 1  # and two of the others
