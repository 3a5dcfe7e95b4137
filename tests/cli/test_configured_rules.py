"""`require_reason` and `allowed_indexes` of reconciler.yaml: told with positions, before anything is planned or sent."""

from __future__ import annotations

import pytest

RULES = "version: 1\nlimits:\n  require_reason: true\n  allowed_indexes: [docs, agent-memory]\n"


@pytest.fixture
def ruled(project, seed):
    seed(["a", "b"])
    project.write("reconciler.yaml", RULES)
    return project


@pytest.fixture
def faulty(ruled):
    ruled.write(
        "manifests/a.yaml",
        'version: 1\naccount_id: "023e105f4ecef8ad9ca31a8372d0c353"\nabsent:\n'
        "  - index: docs\n    ids: [a]\n"
        '  - index: docs\n    reason: "   "\n    ids: [b]\n'
        '  - index: dcos\n    reason: "PRIV-1"\n    ids: [a]\n',
    )
    return ruled


EXPECTED = (
    "manifests/a.yaml:4:5: error: the declaration has no reason",
    "manifests/a.yaml:6:5: error: the declaration has no reason",
    'manifests/a.yaml:9:12: error: the index "dcos" is not allowed',
)


@pytest.mark.parametrize("command", [("validate",), ("plan",), ("apply", "--auto-approve")])
def test_every_violation_is_told_at_once_where_it_stands(command, faulty, cli, service):
    ended = cli(*command)
    assert ended.code == 1
    said = ended.out + ended.err
    for line in EXPECTED:
        assert line in said
    assert "reconciler.yaml requires one: add `reason:` with a ticket or a legal basis." in said
    assert 'limits.allowed_indexes of reconciler.yaml names: "docs", "agent-memory".' in said
    assert service.emulator.record() == []


def test_what_keeps_to_the_rules_is_planned(ruled, cli):
    ruled.declare(["a"])
    assert cli("validate").code == 0
    assert cli("plan", "--detailed-exitcode").code == 2


def test_an_empty_list_allows_no_index(ruled, cli):
    ruled.write("reconciler.yaml", "version: 1\nlimits: {allowed_indexes: []}\n")
    ruled.declare(["a"])
    ended = cli("plan")
    assert ended.code == 1
    assert "limits.allowed_indexes of reconciler.yaml names: none." in ended.err


def test_an_index_that_only_a_keep_names_must_be_allowed_too(ruled, cli):
    """A misspelt keep protects nothing, which nobody would notice."""
    ruled.declare(["a"])
    ruled.write("manifests/hold.yaml", "version: 1\nkeep:\n  - index: dcos\n    reason: LH-1\n    ids: [a]\n")
    ended = cli("plan")
    assert ended.code == 1
    assert 'manifests/hold.yaml:3:12: error: the index "dcos" is not allowed' in ended.err


@pytest.mark.parametrize("rule", ["limits: {require_reason: true}", "limits: {allowed_indexes: [other]}"])
def test_a_saved_plan_made_before_the_rule_is_not_carried_out(project, cli, seed, service, rule):
    seed(["a"])
    project.write(
        "manifests/a.yaml",
        'version: 1\naccount_id: "023e105f4ecef8ad9ca31a8372d0c353"\nabsent:\n  - {index: docs, ids: [a]}\n',
    )
    assert cli("plan", "--out", "p.json").code == 0
    project.write("reconciler.yaml", f"version: 1\n{rule}\n")
    ended = cli("apply", "p.json")
    assert ended.code == 1
    assert "manifests/a.yaml:4:5: error: " in ended.err or "manifests/a.yaml:4:13: error: " in ended.err
    assert service.emulator.record() == []


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("limits: {require_reason: 'yes'}", "reconciler.yaml:2:26"),
        ("limits: {allowed_indexes: docs}", "reconciler.yaml:2:27"),
        ("limits: {allowed_indexes: [[x]]}", "reconciler.yaml:2:28"),
        ("limits: {max_deletes: -1}", "reconciler.yaml:2:23"),
        ("limits: {max_percent: 101}", "reconciler.yaml:2:23"),
        ("limits: {max_delete: 5}", "reconciler.yaml:2:10"),
        ("indexes: {docs: {max_percent: many}}", "reconciler.yaml:2:31"),
    ],
)
def test_a_rule_that_cannot_be_understood_is_never_left_out(project, cli, text, place):
    project.declare(["a"])
    project.write("reconciler.yaml", f"version: 1\n{text}\n")
    ended = cli("plan")
    assert ended.code == 1
    assert f"{place}: error: " in ended.err
    assert "Plan:" not in ended.out
