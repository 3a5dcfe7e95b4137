"""Ids: what cannot be an id stops the plan, what looks odd is questioned, nothing is changed in silence."""

from __future__ import annotations

import gzip
import hashlib
import os

import pytest

from reconciler.manifests import locate
from reconciler.manifests.checks import MAX_ID_BYTES


def listing(*ids: str) -> str:
    return "version: 1\nabsent:\n  - index: docs\n    ids:\n" + "".join(f"      - {i}\n" for i in ids)


def from_file(entry: str, *, index: str = "docs") -> str:
    return f"version: 1\nabsent:\n  - index: {index}\n    ids_from:\n      - {{{entry}}}\n"


INLINE = {
    "an empty id": ("''", "5:9 error empty-id"),
    "65 bytes": ("x" * 65, "5:9 error id-too-long"),
    "65 bytes in 33 characters": ("é" * 32 + "x", "5:9 error id-too-long"),
    "a control character": ('"a\\u0007"', "5:9 warning control-character"),
    "a line end inside": ('"a\\nb"', "5:9 warning control-character"),
    "a mark that turns the direction": ('"a\\u202Eb"', "5:9 warning control-character"),
    "a blank before": ("' a'", "5:9 warning white-space"),
    "a blank after": ("'a '", "5:9 warning white-space"),
    "a no-break space after": ('"a\\u00A0"', "5:9 warning white-space"),
}


@pytest.mark.fault(28)
@pytest.mark.parametrize("name", INLINE)
def test_an_odd_id_is_reported_at_its_line(folder, name):
    written, expected = INLINE[name]
    folder.write("manifests/a.yaml", listing(written, "sound"))
    assert folder.problems() == [f"manifests/a.yaml:{expected}"]
    ids = list(folder.load().targets[0].ids)
    assert "sound" in ids
    assert len(ids) == (1 if "error" in expected else 2)


@pytest.mark.fault(28)
@pytest.mark.parametrize(
    "id_", ["x" * 64, "é" * 32, "日本語の文書" * 3, "a b", "a#b: c/ü", "👩‍💻".replace("\u200d", "")]
)
def test_an_id_of_64_bytes_of_any_script_is_sound(folder, id_):
    folder.write("manifests/a.yaml", listing(f"'{id_}'"))
    assert folder.problems() == []
    assert list(folder.load().targets[0].ids) == [id_]


@pytest.mark.fault(28)
def test_a_too_long_id_is_measured_in_bytes_and_characters(folder):
    folder.write("manifests/a.yaml", listing("é" * 40))
    (found,) = folder.load().diagnostics
    assert "80 bytes (40 characters); the limit is 64 bytes" in found.summary


@pytest.mark.fault(28)
def test_repeated_ids_are_counted_and_shown_with_both_places(folder):
    folder.write("manifests/a.yaml", listing("a", "b", "a", "c", "b", "a"))
    (found,) = folder.load().diagnostics
    assert found.code == "duplicate-id"
    assert found.summary == '3 ids are repeated in this list: "a" in lines 5 and 7; "b" in lines 6 and 9, …'
    assert (str(found.position), str(found.related[0])) == ("manifests/a.yaml:7:9", "manifests/a.yaml:5:9")


@pytest.mark.fault(28)
def test_repeated_ids_are_found_far_apart_and_in_files(folder):
    lines = [f"id-{n}" for n in range(30_000)] + ["id-7"]
    folder.write("manifests/ids.txt", "\n".join(lines))
    folder.write("manifests/a.yaml", from_file("path: ids.txt"))
    assert folder.problems() == ["manifests/ids.txt:30001:1 warning duplicate-id -> manifests/ids.txt:8:1"]


@pytest.mark.fault(28)
def test_one_id_in_two_lists_is_one_id_with_two_sources(folder):
    folder.write("manifests/ids.txt", "a\nb\n")
    folder.write("manifests/a.yaml", listing("b", "c") + "    ids_from: [{path: ids.txt}]\n")
    desired = folder.load()
    assert desired.diagnostics == ()
    assert list(desired.targets[0].ids) == ["a", "b", "c"]
    assert [(s.kind, list(s.ids)) for s in desired.targets[0].declarations[0].sources] == [
        ("ids", ["b", "c"]),
        ("file", ["a", "b"]),
    ]


def test_thousands_of_bad_ids_are_counted_not_listed(folder):
    folder.write("manifests/a.yaml", listing(*["x" * 70] * 5_000))
    found = folder.load().diagnostics
    assert len(found) == 21
    assert found[0].summary == "…and 4980 more like this in the same list"


FILES = {
    # name: (entry, file name, content, expected place and code)
    "missing": ("path: gone.txt", None, b"", "a.yaml:5:16 error id-file-missing"),
    "missing, and it may be": (
        "path: gone.txt, allow_empty: true",
        None,
        b"",
        "a.yaml:5:16 warning id-file-missing",
    ),
    "a folder is no missing file": (
        "path: x.txt, allow_empty: true",
        "x.txt/y",
        b"",
        "a.yaml:5:16 error id-file-unreadable",
    ),
    "a directory": ("path: x.txt", "x.txt/y", b"", "a.yaml:5:16 error id-file-unreadable"),
    "empty": ("path: x.txt", "x.txt", b"", "a.yaml:5:16 error id-file-empty"),
    "blank lines only": ("path: x.txt", "x.txt", b"\n\r\n\n", "a.yaml:5:16 error id-file-empty"),
    "an unknown kind": ("path: x.md", "x.md", b"a\n", "a.yaml:5:16 error id-file-kind"),
    "no kind": ("path: x", "x", b"a\n", "a.yaml:5:16 error id-file-kind"),
    "an absolute path": ("path: /etc/hosts.txt", None, b"", "a.yaml:5:16 error path-outside"),
    "a path that climbs": ("path: ../x.txt", "../x.txt", b"a\n", "a.yaml:5:16 error path-outside"),
    "a path that climbs later": ("path: b/../../x.txt", "../x.txt", b"a\n", "a.yaml:5:16 error path-outside"),
    "a drive": ("path: 'C:x.txt'", None, b"", "a.yaml:5:16 error path-outside"),
    "back slashes": ("path: 'b\\x.txt'", None, b"", "a.yaml:5:16 error path-outside"),
    "a NUL in the path": ('path: "a\\0.txt"', None, b"", "a.yaml:5:16 error path-outside"),
    "a tab in the path": ('path: "\\t.txt"', None, b"", "a.yaml:5:16 error id-file-missing"),
    "not UTF-8": ("path: x.txt", "x.txt", b"a\nb\xc3\xa9\xff\n", "x.txt:2:3 error not-utf8"),
    "a character cut at the end": ("path: x.txt", "x.txt", b"a\nb\xc3", "x.txt:2:2 error not-utf8"),
    "UTF-16": ("path: x.txt", "x.txt", "a\n".encode("utf-16"), "x.txt:1:1 error not-utf8"),
    "a byte order mark": ("path: x.txt", "x.txt", b"\xef\xbb\xbfa\n", "x.txt:1:1 warning bom"),
    "a comment is an id": ("path: x.txt", "x.txt", b"a\n# why\n#tag\n", "x.txt:2:1 warning comment"),
    "white space": ("path: x.txt", "x.txt", b"a\nb \n", "x.txt:2:1 warning white-space"),
    "a blank line before": ("path: x.txt", "x.txt", b"\n\na\tb\n", "x.txt:3:1 warning control-character"),
    "a lone CR": ("path: x.txt", "x.txt", b"a\rb\n", "x.txt:1:1 warning control-character"),
    "a line of 1 MiB": ("path: x.txt", "x.txt", b"a\n" + b"b" * 1_048_577, "x.txt:2 error line-too-long"),
    "column for txt": ("path: x.txt, column: a", "x.txt", b"a\n", "a.yaml:5:23 error unknown-key"),
    "no column": ("path: x.csv", "x.csv", b"id\na\n", "a.yaml:5:9 error missing-key"),
    "field for csv": ("path: x.csv, field: id, column: id", "x.csv", b"id\na\n", "a.yaml:5:23 error unknown-key"),
    "another column": ("path: x.csv, column: id", "x.csv", b"a,b\n1,2\n", "x.csv:1:1 error csv-column"),
    "a column twice": ("path: x.csv, column: id", "x.csv", b"id,id\n1,2\n", "x.csv:1:1 error csv-column"),
    "semicolons": ("path: x.csv, column: id", "x.csv", b"id;b\n1;2\n", "x.csv:1:1 error csv-column"),
    "a short row": ("path: x.csv, column: id", "x.csv", b"id,b\n1,2\n3\n", "x.csv:3:1 error csv-row"),
    "a comma without quotes": ("path: x.csv, column: id", "x.csv", b"b,id\n1,2,3\n0,4\n", "x.csv:2:1 error csv-row"),
    "quotes inside": ("path: x.csv, column: id", "x.csv", b'id\na\n"b"c\n', "x.csv:3 error csv-syntax"),
    "quotes left open": ("path: x.csv, column: id", "x.csv", b'id\na\n"b\n', "x.csv:3 error csv-syntax"),
    "an empty value": ("path: x.csv, column: id", "x.csv", b"id,b\na,\n,c\n", "x.csv:3:1 error empty-id"),
    "only a header": ("path: x.csv, column: id", "x.csv", b"id\n", "a.yaml:5:16 error id-file-empty"),
    "after a value of two lines": ("path: x.csv, column: i", "x.csv", b'i,b\na,"1\n2"\n" c",\n', "x.csv:4:1 warning white-space"),
    "no field named": ("path: x.jsonl", "x.jsonl", b'{"id": "a"}\n', "a.yaml:5:9 error missing-key"),
    "no JSON": ("path: x.jsonl, field: id", "x.jsonl", b'{"id": "a"}\n{id}\n', "x.jsonl:2:1 error jsonl-syntax"),
    "no object": ("path: x.jsonl, field: id", "x.jsonl", b'{"id": "a"}\n["b"]\n', "x.jsonl:2:1 error jsonl-object"),
    "no such field": ("path: x.jsonl, field: id", "x.jsonl", b'{"a": 1}\n{"id": "a"}', "x.jsonl:1:1 error jsonl-field"),
    "a number": ("path: x.jsonl, field: id", "x.jsonl", b'{"id": 7}\n{"id": "a"}', "x.jsonl:1:1 error jsonl-type"),
    "nothing": ("path: x.jsonl, field: id", "x.jsonl", b'{"id": null}\n{"id": "a"}', "x.jsonl:1:1 error jsonl-type"),
    "a field twice": ("path: x.jsonl, field: id", "x.jsonl", b'{"id": "a", "id": "b"}\n', "x.jsonl:1:1 error jsonl-syntax"),
    "a bottomless line": ("path: x.jsonl, field: id", "x.jsonl", b"[" * 100_000, "x.jsonl:1:1 error jsonl-syntax"),
    "a half character": ("path: x.jsonl, field: id", "x.jsonl", b'{"id": "\\ud800"}\n', "x.jsonl:1:1 error invalid-unicode"),
    "no gzip": ("path: x.txt.gz", "x.txt.gz", b"a\n", "x.txt.gz:1 error bad-gzip"),
    "gzip cut short": ("path: x.txt.gz", "x.txt.gz", gzip.compress(b"a\nb\n")[:-9], "x.txt.gz:1 error truncated-gzip"),
    "gzip with a wrong sum": ("path: x.txt.gz", "x.txt.gz", gzip.compress(b"a\n")[:-8] + b"12345678", "x.txt.gz:1 error bad-gzip"),
    "gzip and more": ("path: x.txt.gz", "x.txt.gz", gzip.compress(b"a\n") + b"more", "x.txt.gz:1 error bad-gzip"),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_bad_id_file_is_reported_where_it_is_bad(folder, name):
    entry, file, content, expected = FILES[name]
    if file is not None:
        folder.write(f"manifests/{file}", content)
    folder.write("manifests/a.yaml", from_file(entry))
    assert folder.problems("manifests/a.yaml") == [f"manifests/{expected}"]


def test_an_empty_file_is_accepted_when_the_entry_says_so(folder):
    folder.write("manifests/x.txt", "")
    folder.write("manifests/a.yaml", from_file("path: x.txt, allow_empty: true"))
    desired = folder.load()
    assert desired.diagnostics == ()
    assert [f.path for f in desired.files] == ["manifests/a.yaml", "manifests/x.txt"]


@pytest.mark.parametrize(
    ("name", "entry", "content"),
    [
        ("x.txt", "", "no\n012\n\n#c\n"),
        ("x.csv", ", column: id", 'n,id\n1,no\n2,012\n\n3,"#c"\n'),
        ("x.jsonl", ", field: id", '{"id": "no"}\n{"id":"012","x":1}\n\n{"id": "#c"}\n'),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_every_kind_of_file_gives_its_ids_and_the_digest_of_its_bytes(
    folder, name, entry, content, packed, ending
):
    data = content.replace("\n", ending).encode()
    name, data = (f"{name}.gz", gzip.compress(data)) if packed else (name, data)
    folder.write(f"manifests/ids/{name}", data)
    folder.write("manifests/a.yaml", from_file(f"path: ./ids/{name}{entry}"))
    desired = folder.load()
    assert desired.diagnostics == ()
    (source,) = desired.targets[0].declarations[0].sources
    assert list(source.ids) == ["#c", "012", "no"]
    assert source.sha256 == hashlib.sha256(data).hexdigest()
    assert (str(source.position), source.column) == (f"manifests/ids/{name}:1", "id" if entry else "")
    assert (f"manifests/ids/{name}", source.sha256) in [(f.path, f.sha256) for f in desired.files]


def test_a_link_does_not_lead_out_of_the_manifests_folder(folder):
    folder.write("secret.txt", "a\n")
    folder.write("manifests/a.yaml", from_file("path: ids.txt"))
    (folder.root / "manifests/ids.txt").symlink_to("../secret.txt")
    assert folder.problems() == ["manifests/a.yaml:5:16 error path-outside"]


def test_a_link_to_itself_does_not_hang(folder):
    folder.write("manifests/a.yaml", from_file("path: ids.txt"))
    (folder.root / "manifests/ids.txt").symlink_to("ids.txt")
    assert [p.split()[-1] for p in folder.problems()] == ["id-file-unreadable"]


def test_a_named_pipe_does_not_hang(folder):
    folder.write("manifests/a.yaml", from_file("path: ids.txt"))
    os.mkfifo(folder.root / "manifests/ids.txt")
    os.mkfifo(folder.root / "manifests/b.yaml")
    assert [p.split()[-1] for p in folder.problems()] == ["id-file-unreadable", "unreadable"]


def test_a_gzip_bomb_ends_at_its_first_endless_line(folder):
    folder.write("manifests/ids.txt.gz", gzip.compress(bytes(200_000_000), 9))
    folder.write("manifests/a.yaml", from_file("path: ids.txt.gz"))
    assert [p.split()[-1] for p in folder.problems()] == ["line-too-long"]


def test_a_file_named_by_two_entries_is_read_once_and_reported_once(folder):
    folder.write("manifests/ids.txt", "a \n")
    folder.write("manifests/a.yaml", from_file("path: ids.txt") + "  - {index: b, ids_from: [{path: ids.txt}]}\n")
    assert folder.problems() == ["manifests/ids.txt:1:1 warning white-space"]


def test_a_place_is_found_again_for_any_kind_of_source(folder):
    folder.write("manifests/i.txt", "\na\nb\n")
    folder.write("manifests/i.csv", "id\na\nb\n")
    folder.write("manifests/i.jsonl.gz", gzip.compress(b'{"id":"a"}\n{"id":"b"}\n'))
    folder.write(
        "manifests/a.yaml",
        listing("a", "b")
        + "    ids_from: [{path: i.txt}, {path: i.csv, column: id}, {path: i.jsonl.gz, field: id}]\n",
    )
    sources = folder.load().targets[0].declarations[0].sources
    found = [str(locate(source, {"b", "unknown"}, root=folder.root)["b"]) for source in sources]
    assert found == [
        "manifests/a.yaml:6:9",
        "manifests/i.txt:3:1",
        "manifests/i.csv:3:1",
        "manifests/i.jsonl.gz:2:1",
    ]
    (folder.root / "manifests/i.txt").unlink()
    assert locate(sources[1], {"b"}, root=folder.root) == {}


def test_the_limit_is_that_of_the_service():
    assert MAX_ID_BYTES == 64
