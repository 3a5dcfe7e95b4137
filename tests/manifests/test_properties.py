"""For any ids and any bytes: the same ids come out of every format, and nothing raises."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tempfile
from datetime import date
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reconciler.manifests import Config, load, load_config
from reconciler.manifests.checks import Findings, Lines, plain_lines, plain_texts, usable
from reconciler.model.diagnostic import Position
from reconciler.model.idset import IdSet

#: Letters, and everything about which a remark is made or that a fast check might let pass.
ODD = st.text(st.sampled_from("ab#  \t\r\x00\x1f\x7f\x80\xa0é\u2028\ufeff\ud800😀"), max_size=5)

IDS = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), min_size=1, max_size=64).filter(
        lambda i: len(i.encode()) <= 64
    ),
    min_size=1,
    max_size=30,
)


def _load(files: dict[str, bytes]):
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            (Path(folder) / name).write_bytes(data)
        return load(
            ["a.yaml"],
            root=Path(folder),
            config=Config(),
            origin="loopback",
            environment_account="0" * 32,
            today=date(2026, 11, 23),
        )


def _yaml(id_: str) -> str:
    return '"' + "".join(c if c.isascii() and c.isalnum() else f"\\U{ord(c):08X}" for c in id_) + '"'


def _csv(ids: list[str]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerows([["id", "n"], *([id_, n] for n, id_ in enumerate(ids))])
    return text.getvalue()


@pytest.mark.fault(28)
@settings(deadline=None, max_examples=60)
@given(IDS)
@example(["no", "012", "~", "null", "1e3", "2026-01-01", " ", "\u2028", "\ufeff", "\x85", '"', "\\", "\x00"])
def test_any_ids_are_the_same_from_yaml_text_csv_and_json_lines(ids):
    plain = [i for i in ids if not i.startswith("\ufeff")] or ["a"]  # a BOM at the start of a file is no id
    kinds = {
        "yaml": "version: 1\nabsent: [{index: a, ids: [" + ", ".join(map(_yaml, plain)) + "]}]\n",
        "txt": "\n".join(plain),
        "csv": _csv(plain),
        "jsonl": "\n".join(json.dumps({"id": i}, ensure_ascii=False) for i in plain),
    }
    for kind, content in kinds.items():
        entry = {"csv": ", column: id", "jsonl": ", field: id"}.get(kind, "")
        manifest = (
            content
            if kind == "yaml"
            else f"version: 1\nabsent: [{{index: a, ids_from: [{{path: i.{kind}.gz{entry}}}]}}]"
        )
        desired = _load({"a.yaml": manifest.encode(), f"i.{kind}.gz": gzip.compress(content.encode())})
        assert [d for d in desired.diagnostics if d.severity == "error"] == []
        assert desired.targets[0].ids == IdSet.of(plain), kind


@settings(deadline=None, max_examples=150)
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda t: t.encode("utf-8", "surrogatepass"))))
@example(b"%YAML 9.9\n---\nversion: 1\n")
@example(b"%TAG ! tag:x\n---\n!a b\n")
@example(b"? \n")
@example(b"version: 1\nabsent: [{index: a, ids_from: [{path: .txt}, {path: ''}, x, {path: a.yaml/b.txt}]}]")
@example(
    b"version: 1\nkeep: [{index: a, prefixes: {a: b}, ids: {a: b}, ids_from: {a: b}, reason: [a], until: []}]"
)
@example(
    b"version: 1\nabsent: &a [&b {index: a, prefixes: &p [x], ids: *p}, *b, {index: b, ids: &i [x], prefixes: *i}]"
)
def test_no_bytes_make_a_manifest_or_a_configuration_raise(data):
    desired = _load({"a.yaml": data})
    assert list(desired.diagnostics) == sorted(desired.diagnostics, key=lambda d: d.sort_key)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "reconciler.yaml").write_bytes(data)
        load_config(None, root=Path(folder))


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(["txt", "csv", "jsonl", "txt.gz"]), st.binary(max_size=300))
def test_no_bytes_make_an_id_file_raise(kind, data):
    entry = {"csv": ", column: id", "jsonl": ", field: id"}.get(kind, "")
    if kind == "csv":
        data = b"id\n" + data
    manifest = f"version: 1\nabsent: [{{index: a, ids_from: [{{path: i.{kind}{entry}}}]}}]"
    desired = _load({"a.yaml": manifest.encode(), f"i.{kind}": data})
    assert all(d.summary.isprintable() or d.summary for d in desired.diagnostics)


class _OneByOne(Lines):
    """Ids of which nobody says that nothing about them is remarkable."""

    def plain(self) -> None:
        return None


@settings(deadline=None, max_examples=300)
@given(st.lists(ODD | st.sampled_from(["x" * 64, "x" * 65, "é" * 32, "é" * 33]), max_size=6))
@example([" "])
@example(["# a"])
@example(["a", ""])
def test_a_block_is_taken_whole_exactly_when_nothing_is_to_be_said_of_any_of_its_ids(ids):
    findings = Findings("i.txt", Position("i.txt", 1))
    one_by_one = usable(_OneByOne(ids, range(1, len(ids) + 1)), findings)
    nothing_to_say = not findings.diagnostics()
    assert plain_texts(ids) == (one_by_one if nothing_to_say else None)
    if "\ud800" in "".join(ids):
        return  # a file is UTF-8
    # In a text file blank lines are no ids; everywhere else an empty id is a mistake.
    found = plain_lines("\n".join(ids).encode())
    filled = [id_ for id_ in ids if id_]
    assert found == plain_texts(filled)
