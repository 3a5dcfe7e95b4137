"""The schema is asked once about what it cannot tell apart: it must never be asked too little."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler import resources
from reconciler.manifests import structure
from reconciler.manifests.values import rule_of, value_of
from reconciler.manifests.yaml_events import ID_LISTS, compose

#: What may stand anywhere: sound values and unsound ones, in the places that the schemas know and in others.
TEXTS = st.sampled_from(
    ["", "a", "x" * 64, "x" * 65, "x" * 1025, "~", "12", "12x", "0.5", "true", "2027-05-22", "2027-5-2", "0" * 32]
)


def _keys(schema):
    """The keys of mappings that a schema knows."""
    for key, value in schema.items():
        yield from value if key == "properties" else ()
        yield from _keys(value) if isinstance(value, dict) else ()


KEYS = st.sampled_from(sorted({"docs", *_keys(resources.schema("manifest")), *_keys(resources.schema("config"))}))
SCALARS = st.one_of(
    TEXTS.map(json.dumps), st.sampled_from(["1", "2", "true", "null", "1.5", "text", "2027-05-22"])
)
ENTRY = st.fixed_dictionaries(
    {"index": st.sampled_from(["a", "docs", '"2"', "2"])},
    optional={
        "reason": SCALARS,
        "until": SCALARS,
        "ids": st.sampled_from(["[a]", "[a, b]", "[]"]),
        "prefixes": st.lists(SCALARS, max_size=3).map(lambda each: f"[{', '.join(each)}]"),
        "ids_from": st.sampled_from(["[{path: a.txt}]", "[{path: a.txt, allow_empty: true}]", "[{path: ''}, {}]"]),
    },
).map(lambda each: "{" + ", ".join(f"{key}: {value}" for key, value in each.items()) + "}")


def _mapping(values):
    return st.dictionaries(KEYS, values, max_size=5).map(
        lambda each: "{" + ", ".join(f"{key}: {value}" for key, value in each.items()) + "}"
    )


ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4).map(lambda each: f"[{', '.join(each)}]"), _mapping(inner)),
    max_leaves=12,
)
MANIFESTS = st.lists(st.one_of(ENTRY, ANYTHING), max_size=30).map(
    lambda each: f"{{version: 1, absent: [{', '.join(each)}]}}"
)


@pytest.fixture(scope="module")
def composed(tmp_path_factory):
    path = tmp_path_factory.mktemp("values") / "a.yaml"

    def of(text: str):
        path.write_text(text)
        return compose(path, "a.yaml", ID_LISTS).root

    return of


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(["manifest", "config"]), st.one_of(_mapping(ANYTHING), MANIFESTS))
def test_the_schema_accepts_the_brief_value_exactly_where_it_accepts_the_whole(composed, name, text):
    node, rule = composed(text), rule_of(name)
    validator = jsonschema.Draft202012Validator(resources.schema(name))
    assert validator.is_valid(value_of(node, rule, brief=True)) == validator.is_valid(value_of(node, rule))


def test_every_keyword_of_the_schemas_is_one_that_brief_values_were_made_for():
    """Whoever adds one here has seen to it that a value said in brief still says it."""

    def keywords(schema):
        for key, value in schema.items():
            yield key
            if key in ("properties", "$defs"):
                for each in value.values():
                    yield from keywords(each)
            elif isinstance(value, dict) and key != "not":
                yield from keywords(value)

    found = {key for name in ("manifest", "config") for key in keywords(resources.schema(name))}
    assert found <= {
        *("$schema", "$id", "$defs", "$ref", "title", "description", "examples", "default", "type", "const"),
        *("required", "properties", "additionalProperties", "propertyNames", "anyOf", "not", "items", "minItems"),
        *("minLength", "maxLength", "pattern", "format", "minimum", "maximum", "exclusiveMinimum"),
    }
    branches = [
        each for entry in ("declaration", "keep") for each in resources.schema("manifest")["$defs"][entry]["anyOf"]
    ]
    assert {key for branch in branches for key in branch} == {"required"}


def test_of_five_thousand_entries_alike_the_schema_sees_one(composed, monkeypatch):
    entries = "".join(f"  - {{index: index-{n}, reason: 'ticket {n}', ids: [a]}}\n" for n in range(5_000))
    root = composed(f"version: 1\nabsent:\n{entries}")
    seen = []
    real = structure._validator("manifest").is_valid

    class Counting:
        def is_valid(self, value):
            seen.append(value)
            return real(value)

    monkeypatch.setattr(structure, "_validator", lambda name: Counting())
    structure._accepts.cache_clear()
    assert structure.check(root, "manifest") == []
    assert [len(value["absent"]) for value in seen] == [1]


def test_what_is_wrong_with_one_of_many_entries_alike_is_said_at_its_place(composed):
    entries = [f"  - {{index: index-{n}, reason: r, ids: [a]}}\n" for n in range(200)]
    entries[120] = "  - {index: index-120, reason: '', ids: [a]}\n"
    entries[150] = "  - {index: index-150, reason: '', ids: [a]}\n"
    found = structure.check(composed("version: 1\nabsent:\n" + "".join(entries)), "manifest")
    assert [(each.position.line, each.code) for each in found] == [(123, "empty-text"), (153, "empty-text")]


def test_files_of_one_shape_ask_the_schema_once(tmp_path: Path, monkeypatch):
    asked = []
    real = structure._validator
    monkeypatch.setattr(structure, "_validator", lambda name: asked.append(name) or real(name))
    structure._accepts.cache_clear()
    for n in range(20):
        path = tmp_path / f"{n}.yaml"
        path.write_text(f"version: 1\nabsent:\n  - {{index: index-{n}, ids: [a]}}\n")
        assert structure.check(compose(path, path.name, ID_LISTS).root, "manifest") == []
    assert asked == ["manifest"]
