"""What comes out of a file of the cache is what went in, or an error; never something else."""

from __future__ import annotations

import gc
import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.errors import CacheDamaged
from reconciler.model import chunks, kept
from reconciler.model.idset import IdSet

one_id = st.text(
    st.sampled_from(["a", "b", "\x00", "\n", "\xff", "é", "\uffff", "😀"]), min_size=1, max_size=3
) | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=16)
id_sets = st.sets(one_id, max_size=30)
few = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True, params=["as it is", "in many chunks", "in the scratch file"])
def chunks_are(request, monkeypatch):
    if request.param == "as it is":
        return
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 8)
    if request.param == "in the scratch file":
        monkeypatch.setattr(kept, "SCRATCH_ABOVE", -(1 << 40))


def keep(cache, sets=(), blocks=(), name="n", key=None):
    def write(writer):
        return {"sets": [writer.set(each) for each in sets], "blocks": [writer.block(each) for each in blocks]}

    cache.keep(name, key or {}, write)


def read(cache, name="n"):
    """Everything that is kept under the name, read to its end; None when nothing is found."""
    contents = cache.find(name)
    if contents is None:
        return None
    sets = [list(contents.set(number)) for number in contents.document["sets"]]
    return sets, [contents.block(number).read() for number in contents.document["blocks"]]


@given(st.lists(id_sets, max_size=5), st.lists(st.binary(max_size=20), max_size=3))
@few
def test_sets_and_blocks_come_back_as_they_were(cache, sets, blocks):
    held = [IdSet.of(each) for each in sets]
    keep(cache, held, blocks, key={"of": "x"})
    assert read(cache) == ([sorted(each) for each in sets], blocks)
    found = cache.find("n")
    assert found.key["of"] == "x"
    for number, each in enumerate(held):
        again = found.set(number)
        assert (again, len(again), again.digest(), hash(again)) == (each, len(each), each.digest(), hash(each))
        assert again.compared(each) == (IdSet(), each, IdSet())


@given(id_sets, id_sets)
@few
def test_what_was_read_can_be_worked_with_like_any_other_set(cache, left, right):
    keep(cache, [IdSet.of(left), IdSet.of(right)])
    found = cache.find("n")
    one, other = found.set(0), found.set(1)
    assert set(one | other) == left | right
    assert set(one & other) == left & right
    assert set(one - other) == left - right
    assert [set(each) for each in one.compared(other)] == [left - right, left & right, right - left]
    keep(cache, [one | other], name="again")  # from one file of the cache into another
    assert read(cache, "again") == ([sorted(left | right)], [])


def test_chunks_that_sets_share_are_written_once(cache, folder, files):
    whole = IdSet.of(f"user-{number:05}" for number in range(2_000))
    part = whole - IdSet.of(["user-00000"])
    keep(cache, [whole])
    (alone,) = (path.stat().st_size for path in files())
    keep(cache, [whole, whole, whole, IdSet()])
    (thrice,) = (path.stat().st_size for path in files())
    assert thrice - alone < 1_000
    keep(cache, [whole, part])
    assert read(cache) == ([list(whole), list(part)], [])


@pytest.mark.parametrize("how", ["flip", "zero", "high"])
def test_a_byte_that_changed_anywhere_is_noticed(cache, files, how):
    sets = [IdSet.of(["a", "b", "é\n"]), IdSet.of(["b", "zz"]), IdSet()]
    keep(cache, sets, [b"some bytes", b""])
    (path,) = files()
    sound, right = path.read_bytes(), read(cache)
    change = {"flip": lambda byte: byte ^ 1, "zero": lambda _: 0, "high": lambda byte: byte ^ 0x80}[how]
    noticed = 0
    for place, byte in enumerate(sound):
        if change(byte) == byte:
            continue
        path.write_bytes(sound[:place] + bytes([change(byte)]) + sound[place + 1 :])
        try:
            found = read(cache)
        except CacheDamaged:
            assert not path.exists(), "what is damaged stays in the way"
            noticed += 1
            continue
        # Upper case digits, as in FEDC, say the same offset.
        assert found in (None, right)
        noticed += found is None
    assert noticed > len(sound) * 0.9


def test_a_file_that_was_cut_short_anywhere_is_not_used(cache, files):
    keep(cache, [IdSet.of(["a", "b", "c"])], [b"bytes"])
    (path,) = files()
    sound = path.read_bytes()
    for size in range(len(sound)):
        path.write_bytes(sound[:size])
        assert cache.find("n") is None
        path.write_bytes(sound[size + 1 :])  # the beginning is missing
        try:
            assert read(cache) is None
        except CacheDamaged:
            assert not path.exists()
    for more in (b"\n", b"x", sound):
        path.write_bytes(sound + more)
        assert read(cache) in (None, ([["a", "b", "c"]], [b"bytes"]))


@given(st.binary(max_size=300))
@few
def test_any_bytes_in_place_of_a_file_are_no_file_of_the_cache(cache, files, noise):
    keep(cache, [IdSet.of("a")])
    (path,) = files()
    path.write_bytes(noise + path.read_bytes()[-(80 + 19) :])
    assert cache.find("n") is None
    path.write_bytes(noise)
    assert cache.find("n") is None


def test_no_file_stays_open_once_nobody_needs_it(cache, files):
    keep(cache, [IdSet.of("ab")])
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        held = cache.find("n").set(0)
        assert list(held) == ["a", "b"]  # the set alone keeps the file open
        del held
        (path,) = files()
        path.write_bytes(path.read_bytes()[1:])
        assert cache.find("n") is None
        gc.collect()
