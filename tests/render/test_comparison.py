from __future__ import annotations

import json
import unicodedata
from dataclasses import replace

from jsonschema import Draft202012Validator

from reconciler.model.comparison import compare
from reconciler.model.idset import IdSet
from reconciler.model.plan import Action, ActionKind, Plan
from reconciler.render.comparison import comparison_json, comparison_lines
from reconciler.render.comparison_markdown import document
from reconciler.resources import schema

INPUTS = ("manifests/gdpr.yaml was changed", "::warning::x.yaml was added", "`@everyone` <b>was removed")


def pair(every_kind: Plan):
    """The plan of every kind against one that has fewer deletes, other releases, and no second index."""
    articles = every_kind.indexes[0]
    actions = [_changed(action) for action in articles.actions]
    other = replace(
        every_kind,
        fingerprint="sha256:" + "ab" * 32,
        indexes=(replace(articles, actions=tuple(actions)),),
    )
    return compare(every_kind, other)


def _changed(action: Action) -> Action:
    if action.kind is ActionKind.DELETE:
        return replace(action, ids=IdSet.of([*list(action.ids)[2:], f"gone-{len(action.ids)}"]))
    if action.kind is ActionKind.RELEASE:
        return replace(action, ids=IdSet.of(["r2", "r9"]))
    return action


def lines(found, inputs=INPUTS, **options):
    return "".join(f"{each}\n" for each in comparison_lines(found, inputs, **options))


def test_as_text(golden, every_kind):
    golden("comparison.txt", lines(pair(every_kind)))


def test_as_json(golden, every_kind):
    text = "".join(comparison_json(pair(every_kind), INPUTS))
    golden("comparison.json", text)
    Draft202012Validator(schema("comparison")).validate(json.loads(text))
    assert text.isascii()
    assert "##[" not in text


def test_as_markdown(golden, every_kind):
    golden("comparison.md", document(pair(every_kind), INPUTS))


def test_the_json_of_plans_without_anything_is_whole(every_kind):
    bare = replace(every_kind, indexes=())
    document = json.loads("".join(comparison_json(compare(bare, bare), ())))
    assert document["indexes"] == []
    Draft202012Validator(schema("comparison")).validate(document)


def test_every_id_when_asked(every_kind):
    assert "… and" not in lines(pair(every_kind), verbose=True)


def test_hostile_text_can_neither_act_nor_begin_a_line(every_kind):
    text = lines(pair(every_kind), verbose=True) + document(pair(every_kind), INPUTS)
    assert not [c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") and c != "\n"]
    assert not [each for each in text.splitlines() if each.lstrip().startswith(("::", "##["))]
    assert "##[" not in text


def test_plans_of_other_places_of_the_state_are_warned_of(every_kind):
    other = replace(every_kind, state=replace(every_kind.state, position=1))
    found = compare(every_kind, other)
    assert "different places of the state" in lines(found)
    assert "different places of the state" in document(found, ())
    assert "different places of the state" not in lines(compare(every_kind, every_kind))


def test_many_ids_are_streamed_in_small_pieces_and_none_is_lost(every_kind):
    many = IdSet.of(f"id-{n:06}" for n in range(10_000))
    index = replace(every_kind.indexes[0], actions=(Action(ActionKind.DELETE, "new", (), many),))
    found = compare(replace(every_kind, indexes=(index,)), replace(every_kind, indexes=()))
    pieces = list(comparison_json(found, ()))
    assert max(map(len, pieces)) < 60_000
    (action,) = json.loads("".join(pieces))["indexes"][0]["actions"]
    assert action["introduced"] == {"count": 10_000, "ids": list(many)}
