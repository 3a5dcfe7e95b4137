"""The tests' own reading of `${{ }}` follows GitHub's rules: what they run is what GitHub runs."""

from __future__ import annotations

from typing import Any

import pytest

from support.actions import read_outputs
from support.expressions import Evaluator

CONTEXTS = {
    "inputs": {"command": "apply", "empty": ""},
    "steps": {"run": {"outputs": {"code": "0", "failure-reason": "x"}, "outcome": "failure"}},
    "github": {"event": {"pull_request": {"number": 7}}, "ref": "refs/heads/main"},
}


def evaluator(*, failed: bool = False) -> Evaluator:
    status = {"always": True, "success": not failed, "failure": failed, "cancelled": False}
    return Evaluator(CONTEXTS, status)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("inputs.command", "apply"),
        ("inputs.command == 'APPLY'", True),  # strings are compared without regard to case
        ("inputs.empty || 'other'", "other"),
        ("inputs.command && 'yes' || 'no'", "yes"),
        ("inputs.none", None),
        ("inputs.none == ''", True),  # null and the empty string are both 0
        ("steps.skipped.outputs.code == ''", True),
        ("steps.run.outputs.code == ''", False),
        ("steps.run.outputs.failure-reason", "x"),
        ("github.event.pull_request.number == 7", True),
        ("github.ref == format('refs/heads/{0}', 'main')", True),
        ("!(inputs.command == 'apply') || inputs.empty != ''", False),
        ("startsWith(github.ref, 'refs/heads/') && contains(github.ref, 'MAIN')", True),
        ("'it''s'", "it's"),
    ],
)
def test_expressions(text: str, value: Any):
    assert evaluator().value(text) == value


@pytest.mark.parametrize("text", ["secretz.X", "inputs.command ==", "fromJSON('1')", "a b", "inputs.command $ 1"])
def test_what_was_never_tried_is_an_error(text):
    with pytest.raises((AssertionError, KeyError, IndexError)):
        evaluator().value(text)


@pytest.mark.parametrize(
    ("condition", "failed", "runs"),
    [
        (None, False, True),
        (None, True, False),
        ("inputs.command == 'apply'", True, False),  # success() is meant as well
        ("always() && inputs.command == 'apply'", True, True),
        ("failure()", True, True),
        ("failure()", False, False),
        ("${{ inputs.empty }}", False, False),
    ],
)
def test_conditions_of_steps(condition, failed, runs):
    assert evaluator(failed=failed).condition(condition) is runs


def test_values_are_put_into_text_as_text():
    assert evaluator().text("#${{ github.event.pull_request.number }}: ${{ inputs.none }}.") == "#7: ."


def test_outputs_of_one_line_and_of_several():
    text = "a=1\nb<<end\none\ntwo=2\nend\nc=x=y\n"
    assert dict(read_outputs(text)) == {"a": "1", "b": "one\ntwo=2", "c": "x=y"}
