from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler import planfile
from reconciler.errors import PlanFileError
from reconciler.model.diagnostic import error, refusal
from reconciler.model.idset import IdSet
from reconciler.model.plan import (
    Action,
    ActionKind,
    Plan,
    PrefixPlan,
)
from reconciler.resources import schema
from support.planfiles import NOW, any_text, encoded, plans, sample


def refused(data: bytes) -> PlanFileError:
    with pytest.raises(PlanFileError) as caught:
        planfile.decode(data, path="the.plan.json")
    assert caught.value.message.startswith("the.plan.json: ")
    return caught.value


def altered(change: Callable[[dict[str, Any]], object]) -> PlanFileError:
    document = json.loads(encoded(sample()))
    change(document)
    return refused(json.dumps(document).encode())


def first_action(document: dict[str, Any]) -> dict[str, Any]:
    action: dict[str, Any] = document["indexes"][0]["actions"][0]
    return action


@settings(deadline=None, max_examples=60)
@given(
    plans(), any_text, st.datetimes(timezones=st.just(UTC)), st.lists(any_text, max_size=2), st.none() | any_text
)
def test_a_plan_comes_back_equal(
    plan: Plan, version: str, created_at: datetime, paths: list[str], only: str | None
) -> None:
    created_at = created_at.replace(microsecond=created_at.microsecond // 1000 * 1000)
    data = encoded(plan, tool_version=version, created_at=created_at, paths=paths, only=only)
    saved = planfile.decode(data, path="x")
    assert saved == planfile.SavedPlan(plan, version, created_at, tuple(paths), only)
    jsonschema.Draft202012Validator(schema("plan")).validate(json.loads(data))


def test_the_document_has_the_published_shape() -> None:
    document = json.loads(encoded(sample(), paths=["manifests"]))
    assert list(document)[:12] == [
        "format_version",
        "tool_version",
        "created_at",
        "fingerprint",
        "state",
        "manifests",
        "observed",
        "applyable",
        "complete",
        "errored",
        "summary",
        "indexes",
    ]
    index = document["indexes"][0]
    assert list(index)[:4] == ["account_id", "index", "summary", "actions"]
    assert index["actions"][0] == {
        "action": "delete",
        "reason": "new",
        "sources": [{"path": "manifests/gdpr.yaml", "line": 7, "reason": "GDPR"}],
        "ids": ["\x1b[1m", "b", "é"],
    }
    assert (document["created_at"], document["paths"], document["only"]) == (
        "2026-11-22T12:00:00.000Z",
        ["manifests"],
        None,
    )


def test_the_text_is_harmless_ids_stand_one_a_line_and_it_is_always_the_same() -> None:
    text = encoded(sample()).decode()
    assert text == encoded(sample()).decode()
    assert text.isascii()
    assert [each.strip() for each in text.splitlines() if each.startswith(" " * 12 + '"')][:3] == [
        '"\\u001b[1m",',
        '"b",',
        '"\\u00e9"',
    ]
    assert not [c for c in text if not c.isprintable() and c != "\n"]


def test_a_million_ids_are_streamed_in_small_pieces() -> None:
    many = IdSet.of_raw([b"id-%08d" % n for n in range(200_000)])
    plan = sample()
    index = replace(plan.indexes[0], actions=(Action(ActionKind.DELETE, "new", (), many),))
    pieces = planfile.encode(replace(plan, indexes=(index,)), tool_version="1", created_at=NOW)
    assert max(map(len, pieces)) < 200_000


def test_a_newer_minor_version_and_unknown_keys_are_read() -> None:
    document = json.loads(encoded(sample()))
    document |= {"format_version": "1.7", "later": {"deep": [1]}}
    first_action(document)["later"] = 1
    assert planfile.decode(json.dumps(document).encode(), path="x").plan == sample()


def test_integers_written_as_fractions_become_integers() -> None:
    data = encoded(sample()).replace(b'"position": 12', b'"position": 12.0').replace(b'"line": 7', b'"line": 7.0')
    plan = planfile.decode(data, path="x").plan
    assert (repr(plan.state.position), repr(plan.indexes[0].actions[0].sources[0].line)) == ("12", "7")


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"{", "line 1, column 2: not JSON"),
        (b"version: 1\nabsent: []\n", "not JSON"),
        (b"\xff\xfe", "not UTF-8 at byte 0"),
        (b"[]", "a plan is a JSON object"),
        (b"{}", "format_version is missing"),
        (b'{"format_version": 1}', "format_version is missing"),
        (b'{"format_version": "2.0"}', "'2.0' is not known"),
        (b'{"format_version": "1"}', "'1' is not known"),
        (b'{"format_version": "1.0"}', "required property"),
        (b'{"a": 1, "a": 2}', "'a' is given twice"),
        (b'{"a": NaN}', "NaN is not a number"),
        (b'{"a": -Infinity}', "-Infinity is not a number"),
        (b'{"a": 1e999}', "1e999 is not a number"),
        (b'{"a": ' + b"9" * 5000 + b"}", "digits"),
        (b'{"a": ' + b"[" * 100_000, "nested too deeply"),
        (b'{"v":1,"pos":1,"prev":"00","nonce":"x"}\n{"v":1}\n', "this is a state, not a plan file"),
    ],
)
def test_what_is_not_a_plan_is_named(data: bytes, problem: str) -> None:
    assert problem in refused(data).message


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda d: d.pop("indexes"), "'indexes' is a required property"),
        (lambda d: d.update(indexes={}), "indexes: "),
        (lambda d: d.update(indexes=[7]), "indexes[0]: 7 is not of type 'object'"),
        (lambda d: d["state"].update(position=True), "state.position: "),
        (lambda d: d["state"].update(position=-1), "state.position: "),
        (lambda d: d.update(fingerprint="sha256:" + "0" * 64 + "\n"), "fingerprint: "),
        (lambda d: d.update(created_at="yesterday"), "created_at: "),
        (lambda d: d.update(paths="manifests"), "paths: "),
        (lambda d: d["indexes"][0].update(account_id="../../user"), "indexes[0].account_id: "),
        (lambda d: d["indexes"][0].update(index="\ud800"), "indexes[0].index: half of a surrogate pair"),
        (lambda d: d["indexes"][0].update(index="é" * 33), "indexes[0].index: 66 bytes"),
        (lambda d: d["indexes"][0].pop("actions"), "'actions' is a required property"),
        (lambda d: first_action(d).update(action="purge"), "indexes[0].actions[0].action: 'purge'"),
        (lambda d: first_action(d).update(action="unchanged"), "indexes[0].actions[0].action: 'unchanged'"),
        (lambda d: first_action(d).update(ids={}), "indexes[0].actions[0].ids: "),
        (lambda d: first_action(d)["ids"].append(7), "indexes[0].actions[0].ids[3]: not a string"),
        (lambda d: first_action(d)["ids"].append(["x"]), "indexes[0].actions[0].ids[3]: not a string"),
        (lambda d: first_action(d)["ids"].append(""), "ids[3]: 0 bytes"),
        (lambda d: first_action(d)["ids"].append("é" * 33), "ids[3]: 66 bytes"),
        (lambda d: first_action(d)["ids"].append("\ud800"), "ids[3]: half of a surrogate pair"),
        (lambda d: first_action(d)["ids"].append("b"), "ids: 'b' is there twice"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(
    change: Callable[[dict[str, Any]], object], problem: str
) -> None:
    assert problem in altered(change).message


def _more_in_summaries(document: dict[str, Any]) -> None:
    document["summary"]["delete"] = document["indexes"][0]["summary"]["delete"] = 2


def _two_actions(document: dict[str, Any]) -> None:
    actions = document["indexes"][0]["actions"]
    actions[1]["ids"] = ["b"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (_more_in_summaries, "indexes[0].summary.delete: says 2, but the actions hold 3"),
        (lambda d: d["summary"].update(delete=2), "summary: not the sum"),
        (lambda d: d["summary"].update(requests=0), "summary: not the sum"),
        (lambda d: first_action(d)["ids"].append("smuggled"), "says 3, but the actions hold 4"),
        (lambda d: first_action(d).update(action="confirm"), "summary.delete: says 3, but the actions hold 0"),
        (lambda d: d.update(applyable=False), "applyable: says False"),
        (lambda d: d.update(errored=True), "errored: says True"),
        (_two_actions, "an id stands in two actions"),
        (
            lambda d: d["indexes"][0].update(percent=99.0, live_count=None),
            "percent: of how many vectors is not said",
        ),
        (lambda d: d["indexes"].append(d["indexes"][0]), "is there 2 times"),
    ],
)
def test_an_altered_file_cannot_show_other_numbers_than_it_holds(
    change: Callable[[dict[str, Any]], object], problem: str
) -> None:
    assert problem in altered(change).message


def test_a_refused_or_errored_plan_cannot_be_made_applyable_by_hand() -> None:
    for diagnostic in (error("e", "x"), refusal("r", "x")):
        plan = replace(sample(), diagnostics=(diagnostic,))
        data = encoded(plan)
        assert planfile.decode(data, path="x").plan == plan
        assert "applyable" in refused(data.replace(b'"applyable": false', b'"applyable": true')).message


def test_a_plan_with_a_prefix_never_listed_cannot_be_made_complete_by_hand() -> None:
    plan = sample()
    index = replace(plan.indexes[0], prefixes=(PrefixPlan("user-", "m.yaml", 3),))
    data = encoded(replace(plan, indexes=(index,), complete=False, unresolved_prefixes=True))
    assert planfile.decode(data, path="x").plan.unresolved_prefixes
    assert "complete" in refused(data.replace(b'"complete": false', b'"complete": true')).message


def test_a_saved_plan_is_for_its_owner_alone_and_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "erasure.plan.json"
    planfile.write(path, sample(), tool_version="0.0.9", created_at=NOW)
    path.chmod(0o644)
    before = os.umask(0)
    try:
        planfile.write(path, sample(), tool_version="0.1.0", created_at=NOW, paths=["manifests"], only="articles")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    assert planfile.read(path) == planfile.SavedPlan(sample(), "0.1.0", NOW, ("manifests",), "articles")


def test_a_write_that_fails_leaves_the_older_plan_and_no_debris(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "erasure.plan.json"
    planfile.write(path, sample(), tool_version="0.0.9", created_at=NOW)
    older = path.read_text()

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(PlanFileError, match="cannot be saved: No space left on device"):
        planfile.write(path, sample(), tool_version="0.1.0", created_at=NOW)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == older


def test_a_plan_is_never_written_through_a_link_or_over_a_pipe(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    link, pipe = tmp_path / "link", tmp_path / "pipe"
    link.symlink_to(victim)
    os.mkfifo(pipe)
    for path in (link, pipe, tmp_path):
        with pytest.raises(PlanFileError, match="not an ordinary file"):
            planfile.write(path, sample(), tool_version="0.1.0", created_at=NOW)
    assert link.is_symlink()
    assert victim.read_text() == "precious"


@pytest.mark.parametrize(
    "content",
    ['{"v":1,"pos":1,"prev":"0","events":[]}\n', "version: 1\nabsent: []\n", "[]", '{"format_version": 1}'],
)
def test_a_plan_never_replaces_a_state_or_a_manifest(tmp_path: Path, content: str) -> None:
    path = tmp_path / "reconciler.state.jsonl"
    path.write_text(content)
    with pytest.raises(PlanFileError, match="something else than a plan"):
        planfile.write(path, sample(), tool_version="0.1.0", created_at=NOW)
    assert path.read_text() == content
    lock = tmp_path / "reconciler.state.jsonl.lock"
    lock.touch()
    with pytest.raises(PlanFileError, match="lock"):
        planfile.write(lock, sample(), tool_version="0.1.0", created_at=NOW)


def test_reading_a_pipe_or_a_device_as_a_plan_does_not_hang(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero")):
        with pytest.raises(PlanFileError, match="not an ordinary file"):
            planfile.read(path)


def test_a_plan_for_a_folder_that_is_not_there_is_an_error_with_the_name(tmp_path: Path) -> None:
    with pytest.raises(PlanFileError, match=r"missing/p.json: the plan cannot be saved: No such file"):
        planfile.write(tmp_path / "missing" / "p.json", sample(), tool_version="0.1.0", created_at=NOW)


def test_reading_says_what_is_wrong_with_the_name(tmp_path: Path) -> None:
    with pytest.raises(PlanFileError, match="there is no such plan file") as caught:
        planfile.read(tmp_path / "nothing.json")
    assert "plan --out" in caught.value.hint
    with pytest.raises(PlanFileError, match="is a folder"):
        planfile.read(tmp_path)
    with pytest.raises(PlanFileError, match="cannot be read"):
        planfile.read("nul\0byte")


def test_the_time_is_kept_in_utc_to_the_millisecond() -> None:
    later = NOW + timedelta(microseconds=1999)
    assert planfile.decode(encoded(sample(), created_at=later), path="x").created_at == NOW + timedelta(
        milliseconds=1
    )
