"""The tree of errors is a public contract: exit codes, and the drawing that people read."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler import errors
from reconciler.errors import ExitCode, ReconcilerError, worst_exit_code

DRAWN = re.compile(r"^ {4}(?P<indent>[│ ]*)(?:[├└]── )(?P<name>\w+) +(?P<code>\d+)\b")


def drawn() -> dict[str, tuple[str, int]]:
    """name -> (name of its parent, exit code), as the docstring draws it."""
    tree: dict[str, tuple[str, int]] = {}
    above = ["ReconcilerError"]
    for line in (errors.__doc__ or "").splitlines():
        if found := DRAWN.match(line):
            depth = len(found["indent"]) // 4
            tree[found["name"]] = (above[depth], int(found["code"]))
            above[depth + 1 :] = [found["name"]]
    return tree


def below(kind: type[ReconcilerError]) -> set[type[ReconcilerError]]:
    return {kind}.union(*(below(each) for each in kind.__subclasses__()))


HERE = sorted((e for e in below(ReconcilerError) if e.__module__ == errors.__name__), key=lambda e: e.__name__)


@pytest.mark.parametrize("kind", [e for e in HERE if e is not ReconcilerError])
def test_every_error_is_drawn_under_its_parent_with_its_exit_code(kind):
    (parent,) = kind.__bases__
    assert drawn().get(kind.__name__) == (parent.__name__, kind.exit_code)


def test_no_error_is_drawn_that_does_not_exist():
    assert drawn().keys() == {e.__name__ for e in HERE} - {"ReconcilerError"}


@pytest.mark.parametrize("kind", HERE)
def test_an_error_carries_its_message_and_a_hint(kind):
    more = {"maximum": 50} if kind.__name__ == "TooManyIds" else {}
    made = kind("what happened", hint="what to do", **more)
    assert (str(made), made.message, made.hint) == ("what happened", "what happened", "what to do")
    assert isinstance(made.exit_code, ExitCode)


#: design.md: "Several hold: the first of 130, 5, 1, 6, 3, 4, 7, 2, 0."
PRECEDENCE = [130, 5, 1, 6, 3, 4, 7, 2, 0]


def test_the_worst_exit_code_follows_the_published_order():
    assert sorted(PRECEDENCE) == sorted(ExitCode)
    for worse, better in pairwise(PRECEDENCE):
        assert worst_exit_code(ExitCode(better), ExitCode(worse)) == worse
        assert worst_exit_code(ExitCode(worse), ExitCode(better)) == worse


@given(st.lists(st.sampled_from(ExitCode)))
def test_the_first_of_the_order_that_holds_is_reported(codes):
    expected = next((code for code in PRECEDENCE if code in codes), 0)
    assert worst_exit_code(*codes) == expected
