"""What is wrong with a manifest is said where it is wrong, in words, all of it at once."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from reconciler import resources
from reconciler.manifests import yaml_events

ENTRY = "version: 1\nabsent:\n  - index: docs\n    ids: [a]\n"
LONG = "x" * 65

CASES = {
    # name: (manifest, expected "line:column severity code" with related places)
    "an empty file": ("", ["1:1 error empty-file"]),
    "only comments": ("# nothing\n", ["1:1 error empty-file"]),
    "a list at the top": ("- a\n", ["1:1 error wrong-type"]),
    "no version": ("absent: []\n", ["1:1 error missing-key"]),
    "a newer version": ("version: 2\n", ["1:10 error unsupported-version"]),
    "a quoted version": ('version: "1"\n', ["1:10 error wrong-type"]),
    "a version with a fraction": ("version: 1.0\n", ["1:10 error wrong-type"]),
    "an unknown key": ("version: 1\nabsnet: []\n", ["2:1 error unknown-key"]),
    "a merge key": ("version: 1\n<<: {a: b}\n", ["2:1 error unknown-key"]),
    "a duplicate key": ("version: 1\nabsent: []\nabsent: []\n", ["3:1 error duplicate-key -> 2:1"]),
    "a duplicate key in an entry": (
        "version: 1\nabsent:\n  - index: a\n    ids: [a]\n    index: b\n",
        ["5:5 error duplicate-key -> 3:5"],
    ),
    "a key that is a list": ("version: 1\n? [a]\n: b\n", ["2:3 error wrong-type"]),
    "several documents": ("version: 1\n---\nversion: 1\n", ["2:1 error several-documents"]),
    "nothing under absent": ("version: 1\nabsent:\n", ["2:8 error wrong-type"]),
    "text for a list": ("version: 1\nabsent: docs\n", ["2:9 error wrong-type"]),
    "text for an entry": ("version: 1\nabsent: [docs]\n", ["2:10 error wrong-type"]),
    "text for ids": ("version: 1\nabsent:\n  - index: a\n    ids: b\n", ["4:10 error wrong-type"]),
    "a mapping among ids": ("version: 1\nabsent:\n  - index: a\n    ids: [b, c: d]\n", ["4:14 error wrong-type"]),
    "a list among ids": ("version: 1\nabsent:\n  - index: a\n    ids: [b, [c]]\n", ["4:14 error wrong-type"]),
    "an empty list of ids": ("version: 1\nabsent:\n  - index: a\n    ids: []\n", ["4:10 error empty-list"]),
    "no index": ("version: 1\nabsent:\n  - ids: [a]\n", ["3:5 error missing-key"]),
    "an index that is nothing": ("version: 1\nabsent:\n  - {index: null, ids: [a]}\n", ["3:13 error wrong-type"]),
    "an empty index name": ("version: 1\nabsent:\n  - {index: '', ids: [a]}\n", ["3:13 error index-name"]),
    "an index name of 65 bytes": (
        f"version: 1\nabsent:\n  - {{index: {LONG}, ids: [a]}}\n",
        ["3:13 error index-name"],
    ),
    "an index name of 33 characters and 66 bytes": (
        f"version: 1\nabsent:\n  - {{index: {'é' * 33}, ids: [a]}}\n",
        ["3:13 error index-name"],
    ),
    "an index name that climbs in a URL": (
        "version: 1\nabsent:\n  - {index: .., ids: [a]}\n",
        ["3:13 error index-name"],
    ),
    "neither ids nor files nor prefixes": ("version: 1\nabsent:\n  - index: a\n", ["3:5 error entry-empty"]),
    "until under keep": (
        "version: 1\nkeep:\n  - index: a\n    ids: [a]\n    until: 2027-01-01\n",
        ["5:5 error unknown-key"],
    ),
    "an account that is no account": (f"account_id: abc\n{ENTRY}", ["1:13 error account-id"]),
    "an account in capitals": (f"account_id: {'A' * 32}\n{ENTRY}", ["1:13 error account-id"]),
    "until in words": (ENTRY + "    until: tomorrow\n", ["5:12 error until-date"]),
    "until without dashes": (ENTRY + "    until: 20270522\n", ["5:12 error until-date"]),
    "until on a day that is not": (ENTRY + "    until: 2027-02-30\n", ["5:12 error until-date"]),
    "a reason that is nothing": (ENTRY + "    reason:\n", ["5:12 error wrong-type"]),
    "an empty reason": (ENTRY + "    reason: ''\n", ["5:13 error empty-text"]),
    "an endless reason": (ENTRY + f"    reason: {'r' * 1025}\n", ["5:13 error text-too-long"]),
    "an empty prefix": (ENTRY + "    prefixes: ['']\n", ["5:16 error empty-prefix"]),
    "a prefix of 65 bytes": (ENTRY + f"    prefixes: [{LONG}]\n", ["5:16 error prefix-length"]),
    "a prefix of 33 characters and 66 bytes": (
        ENTRY + f"    prefixes: [{'é' * 33}]\n",
        ["5:16 error prefix-length"],
    ),
    "a prefix twice": (ENTRY + "    prefixes: [a, a]\n", ["5:19 warning duplicate-prefix -> 5:16"]),
    "a prefix with a blank": (ENTRY + "    prefixes: ['a ']\n", ["5:16 warning white-space"]),
    "yes for a boolean": (
        "version: 1\nabsent:\n  - index: a\n    ids_from: [{path: a.txt, allow_empty: yes}]\n",
        ["4:23 error id-file-missing", "4:43 error wrong-type"],
    ),
    "an id file without a path": (
        "version: 1\nabsent:\n  - index: a\n    ids_from: [{column: a}]\n",
        ["4:16 error missing-key"],
    ),
    "a tab in the indentation": ("version: 1\nabsent:\n\t- index: a\n", ["3:1 error yaml-tab"]),
    "a tab under a value": ("version: 1\nabsent:\n  - index: a\n\tids: [a]\n", ["4:1 error yaml-tab"]),
    "a quotation mark that stays open": ("version: 1\nabsent: 'x\n", ["3:1 error yaml-syntax"]),
    "a bracket that stays open": ("version: 1\nabsent: [a\n", ["3:1 error yaml-syntax"]),
    "a Python tag": ("version: 1\nabsent: !!python/object:os.system []\n", ["2:9 error yaml-tag"]),
    "a tag on an id": ("version: 1\nabsent:\n  - index: a\n    ids: [!!int 1]\n", ["4:11 error yaml-tag"]),
    "a NUL byte": ("version: 1\nabsent: 'a\0b'\n", ["2:11 error yaml-character"]),
    "bytes that are not UTF-8": (b"version: 1\n# caf\xe9\n", ["2:6 error not-utf8"]),
    "an encoded surrogate": (b"version: 1\n# \xed\xa0\x80\n", ["2:3 error not-utf8"]),
    "UTF-16": ("version: 1\n".encode("utf-16"), ["1:1 error not-utf8"]),
    "an escaped surrogate": ('version: 1\nabsent: "\\ud800"\n', ["2:12 error invalid-unicode"]),
    "an alias without an anchor": ("version: 1\nabsent: *a\n", ["2:9 error yaml-alias"]),
    "an alias inside its anchor": ("version: 1\nabsent: &a [*a]\n", ["2:13 error yaml-alias"]),
    "a byte order mark": ("\ufeff" + ENTRY, ["1:1 warning bom"]),
    "one text of 64 KiB and more": (f"version: 1\nabsent: {'x' * 65_537}\n", ["2:9 error text-too-long"]),
}


def _placed(expected: str) -> str:
    return "manifests/a.yaml:" + expected.replace("-> ", "-> manifests/a.yaml:")


@pytest.mark.parametrize("name", CASES)
def test_a_mistake_is_reported_exactly_where_it_is(folder, name):
    manifest, expected = CASES[name]
    folder.write("manifests/a.yaml", manifest)
    assert folder.problems() == [_placed(each) for each in expected]


def test_all_mistakes_of_all_files_are_reported_at_once(folder):
    folder.write("manifests/a.yaml", "version: 3\nabsent:\n  - ids: ['']\n  - index: a\n    idz: [a]\n")
    folder.write("manifests/b.yaml", "version: 1\nversion: 1\nabsent: 'x\n")
    assert folder.problems() == [
        "manifests/a.yaml:1:10 error unsupported-version",
        "manifests/a.yaml:3:5 error missing-key",
        "manifests/a.yaml:3:11 error empty-id",
        "manifests/a.yaml:4:5 error entry-empty",
        "manifests/a.yaml:5:5 error unknown-key",
        "manifests/b.yaml:2:1 error duplicate-key -> manifests/b.yaml:1:1",
        "manifests/b.yaml:4:1 error yaml-syntax",
    ]


def test_an_unknown_key_comes_with_the_nearest_known_one(folder):
    folder.write("manifests/a.yaml", "version: 1\nabsnet: []\n")
    (found,) = folder.load().diagnostics
    assert found.summary == 'unknown key "absnet"'
    assert found.detail == 'Did you mean "absent"? Known here: version, account_id, absent, keep.'


def test_a_quotation_is_cut_and_has_no_halves_of_characters(folder):
    folder.write("manifests/a.yaml", f"version: 1\naccount_id: {'k' * 300}\n")
    (found,) = folder.load().diagnostics
    assert len(found.summary) < 120


def test_crlf_is_as_good_as_lf(folder):
    folder.write("manifests/a.yaml", ENTRY.replace("\n", "\r\n"))
    (target,) = folder.load().targets
    assert list(target.ids) == ["a"]
    assert folder.problems() == []


@pytest.mark.parametrize(
    "written",
    ["no", "012", "1e3", "2026-01-01", "0x1F", "1_000", "12:30:45", ".inf", "true", "=", "<<", "!!str 7"],
)
def test_an_id_is_never_taken_for_another_type(folder, written):
    folder.write("manifests/a.yaml", f"version: 1\nabsent:\n  - index: a\n    ids:\n      - {written}\n")
    desired = folder.load()
    assert desired.diagnostics == ()
    assert list(desired.targets[0].ids) == [written.removeprefix("!!str ")]


@pytest.mark.parametrize("written", ["~", "null", "NULL"])
def test_an_id_that_reads_as_nothing_is_kept_and_questioned(folder, written):
    folder.write("manifests/a.yaml", f"version: 1\nabsent:\n  - index: a\n    ids:\n      - {written}\n")
    assert folder.problems() == ["manifests/a.yaml:5:9 warning ambiguous-id"]
    assert list(folder.load().targets[0].ids) == [written]


def test_an_item_without_text_is_an_empty_id(folder):
    folder.write("manifests/a.yaml", "version: 1\nabsent:\n  - index: a\n    ids:\n      -\n      - b\n")
    assert folder.problems() == ["manifests/a.yaml:5:8 error empty-id"]


def test_an_alias_may_stand_for_the_same_ids_in_another_index(folder):
    folder.write(
        "manifests/a.yaml",
        "version: 1\nabsent:\n  - {index: a, ids: &gone [x, y], reason: &why because}\n"
        "  - {index: b, ids: *gone, reason: *why}\n",
    )
    desired = folder.load()
    assert desired.diagnostics == ()
    assert [(t.target.index, list(t.ids), t.declarations[0].reason) for t in desired.targets] == [
        ("a", ["x", "y"], "because"),
        ("b", ["x", "y"], "because"),
    ]


def test_aliases_that_double_at_each_step_are_refused_quickly(folder):
    steps = "".join(f"    - &n{n} [*n{n - 1}, *n{n - 1}]\n" for n in range(1, 60))
    folder.write("manifests/a.yaml", f"version: 1\nabsent:\n    - &n0 [x]\n{steps}")
    assert [p.split()[-1] for p in folder.problems()] == ["alias-bomb"]


def test_many_aliases_to_a_long_list_of_ids_are_refused(folder):
    ids = ", ".join(f"i{n}" for n in range(2_000))
    more = "".join(f"  - {{index: i{n}, ids: *ids}}\n" for n in range(60))
    folder.write("manifests/a.yaml", f"version: 1\nabsent:\n  - {{index: a, ids: &ids [{ids}]}}\n{more}")
    assert [p.split()[-1] for p in folder.problems()] == ["alias-bomb"]


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_deep_nesting_is_an_error_and_no_crash(folder, opening):
    folder.write("manifests/a.yaml", "version: 1\nabsent: \n  " + opening * 100_000)
    (found,) = folder.load().diagnostics
    assert found.code in {"nested-too-deeply", "yaml-syntax"}


def test_the_pure_parser_says_the_same_of_sound_files(folder, monkeypatch):
    folder.write("manifests/a.yaml", '\ufeffversion: 1\nabsent:\n  - index: é\n    ids: [a, "\\ud800", ~, b, a]\n')
    folder.write("manifests/b.yaml", b"a: \xff\n")
    monkeypatch.setattr(yaml_events, "_LOADER", yaml.SafeLoader)
    assert folder.problems() == [
        "manifests/a.yaml:1:1 warning bom",
        "manifests/a.yaml:4:14 error invalid-unicode",
        "manifests/a.yaml:4:24 warning ambiguous-id",
        "manifests/a.yaml:4:30 warning duplicate-id -> manifests/a.yaml:4:11",
        "manifests/b.yaml:1:4 error not-utf8",
    ]


@pytest.mark.parametrize("name", ["manifest", "config"])
def test_the_schema_is_sound_and_explains_every_key(name):
    schema = resources.schema(name)
    jsonschema.Draft202012Validator.check_schema(schema)

    def unexplained(part):
        if isinstance(part, dict):
            for key, value in part.get("properties", {}).items():
                if not ({"description", "$ref"} & set(value)):
                    yield key
            for value in part.values():
                yield from unexplained(value)

    assert list(unexplained(schema)) == []


def test_the_schema_names_the_limits_that_the_code_checks():
    text = json.dumps(resources.schema("manifest"))
    assert '"maxLength": 64' in text
    assert "uniqueItems" not in text  # a million ids are compared in bulk, not one by one


def test_the_examples_are_sound_and_point_to_their_schema(folder):
    examples = resources.example_manifests()
    desired = folder.load(str(examples), environment_account=None)
    assert desired.diagnostics == ()
    sizes = {t.target.index: len(t.ids) for t in desired.targets}
    assert sizes == {"agent-memory": 21, "support-articles": 246}
    assert not any(t.prefixes for t in desired.targets)  # so that they plan without a network
    assert {keep.index for keep in desired.keeps} == set(sizes)
    for manifest in Path(examples).glob("*.yaml"):
        first = manifest.read_text("utf-8").split("\n")[0]
        assert first == "# yaml-language-server: $schema=../schemas/manifest.schema.json"
