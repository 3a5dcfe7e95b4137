"""The benchmark itself: it measures what it says it measures. No time is asserted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import pytest

from benchmarks import budget, data, readme, recording, scale
from benchmarks.bench import Bench, planned
from benchmarks.goals import Goal, all_goals
from benchmarks.measuring import Case, Done, Launcher, Measured, Wrong, measure
from benchmarks.plot import draw
from benchmarks.table import markdown
from support.counting import Cell, least

pytestmark = pytest.mark.timeout(300)  # the first test waits for all of it

HERE = Path(__file__).parent
UNCHANGED = (
    "Plan: 0 to delete, 0 to send again, 0 reappeared, 0 to confirm, 0 already absent, 0 to release, "
    "1,000 unchanged, 0 blocked; 0 requests, at least 0 s."
)
SIZED = (
    "floor",
    *(
        f"plan, {order}, {recorded}, cache {cache}"
        for order in ("any order", "sorted")
        for recorded in ("none recorded", "all recorded", "1 % changed")
        for cache in ("cold", "warm")
    ),
    *(f"{what}, {order}" for what in ("hashing", "apply", "verify --all") for order in ("any order", "sorted")),
    "plan, ids inline in YAML, cache cold",
    "plan, one index",
    "plan, many indexes, 2 ids each",
    "apply, 8 at once, 50 ms",
    "apply, 32 at once, 200 ms",
    "octodns-sync, YAML to YAML",
)
SIZELESS = (
    "python -c pass",
    "reconciler --help",
    "reconciler --version",
    "completion in the shell",
    "validate, a small manifest",
)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """The command's table, its JSON and its plot, of a thousand ids."""
    folder = tmp_path_factory.mktemp("benchmark")
    command = [
        sys.executable, str(HERE), "--quick", "--largest", "1000", "--runs", "1", "--json", str(folder / "all.json"),
        "--plot", str(folder / "all.svg"), "--only", "startup,plan,inline,targets,state,apply,octodns",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode in (0, 1), done.stderr  # 1: a goal was missed, on a machine that others use, too
    document = json.loads((folder / "all.json").read_text())
    return SimpleNamespace(table=done.stdout, document=document, plot=(folder / "all.svg").read_text())


def test_every_case_is_measured_and_did_what_it_is_there_for(measured):
    cases = {(case["case"], case["ids"]): case for case in measured.document["cases"]}
    assert [case["failed"] for case in cases.values() if case["failed"]] == []
    assert {(name, 1_000) for name in SIZED} | {(name, 0) for name in SIZELESS} <= set(cases)
    for case in cases.values():
        assert len(case["wall_seconds"]) in (1, 2, 3), case["case"]  # more: beside another part, too
        assert case["memory_bytes"][0] > 1_000_000, case["case"]
    assert measured.document["not_there"] == {}


def test_the_json_says_on_what_and_with_what_it_was_measured(measured):
    machine = measured.document["machine"]
    assert {"date", "cpu", "cores", "memory_gib", "disk", "system", "tools"} <= set(machine)
    assert {"reconciler", "Python", "click", "octodns"} <= set(machine["tools"])


def test_a_plan_is_compared_with_the_floor_and_a_start_with_bare_python(measured):
    ratios = {
        (case["case"], case["ids"]): (case["ratio_to"], case["ratio"]) for case in measured.document["cases"]
    }
    to, ratio = ratios["plan, sorted, 1 % changed, cache cold", 1_000]
    assert (to, ratio > 0) == ("floor", True)
    assert ratios["reconciler --help", 0][0] == "python -c pass"


def test_the_table_has_each_case_and_each_goal_that_could_be_judged(measured):
    for name in (*SIZED, *SIZELESS):
        assert f"| {name} |" in measured.table
    judged = [goal for goal in measured.document["goals"] if goal["met"] is not None]
    assert {7} <= {goal["goal"] for goal in judged}
    for goal in judged:
        assert f"| {goal['goal']} | {goal['what']} |" in measured.table
    assert {goal["goal"] for goal in measured.document["goals"]} == set(range(1, 10))


def test_a_later_run_adds_to_an_earlier_one_of_the_same_program_alone(measured, tmp_path):
    earlier, later = tmp_path / "earlier.json", tmp_path / "later.json"
    earlier.write_text(json.dumps(measured.document))
    command = [
        sys.executable,
        str(HERE),
        "--only",
        "targets",
        "--largest",
        "1000",
        "--runs",
        "1",
        "--resume",
        str(earlier),
    ]
    done = subprocess.run([*command, "--json", str(later)], capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    assert json.loads(later.read_text())["cases"] == measured.document["cases"]
    other = {**measured.document["machine"]["tools"], "reconciler": "another"}
    earlier.write_text(json.dumps({**measured.document, "machine": {"tools": other}}))
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (refused.returncode, "another program" in refused.stderr) == (1, True)


def test_the_plot_draws_ours_the_floor_and_a_peer_and_follows_a_dark_page(measured):
    ET.fromstring(measured.plot)
    assert "prefers-color-scheme:dark" in measured.plot
    for text in ("floor: two files read", "plan, nothing changed", "octodns-sync", "peak memory, MB"):
        assert text in measured.plot
    assert draw(measured.document) == draw(measured.document)


def test_the_tables_of_the_readme_say_what_was_measured(measured):
    said = readme.performance(readme.Figures(measured.document))
    floor = next(case for case in measured.document["cases"] if case["case"] == "floor")
    assert f"| F(N) | {floor['median_wall_seconds'] * 1000:.0f} ms |" in said
    assert "| `plan`, nothing changed since | " in said
    assert measured.document["machine"]["cpu"] in said


def test_a_recorded_log_is_a_converged_state_of_the_very_side_file(tmp_path):
    ids = data.ids(tmp_path, 250)
    folder = data.project(tmp_path / "project", ids.path("any order"))
    data.log(ids.path("any order"), folder / data.STATE)
    command = [sys.executable, "-c", "from reconciler.cli import main; main()", "plan", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)
    summary = json.loads(done.stdout)["summary"]
    assert summary.pop("unchanged") == 250
    assert set(summary.values()) == {0}
    data.put(folder, ids.path("any order", changed=True))
    changed = json.loads(subprocess.run(command, capture_output=True, check=True, cwd=folder).stdout)["summary"]
    assert (changed["delete"], changed["release"], changed["unchanged"], changed["requests"]) == (3, 3, 247, 1)


def test_hashing_the_log_finds_a_broken_chain(tmp_path):
    ids = data.ids(tmp_path, 250)
    log = tmp_path / "log"
    data.log(ids.path("sorted"), log)
    command = [sys.executable, str(HERE / "hashing.py"), str(log), str(ids.path("sorted"))]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "10\n"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:4] + lines[5:]))
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1


def _done(tmp_path, text, code=0):
    (tmp_path / "output").write_text(text)
    (tmp_path / "output.err").write_text("")
    return Done(1.0, 1.0, 1, code, tmp_path, tmp_path / "output")


def test_a_plan_that_says_something_else_is_not_measured(tmp_path):
    planned(unchanged=1_000)(_done(tmp_path, UNCHANGED))
    for counts in ({"unchanged": 999}, {"delete": 1_000}, {"unchanged": 1_000, "delete": 1}):
        with pytest.raises(Wrong):
            planned(**counts)(_done(tmp_path, UNCHANGED))
    with pytest.raises(Wrong):
        planned(unchanged=1_000)(_done(tmp_path, UNCHANGED, code=1))
    with pytest.raises(Wrong):
        planned()(_done(tmp_path, "no such line"))


def test_cases_take_turns_and_one_that_fails_says_why_and_does_not_stop_the_others(tmp_path):
    turns = []
    good = Case("good", 0, [sys.executable, "-c", "pass"], tmp_path, before=lambda: turns.append("good"))
    bad = Case("bad", 0, [sys.executable, "-c", "exit('it broke')"], tmp_path, before=lambda: turns.append("bad"))
    with Launcher(tmp_path) as launcher:
        one, other = measure([good, bad], 3, launcher, lambda _: None)
    assert turns == ["good", "bad", "good", "good"]
    assert (len(one.wall), other.wall, other.failed) == (3, [], "exit code 1: it broke")


def test_what_takes_too_long_is_ended(tmp_path):
    case = Case("endless", 0, [sys.executable, "-c", "import time; time.sleep(60)"], tmp_path, seconds=0.2)
    with Launcher(tmp_path) as launcher, pytest.raises(Wrong, match="ended after"):
        launcher.run(case)


def test_memory_is_that_of_the_process_and_not_of_the_one_that_started_it(tmp_path):
    ballast = b"x" * 100_000_000
    cases = [
        Case("pass", 0, [sys.executable, "-S", "-c", code], tmp_path) for code in ("pass", "b'x' * 60_000_000")
    ]
    with Launcher(tmp_path) as launcher:
        small, large = (launcher.run(case).memory for case in cases)
    assert small < 40_000_000 < 60_000_000 < large < 100_000_000
    assert len(ballast) == 100_000_000


@pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="this system does not tell what is shared"
)
def test_memory_is_that_of_both_processes_where_there_are_two(tmp_path):
    code = "import os, time; child = os.fork(); held = b'x' * 60_000_000; time.sleep(0.3); child and os.wait()"
    case = Case("two", 0, [sys.executable, "-S", "-c", code], tmp_path, forks=True)
    with Launcher(tmp_path) as launcher:
        (both,) = measure([case], 2, launcher, lambda _: None)
        alone = launcher.run(case).memory
    assert both.failed == ""
    assert (len(both.wall), len(both.memory)) == (2, 1)
    assert alone < 120_000_000 < both.memory[0] < 150_000_000


def _bench(**medians):
    bench = Bench([1_000_000], 1, quick=False, work=Path(), launcher=None, say=print)
    for name, (size, seconds) in medians.items():
        bench.found[name, size] = Measured(name, size, wall=[seconds], cpu=[seconds], memory=[1])
    return bench


@pytest.mark.parametrize(("seconds", "met"), [(1.2, True), (1.21, False)])
def test_a_goal_is_met_up_to_its_bound_and_missed_beyond(seconds, met):
    name = "plan, any order, none recorded, cache cold"
    bench = _bench(floor=(1_000_000, 1.0), **{name: (1_000_000, seconds)})
    (goal,) = [each for each in all_goals(bench) if each.case == (name, 1_000_000) and each.number == 1]
    assert goal.met is met
    table = markdown(
        bench, [goal], {"date": "", "cpu": "", "cores": 1, "memory_gib": 1, "disk": "", "system": "", "tools": {}}
    )
    assert ("1 of 1 goals met." if met else "0 of 1 goals met.") in table


def test_what_was_not_measured_is_neither_met_nor_missed():
    assert {goal.met for goal in all_goals(_bench())} == {None}
    assert Goal(5, "pace", ("apply", 1), 93.0, 92, "%", least=True).met is True
    assert Goal(5, "pace", ("apply", 1), 91.0, 92, "%", least=True).met is False


def test_a_budget_is_used_and_never_passed():
    found = budget.main(1_210)
    assert found["most"] <= budget.BUDGET
    assert 0.98 <= found["used"] <= 1


def test_recording_is_compared_with_a_plain_write_of_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = recording.main("file", 20)
    assert found["to_plain"] > 0
    whole = (tmp_path / data.STATE).read_bytes()
    assert whole.endswith((tmp_path / "plain").read_bytes())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--only", "plan,plans"], "plans: not one of"),
        (["--only", ""], ": not one of"),
        (["--help"], "terraform_data"),
    ],
)
def test_the_command_says_what_can_be_measured(arguments, said):
    done = subprocess.run([sys.executable, str(HERE), *arguments], capture_output=True, text=True, check=False)
    assert said in done.stdout + done.stderr


# The arithmetic of very many indexes.


@pytest.mark.parametrize(("vectors", "ids"), [(20_000_000, 50), (20_000_000, 200_000), (20_000_000, 20_000_000)])
def test_the_arithmetic_of_scale_counts_what_an_apply_takes_at_least(vectors, ids):
    one, counted = scale.Work("", 1, vectors, ids), least(Cell(vectors, ids))["apply"]
    assert (one.deletes, one.proof, one.fixed - 1) == (counted.deletes, counted.proof, counted.fixed)
    assert scale.Work("", 50_000, vectors, ids).requests == 50_000 * one.requests


def test_tokens_are_enough_and_one_less_is_not():
    for each in scale.work(50_000, 20_000_000):
        needed = each.tokens(30)
        assert each.days / needed <= 30
        assert needed == 1 or each.days / (needed - 1) > 30


@pytest.mark.parametrize("append", [0.0006, 0.05, 1.0])
def test_a_run_never_goes_beyond_its_budget_and_a_slow_store_alone_does_not_hold_it_back(append):
    for tokens, concurrency in ((1, 8), (10, 32), (50, 64)):
        allowed = tokens * scale.BUDGET / scale.WINDOW
        pace = scale.simulate(tokens=tokens, append=append, concurrency=concurrency)
        assert pace.requests <= allowed * 1.001
        assert pace.frames <= 1 / append * 1.001
        if append < 0.1:
            assert pace.requests >= allowed * 0.98
        assert pace == scale.simulate(tokens=tokens, append=append, concurrency=concurrency)


def test_the_report_of_scale_takes_what_was_measured(tmp_path, capsys):
    assert scale.main([]) == 0
    assert "| file (assumed) | 0.6 ms |" in capsys.readouterr().out
    case = {
        "case": "recording frames, file",
        "ids": 1,
        "figures": {"frames_a_second": [500.0]},
        "memory_bytes": [1],
    }
    (tmp_path / "measured.json").write_text(json.dumps({"cases": [case]}))
    assert scale.main(["--measured", str(tmp_path / "measured.json")]) == 0
    said = capsys.readouterr().out
    assert "| file | 2.0 ms | 500 |" in said
    assert "| one person: 50 vectors in each index | 2,500,000 | 1 + 3 + 4 | 400,000 | 1.2 | 1 | 2 |" in said
