"""Files named from elsewhere, oddly, or by mistake."""

from __future__ import annotations

import pytest


def test_from_another_folder_with_unicode_names(cli, project, seed, tmp_path, monkeypatch):
    project.declare(["a"], name="löschung-消去")
    seed(["a"])
    assert cli("plan", "--out", "plän 消去").code == 0
    assert "reconciler apply 'plän 消去'" in cli("plan", "--out", "plän 消去").err
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert cli("apply", "plän 消去", "--state", f"file:{elsewhere}/état.jsonl").code == 0
    monkeypatch.chdir(elsewhere)
    assert cli("state", "verify", "--state", "état.jsonl").code == 0
    assert cli("plan").code == 1  # no manifests here


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("apply", "no-such-plan.json"), "there is no such plan file"),
        (("apply", "no-such-manifest.yaml"), "no-such-manifest.yaml"),
        (("apply", "manifest.plan"), "neither a saved plan nor a manifest"),
        (("apply", "p", "p2"), "it is carried out alone"),
        (("apply", "p", "manifests"), "it is carried out alone"),
        (("apply", "p", "--refresh"), "--refresh does not go with a saved plan"),
        (("apply", "a-folder.json"), "a-folder.json"),
        (("show", "a-folder.json"), "is a folder"),
        (("show", "manifests/gdpr.yaml"), "not JSON"),
        (("show", "reconciler.state.jsonl"), "this is a state"),
        (("apply", "empty"), "empty"),
        (("plan", "--out", "nowhere/p"), "cannot be saved"),
        (("plan", "--out", "a-folder.json"), "not an ordinary file"),
        (("plan", "--config", "none.yaml"), "none.yaml"),
        (("plan", "none"), "none"),
    ],
)  # fmt: skip
def test_what_is_named_by_mistake_is_said_and_nothing_is_sent(arguments, said, cli, project, service):
    project.declare(["a"])
    cli("state", "init")
    cli("plan", "--out", "p")
    cli("plan", "--out", "p2")
    (project.folder / "a-folder.json").mkdir()
    project.write("manifest.plan", (project.folder / "manifests/gdpr.yaml").read_text())
    project.write("empty", "")
    before = project.names
    ended = cli(*arguments, *(["--auto-approve"] if arguments[0] == "apply" else []))
    assert ended.code == 1
    assert said in ended.err
    assert "Traceback" not in ended.err
    assert service.emulator.record() == []
    assert project.names == before
    assert project.kinds() == ["header"]


@pytest.mark.parametrize("name", ["erasure.tfplan", "no-suffix", "odd.yaml", "odd.yml", ".hidden", "two words"])
def test_a_saved_plan_is_one_whatever_its_name(name, cli, project, seed):
    project.declare(["a"])
    seed(["a"])
    cli("plan", "--out", name)
    ended = cli("apply", name)  # and nobody is asked: stdin is empty
    assert ended.code == 0
    assert "Verified absent: 1 id" in ended.out


def test_an_older_plan_is_replaced_whole(cli, project):
    project.declare(["a"])
    cli("plan", "--out", "p")
    project.declare(["b"])
    assert cli("plan", "--out", "p").code == 0
    assert cli("show", "p", "--format", "json").json["indexes"][0]["actions"][0]["ids"] == ["b"]
