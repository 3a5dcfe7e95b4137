"""Help, usage errors, start-up and completion: what a person meets before anything happens."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.shell_completion import BashComplete

import reconciler
from reconciler.cli.app import cli as root

#: What no page of help is worth. A package that is not loaded has no module of it loaded either.
HEAVY = (
    "yaml", "jsonschema", "httpx", "rich", "deepdiff", "jinja2", "filelock", "asyncio", "ssl", "socket", "logging",
    "email", "http", "reconciler.model", "reconciler.manifests", "reconciler.state",
    "reconciler.vectorize", "reconciler.planner", "reconciler.planfile", "reconciler.observer", "reconciler.applier",
    "reconciler.settler", "reconciler.render", "reconciler.forge", "reconciler.operations", "reconciler.emulator",
)  # fmt: skip
#: What a command that asks nobody does without.
ONLINE = (
    "httpx", "rich", "deepdiff", "jinja2", "filelock", "asyncio", "ssl", "socket", "logging", "email", "http",
    "urllib.request", "subprocess", "multiprocessing", "concurrent", "importlib.metadata", "difflib",
    "reconciler.model.notices", "reconciler.vectorize.client", "reconciler.vectorize.budget",
    "reconciler.vectorize.dispatch", "reconciler.observer", "reconciler.applier", "reconciler.settler",
    "reconciler.forge", "reconciler.state.run", "reconciler.state.stores.s3", "reconciler.cli.progress",
    "reconciler.emulator",
)  # fmt: skip


def _walk(command: click.Command, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if not isinstance(command, click.Group):
        return [path]
    with click.Context(command) as context:
        names = command.list_commands(context)
        below = [_walk(command.get_command(context, name), (*path, name)) for name in names]
    return [path, *(each for part in below for each in part)]


PATHS = _walk(root)


def test_every_command_of_the_design_that_has_its_room_is_there():
    assert {" ".join(path) for path in PATHS} == {
        "", "validate", "plan", "show", "apply", "verify", "check-ids", "demo", "emulator", "emulator serve",
        "state", "state init", "state show", "state verify", "state unlock", "state pull", "state push",
        "state migrate", "state repair", "state report", "init",
        "forge", "forge comment", "forge note", "forge approved", "forge artifact", "forge introduced", "forge issue",
        "forge log", "forge outcome",
    }  # fmt: skip


@pytest.mark.parametrize("flag", ["--help", "-h"])
@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_no_command_is_without_help_on_stdout(path, flag, cli):
    ended = cli(*path, flag)
    assert ended.code == 0
    assert ended.out.startswith(f"Usage: {' '.join(('reconciler', *path))} ")
    assert ended.err == ""


@pytest.mark.parametrize("path", [p for p in PATHS if p not in [("state",), ("emulator",)]], ids=" ".join)
def test_no_help_is_without_an_example_that_names_the_command(path, cli):
    _, _, examples = cli(*path, "--help").out.partition("Example")
    assert " ".join(("reconciler", *path)) in examples


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_no_line_of_help_is_cut_short(path, cli):
    _, _, after_usage = cli(*path, "--help").out.partition("\n")
    assert "...\n" not in after_usage


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_no_option_is_without_a_word_of_help(path):
    command, context = root, click.Context(root)
    for name in path:
        command = command.get_command(context, name)
    options = [each for each in command.params if isinstance(each, click.Option)]
    assert all(each.help for each in options)


def test_help_names_every_exit_code(cli):
    out = cli("--help").out
    for code in reconciler.ExitCode:
        assert f" {int(code)} " in out


def test_version(cli):
    ended = cli("--version")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == f"reconciler, version {reconciler.__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        (), ("state",), ("nonsense",), ("state", "nonsense"), ("--nonsense",), ("plan", "--nonsense"), ("show",),
        ("show", "a", "b"), ("plan", "--format", "xml"), ("plan", "--out"), ("check-ids",), ("state", "unlock"),
        ("state", "unlock", "run"), ("state", "unlock", "run", "--reason", " "), ("apply", "--timeout", "soon"),
        ("state", "push"), ("state", "migrate"), ("state", "migrate", "--to", ""), ("state", "pull", "--state", ""),
        ("emulator", "serve", "--port", "65536"), ("plan", "--state", ""), ("plan", "--config", ""),
        ("plan", "--base-url", ""), ("apply", "--approved", "p"),
    ],
)  # fmt: skip
def test_a_usage_error_exits_1_and_never_2_which_means_changes(arguments, cli, project):
    project.declare(["a"])
    ended = cli(*arguments)
    assert ended.code == 1
    assert ended.out == ""
    assert "Error: " in ended.err or ended.err.startswith("Usage: ")


@pytest.mark.parametrize("flag", ["--timeout", "--lock-timeout"])
@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "-1", "1e300", "", "ten"])
def test_seconds_that_no_clock_takes_are_refused_before_anything_happens(flag, value, cli, project):
    project.declare(["a"])
    ended = cli("apply", "--auto-approve", flag, value)
    assert ended.code == 1
    assert f"Invalid value for '{flag}'" in ended.err
    assert not (project.folder / "reconciler.state.jsonl").exists()


@pytest.mark.parametrize(
    ("arguments", "suggestion"),
    [
        (("plna",), "Did you mean plan?"),
        (("aply",), "Did you mean apply?"),
        (("plan", "--detailed"), "--detailed-exitcode"),
        (("apply", "--auto-aprove"), "--auto-approve"),
    ],
)
def test_a_slip_of_the_keyboard_is_answered_with_what_was_meant(arguments, suggestion, cli):
    assert suggestion in cli(*arguments).err


def _modules(code: str, folder: object) -> set[str]:
    """Which of the heavy modules a fresh interpreter has loaded after `code`."""
    ask = f"import io, sys\nreal, sys.stdout = sys.stdout, io.StringIO()\n{code}\nprint(*sys.modules, file=real)"
    checkout = str(Path(reconciler.__file__).resolve().parents[1])
    ended = subprocess.run(
        [sys.executable, "-c", ask], env={**os.environ, "PYTHONPATH": checkout}, cwd=folder,
        capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    return set(ended.stdout.split())


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["nonsense"]])
def test_nobody_waits_for_heavy_modules_or_for_any_command_to_read_the_first_page_of_help(arguments, tmp_path):
    loaded = _modules(f"from reconciler.cli.app import run\nrun({arguments!r})", tmp_path)
    assert "click" in loaded
    light = {"reconciler.cli", "reconciler.cli.app", "reconciler.cli.output", "reconciler.cli.failures"}
    own = {each for each in loaded if each.startswith("reconciler.cli")}
    assert own == light
    assert not loaded & {*HEAVY, "dataclasses", "pathlib", "json"}


def test_no_command_loads_what_it_does_to_print_its_help(tmp_path):
    asked = [[*path, "--help"] for path in PATHS]
    loaded = _modules(f"from reconciler.cli.app import run\nfor each in {asked!r}: run(each)", tmp_path)
    assert {"reconciler.cli.planning", "reconciler.cli.applying", "reconciler.cli.forge"} <= loaded
    assert not loaded & set(HEAVY)


def test_importing_the_package_imports_nothing_but_itself(tmp_path):
    loaded = _modules("import reconciler\nreconciler.__version__, dir(reconciler)", tmp_path)
    assert not loaded & {*HEAVY, "click", "reconciler.errors"}


def test_a_commit_hook_that_validates_does_not_pay_for_http_or_colours(project):
    project.declare(["a"])
    loaded = _modules('from reconciler.cli.app import run\nassert run(["validate"]) == 0', project.folder)
    assert {"yaml", "jsonschema"} <= loaded
    without = {"reconciler.state", "reconciler.planner", "reconciler.planfile", "reconciler.render", "csv", "gzip"}
    assert not loaded & {*ONLINE, *without}


@pytest.mark.parametrize("form", ["text", "json", "markdown"])
def test_an_offline_plan_loads_nothing_that_asks_the_service_or_holds_the_state(form, project, cli):
    project.declare(["a"])
    assert cli("state", "init").code == 0
    loaded = _modules(
        f'from reconciler.cli.app import run\nassert run(["plan", "--format", {form!r}]) == 0', project.folder
    )
    assert "reconciler.state.journal" in loaded
    assert not loaded & {*ONLINE, "csv", "gzip"}


def test_a_file_of_ids_is_read_without_the_network_too(project):
    (project.folder / "manifests").mkdir(exist_ok=True)
    (project.folder / "manifests" / "ids.txt").write_text("a\nb\n")
    (project.folder / "manifests" / "a.yaml").write_text(
        f"version: 1\naccount_id: {'0' * 32}\nabsent:\n  - index: docs\n    ids_from:\n      - path: ids.txt\n"
    )
    loaded = _modules('from reconciler.cli.app import run\nassert run(["validate"]) == 0', project.folder)
    assert "reconciler.manifests.idfiles" in loaded
    assert not loaded & set(ONLINE)


def test_the_shell_gets_a_completion_script(process):
    ended = process(env={"_RECONCILER_COMPLETE": "bash_source"}).end()
    assert (ended.code, ended.err) == (0, "")
    assert "complete -o nosort -F _reconciler_completion reconciler" in ended.out


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("va", ["plain,validate"]),
        ("state un", ["plain,unlock"]),
        ("state push reconciler-un", ["file,reconciler-un"]),
        ("plan --deta", ["plain,--detailed-exitcode"]),
        ("apply --format j", ["plain,json"]),
        ("apply eras", ["file,eras"]),  # the shell then offers files
        ("plan --out p", ["file,p"]),
    ],
)
def test_commands_flags_values_and_files_are_completed(words, completed):
    *before, begun = words.split(" ")
    found = BashComplete(root, {}, "reconciler", "_RECONCILER_COMPLETE").get_completions(before, begun)
    assert [f"{each.type},{each.value}" for each in found] == completed


def test_completing_the_first_word_loads_no_command(tmp_path):
    code = (
        "import os\nfrom click.shell_completion import BashComplete\nfrom reconciler.cli.app import cli\n"
        "found = BashComplete(cli, {}, 'reconciler', 'X').get_completions([], '')\n"
        "assert [each.value for each in found][0] == 'validate', found"
    )
    loaded = _modules(code, tmp_path)
    assert not loaded & {*HEAVY, "reconciler.cli.applying"}
