"""Which manifests count, for which account, until when, and what a keep does."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from datetime import date

import pytest

from reconciler.manifests import Config, load
from reconciler.model.diagnostic import Severity
from reconciler.model.limits import Limits

OTHER = "f" * 32


def absent(index: str = "docs", ids: str = "[a]", more: str = "") -> str:
    return f"version: 1\nabsent:\n  - index: {index}\n    ids: {ids}\n{more}"


def test_a_folder_means_its_manifests_at_any_depth_without_hidden_ones(folder):
    for name in ("b.yml", "a.yaml", "sub/c.yaml", ".hidden/d.yaml", ".e.yaml", "notes.txt", "f.YAML"):
        folder.write(f"manifests/{name}", absent(ids=f"['{name}']"))
    desired = folder.load()
    assert desired.diagnostics == ()
    assert [f.path for f in desired.files] == ["manifests/a.yaml", "manifests/b.yml", "manifests/sub/c.yaml"]
    assert list(desired.targets[0].ids) == ["a.yaml", "b.yml", "sub/c.yaml"]


def test_every_digest_is_of_the_bytes_on_disk_bom_and_all(folder):
    data = b"\xef\xbb\xbf" + absent().encode()
    folder.write("manifests/a.yaml", data)
    assert folder.load().files[0].sha256 == hashlib.sha256(data).hexdigest()


def test_a_broken_manifest_still_has_the_digest_of_all_its_bytes(folder):
    data = b"'" * 3 + b"\n" * 400_000
    folder.write("manifests/a.yaml", data)
    assert folder.load().files[0].sha256 == hashlib.sha256(data).hexdigest()


def test_paths_that_lead_nowhere_are_errors(folder):
    (folder.root / "empty").mkdir()
    (folder.root / "broken.yaml").symlink_to("nowhere")
    assert folder.problems("gone.yaml", "empty", "broken.yaml", "a\0b") == [
        "a\0b error path-missing",
        "broken.yaml error unreadable",
        "empty error no-manifests",
        "gone.yaml error path-missing",
    ]


def test_the_default_folder_may_be_missing_unless_it_was_asked_for(folder):
    folder.write("a.yaml", absent())
    assert folder.problems("a.yaml") == []
    assert folder.problems("manifests") == ["manifests error path-missing"]
    assert folder.problems("a.yaml", config=Config(manifests=("holds",))) == ["holds error path-missing"]


def test_no_paths_mean_those_of_the_configuration(folder):
    folder.write("m/a.yaml", absent())
    config = Config(manifests=("m",))
    desired = load(
        [], root=folder.root, config=config, origin="loopback", environment_account=OTHER, today=date(2026, 1, 1)
    )
    assert desired.scope == ("m",)
    assert len(desired.targets) == 1


def test_links_in_a_circle_do_not_hang_and_links_outside_are_errors(folder):
    folder.write("manifests/sub/a.yaml", absent())
    folder.write("elsewhere/b.yaml", absent())
    (folder.root / "manifests/sub/up").symlink_to("..")
    (folder.root / "manifests/out").symlink_to("../elsewhere")
    (folder.root / "manifests/b.yaml").symlink_to("../elsewhere/b.yaml")
    assert folder.problems() == ["manifests/b.yaml error path-outside", "manifests/out error path-outside"]


def test_a_manifest_named_in_several_ways_is_loaded_once(folder):
    folder.write("manifests/a.yaml", absent(ids="[a, a]"))
    (folder.root / "manifests/b.yaml").symlink_to("a.yaml")
    whole = str(folder.root / "manifests/a.yaml")
    desired = folder.load("manifests", "./manifests/a.yaml", whole)
    assert len(desired.diagnostics) == 1
    assert len(desired.targets[0].declarations) == 1
    assert desired.scope == ("manifests", "manifests/a.yaml")


def test_names_are_relative_inside_the_root_and_as_given_outside(folder, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "a.yaml"
    outside.write_text(absent())
    folder.write("manifests/b.yaml", absent())
    desired = folder.load(str(outside), str(folder.root / "manifests"))
    assert [f.path for f in desired.files] == sorted([str(outside), "manifests/b.yaml"])
    assert desired.scope == (str(outside), "manifests")
    assert desired.in_scope(str(outside))


def test_the_root_as_a_path_leaves_the_configuration_out(folder):
    folder.write("a.yaml", absent())
    folder.write("reconciler.yaml", "version: 1\n")
    desired = folder.load(".")
    assert desired.diagnostics == ()
    assert desired.scope == (".",)
    assert desired.in_scope("a.yaml")


@pytest.mark.parametrize(
    ("manifest", "config", "environment", "known", "expected"),
    [
        (OTHER, "1" * 32, "2" * 32, ("3" * 32,), (OTHER, "manifest")),
        (None, "1" * 32, "2" * 32, ("3" * 32,), ("1" * 32, "config")),
        (None, None, "2" * 32, ("3" * 32,), ("2" * 32, "environment")),
        (None, None, None, ("3" * 32,), ("3" * 32, "state")),
        (None, None, "", ("3" * 32,), ("3" * 32, "state")),
    ],
)
def test_the_account_comes_from_the_nearest_place_that_names_it(
    folder, manifest, config, environment, known, expected
):
    folder.write("manifests/a.yaml", (f"account_id: '{manifest}'\n" if manifest else "") + absent())
    desired = folder.load(
        config=Config(account_id=config), environment_account=environment, known_accounts={"docs": known}
    )
    (target,) = desired.targets
    assert (target.target.account_id, target.declarations[0].account_from) == expected


@pytest.mark.parametrize("known", [(), ("1" * 32, "2" * 32)])
def test_a_declaration_without_an_account_says_where_to_name_it(folder, known, describe):
    folder.write("manifests/a.yaml", absent(more="  - {index: docs, ids: [b]}\n"))
    desired = folder.load(environment_account=None, known_accounts={"docs": known})
    (found,) = desired.diagnostics
    assert describe(found) == "manifests/a.yaml:3:5 error account-missing -> manifests/a.yaml:5:5"
    assert "CLOUDFLARE_ACCOUNT_ID" in found.detail
    assert all(account in found.detail for account in known)
    assert desired.targets == ()


def test_an_account_of_the_environment_that_is_none_is_an_error(folder):
    folder.write("manifests/a.yaml", absent())
    assert folder.problems(environment_account="my-account") == ["None error account-id"]


def test_one_target_gathers_the_declarations_of_all_files_in_order(folder):
    folder.write(
        "manifests/b.yaml", absent(ids="[b]", more="  - {index: other, ids: [x]}\n  - {index: docs, ids: [c]}\n")
    )
    folder.write("manifests/a.yaml", absent(ids="[a]"))
    desired = folder.load()
    docs, other = desired.targets
    assert [(str(d.position), d.ordinal) for d in docs.declarations] == [
        ("manifests/a.yaml:3:5", 1),
        ("manifests/b.yaml:3:5", 1),
        ("manifests/b.yaml:6:5", 2),
    ]
    assert (other.target.index, list(other.ids)) == ("other", ["x"])


@pytest.mark.parametrize(
    ("today", "lapsed"), [(date(2027, 5, 21), 0), (date(2027, 5, 22), 1), (date(2028, 1, 1), 1)]
)
def test_a_declaration_lapses_on_the_day_it_names(folder, today, lapsed):
    folder.write("manifests/a.yaml", absent(more="    until: 2027-05-22\n"))
    desired = folder.load(today=today)
    (target,) = desired.targets
    assert (len(target.declarations), len(target.lapsed)) == (1 - lapsed, lapsed)
    assert [d.severity for d in desired.diagnostics] == [Severity.NOTE] * lapsed
    assert len(target.ids) == 1 - lapsed


KEEP = "version: 1\nkeep:\n  - index: docs\n    reason: hold\n    ids: [x, b]\n    prefixes: [p/]\n"


def test_an_explicit_id_that_is_kept_names_both_places(folder):
    folder.write("manifests/a.yaml", absent(ids="\n      - a\n      - b\n      - p/1\n"))
    folder.write("manifests/ids.txt", "z\np/2\n")
    folder.write("manifests/c.yaml", "version: 1\nabsent: [{index: docs, ids_from: [{path: ids.txt}]}]\n")
    folder.write("manifests/k.yaml", KEEP)
    assert folder.problems() == [
        "manifests/a.yaml:6:9 refusal kept -> manifests/k.yaml:5:14",
        "manifests/a.yaml:7:9 refusal kept -> manifests/k.yaml:6:16",
        "manifests/ids.txt:2:1 refusal kept -> manifests/k.yaml:6:16",
    ]
    assert folder.problems(explicit_conflicts=Severity.ERROR)[0].split()[1] == "error"
    assert list(folder.load().targets[0].ids) == ["a", "b", "p/1", "p/2", "z"]  # the planner blocks them


def test_hundreds_of_kept_ids_are_counted_after_twenty(folder):
    folder.write("manifests/ids.txt", "".join(f"p/{n:03}\n" for n in range(260)))
    folder.write("manifests/a.yaml", "version: 1\nabsent: [{index: docs, ids_from: [{path: ids.txt}]}]\n")
    folder.write("manifests/k.yaml", KEEP)
    found = folder.load().diagnostics
    assert len(found) == 21
    assert sum("…and 240 more" in d.summary for d in found) == 1


def test_a_lapsed_declaration_conflicts_with_no_keep(folder):
    folder.write("manifests/a.yaml", absent(ids="[b]", more="    until: 2020-01-01\n"))
    folder.write("manifests/k.yaml", KEEP)
    assert [p.split()[-1] for p in folder.problems()] == ["lapsed"]


def test_what_a_prefix_matches_and_a_keep_protects_is_no_conflict(folder):
    folder.write("manifests/a.yaml", "version: 1\nabsent: [{index: docs, prefixes: [p/]}]\n")
    folder.write("manifests/k.yaml", KEEP)
    assert folder.problems() == []


def test_keeps_count_whatever_paths_were_asked_for(folder):
    folder.write("other/a.yaml", absent(ids="[b]"))
    folder.write(
        "manifests/k.yaml", KEEP + "absent: [{index: docs, ids: [never], ids_from: [{path: gone.txt}]}]\n"
    )
    folder.write("manifests/broken.yaml", "version: 1\nkeeps: []\n")
    desired = folder.load("other")
    assert folder.problems("other") == [
        "manifests/broken.yaml:2:1 error unknown-key",
        "other/a.yaml:4:11 refusal kept -> manifests/k.yaml:5:14",
    ]
    assert list(desired.targets[0].ids) == ["b"]
    assert [f.path for f in desired.files] == ["manifests/broken.yaml", "manifests/k.yaml", "other/a.yaml"]
    assert (desired.scope, desired.in_scope("manifests/k.yaml")) == (("other",), False)


def test_a_keep_with_an_account_protects_only_there(folder):
    folder.write("manifests/a.yaml", absent(ids="[b]"))
    folder.write("manifests/k.yaml", f"account_id: '{OTHER}'\n{KEEP}")
    desired = folder.load()
    assert desired.diagnostics == ()
    assert (len(desired.keeps), desired.targets[0].keeps) == (1, ())
    assert len(folder.load(environment_account=OTHER).targets[0].keeps) == 1


def test_limits_on_reasons_and_indexes_are_enforced(folder):
    folder.write("manifests/a.yaml", absent(more="  - {index: extra, ids: [a], reason: ' '}\n"))
    folder.write("manifests/k.yaml", "version: 1\nkeep: [{index: third, ids: [a]}]\n")
    limits = Limits(require_reason=True, allowed_indexes=("docs",))
    assert folder.problems(config=Config(limits=limits)) == [
        "manifests/a.yaml:3:5 error reason-missing",
        "manifests/a.yaml:5:5 error reason-missing",
        "manifests/a.yaml:5:13 error index-not-allowed",
        "manifests/k.yaml:2:16 error index-not-allowed",
    ]


@pytest.mark.parametrize("unseen", ["' '", '"\\u200b"', '"\\t\\u2060\\u00a0"'])
def test_a_reason_that_nobody_can_see_is_none(folder, unseen):
    folder.write("manifests/a.yaml", absent(more=f"  - {{index: docs, ids: [b], reason: {unseen}}}\n"))
    problems = folder.problems(config=Config(limits=Limits(require_reason=True)))
    assert "manifests/a.yaml:5:5 error reason-missing" in problems


def test_a_name_that_is_not_utf8_can_be_printed(folder):
    name = os.fsdecode(b"manifests/caf\xe9.yaml")
    folder.write(name, "version: 2\n")
    (found,) = folder.load().diagnostics
    assert str(found.position) == "manifests/caf\\xe9.yaml:1:10"


def test_importing_the_package_does_not_import_the_parser():
    code = "import sys, reconciler.manifests; print(sorted({'yaml', 'jsonschema', 'csv'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
