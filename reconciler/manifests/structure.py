"""Does a file have the structure its JSON Schema asks for? The only module that knows jsonschema.

Lists of ids are checked elsewhere, in bulk: the schema sees a stand-in of one id.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from reconciler import resources
from reconciler.manifests.checks import quoted
from reconciler.manifests.values import rule_of, value_of
from reconciler.manifests.yaml_events import Items, Node, Table, Text
from reconciler.model.diagnostic import Diagnostic, Position, error

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator, ValidationError

_KINDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping (key: value)",
}
#: Words by which people try to name the API's address or credentials in the configuration.
_ADDRESSES = frozenset(
    {"base_url", "baseurl", "api_base", "api_url", "api_base_url", "url", "endpoint", "origin", "host"}
)
_SECRETS = frozenset({"token", "api_token", "api_key", "key", "email", "password", "secret"})
_ADDRESS_ADVICE = (
    "The API's address never comes from a file of the repository: whoever changes that file could have the "
    "token sent elsewhere. Use the flag or the environment variable."
)
_ENTRY_KEYS = ("ids", "ids_from", "prefixes")


@cache
def _validator(name: str) -> Draft202012Validator:
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - 30 ms, of which most commands need nothing

    return Draft202012Validator(resources.schema(name))


@lru_cache(maxsize=1_000)
def _accepts(name: str, brief: str) -> bool:
    """Does the JSON Schema `name` accept the value that `brief` is the JSON of?"""
    return _validator(name).is_valid(json.loads(brief))


def check(root: Node, name: str) -> list[Diagnostic]:
    """Everything in which `root` differs from the JSON Schema `name` ("manifest", "config").

    The schema is asked once about all that it cannot tell apart, in one file or in thousands; about the whole only
    when there is something wrong with it.
    """
    rule = rule_of(name)
    if _accepts(name, json.dumps(value_of(root, rule, brief=True))):
        return []
    found: list[Diagnostic] = []
    for problem in _validator(name).iter_errors(value_of(root, rule)):
        found += _explain(problem, root)
    return found


def _find(root: Node, path: Iterable[str | int]) -> Node:
    """The node at a path of keys and numbers; the nearest one above where there is none."""
    node = root
    for step in path:
        if isinstance(node, Table) and isinstance(step, str) and step in node.entries:
            node = node.entries[step][1]
        elif isinstance(node, Items) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
        else:
            break
    return node


def _explain(problem: ValidationError, root: Node) -> list[Diagnostic]:
    path = list(problem.absolute_path)
    node = _find(root, path)
    if "propertyNames" in problem.absolute_schema_path:  # of the limits of single indexes
        return [error("index-name", *_SIZES["index"], _key(node, str(problem.instance)))]
    match problem.validator:
        case "additionalProperties":
            return _unknown_keys(problem, node)
        case "required":
            required: Any = problem.validator_value
            key = next(key for key in required if problem.message.startswith(repr(key)))
            detail = "Start the file with `version: 1`." if key == "version" else f"Add `{key}:` here."
            return [error("missing-key", f"the key {quoted(key)} is missing", detail, node.position)]
        case "const" if not isinstance(problem.instance, int):
            return []  # its type is wrong, which is an error of its own
        case "type":
            return [_wrong_type(problem, node, _name(path))]
        case "not":
            summary = f"{quoted(_name(path))} is not accepted in a file"
            return [error("base-url", summary, _ADDRESS_ADVICE, _key_position(root, path))]
    return [_wrong_value(problem, node, _name(path))]


def _name(path: list[str | int]) -> str:
    """The last key of a path: `prefixes` for the third item of `prefixes`."""
    return next((step for step in reversed(path) if isinstance(step, str)), "")


def _key(node: Node, key: str) -> Position:
    return node.entries[key][0].position if isinstance(node, Table) and key in node.entries else node.position


def _key_position(root: Node, path: list[str | int]) -> Position:
    return _key(_find(root, path[:-1]), str(path[-1]))


def _unknown_keys(problem: ValidationError, node: Node) -> list[Diagnostic]:
    schema: Any = problem.schema
    known = list(schema.get("properties", {}))
    from difflib import get_close_matches  # noqa: PLC0415 - only for who mistyped

    found = []
    for key in sorted(set(problem.instance) - set(known)) if isinstance(problem.instance, dict) else []:
        near = get_close_matches(key, known, 1)
        code, detail = "unknown-key", f"Known here: {', '.join(known)}."
        if "base_url" in known:
            known_shown = [name for name in known if name != "base_url"]
            near = [name for name in near if name != "base_url"]
            detail = f"Known here: {', '.join(known_shown)}."
            if key.lower() in _ADDRESSES:
                code, detail, near = "base-url", _ADDRESS_ADVICE, []
            elif key.lower() in _SECRETS:
                detail, near = (
                    "Credentials are read from the environment only. Remove it, and revoke it if it was real.",
                    [],
                )
        if key == "<<":
            detail = "Merge keys are not supported. Write the keys out."
        if near:
            detail = f'Did you mean "{near[0]}"? {detail}'
        found.append(error(code, f"unknown key {quoted(key)}", detail, _key(node, key)))
    return found


def _wrong_type(problem: ValidationError, node: Node, name: str) -> Diagnostic:
    value: Any = problem.validator_value
    wanted = " or ".join(_KINDS[kind] for kind in ([value] if isinstance(value, str) else value))
    if isinstance(node, Text):
        got = "nothing" if node.is_nothing else "text"
    else:
        got = "a mapping" if isinstance(node, Table) else "a list"
    detail = ""
    if wanted != "text" and got == "text" and isinstance(node, Text):
        got = f"the text {quoted(node.value)}" if name != "state" else got
        detail = "Write it without quotes." if not node.plain else ""
        if value == "boolean":
            detail = "Write true or false, without quotes."
    elif got == "nothing":
        detail = "Write a value, or remove the key. A text such as null or ~ needs quotes."
    elif wanted == "a list":
        detail = "Begin each item with `- `, or put the items in brackets."
    place = f" for {quoted(name)}" if name else ""
    return error("wrong-type", f"expected {wanted}{place}, found {got}", detail, node.position)


#: What is wrong with a text that is too short or too long, by the key it stands under: summary, detail.
_SIZES = {
    "index": ("an index name has 1 to 64 bytes", "Write the name as the account has it."),
    "allowed_indexes": ("an index name has 1 to 64 bytes", "Write the name as the account has it."),
    "prefixes": (
        "a prefix has 1 to 64 bytes",
        "No id is longer than 64 bytes; an empty prefix would mean the whole index.",
    ),
}


def _wrong_value(problem: ValidationError, node: Node, name: str) -> Diagnostic:
    limit = problem.validator_value
    match problem.validator:
        case "const":
            summary = f"version {problem.instance} of this format is not known"
            code, detail = (
                "unsupported-version",
                "This program reads version 1. A newer file needs a newer program.",
            )
        case "anyOf":
            code, summary = "entry-empty", f"the entry has none of {', '.join(_ENTRY_KEYS)}"
            detail = "Say which ids it is about."
        case "minItems":
            code, summary = "empty-list", f"the list {quoted(name)} is empty"
            detail = "Name at least one item, or remove the key."
        case "pattern" if name == "account_id":
            code, summary = "account-id", f"{quoted(str(problem.instance))} is no account id"
            detail = "An account id is 32 characters, 0-9 and a-f in lower case, as the dashboard shows it."
        case "pattern" if name == "recheck":
            code, summary = "duration", f"{quoted(str(problem.instance))} is no length of time"
            detail = "Write days or hours, such as 30d or 12h."
        case "pattern":
            code, summary = "until-date", f"{quoted(str(problem.instance))} is no date"
            detail = "Write YYYY-MM-DD, such as 2027-05-22."
        case "minLength" | "maxLength" if name in _SIZES:
            code = "index-name" if name != "prefixes" else "prefix-length"
            summary, detail = _SIZES[name]
            if problem.validator == "minLength" and name == "prefixes":
                code, summary = "empty-prefix", "a prefix is empty"
        case "minLength":
            code, summary, detail = "empty-text", f"{quoted(name)} is empty", "Write a value, or remove the key."
        case "maxLength":
            code, summary = "text-too-long", f"{quoted(name)} is longer than {limit} characters"
            detail = "Shorten it; put the rest where it refers to."
        case _:
            words = {"minimum": "at least", "maximum": "at most", "exclusiveMinimum": "more than"}
            code, summary = (
                "out-of-range",
                f"{quoted(name)} must be {words.get(str(problem.validator), '')} {limit}",
            )
            detail = ""
    return error(code, summary, detail, node.position)
