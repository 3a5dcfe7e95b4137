"""The Python API: complete, lazy, typed, and silent."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import reconciler
from reconciler.emulator import RunningEmulator, Settings, running

ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"
CHECKOUT = Path(reconciler.__file__).resolve().parents[1]


def test_every_public_name_resolves_to_what_lives_where_it_says():
    for name in reconciler.__all__:
        value = getattr(reconciler, name)
        home = reconciler._HOME_OF.get(name)
        assert home is None or getattr(sys.modules[home], name) is value


def test_all_is_complete_without_doubles_and_in_the_order_ruff_sorts_it():
    assert set(reconciler.__all__) == {*reconciler._HOME_OF, "__version__"}
    assert len(set(reconciler.__all__)) == len(reconciler.__all__)
    classes = sorted(name for name in reconciler.__all__ if name[0].isupper())
    others = sorted(name for name in reconciler.__all__ if not name[0].isupper())
    assert reconciler.__all__ == [*classes, *others]


def test_type_checkers_are_told_the_same_names():
    source = Path(reconciler.__file__).read_text()
    told = source[source.index("if TYPE_CHECKING") : source.index("__version__ =")]
    for name in reconciler._HOME_OF:
        assert f" {name}," in told or f" {name}\n" in told, name


def test_every_error_of_the_program_that_has_an_exit_code_of_its_own_is_public():
    codes = {reconciler.ReconcilerError.exit_code}
    for name in reconciler.__all__:
        value = getattr(reconciler, name)
        if isinstance(value, type) and issubclass(value, reconciler.ReconcilerError):
            codes.add(value.exit_code)
            for below in value.__subclasses__():
                if below.exit_code is not value.exit_code:
                    assert below.__name__ in reconciler.__all__
    code = reconciler.ExitCode
    results = {code.DONE, code.CHANGES, code.FOUND, code.NOT_SETTLED}  # of a run that came to its end
    assert codes == set(code) - results


def test_dir_offers_the_public_names_and_no_others():
    assert dir(reconciler) == sorted(reconciler.__all__)


def test_a_name_that_is_not_there_is_an_ordinary_error():
    with pytest.raises(AttributeError, match="module 'reconciler' has no attribute 'aply'"):
        _ = reconciler.aply
    with pytest.raises(ImportError):
        exec("from reconciler import aply")


def test_a_star_import_brings_the_public_names():
    names: dict[str, object] = {}
    exec("from reconciler import *", names)
    assert set(reconciler.__all__) <= set(names)


def test_the_version_is_the_one_that_is_installed():
    assert f'version = "{reconciler.__version__}"' in (CHECKOUT / "pyproject.toml").read_text()


def test_the_package_says_that_it_is_typed():
    assert (CHECKOUT / "reconciler" / "py.typed").exists()


@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed")
def test_the_public_api_is_typed_as_it_is_used():
    ended = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "tests/typing/api.py"],
        cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=110,
    )  # fmt: skip
    mistakes = [line for line in ended.stdout.splitlines() if line.startswith("tests/typing")]
    assert mistakes == [], ended.stdout


@pytest.fixture
def service() -> Iterator[RunningEmulator]:
    with running(Settings(budget=None, burst=None)) as service:
        yield service


@pytest.fixture
def context(service: RunningEmulator, tmp_path: Path) -> reconciler.Context:
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "gdpr.yaml").write_text(
        f'version: 1\naccount_id: "{ACCOUNT}"\nabsent:\n  - index: docs\n    ids: [a, b]\n'
    )
    service.emulator.seed(ACCOUNT, "docs", ["a", "b", "stays"])
    return reconciler.open_context(
        tmp_path, environment={"CLOUDFLARE_API_TOKEN": "test"}, base_url=service.base_url
    )


def test_the_whole_story_from_python_prints_nothing(context, service, capfd):
    planned = reconciler.plan(context)
    assert planned.plan.summary.delete == 2
    told = []
    result = reconciler.apply(context, notify=told.append)
    assert (result.exit_code, result.verified) == (0, 2)
    assert told
    assert reconciler.plan(context).plan.changes is False
    assert dict(reconciler.check_ids(context, "docs", ["a", "stays"])) == {"a": "declared", "stays": "free"}
    service.emulator.seed(ACCOUNT, "docs", ["b"])
    audit = reconciler.verify(context, audit=True)
    assert audit.exit_code is reconciler.ExitCode.FOUND
    assert [(str(target), list(ids)) for target, ids in audit.reappeared] == [(f"{ACCOUNT}/docs", ["b"])]
    assert capfd.readouterr() == ("", "")


def test_errors_are_raised_and_never_printed_or_exited(context, capfd):
    with pytest.raises(reconciler.UsageError, match="not approved"):
        reconciler.apply(context, approve=lambda planned: False)
    with pytest.raises(reconciler.StateError, match="there is no state"):
        reconciler.apply(context, options=reconciler.ApplyOptions(require_state=True))
    with pytest.raises(reconciler.ManifestError) as failed:
        reconciler.apply(context, ["nowhere"])
    assert failed.value.diagnostics
    (context.root / "reconciler.yaml").write_text("version: 1\nlimits: {max_deletes: 1}\n")
    strict = reconciler.open_context(context.root, environment=context.environment, base_url=context.base_url)
    with pytest.raises(reconciler.PlanRefused) as refused:
        reconciler.apply(strict)
    assert isinstance(refused.value.plan, reconciler.Plan)
    assert not (context.root / "reconciler.state.jsonl").exists()
    assert capfd.readouterr() == ("", "")
