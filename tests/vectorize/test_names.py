"""The names of the package, which are resolved on first use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from reconciler import vectorize


def test_every_name_resolves_to_what_lives_where_it_says():
    assert set(vectorize.__all__) == set(vectorize._HOME_OF)
    for name in vectorize.__all__:
        assert getattr(vectorize, name) is getattr(sys.modules[vectorize._HOME_OF[name]], name)


def test_type_checkers_are_told_the_same_names():
    source = Path(vectorize.__file__).read_text()
    told = source[source.index("if TYPE_CHECKING") : source.index("_HOMES =")]
    for name in vectorize.__all__:
        assert f" {name}," in told or f" {name}\n" in told, name


def test_a_name_that_is_not_there_is_an_ordinary_error():
    with pytest.raises(AttributeError, match="nonsense"):
        vectorize.nonsense  # noqa: B018 - it is what raises
    assert dir(vectorize) == sorted(vectorize.__all__)


def test_the_base_url_is_to_be_had_without_the_client():
    code = (
        "import sys\nfrom reconciler.vectorize import base_url_from\nassert base_url_from(None, {})\n"
        "sys.exit('reconciler.vectorize.client' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
