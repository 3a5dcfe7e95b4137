"""What the nodes of a file say as JSON values, read as its JSON Schema wants them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from reconciler import resources
from reconciler.manifests.yaml_events import Ids, Items, Node, Text

_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})\Z")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,17})?\Z")
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}

#: Keywords that ask nothing of a value.
_ANNOTATIONS = frozenset({"title", "description", "examples", "default"})
#: A rule of these asks nothing of a text but its length, and of a list but that it is not empty.
_OF_SIZE = _ANNOTATIONS | {"type", "minLength", "maxLength"}
_OF_ITEMS = _ANNOTATIONS | {"type", "items", "minItems"}

#: An item is compared with so many that are unlike each other, the last that were met.
_COMPARED = 16


@dataclass(frozen=True, slots=True)
class Rule:
    """What of a JSON Schema, its references followed, decides how nodes are read.

    Attributes:
        kind: its `type`.
        fitting: lengths of texts that are as good as each other; none when it asks for more than a length.
        alike: items that are as good as each other count once.
        items: the rule of an item of a list.
        keys: rules of the values of a mapping, by key.
        others: the rule of the values of its other keys.
    """

    kind: object = None
    fitting: range = range(0)
    alike: bool = False
    items: Rule | None = None
    keys: Mapping[str, Rule] = field(default_factory=dict)
    others: Rule | None = None


_ANY = Rule()


@cache
def rule_of(name: str) -> Rule:
    """The rule of the JSON Schema `name` ("manifest", "config")."""
    whole = resources.schema(name)
    return _rule(whole, whole["$defs"])


def _rule(schema: Any, definitions: Mapping[str, Any]) -> Rule:
    if not isinstance(schema, dict):
        return _ANY
    if "$ref" in schema:
        return _rule(definitions[schema["$ref"].rsplit("/", 1)[1]], definitions)
    least, most = schema.get("minLength", 0), schema.get("maxLength", 1 << 62)
    return Rule(
        kind=schema.get("type"),
        fitting=range(least, most + 1) if schema.keys() <= _OF_SIZE else range(0),
        alike=schema.keys() <= _OF_ITEMS and schema.get("minItems", 0) <= 1,
        items=_rule(schema.get("items"), definitions),
        keys={key: _rule(value, definitions) for key, value in schema.get("properties", {}).items()},
        others=_rule(schema.get("additionalProperties"), definitions),
    )


def value_of(node: Node, rule: Rule | None, *, brief: bool = False) -> Any:
    """What `node` says: a scalar is a number or a boolean only where one belongs.

    Args:
        node: what to read. A list of ids stands as a list of one.
        rule: how to read it.
        brief: of what the schema cannot tell apart, say one: a text that fits stands as one of blanks, and items
            of a list that are alike stand once. The schema accepts this if and only if it accepts the whole.
    """
    rule = rule or _ANY
    if isinstance(node, Text):
        value = _scalar(node, rule.kind)
        return " " * rule.fitting[0] if brief and type(value) is str and len(value) in rule.fitting else value
    if isinstance(node, Ids):
        return [] if node.empty else ["id"]
    if isinstance(node, Items):
        if brief and rule.alike:
            return _unlike(node, rule.items)
        return [value_of(item, rule.items, brief=brief) for item in node.items]
    keys, others = rule.keys, rule.others
    return {key: value_of(value, keys.get(key, others), brief=brief) for key, (_, value) in node.entries.items()}


def _unlike(node: Items, rule: Rule | None) -> list[Any]:
    found: list[Any] = []
    for item in node.items:
        value = value_of(item, rule, brief=True)
        if value not in found[-_COMPARED:]:
            found.append(value)
    return found


def _scalar(node: Text, wanted: object) -> str | int | float | bool | None:
    if node.is_nothing:
        return None
    if node.plain and wanted == "integer" and _INTEGER.match(node.value):
        return int(node.value)
    if node.plain and wanted == "number" and _NUMBER.match(node.value):
        return float(node.value)
    if node.plain and wanted == "boolean":
        return _BOOLEANS.get(node.value, node.value)
    return node.value
