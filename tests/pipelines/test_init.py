"""`reconciler init` in a repository that has code: nothing overwritten, nothing deleted, everything valid."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from reconciler.cli import scaffolding
from reconciler.cli.app import run
from support.repository import git

SOURCE = f"acme/vectorize-reconciler@{'a' * 40}"
ALL = ["--ci", "github", "--pre-commit"]


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git repository with code in it."""
    folder = tmp_path / "code"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=trunk")
    (folder / "app.py").write_text("print()\n")
    monkeypatch.chdir(folder)
    return folder


def contents(folder: Path) -> dict[str, str]:
    files = (each for each in folder.rglob("*") if each.is_file() and ".git" not in each.relative_to(folder).parts)
    return {str(each.relative_to(folder)): each.read_text() for each in files}


def test_what_it_writes_validates_and_plans_to_nothing(code, capsys):
    assert run(["init", *ALL]) == 0
    assert run(["validate"]) == 0
    capsys.readouterr()
    assert run(["plan", "--detailed-exitcode"]) == 0
    assert "No changes. No id is declared absent." in capsys.readouterr().out


def test_it_says_what_it_wrote_and_what_to_do_next(code, capsys):
    assert run(["init", *ALL]) == 0
    said = capsys.readouterr().out
    written = set(contents(code)) - {"app.py"}
    assert set(re.findall(r"^wrote  (\S+)  \(", said, re.MULTILINE)) == written
    assert written == {
        ".gitignore", ".github/workflows/reconciler.yml", ".pre-commit-config.yaml", "manifests/erasures.yaml",
        "reconciler.yaml", ".reconciler/manifest.schema.json", ".reconciler/config.schema.json",
    }  # fmt: skip
    assert "Next:\n  1. " in said
    assert "pre-commit install" in said
    assert "reconciler validate && reconciler plan" in said


def test_without_options_it_writes_no_pipeline_and_needs_no_git_repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["init"]) == 0
    assert {each.split("/")[0] for each in contents(tmp_path)} == {
        ".gitignore", ".reconciler", "manifests", "reconciler.yaml",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["manifests/erasures.yaml", "reconciler.yaml"])
def test_the_schema_line_leads_to_a_schema_that_the_file_fits(code, name):
    assert run(["init"]) == 0
    file = code / name
    match = re.match(r"# yaml-language-server: \$schema=(\S+)\n", file.read_text())
    assert match
    schema = json.loads((file.parent / match[1]).read_text())
    jsonschema.Draft202012Validator(schema).validate(yaml.safe_load(file.read_text()))


def test_the_example_in_the_first_manifest_is_valid_once_somebody_takes_it(code):
    assert run(["init"]) == 0
    path = code / "manifests" / "erasures.yaml"
    text = path.read_text()
    example = "\n".join(line[2:] for line in text.splitlines() if line.startswith("#   "))
    path.write_text(text.replace("absent: []", f"absent:\n{example}"))
    (code / "manifests" / "ids").mkdir()
    (code / "manifests" / "ids" / "2026-11-erasure.txt").write_text("doc-1\n")
    assert run(["validate"]) == 0
    declared = yaml.safe_load(path.read_text())["absent"]
    assert set(declared[0]) == {"index", "reason", "ids", "ids_from", "prefixes"}


def test_nothing_that_is_there_is_changed_and_the_lines_to_add_are_printed(code, capsys):
    mine = {
        ".gitignore": "*.pyc\n",
        ".pre-commit-config.yaml": "repos: []\n",
        ".gitlab-ci.yml": "mine: {script: [x]}\n",
        "reconciler.yaml": "version: 1\nmanifests: gone\n",
        ".github/workflows/reconciler.yml": "on: push\n",
    }
    for name, text in mine.items():
        (code / name).parent.mkdir(parents=True, exist_ok=True)
        (code / name).write_text(text)
    assert run(["init", *ALL, "--source", SOURCE]) == 0
    assert run(["init", "--ci", "gitlab"]) == 0
    assert mine.items() <= contents(code).items()
    said = capsys.readouterr().out
    assert "kept   .pre-commit-config.yaml  (yours; add to it:)" in said
    snippet = said.split(".pre-commit-config.yaml  (yours; add to it:)\n\n")[1].split("\n\n")[0]
    added = yaml.safe_load("repos:\n" + snippet)
    assert added["repos"][0]["rev"] == "a" * 40
    assert "    *.state.jsonl\n" in said
    assert "kept   .gitlab-ci.yml" in said
    assert "reconciler-plan:" in said
    assert "manifests" not in contents(code), "the configuration that is there says where they are"
    assert (code / "gone" / "erasures.yaml").exists()


@pytest.mark.parametrize("folder", ["../shared", "/srv/manifests", "a/../../b", 'a"b', "a*"])
def test_nothing_is_written_outside_or_where_a_name_would_mean_something_else(folder, code, capsys):
    (code / "reconciler.yaml").write_text(f"version: 1\nmanifests: {json.dumps(folder)}\n")
    before = contents(code)
    assert run(["init", *ALL]) == 1
    assert contents(code) == before
    assert "init cannot set up manifests" in capsys.readouterr().err


def test_a_copy_of_another_version_is_kept_and_told_without_all_of_it(code, capsys):
    assert run(["init", *ALL]) == 0
    for name in (".reconciler/manifest.schema.json", ".github/workflows/reconciler.yml"):
        (code / name).write_text("{}\n")
    capsys.readouterr()
    assert run(["init", *ALL]) == 0
    said = capsys.readouterr().out
    assert said.count("take it away to have it written anew") == 2
    assert len(said.splitlines()) < 20


def test_a_second_time_changes_nothing(code, capsys):
    assert run(["init", *ALL]) == 0
    before = contents(code)
    capsys.readouterr()
    assert run(["init", *ALL]) == 0
    assert contents(code) == before
    assert "wrote" not in capsys.readouterr().out


def test_a_folder_of_kubernetes_manifests_is_left_to_kubernetes(code):
    (code / "manifests").mkdir()
    (code / "manifests" / "deployment.yaml").write_text("apiVersion: apps/v1\nkind: Deployment\n")
    assert run(["init", *ALL]) == 0
    assert yaml.safe_load((code / "reconciler.yaml").read_text())["manifests"] == "erasures"
    assert run(["validate"]) == 0
    workflow = (code / ".github" / "workflows" / "reconciler.yml").read_text()
    assert '"erasures/**"' in workflow
    assert "manifests/**" not in workflow
    assert "^(erasures/|" in (code / ".pre-commit-config.yaml").read_text()


def test_a_symbolic_link_is_never_written_through(code, tmp_path):
    (code / "reconciler.yaml").symlink_to(tmp_path / "elsewhere.yaml")
    (code / ".gitignore").symlink_to(tmp_path / "elsewhere.ignore")
    run(["init", *ALL])
    assert not (tmp_path / "elsewhere.yaml").exists()
    assert not (tmp_path / "elsewhere.ignore").exists()


def test_a_configuration_that_cannot_be_used_stops_before_anything_is_written(code, capsys):
    (code / "reconciler.yaml").write_text("version: 2\n")
    before = contents(code)
    assert run(["init", *ALL]) == 1
    assert contents(code) == before
    assert "reconciler.yaml:1" in capsys.readouterr().err


def test_below_the_top_of_a_repository_a_pipeline_would_never_be_found(code, monkeypatch, capsys):
    (code / "sub").mkdir()
    monkeypatch.chdir(code / "sub")
    assert run(["init", "--ci", "github"]) == 1
    assert f"Run it in {code}" in capsys.readouterr().err
    assert list((code / "sub").iterdir()) == []
    assert run(["init"]) == 0


def test_a_file_where_a_folder_must_be_is_an_error_that_names_it(code, capsys):
    (code / ".github").write_text("")
    assert run(["init", "--ci", "github"]) == 1
    assert ".github/workflows/reconciler.yml cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("branch", "expected"), [("trunk", "trunk"), ("release/1.x", "release/1.x"), (None, "main")]
)
def test_apply_runs_on_the_branch_that_origin_calls_its_head(branch, expected, code):
    if branch:
        head = code / ".git" / "refs" / "remotes" / "origin" / "HEAD"
        head.parent.mkdir(parents=True)
        head.write_text(f"ref: refs/remotes/origin/{branch}\n")
    assert run(["init", "--ci", "github"]) == 0
    workflow = yaml.safe_load((code / ".github" / "workflows" / "reconciler.yml").read_text())
    assert workflow[True]["push"]["branches"] == [expected]


def test_the_action_and_the_hook_are_pinned_to_where_the_program_came_from(code, monkeypatch):
    class Installed:
        def read_text(self, _: str) -> str:
            url, commit = "https://github.com/acme/vectorize-reconciler.git", "b" * 40
            return json.dumps({"url": url, "vcs_info": {"vcs": "git", "commit_id": commit}})

    monkeypatch.setattr("importlib.metadata.distribution", lambda _: Installed())
    assert run(["init", *ALL]) == 0
    text = "\n".join(contents(code).values())
    assert f"uses: acme/vectorize-reconciler@{'b' * 40}" in text
    assert f"rev: {'b' * 40}" in text


def test_what_nobody_can_know_is_a_place_that_refuses_to_run_and_is_named_first(code, monkeypatch, capsys):
    monkeypatch.setattr(scaffolding, "_source", lambda _: None)
    assert run(["init", "--ci", "github"]) == 0
    said = capsys.readouterr().out
    assert f"replace OWNER/vectorize-reconciler@{'0' * 40}" in said


@pytest.mark.parametrize(
    "source", ["acme/x", "acme/x@main", "acme/x@abc", f"http://evil/x@{'a' * 40}", f"a/b/c@{'a' * 40}"]
)
def test_a_source_that_is_not_pinned_is_refused(source, code, capsys):
    assert run(["init", "--source", source]) == 1
    assert "the commit in full" in capsys.readouterr().err
    assert list(contents(code)) == ["app.py"]


def test_no_template_leaves_a_place_unfilled(code):
    assert run(["init", *ALL, "--source", SOURCE]) == 0
    assert run(["init", "--ci", "gitlab"]) == 0
    for name, text in contents(code).items():
        assert not re.search(r"@[A-Z_]+@", text), name


def test_gitlabs_apply_carries_out_the_plan_that_somebody_pressed_play_for(code):
    assert run(["init", "--ci", "gitlab", "--source", SOURCE]) == 0
    jobs = yaml.safe_load((code / ".gitlab-ci.yml").read_text())
    apply, plan = jobs["reconciler-apply"], jobs["reconciler-plan"]
    assert apply["rules"][0]["when"] == "manual"
    assert apply["resource_group"] == jobs["reconciler-verify"]["resource_group"]
    assert apply["needs"] == ["reconciler-plan"]
    assert plan["artifacts"]["reports"] == {"terraform": "reconciler.report.json"}
    assert any("--require-state" in each for each in apply["script"])
    assert os.environ.get("CI_JOB_TOKEN") is None
