"""GitHub's expressions, `${{ … }}`: what workflows here use of them, with GitHub's rules of comparison.

Literals, contexts (`steps.run.outputs.code`, names with dashes too), `!`, `==`, `!=`, `&&`, `||`, brackets, and the
functions always, success, failure, cancelled, format, startsWith, endsWith and contains. Anything else is an error, so
that a workflow cannot use what was never tried.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

_TOKEN = re.compile(
    r"\s*(?:(?P<string>'(?:[^']|'')*')|(?P<number>-?\d+(?:\.\d+)?)|(?P<name>[A-Za-z_][\w-]*)"
    r"|(?P<operator>==|!=|&&|\|\||[!().,]))"
)
_FIELD = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
STATUS = ("always", "success", "failure", "cancelled")


class Evaluator:
    """Evaluates against contexts; `status` answers the functions of `STATUS`."""

    def __init__(self, contexts: Mapping[str, Any], status: Mapping[str, bool]) -> None:
        self._contexts = contexts
        self._status = status

    def text(self, template: object) -> str:
        """A value of a workflow with every `${{ }}` in it replaced."""
        return _FIELD.sub(lambda found: as_text(self.value(found[1])), as_text(template))

    def condition(self, written: object) -> bool:
        """An `if:`; without a function of `STATUS` in it, `success()` is meant as well."""
        if written is None:
            return self._status["success"]
        text = as_text(written).strip()
        whole = _FIELD.fullmatch(text)
        text = whole[1] if whole else text
        implied = not any(re.search(rf"\b{name}\(", text) for name in STATUS)
        return truthy(self.value(text)) and (self._status["success"] or not implied)

    def value(self, text: str) -> Any:
        """An expression without its brackets."""
        parser = _Parser(text, self)
        value = parser.either()
        assert parser.done, f"not understood: {text!r}"
        return value

    def look_up(self, path: list[str]) -> Any:
        assert path[0] in self._contexts, f"no such context: {'.'.join(path)}"
        found: Any = self._contexts
        for name in path:
            found = found.get(name) if isinstance(found, Mapping) else None
        return found

    def call(self, name: str, arguments: list[Any]) -> Any:
        if name in STATUS:
            return self._status[name]
        functions: dict[str, Callable[..., Any]] = {
            "format": lambda pattern, *rest: pattern.format(*map(as_text, rest)),
            "startsWith": lambda a, b: as_text(a).lower().startswith(as_text(b).lower()),
            "endsWith": lambda a, b: as_text(a).lower().endswith(as_text(b).lower()),
            "contains": lambda a, b: as_text(b).lower() in as_text(a).lower(),
        }
        return functions[name](*arguments)


class _Parser:
    def __init__(self, text: str, evaluator: Evaluator) -> None:
        self._evaluator = evaluator
        self._tokens: list[tuple[str, str]] = []
        position, text = 0, text.strip()
        while position < len(text):
            match = _TOKEN.match(text, position)
            assert match, f"not understood: {text[position:]!r}"
            self._tokens.append((str(match.lastgroup), match[str(match.lastgroup)]))
            position = match.end()

    @property
    def done(self) -> bool:
        return not self._tokens

    def either(self) -> Any:
        value = self._both()
        while self._take("||"):
            other = self._both()
            value = value if truthy(value) else other
        return value

    def _both(self) -> Any:
        value = self._equal()
        while self._take("&&"):
            other = self._equal()
            value = other if truthy(value) else value
        return value

    def _equal(self) -> Any:
        value = self._negated()
        while self._tokens and self._tokens[0][1] in ("==", "!="):
            operator = self._tokens.pop(0)[1]
            value = equal(value, self._negated()) is (operator == "==")
        return value

    def _negated(self) -> Any:
        if self._take("!"):
            return not truthy(self._negated())
        return self._atom()

    def _atom(self) -> Any:
        kind, text = self._tokens.pop(0)
        if text == "(":
            value = self.either()
            assert self._take(")")
            return value
        if kind == "string":
            return text[1:-1].replace("''", "'")
        if kind == "number":
            return float(text)
        assert kind == "name", f"not understood: {text!r}"
        if text in ("true", "false", "null"):
            return {"true": True, "false": False, "null": None}[text]
        if self._take("("):
            arguments = []
            while not self._take(")"):
                arguments.append(self.either())
                self._take(",")
            return self._evaluator.call(text, arguments)
        path = [text]
        while self._take("."):
            path.append(self._tokens.pop(0)[1])
        return self._evaluator.look_up(path)

    def _take(self, operator: str) -> bool:
        if self._tokens and self._tokens[0] == ("operator", operator):
            self._tokens.pop(0)
            return True
        return False


def truthy(value: Any) -> bool:
    return value not in (False, None, "", 0)


def equal(left: Any, right: Any) -> bool:
    """Strings without regard to case; different types as numbers, where null and "" are 0."""
    if isinstance(left, str) and isinstance(right, str):
        return left.lower() == right.lower()
    if type(left) is type(right):
        return bool(left == right)
    return _number(left) == _number(right)


def _number(value: Any) -> float:
    try:
        return float(value or 0)
    except (TypeError, ValueError):
        return float("nan")


def as_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
