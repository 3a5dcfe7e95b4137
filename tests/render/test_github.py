"""What GitHub and GitLab take: annotations that it shows all of, outputs that no value can escape from."""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import ExitCode
from reconciler.model.diagnostic import Diagnostic, Position, Severity, error, note, refusal, warning
from reconciler.model.plan import ActionKind
from reconciler.render.github import annotate, output_file, outputs, plan_lines
from reconciler.render.gitlab import terraform_report
from support import hostile
from support.plans import action, index_plan, target, whole_plan

DELIMITER = "ghadelimiter_7d3ac4a4-9d6e-4ad4-8e0c-bc1bd1a4b4c6"


@pytest.fixture
def plan():
    return whole_plan(
        index_plan(
            target("articles"),
            action(["a", "b"]),
            action(["c"], ActionKind.RESEND),
            action(["d"], ActionKind.REAPPEARED, reason="reappeared"),
            action(["e"], ActionKind.CONFIRM),
        ),
        least_seconds=0.5,
    )


def test_a_plan_with_everything_in_it(golden, every_kind):
    golden("plan.github.txt", "".join(f"{each}\n" for each in plan_lines(every_kind)))


def test_a_refused_plan(golden, plan):
    found = refusal("max-deletes", "too many deletes: 4 ids, max_deletes is 3", "Nothing is sent.")
    golden(
        "plan.refused.github.txt", "".join(f"{each}\n" for each in plan_lines(replace(plan, diagnostics=(found,))))
    )


def test_an_errored_plan_says_what_is_wrong_and_counts_nothing(plan):
    errored = replace(plan, diagnostics=(error("yaml", "broken", position=Position("m/a.yaml", 3, 1)),))
    assert list(plan_lines(errored)) == ["::error file=m/a.yaml,line=3,col=1,title=yaml::broken"]
    assert outputs(errored, path="p", exit_code=ExitCode.ERROR) == {
        "changes": "false", "deletes": "0", "reappeared": "0", "fingerprint": "", "plan-path": "p", "exit-code": "1",
    }  # fmt: skip
    assert json.loads(terraform_report(errored))["delete"] == 0


def test_the_outputs_of_a_plan(plan):
    assert outputs(plan, path="", exit_code=ExitCode.FOUND) == {
        "changes": "true", "deletes": "4", "reappeared": "1", "fingerprint": plan.fingerprint, "plan-path": "",
        "exit-code": "4",
    }  # fmt: skip
    waiting = whole_plan(index_plan(target("a"), action(["a"], ActionKind.CONFIRM)))
    assert outputs(waiting, path="", exit_code=ExitCode.DONE)["changes"] == "false"


def test_gitlab_reads_the_report_of_a_plan(plan):
    assert terraform_report(plan) == '{"create": 0, "update": 0, "delete": 4}'


def test_what_is_refused_or_missing_is_an_error_and_ids_that_are_back_a_warning(plan):
    found = (refusal("r", "x"), warning("index-missing", "y"), note("n", "z"))
    kinds = [each.split(" ")[0] for each in plan_lines(replace(plan, diagnostics=found))]
    assert kinds == ["::error", "::error", "::warning", "::notice", "Plan:"]


def test_at_most_ten_of_a_kind_the_worst_first_and_the_last_counts_the_others():
    found = [refusal("kept-ids", str(n)) for n in range(30)] + [error("bad-id", str(n)) for n in range(2)]
    found += [warning("w", str(n)) for n in range(10)] + [note(f"n{n}", "x") for n in range(40)]
    lines = list(annotate(found))
    assert [each.split(" ")[0] for each in lines] == ["::error"] * 10 + ["::warning"] * 10 + ["::notice"] * 10
    assert ["title=bad-id" in each for each in lines[:10]] == [True] * 2 + [False] * 8
    assert lines[9] == "::error title=23 more errors::not shown here: 23 kept-ids"
    assert "more" not in lines[19]
    assert lines[29].startswith("::notice title=31 more notices::not shown here: 1 n")
    assert lines[29].endswith(", 21 others")


COMMAND = re.compile(r"::(error|warning|notice) ([^:]*)::(.*)")


@given(
    st.lists(st.sampled_from(hostile.STRINGS) | st.text(max_size=20), min_size=3, max_size=3),
    st.sampled_from(Severity),
)
def test_every_line_is_one_command_with_the_properties_that_were_meant(words, severity):
    summary, detail, path = words
    made = Diagnostic(severity, detail, summary, detail, Position(path, 3, 4), (Position(path),))
    (line,) = annotate([made])
    assert not [c for c in line if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    assert "##[" not in line
    _, properties, message = COMMAND.fullmatch(line).groups()
    assert [each.split("=")[0] for each in properties.split(",")] == ["file", "line", "col", "title"]
    assert not re.search("%(?!25|0A)", message)


def test_a_message_stays_small_however_much_is_said():
    made = Diagnostic(Severity.ERROR, "c" * 999, "s" * 9999, "d\n" * 999, Position("p"), (Position("q"),) * 999)
    assert all(len(each) < 4000 for each in annotate([made] * 12))


def parsed(text):
    """As the runner reads GITHUB_OUTPUT."""
    found, lines = {}, iter(text.split("\n"))
    for line in lines:
        if not line:
            continue
        name, _, delimiter = line.partition("<<")
        value = []
        while (each := next(lines)) != delimiter:
            value.append(each)
        found[name] = "\n".join(value)
    return found


@given(st.sampled_from(hostile.STRINGS) | st.text(max_size=40))
def test_no_value_ends_early_or_becomes_an_output_of_its_own(value):
    values = {"plan-path": value, "exit-code": "0"}
    assert parsed(output_file(values, DELIMITER)) == values


@pytest.mark.parametrize("value", [DELIMITER, f"a\n{DELIMITER}\nexit-code<<x\n0\nx"])
def test_a_value_that_holds_the_delimiter_is_refused(value):
    with pytest.raises(ValueError, match="plan-path"):
        output_file({"exit-code": "0", "plan-path": value}, DELIMITER)
