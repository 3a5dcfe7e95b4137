"""The folder of the cache: private, bounded, and never a reason to fail."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
import threading
import time
from pathlib import Path

import pytest

from reconciler.cache import NO_CACHE, Cache, cache_of
from reconciler.cache import folder as rules
from reconciler.cache.layout import Writer
from reconciler.model.idset import IdSet


def keep(cache, name="n", text=b"x"):
    cache.keep(name, {}, lambda writer: {"at": writer.block(text)})


def read(cache, name="n"):
    found = cache.find(name)
    return None if found is None else found.block(found.document["at"]).read()


def test_the_folder_is_made_by_who_keeps_something_and_is_private(cache, folder, files):
    assert cache.find("n") is None
    assert not folder.exists()
    keep(cache)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in files()] == [0o600]
    assert read(cache) == b"x"
    keep(cache, text=b"y")
    assert read(cache) == b"y"
    assert len(files()) == 1


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701, 0o710, 0o702])
def test_a_folder_that_others_can_look_into_is_not_used(cache, folder, files, mode):
    keep(cache)
    folder.chmod(mode)
    assert read(cache) is None
    keep(cache, "other")
    assert len(files()) == 1


def test_a_folder_of_somebody_else_is_not_used(cache, folder, files, monkeypatch):
    keep(cache)
    monkeypatch.setattr(rules.os, "geteuid", lambda: folder.stat().st_uid + 1)
    assert read(cache) is None
    keep(cache, "other")
    assert len(files()) == 1


@pytest.mark.parametrize("what", ["link", "file", "dangling"])
def test_what_stands_in_place_of_the_folder_is_not_used(tmp_path, cache, folder, what):
    real = tmp_path / "real"
    if what == "link":
        keep(Cache(real))
    if what == "file":
        folder.write_bytes(b"")
    else:
        folder.symlink_to(real)
    keep(cache)
    keep(cache, "other")
    assert read(cache) is None
    assert len(list(real.iterdir()) if real.exists() else []) == (1 if what == "link" else 0)


def test_no_cache_keeps_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keep(NO_CACHE)
    assert read(NO_CACHE) is None
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_or_written_is_no_failure(tmp_path, folder, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    within = Cache(tmp_path / "file" / "derived")
    keep(within)
    assert read(within) is None

    def refused(*_args, **_kwargs):
        raise PermissionError(errno.EACCES, "no")

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", refused)
    keep(Cache(folder))
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_full_disk_is_no_failure_and_leaves_nothing_behind(cache, files, monkeypatch, after):
    keep(cache, text=b"as before")
    left = [after]

    def full(write):
        def limited(self, *args):
            left[0] -= 1
            if left[0] < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return write(self, *args)

        return limited

    monkeypatch.setattr(Writer, "block", full(Writer.block))
    monkeypatch.setattr(Writer, "finish", full(Writer.finish))
    cache.keep("n", {}, lambda writer: {"at": [writer.block(b"z"), writer.block(b"z")]})
    monkeypatch.undo()
    assert read(cache) == b"as before"
    assert len(files()) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_disk_that_is_full_when_the_file_is_flushed_is_no_failure(cache, files, monkeypatch):
    real = tempfile.NamedTemporaryFile

    def on_a_full_disk(**options):
        file = real(**options)
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, file.fileno())
        os.close(full)
        return file

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", on_a_full_disk)
    keep(cache)
    assert files() == []


def test_whatever_goes_wrong_in_who_writes_is_told_and_leaves_nothing_behind(cache, files):
    def write(writer):
        writer.block(b"x")
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        cache.keep("n", {}, write)
    assert files() == []


def _aged(cache, names):
    """Kept under `names`, the first used longest ago."""
    for age, name in enumerate(reversed(names)):
        keep(cache, name, b"x" * 1_000)
        path = cache._path(name)
        os.utime(path, (time.time() - age - 10,) * 2)


def test_what_was_used_longest_ago_goes_first_when_there_are_many(cache, files, monkeypatch):
    _aged(cache, ["a", "b", "c", "d"])
    assert read(cache, "a") is not None  # used now
    monkeypatch.setattr(rules, "MOST_FILES", 3)
    keep(cache, "new")
    assert [name for name in ("a", "b", "c", "d", "new") if read(cache, name)] == ["a", "d", "new"]
    assert len(files()) == 3


def test_what_was_used_longest_ago_goes_first_when_it_is_much(cache, files, monkeypatch):
    _aged(cache, ["a", "b", "c", "d"])
    size = files()[0].stat().st_size
    monkeypatch.setattr(rules, "LARGEST_FOLDER", 3 * size)
    keep(cache, "new", b"x" * 1_000)
    assert [name for name in ("a", "b", "c", "d", "new") if read(cache, name)] == ["c", "d", "new"]


def test_what_was_kept_just_now_stays_however_large_it_is(cache, files, monkeypatch):
    _aged(cache, ["a", "b"])
    monkeypatch.setattr(rules, "LARGEST_FOLDER", 10)
    keep(cache, "new")
    os.utime(cache._path("new"), (0, 0))
    keep(cache, "new")
    assert [name for name in ("a", "b", "new") if read(cache, name)] == ["new"]
    assert len(files()) == 1


def test_what_somebody_began_to_write_and_left_is_removed_after_a_day(cache, folder, files):
    keep(cache)
    old, recent, strange = folder / "old.part", folder / "recent.part", folder / "mine.txt"
    for path in (old, recent, strange):
        path.write_bytes(b"")
    for path in (old, strange):
        os.utime(path, (time.time() - 90_000,) * 2)
    keep(cache)
    assert old not in files()
    assert {recent, strange} < set(files())


def test_a_file_that_another_process_removed_meanwhile_does_not_matter(cache, monkeypatch):
    _aged(cache, ["a", "b", "c"])
    real = os.scandir

    class Gone:
        def __init__(self, entry):
            self.name, self.path = entry.name, entry.path

        def stat(self, **_options):
            raise FileNotFoundError(errno.ENOENT, "gone")

    class Listing:
        def __init__(self, path):
            self._found = list(real(path))

        def __enter__(self):
            return self

        def __exit__(self, *_args):
            return None

        def __iter__(self):
            return iter([Gone(self._found[0]), *self._found[1:]])

    monkeypatch.setattr(rules.os, "scandir", Listing)
    keep(cache, "new")
    monkeypatch.undo()
    assert read(cache, "new") == b"x"


def test_two_who_write_at_once_leave_one_whole_file(cache, files):
    meet = threading.Barrier(2)

    def write(writer, letter):
        first = writer.set(IdSet.of(f"{letter}{number:04}" for number in range(500)))
        meet.wait(10)
        return {"at": first}

    def run(letter):
        for _ in range(10):
            cache.keep("n", {}, lambda writer: write(writer, letter))

    threads = [threading.Thread(target=run, args=(letter,)) for letter in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(files()) == 1
    ids = list(cache.find("n").set(0))
    assert ids in [[f"{letter}{number:04}" for number in range(500)] for letter in "ab"]


def test_a_reader_goes_on_reading_what_it_found_when_it_is_replaced(cache):
    keep(cache, text=b"before")
    found = cache.find("n")
    keep(cache, text=b"after it")
    assert found.block(0).read() == b"before"
    cache._path("n").unlink()
    assert found.block(0).read() == b"before"


def test_what_another_version_of_the_program_made_is_not_used(cache, monkeypatch):
    keep(cache)
    monkeypatch.setattr(rules, "_made_by", lambda: "another")
    assert read(cache) is None
    keep(cache, text=b"its own")
    assert read(cache) == b"its own"
    monkeypatch.undo()
    assert read(cache) is None


def test_a_program_whose_files_cannot_be_looked_at_works_without_a_cache(cache, files, monkeypatch):
    def zipped():
        raise NotADirectoryError(errno.ENOTDIR, "app.pyz")

    keep(cache)
    monkeypatch.setattr(rules, "_made_by", zipped)
    assert read(cache) is None
    keep(cache, "other")
    assert len(files()) == 1


def test_a_name_may_hold_whatever_a_path_holds(cache):
    for name in ("a\udcff b", "\x00", "x" * 5_000, "../../x"):
        keep(cache, name, name.encode("utf-8", "surrogatepass"))
        assert read(cache, name) == name.encode("utf-8", "surrogatepass")


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({}, None),
        ({"RECONCILER_CACHE": "off", "HOME": "/home/a"}, None),
        ({"RECONCILER_CACHE": "/x/y", "HOME": "/home/a", "XDG_CACHE_HOME": "/z"}, "/x/y"),
        ({"RECONCILER_CACHE": "", "HOME": "/home/a"}, "/home/a/.cache/reconciler/derived"),
        ({"XDG_CACHE_HOME": "/z", "HOME": "/home/a"}, "/z/reconciler/derived"),
        ({"XDG_CACHE_HOME": "z", "HOME": "/home/a"}, "/home/a/.cache/reconciler/derived"),
        ({"XDG_CACHE_HOME": "z"}, None),
        ({"HOME": ""}, None),
        ({"HOME": "somewhere"}, None),
    ],
)
def test_variables_say_where_it_is(environment, folder):
    found = cache_of(environment).folder
    assert (None if found is None else str(found)) == folder


def test_a_relative_folder_is_one_of_the_folder_of_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = cache_of({"RECONCILER_CACHE": "c"})
    monkeypatch.chdir("/")
    assert made.folder == tmp_path / "c"
