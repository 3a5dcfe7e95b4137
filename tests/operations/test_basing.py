"""Other files planned against the same state."""

from __future__ import annotations

import pytest

from reconciler.errors import UsageError
from reconciler.operations.basing import plan_of
from reconciler.operations.context import Context


@pytest.fixture
def base(world):
    """The head declares a, b; its base, in a folder of its own, a, c. The state knows a and c."""
    world.seed("abc")
    world.declare("ac")
    world.apply()
    world.declare("ab")
    text = (world.root / "manifests" / "gdpr.yaml").read_text()
    world.write("base/manifests/gdpr.yaml", text.replace("- b", "- c"))
    return world.root / "base"


def ids(planned):
    return {action.kind.value: list(action.ids) for _, action in planned.plan.actions()}


def test_the_state_is_that_of_the_head_and_files_are_called_as_there(world, base):
    head, planned = world.plan(), plan_of(base, world.context())
    assert head.plan.state == planned.plan.state
    assert head.plan.state.position > 0
    assert ids(head) == {"delete": ["b"], "release": ["c"]}
    assert ids(planned) == {}, "what the base declares is done"
    assert [file.path for file in planned.plan.files] == ["manifests/gdpr.yaml"]


def test_a_relative_folder_is_the_same_folder(world, base, monkeypatch):
    monkeypatch.chdir(base.parent)
    planned = plan_of(base.relative_to(base.parent), world.context())
    assert [file.path for file in planned.plan.files] == ["manifests/gdpr.yaml"]


def test_whatever_state_the_base_names_that_of_the_head_is_read(world, base):
    world.write("base/reconciler.yaml", "version: 1\nstate: file:other.jsonl\n")
    assert plan_of(base, world.context()).plan.state == world.plan().plan.state


def test_the_rules_are_those_of_the_base(world, base):
    world.write("base/reconciler.yaml", "version: 1\nlimits: {max_deletes: 0}\n")
    world.write("base/manifests/more.yaml", (base / "manifests" / "gdpr.yaml").read_text().replace("- c", "- d"))
    assert plan_of(base, world.context()).plan.refused
    assert not world.plan().plan.refused


@pytest.mark.parametrize("path", ["../elsewhere", "/", "manifests/../../elsewhere/x.yaml"])
def test_what_leads_out_of_the_base_is_refused(world, base, path):
    with pytest.raises(UsageError, match="leads out of its files"):
        plan_of(base, world.context(), paths=[path])
    with pytest.raises(UsageError, match="leads out of its files"):
        plan_of(base, world.context(), config=path)
    world.write("base/reconciler.yaml", f"version: 1\nmanifests: {path}\n")
    with pytest.raises((UsageError, ValueError), match=r"leads out of its files|cannot be used"):
        plan_of(base, world.context())


def test_a_link_that_leads_out_of_the_base_is_refused(world, base):
    (base / "manifests" / "gdpr.yaml").unlink()
    (base / "manifests").rmdir()
    (base / "manifests").symlink_to(world.root / "manifests")
    with pytest.raises(UsageError, match="leads out of its files"):
        plan_of(base, world.context())


def test_a_folder_that_the_base_has_not_is_named(world, base):
    with pytest.raises(UsageError, match="no folder erasures"):
        plan_of(base, world.context(), folder="erasures/")


def test_what_the_head_has_read_counts_against_the_budget(world, base, monkeypatch):
    asked = []
    budget = Context.budget

    def remembered(self, projection, *, made=0):
        asked.append(made)
        return budget(self, projection, made=made)

    monkeypatch.setattr(Context, "budget", remembered)
    planned = plan_of(base, world.context(), refresh=True, made=7)
    assert planned.plan.observed
    assert asked == [7]
