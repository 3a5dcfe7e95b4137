from __future__ import annotations

import io
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from reconciler.model.diagnostic import error, refusal, warning
from reconciler.model.idset import IdSet
from reconciler.model.plan import Action, ActionKind, ActionSource, IndexPlan, Plan, Summary
from reconciler.model.target import Target
from reconciler.render.lines import print_lines
from reconciler.render.plan_text import duration, plan_lines, summary_line, verdict, write

GDPR = (ActionSource("manifests/gdpr.yaml", 7, "GDPR"),)
TARGET = Target("loopback", "0" * 32, "articles")


def text_of(plan: Plan, **options: object) -> str:
    return "".join(f"{each}\n" for each in plan_lines(plan, **options))  # type: ignore[arg-type]


def small(kind: ActionKind | None, *, unchanged: int = 0, **more: object) -> Plan:
    actions = () if kind is None else (Action(kind, "why", GDPR, IdSet.of(["a", "b"])),)
    counts = {} if kind is None else {kind.value: 2}
    summary = Summary(**counts, unchanged=unchanged)
    index = IndexPlan(TARGET, None, summary, actions)
    defaults: dict[str, object] = {"observed": True, "complete": True, "summary": summary, "indexes": (index,)}
    return Plan("sha256:0", None, (), **(defaults | more))  # type: ignore[arg-type]


def test_every_kind_of_action(golden: Callable[[str, str], None], every_kind: Plan) -> None:
    golden("plan.txt", text_of(every_kind))


def test_every_id_when_asked(golden: Callable[[str, str], None], every_kind: Plan) -> None:
    golden("plan.verbose.txt", text_of(every_kind, verbose=True))


def test_colours(golden: Callable[[str, str], None], every_kind: Plan) -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, color_system="standard", width=60, legacy_windows=False)
    print_lines(plan_lines(every_kind), console)
    golden("plan.ansi.txt", stream.getvalue())


def test_colours_change_no_word_and_wrap_no_line(every_kind: Plan) -> None:
    stream = io.StringIO()
    print_lines(plan_lines(every_kind), Console(file=stream, force_terminal=False, width=20))
    assert stream.getvalue() == text_of(every_kind)


def test_a_stream_that_is_no_terminal_gets_no_colours(every_kind: Plan) -> None:
    stream = io.StringIO()
    write(every_kind, stream)
    assert stream.getvalue() == text_of(every_kind)


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_a_terminal_gets_colours_unless_no_color_is_set(
    every_kind: Plan, monkeypatch: pytest.MonkeyPatch, no_color: str, coloured: bool
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", "xterm")
    stream = _Terminal()
    write(every_kind, stream)
    assert ("\x1b[" in stream.getvalue()) is coloured


@pytest.mark.parametrize("verbose", [False, True])
def test_hostile_ids_and_reasons_can_neither_act_nor_begin_a_line(every_kind: Plan, verbose: bool) -> None:
    text = text_of(every_kind, verbose=verbose)
    assert not [c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") and c != "\n"]
    assert not [each for each in text.splitlines() if each.lstrip().startswith(("::", "##["))]
    assert "##[" not in text


def test_a_refused_plan_shows_its_actions_before_the_problem(every_kind: Plan) -> None:
    text = text_of(every_kind)
    problem = text.index("may not be carried out")
    assert (
        text.index("230 ids to delete") < problem < text.index("refusal: too many deletes") < text.index("\nPlan:")
    )


def test_the_summary_line_never_changes_its_shape() -> None:
    assert summary_line(Summary(), 0) == (
        "Plan: 0 to delete, 0 to send again, 0 reappeared, 0 to confirm, 0 already absent, 0 to release, "
        "0 unchanged, 0 blocked; 0 requests, at least 0 s."
    )
    assert summary_line(Summary(1_000_000, 1, 2, 3, 4, 5, 6, 7, 10_000), 2402) == (
        "Plan: 1,000,000 to delete, 1 to send again, 2 reappeared, 3 to confirm, 4 already absent, 5 to release, "
        "6 unchanged, 7 blocked; 10,000 requests, at least 40 min."
    )


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.9, "0 s"), (119.9, "119 s"), (120, "2 min"), (2402, "40 min"), (7200, "2 h"), (12_345, "3 h 25 min")],
)
def test_at_least_is_never_more_than_the_truth(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_what_nothing_to_do_means_is_said() -> None:
    assert list(verdict(small(None, unchanged=1204))) == [
        "No changes. All 1,204 declared ids are verified absent."
    ]
    assert list(verdict(small(None))) == ["No changes. No id is declared absent."]
    assert list(verdict(small(ActionKind.CONFIRM))) == [
        "Nothing to send. 2 ids wait for confirmation: run verify."
    ]
    assert list(verdict(small(ActionKind.BLOCKED))) == ["Nothing to send. 2 ids are blocked."]


def test_a_plan_that_read_nothing_says_so() -> None:
    assert "were not read" in list(verdict(small(None, unchanged=1, observed=False)))[1]


def test_a_narrowed_plan_does_not_speak_for_all_declared_ids() -> None:
    (said,) = verdict(small(None, unchanged=4, complete=False))
    assert said == "No changes. All 4 ids that this plan covers are verified absent."


@pytest.mark.parametrize(
    "kind", [k for k in ActionKind if k.sends] + [ActionKind.RELEASE, ActionKind.ALREADY_ABSENT]
)
def test_a_plan_with_work_never_says_that_there_is_none(kind: ActionKind) -> None:
    assert list(verdict(small(kind, unchanged=5))) == []


def test_manifests_that_cannot_be_read_are_never_called_no_changes() -> None:
    assert list(verdict(small(None, unchanged=5, diagnostics=(error("yaml", "broken"),)))) == []


class _Counting(IdSet):
    __slots__ = ()
    touched = 0

    def __iter__(self) -> Iterator[str]:
        for each in super().__iter__():
            type(self).touched += 1
            yield each


def test_only_the_ids_that_are_shown_are_touched() -> None:
    ids = _Counting.of_raw([b"id-%07d" % n for n in range(100_000)])
    plan = small(ActionKind.DELETE)
    index = replace(plan.indexes[0], actions=(Action(ActionKind.DELETE, "new", GDPR, ids),))
    text = text_of(replace(plan, indexes=(index,)))
    assert "… and 99,997 more" in text
    assert _Counting.touched <= 4


def test_the_lines_of_many_indexes_come_one_after_the_other() -> None:
    plan = small(ActionKind.DELETE)
    lines = plan_lines(replace(plan, indexes=plan.indexes * 5000))
    assert next(islice(lines, 0, None)).text == str(TARGET)
    assert sum(each.text == str(TARGET) for each in lines) == 4999


def test_ids_that_begin_alike_are_counted_together() -> None:
    plan = small(ActionKind.DELETE)
    ids = IdSet.of([f"user-{u}/{n:02}" for u in (7, 8) for n in range(20)] + ["about"])
    index = replace(plan.indexes[0], actions=(Action(ActionKind.DELETE, "new", GDPR, ids),))
    shown = text_of(replace(plan, indexes=(index,))).splitlines()
    assert shown[3:12] == [
        "    - 41 ids to delete (new)",
        "      - 20 begin with user-7/",
        "        - user-7/00",
        "        … and 19 more",
        "      - 20 begin with user-8/",
        "        - user-8/00",
        "        … and 19 more",
        "      - 1 other",
        "        - about",
    ]


def test_long_words_are_cut_in_the_middle_and_counted_unless_everything_is_asked_for() -> None:
    plan = small(None)
    source = ActionSource("p" * 900, 7, f"begins {'r' * 5000} ends")
    index = replace(plan.indexes[0], actions=(Action(ActionKind.DELETE, "new", (source,), IdSet.of("a")),))
    plan = replace(plan, indexes=(index,))
    (shown,) = [each for each in text_of(plan).splitlines() if " begins rrr" in each]
    assert len(shown) < 600
    assert shown.endswith("rrr ends")
    assert " … (of 5,012 characters) … " in shown
    assert source.reason in text_of(plan, verbose=True)


def test_spaces_at_the_ends_of_an_id_are_seen() -> None:
    plan = small(None)
    ids = IdSet.of([" a", "a ", "a", "  "])
    index = replace(plan.indexes[0], actions=(Action(ActionKind.DELETE, "new", GDPR, ids),))
    shown = [each.strip() for each in text_of(replace(plan, indexes=(index,))).splitlines()]
    assert {r"- \x20a", r"- a\x20", "- a", r"- \x20\x20"} <= set(shown)


def test_a_limit_is_shown_with_every_digit() -> None:
    plan = small(ActionKind.DELETE)
    limits = {plan.indexes[0].target.index: {"max_deletes": 20_000_001, "max_percent": 12.5}}
    assert "limits: max_deletes 20,000,001, max_percent 12.5 (" in text_of(replace(plan, limits=limits))


@given(st.lists(st.sampled_from(["first-deletion", "declaration-changed", "prefix-unresolved"]), max_size=90))
def test_of_warnings_of_one_kind_some_are_told_and_the_others_counted(codes: list[str]) -> None:
    warnings = tuple(warning(code, f"{number} of {code}", "why") for number, code in enumerate(codes))
    plan = small(ActionKind.DELETE, diagnostics=warnings)
    lines = text_of(plan).splitlines()
    for code in set(codes):
        told = sum(line.startswith("warning: ") and line.endswith(f" of {code}") for line in lines)
        assert told == min(20, codes.count(code))
        (more,) = [line for line in lines if f"of this kind ({code})" in line] or ["warning: 0 more"]
        assert told + int(more.split()[1]) == codes.count(code)
    assert all(f"warning: {each.summary}\n" in text_of(plan, verbose=True) for each in warnings)


@pytest.mark.parametrize(
    "code", ["index-missing", "index-recreated", "mass-release", "\x1b]0;x\x07\n::error::\u202e"]
)
def test_what_must_be_acted_on_is_always_told_in_full(code: str) -> None:
    problems = [make(code, f"of {make.__name__} {n}") for make in (refusal, error, warning) for n in range(50)]
    text = text_of(small(ActionKind.DELETE, diagnostics=tuple(problems)))
    assert all(f"{each.severity}: {each.summary}" in text.splitlines() for each in problems)
    assert code not in text
