"""Which files a folder means, and what they are called: the same as asking the disk about each of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reconciler.manifests.discovery import discover
from reconciler.manifests.files import shown


@pytest.fixture
def tree(tmp_path, monkeypatch) -> Path:
    """A folder with manifests at several depths, beside one that a link leads to."""
    top = tmp_path / "repository"
    for name in (
        "a.yaml",
        "m/b.yaml",
        "m/deep/er/c.yml",
        "m/.hidden.yaml",
        "m/.git/d.yaml",
        "m/e.txt",
        "m/é.yaml",
    ):
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("version: 1\n")
    os.close(os.open(os.fsencode(top / "m") + b"/\xff.yaml", os.O_CREAT | os.O_WRONLY))
    (top / "m/z.yaml").symlink_to("b.yaml")
    (top / "m/linked").symlink_to("deep")
    (tmp_path / "elsewhere").symlink_to("repository/m")
    monkeypatch.chdir(top)
    return top


@pytest.mark.parametrize("root", [".", "..", "m", "m/deep", "{top}", "{top}/..", "{top}/m", "{top}/m/deep/.."])
@pytest.mark.parametrize(
    "path", ["m", ".", "./m/", "m/deep", "..", "../elsewhere", "m/linked", "{top}", "{top}/m"]
)
def test_files_in_a_folder_are_named_as_each_is_by_itself(tree, root, path):
    base = Path(root.format(top=tree))
    asked = path.format(top=tree)
    found = discover([asked], base).files
    for real, (file, name) in found.items():
        assert real == os.path.realpath(file)
        assert name == shown(file, base)
    assert list(found.values()) == sorted(found.values(), key=lambda each: each[1])


def test_a_folder_means_what_is_in_it_and_in_its_folders_each_once_but_nothing_hidden(tree):
    names = [name for _, name in discover(["m"], Path()).files.values()]
    assert names == ["m/\\xff.yaml", "m/b.yaml", "m/linked/er/c.yml", "m/é.yaml"]


def test_a_file_that_a_link_names_too_counts_once_under_the_name_that_comes_first(tree):
    (tree / "m/0.yaml").symlink_to("b.yaml")
    found = discover(["m"], Path()).files
    assert found[os.path.realpath("m/b.yaml")] == (Path("m/0.yaml"), "m/0.yaml")
