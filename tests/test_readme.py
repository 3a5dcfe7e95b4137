"""The README tells the truth: its example runs, its commands exist, its YAML is valid, its picture is what is printed."""

import re
import shutil
from datetime import date
from pathlib import Path

import pytest
import yaml

import reconciler
from reconciler.cli.app import cli
from reconciler.emulator import Settings, running
from reconciler.errors import ExitCode
from reconciler.manifests import Config, load, load_config
from reconciler.model.plan import ActionKind
from reconciler.planner.review import REVIEW_CODES
from reconciler.render.plan_text import plan_lines
from support.catalogue import FAULTS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


@pytest.fixture
def world(tmp_path, monkeypatch):
    """The example manifests, and an emulator that holds what they erase."""
    shutil.copytree(ROOT / "manifests", tmp_path / "manifests")
    monkeypatch.chdir(tmp_path)
    for name in ("CLOUDFLARE_API_KEY", "CLOUDFLARE_EMAIL", "CLOUDFLARE_ACCOUNT_ID", "RECONCILER_STATE"):
        monkeypatch.delenv(name, raising=False)
    with running(Settings(budget=None, burst=None)) as service:
        monkeypatch.setenv("CLOUDFLARE_API_TOKEN", "any")
        monkeypatch.setenv("CLOUDFLARE_BASE_URL", service.base_url)
        desired = reconciler.load(reconciler.open_context())
        for each in desired.targets:
            service.emulator.seed(each.target.account_id, each.target.index, [*each.ids, "stays"])
        yield service.emulator


def test_the_python_example_runs_and_does_what_it_says(world, capsys):
    (example,) = blocks("python")
    exec(compile(example, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "267 ids to delete, sha256:" in printed
    assert "267 verified absent, exit code 0" in printed
    assert "reappeared: []" in printed
    assert world.ids(ACCOUNT, "support-articles") == ["stays"]


def test_every_command_of_the_table_exists_and_none_is_missing():
    section = README.partition("## Commands\n")[2].partition("\n## ")[0]
    listed = set(re.findall(r"^\| `([a-z-]+)", section, re.MULTILINE))
    assert listed == set(cli.list_commands(None))


def test_every_exit_code_is_listed_once():
    listed = [int(code) for code in re.findall(r"^\| (\d+) \| [^|]* \|$", README, re.MULTILINE)]
    assert listed == sorted(int(code) for code in ExitCode)


def test_every_symbol_is_explained():
    explained = set(re.findall(r"`(.)` ", README))
    assert {kind.symbol for kind in ActionKind if kind is not ActionKind.UNCHANGED} <= explained


def test_the_manifest_and_the_configuration_shown_are_valid(tmp_path):
    manifest, config, _steps = blocks("yaml")
    folder = tmp_path / "manifests"
    (folder / "ids").mkdir(parents=True)
    (folder / "erasure.yaml").write_text(manifest, "utf-8")
    (folder / "ids" / "2026-11-erasure.txt").write_text("doc-1\n", "utf-8")
    (folder / "ids" / "users.csv").write_text("vector_id\nuser-1\n", "utf-8")
    (folder / "ids" / "sessions.jsonl").write_text('{"field": 1, "id": "s-1"}\n', "utf-8")
    (tmp_path / "reconciler.yaml").write_text(config, "utf-8")
    loaded, problems = load_config(None, root=tmp_path)
    assert problems == ()
    assert (
        loaded.limits.of("agent-memory").max_deletes
        == yaml.safe_load(config)["indexes"]["agent-memory"]["max_deletes"]
    )
    desired = load(
        ["manifests"],
        root=tmp_path,
        config=loaded,
        origin="loopback",
        environment_account=None,
        today=date(2026, 11, 22),
    )
    assert desired.diagnostics == ()
    assert [len(each.ids) for each in desired.targets] == [4]
    assert isinstance(loaded, Config)


def test_the_steps_shown_ask_the_action_for_what_it_knows():
    *_, steps = map(yaml.safe_load, blocks("yaml"))
    inputs = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))["inputs"]
    assert [step["with"]["command"] for step in steps] == ["plan", "apply", "verify"]
    for step in steps:
        assert set(step["with"]) <= set(inputs)


def test_the_policy_shown_is_part_of_the_one_that_is_tested():
    (shown,) = blocks("rego")
    whole = (ROOT / "tests" / "policy" / "deletions.rego").read_text("utf-8")
    for rule in shown.split("\n\n"):
        assert rule.strip() in whole


def test_every_named_warning_is_explained():
    section = README.partition("Warnings that a reviewer must see")[2].partition("```")[0]
    assert tuple(re.findall(r"^\| .* \| `([a-z-]+)` \|$", section, re.MULTILINE)) == REVIEW_CODES


def test_the_picture_of_a_plan_is_what_is_printed(world):
    context = reconciler.open_context()
    planned = reconciler.plan(context)
    printed = {str(line) for line in plan_lines(planned.plan)}
    (picture, *_) = blocks("console")
    shown = picture.split("$ reconciler apply")[0].splitlines()[1:]
    about_one_group = [line for line in shown if line.startswith("  ") and line.strip() != "…"]
    assert len(about_one_group) >= 7
    for line in about_one_group:
        assert line in printed


def test_the_two_commands_need_nothing_but_python_and_pip():
    commands = re.findall(r"^python3 -m venv.*$", README, re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        assert re.fullmatch(
            r"python3 -m venv \.venv && \.venv/bin/pip install -q -e '\.\[\w+\]' && \.venv/bin/.+", command
        )


def test_the_table_of_faults_is_that_of_the_tests():
    shown = re.findall(r"^\| (\d+) \| (.*?) \| ([\d,]+) \| (.*?) \|$", README, re.MULTILINE)
    faults = {int(number): (what, holds) for number, what, _, holds in shown}
    assert faults == {number: (fault.what, fault.holds) for number, fault in FAULTS.items()}
