"""A snapshot of the state says what the log says, or it is not used. The log is always right."""

from __future__ import annotations

from dataclasses import fields

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.cache import NO_CACHE, Cache
from reconciler.clock import ManualClock
from reconciler.errors import CacheDamaged, ReconcilerError
from reconciler.model import chunks, layers, pages
from reconciler.model.tombstones import Projection, TargetRecord
from reconciler.state import events as ev
from reconciler.state import journal as journal_module
from reconciler.state import reading, snapshots
from reconciler.state.frames import hash_of, parse, seal
from reconciler.state.reading import read_projection
from reconciler.state.stores.file import FileStore

RUN = "r1"
IDS = [f"id-{n}" for n in range(7)] + ["é\n", "a\x00b", "😀" * 16]
SETTINGS = {
    "deadline": None,
    "suppress_health_check": [hypothesis.HealthCheck.function_scoped_fixture, hypothesis.HealthCheck.too_slow],
}


class Log:
    """A log in a file, made of events that fit or do not: what does not fit is left out."""

    def __init__(self, fold_log):
        self.log = fold_log
        self.lines = []
        real = fold_log.add
        self._add = real
        first = seal(1, "0" * 64, "n", "2026-11-22T12:00:01.000Z", "", [ev.Header("l" * 32)])
        self.lines.append(first.line)

    def add(self, run, *events):
        self.lines.append(self._add(run, *events).line)

    def offer(self, run, *events):
        try:
            self.add(run, *events)
        except ReconcilerError:
            return


def begun(make_log):
    log = Log(make_log())
    log.add(
        RUN, ev.RunStarted("apply", "loopback", lease=12.5, actor="me"), ev.TargetSeen(1, "loopback", "a", "i")
    )
    log.add(RUN, ev.TargetSeen(2, "loopback", "a", "j", "2026-01-01T00:00:00Z"))
    for number, target in ((1, 1), (2, 1), (3, 2)):
        names = {} if number == 2 else {"count": 2, "digest": "d" * 64}
        event = ev.Declared(
            number,
            target,
            "m.yaml",
            number,
            0,
            f"ticket {number}",
            sources=[{"kind": "ids", "path": "", "column": "", "count": number, "digest": "d"}],
            prefixes=[{"text": "p/", "count": 1, "keeps": {"ids": ["p/1"], "prefixes": []}}],
            limits={"a": 0.5},
            names=names,
        )
        log.add(RUN, event)
    return log


steps = st.lists(
    st.tuples(
        st.sampled_from(["intent", "intent", "accepted", "failed", "whole", "whole", "named", "declared", "odd"]),
        st.sets(st.sampled_from(IDS), min_size=1),
        st.integers(1, 8),
        st.booleans(),
        st.sampled_from([1, 1, 2]),
    ),
    max_size=20,
)


def grow(log, script, start=0):
    for place, (what, some, pick, flag, target) in enumerate(script, start):
        ids, declared = sorted(some, reverse=flag), {1: (1, 2), 2: (3,)}[target]
        cut = pick % (len(ids) + 1)
        runs = [[list(declared[:1]), cut], [list(declared), len(ids) - cut]]
        match what:
            case "intent":
                log.offer(RUN, ev.Intent(place + 1, target, [run for run in runs if run[1]], ids))
            case "accepted":
                log.offer(RUN, ev.Accepted(pick, f"m{place}"))
            case "failed":
                log.offer(RUN, ev.Failed(pick, 1, "unknown" if flag else "rejected", True))
            case "whole":
                ranges, except_ids = [[pick, pick + flag]], ids if pick % 2 else []
                kinds = [
                    ev.Processed(target, ranges, "p"),
                    ev.Verified(target, "get_by_ids", ranges, except_ids),
                    ev.Released(target, "undeclared", ranges, except_ids),
                ]
                log.offer(RUN, kinds[place % 3])
            case "named":
                kinds = [
                    ev.Verified(target, "list", ids=ids, declarations=[[list(declared[:1]), len(ids)]]),
                    ev.Reappeared(target, ids),
                    ev.Released(target, "lapsed", (), (), ids),
                ]
                log.offer(RUN, kinds[pick % 3])
            case "declared":
                held = [
                    {"ids": ids},
                    {"batches": [[pick, pick]], "except_ids": ids},
                    {"declarations": [declared[0]]},
                ]
                log.offer(
                    RUN,
                    ev.Declared(
                        10 + place, target, "m.yaml", 1, place, "r", until="2030-01-01", held=held[pick % 3]
                    ),
                )
            case "odd":
                odd = [
                    ev.LimitsIgnored("me", "why", ["max_deletes"]),
                    ev.Unknown({"kind": "strange", "x": [1]}),
                    ev.TargetSeen(3, "loopback", "a", "i", "2026-02-02T00:00:00Z"),
                    ev.LeaseRenewed(),
                    ev.RunFinished("done"),
                    ev.Moved("s3://b/c"),
                ]
                log.offer(RUN, odd[pick % len(odd)])


def written(path, lines):
    path.write_bytes(b"".join(lines))
    path.chmod(0o600)


def outcome(path, cache=NO_CACHE):
    """What a reader gets: a projection, or the words of an error."""
    store = FileStore(path)
    try:
        return read_projection(store, ManualClock(), cache)
    except ReconcilerError as error:
        return type(error), error.message, error.hint
    finally:
        store.close()


def same(one, other):
    """Both are equal in every field, whatever reading them all costs."""
    assert type(one) is type(other)
    if not isinstance(one, Projection):
        assert one == other
        return
    for field in fields(Projection):
        assert getattr(one, field.name) == getattr(other, field.name), field.name
        assert type(getattr(one, field.name)) is type(getattr(other, field.name))
    for number, record in one.targets.items():
        for field in fields(TargetRecord):
            mine, others = getattr(record, field.name), getattr(other.targets[number], field.name)
            assert mine == others, field.name
        assert [repr(each) for each in record.batches] == [repr(each) for each in other.targets[number].batches]
        assert list(record.by_status) == list(other.targets[number].by_status)
        assert [list(ids) for ids in record.by_status.values()] == [
            list(ids) for ids in other.targets[number].by_status.values()
        ]
    assert repr(one.declarations) == repr(other.declarations)
    assert one.open_run == other.open_run


@pytest.fixture
def used(monkeypatch):
    """How often a log was folded."""
    folded = []
    real = journal_module.Journal.load

    def counting(self):
        folded.append(self)
        return real(self)

    monkeypatch.setattr(journal_module.Journal, "load", counting)
    return folded


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "derived", least=0)


@pytest.fixture(params=["as it is", "in many chunks"])
def chunks_are(request, monkeypatch):
    if request.param != "as it is":
        monkeypatch.setattr(chunks, "CHUNK_BYTES", 16)
        monkeypatch.setattr(pages, "PAGE_BYTES", 16)
        monkeypatch.setattr(layers, "LAYER_BYTES", 0)


@hypothesis.settings(max_examples=120, **SETTINGS)
@given(steps)
@pytest.mark.usefixtures("chunks_are")
def test_the_projection_of_a_snapshot_is_the_folded_one_in_every_field(make_log, path, cache, used, script):
    log = begun(make_log)
    grow(log, script)
    written(path, log.lines)
    folded = outcome(path)
    same(outcome(path, cache), folded)
    used.clear()
    same(outcome(path, cache), folded)
    assert used == [], "the snapshot was not used"


@hypothesis.settings(max_examples=60, **SETTINGS)
@given(steps, steps, st.integers(0, 40))
def test_a_log_that_is_longer_or_shorter_is_folded(make_log, path, cache, used, script, more, cut):
    log = begun(make_log)
    grow(log, script)
    length = len(log.lines)
    written(path, log.lines)
    outcome(path, cache)
    grow(log, more, len(script))
    log.offer(RUN, ev.LeaseRenewed())
    for lines in (log.lines, log.lines[: max(1, length - 1 - cut)]):
        if len(lines) == length:
            continue
        written(path, log.lines[:length])
        outcome(path, cache)
        written(path, lines)
        used.clear()
        same(outcome(path, cache), outcome(path))
        assert len(used) == 2
    written(path, log.lines[:length])
    same(outcome(path, cache), outcome(path))


def resealed(line, **changes):
    """Another frame in place of `line`, whose own hash fits."""
    frame = parse(line)
    said = {name: getattr(frame, name) for name in ("position", "prev", "nonce", "at", "run", "events")}
    return seal(*{**said, **changes}.values()).line


DAMAGE = {
    "a flipped byte": lambda lines, n: [*lines[:n], lines[n][:40] + bytes([lines[n][40] ^ 1]) + lines[n][41:], *lines[n + 1 :]],
    "resealed, so that its own hash fits": lambda lines, n: [*lines[:n], resealed(lines[n], nonce="x"), *lines[n + 1 :]],
    "another frame before it": lambda lines, n: [*lines[:n], resealed(lines[n], prev="0" * 63 + "1"), *lines[n + 1 :]],
    "another place": lambda lines, n: [*lines[:n], resealed(lines[n], position=n + 7), *lines[n + 1 :]],
    "gone": lambda lines, n: lines[:n] + lines[n + 1 :],
    "twice": lambda lines, n: [*lines[:n], lines[n], *lines[n:]],
    "an empty line": lambda lines, n: [*lines[:n], b"\n", *lines[n:]],
    "a space more": lambda lines, n: [*lines[:n], lines[n][:-1] + b" \n", *lines[n + 1 :]],
    "torn": lambda lines, n: [*lines[:n], lines[n][: len(lines[n]) // 2]],
    "without its line end": lambda lines, n: [*lines[:n], lines[n][:-1]],
    "garbage after it": lambda lines, n: [*lines[: n + 1], b'{"v":1,"pos"'],
    "zeros after it": lambda lines, n: [*lines[: n + 1], b"\0" * 500],
    "zeros and a line end after it": lambda lines, n: [*lines[: n + 1], b"\0" * 500 + b"\n"],
    "its line end is CR LF": lambda lines, n: [*lines[:n], lines[n][:-1] + b"\r\n", *lines[n + 1 :]],
    "a later format": lambda lines, n: [*lines[:n], lines[n].replace(b'{"v":1', b'{"v":2', 1), *lines[n + 1 :]],
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_after_the_snapshot_is_reported_as_without_one(make_log, path, cache, damage):
    log = begun(make_log)
    log.add(RUN, ev.Intent(1, 1, [[[1], 2]], ["a", "b"]))
    log.add(RUN, ev.Accepted(1, "m"))
    written(path, log.lines)
    sound = outcome(path, cache)
    assert isinstance(sound, Projection)
    for number in range(len(log.lines)):
        written(path, DAMAGE[damage](log.lines, number))
        same(outcome(path, cache), outcome(path))
        written(path, log.lines)
        same(outcome(path, cache), sound)


def test_every_byte_of_a_log_counts_although_there_is_a_snapshot(make_log, path, cache):
    log = begun(make_log)
    log.add(RUN, ev.Intent(1, 1, [[[1], 2]], ["a", "b"]))
    whole = b"".join(log.lines)
    written(path, log.lines)
    outcome(path, cache)
    for place in range(0, len(whole), 3):
        written(path, [whole[:place], bytes([whole[place] ^ 1]), whole[place + 1 :]])
        found = outcome(path, cache)
        assert not isinstance(found, Projection) or found.position < len(log.lines)
        same(found, outcome(path))
        if isinstance(found, Projection):  # a torn end: that projection is kept now, and rightly
            written(path, log.lines)
            same(outcome(path, cache), outcome(path))


def test_two_logs_of_one_lineage_never_take_each_others_snapshot(make_log, path, cache, tmp_path):
    log, other = begun(make_log), begun(make_log)
    log.add(RUN, ev.Intent(1, 1, [[[1], 1]], ["a"]))
    other.add(RUN, ev.Intent(1, 1, [[[1], 1]], ["b"]))
    there = tmp_path / "other.jsonl"
    written(path, log.lines)
    written(there, other.lines)
    for _ in range(2):
        same(outcome(path, cache), outcome(path))
        same(outcome(there, cache), outcome(there))


def test_ids_that_stand_in_order_in_the_log_are_in_the_snapshot_once(make_log, path, cache, tmp_path, monkeypatch):
    """What was sent is in a batch and has a status, and both are the same bytes."""
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 2048)
    monkeypatch.setattr(pages, "PAGE_BYTES", 2048)
    monkeypatch.setattr(layers, "LAYER_BYTES", 4096)
    log = begun(make_log)
    ids = [f"customer-{number:05}" for number in range(5_000)]
    for batch, start in enumerate(range(0, len(ids), 100), 1):
        log.add(RUN, ev.Intent(batch, 1, [[[1], 100]], ids[start : start + 100]), ev.Accepted(batch, f"m{batch}"))
    written(path, log.lines)
    folded, found = outcome(path, cache), outcome(path, cache)
    same(found, folded)
    (file,) = (tmp_path / "derived").iterdir()
    assert file.read_bytes().count(b"customer-02500") == 1
    for projection in (folded, found):
        record = projection.targets[1]
        page = record.batches.columns.pages.pages()[1]
        assert any(page is chunk for chunk in record.by_status["accepted"].pieces)


@pytest.mark.parametrize("step", [1])
def test_a_changed_snapshot_is_an_error_or_not_used_and_never_another_state(make_log, path, cache, tmp_path, step):
    log = begun(make_log)
    log.add(RUN, ev.Intent(1, 1, [[[1], 1], [[1, 2], 2]], ["a", "b", "c"]))
    log.add(RUN, ev.Accepted(1, "m"))
    log.add(RUN, ev.Verified(1, "get_by_ids", [[1, 1]], ["b"]))
    written(path, log.lines)
    right = outcome(path, cache)
    (kept,) = (tmp_path / "derived").iterdir()
    sound = kept.read_bytes()
    # The index of the file is sealed as one; its blocks, which come first, are each checked when they are read.
    for place in [*range(0, 900, step), *range(900, len(sound), 37)]:
        kept.write_bytes(sound[:place] + bytes([sound[place] ^ 0x20]) + sound[place + 1 :])
        try:
            same(outcome(path, cache), right)
        except CacheDamaged:
            assert not kept.exists()
            same(outcome(path, cache), right)


def test_a_small_log_is_not_kept_and_a_memory_of_none_is_not_an_error(make_log, path, tmp_path):
    log = begun(make_log)
    written(path, log.lines)
    small = Cache(tmp_path / "derived")
    same(outcome(path, small), outcome(path))
    assert not (tmp_path / "derived").exists()
    assert outcome(tmp_path / "none.jsonl", small) == Projection()


def test_nothing_is_kept_of_what_another_reads_over_a_network(make_log, path, cache, tmp_path, monkeypatch):
    log = begun(make_log)
    written(path, log.lines)
    monkeypatch.setattr(FileStore, "local", False)
    monkeypatch.setattr(reading.snapshots, "find", None)
    assert isinstance(outcome(path, cache), Projection)
    assert not (tmp_path / "derived").exists()


def test_where_nothing_can_be_kept_the_log_is_folded_each_time(make_log, path, tmp_path, used):
    log = begun(make_log)
    written(path, log.lines)
    (tmp_path / "derived").mkdir(mode=0o755)
    (tmp_path / "derived").chmod(0o755)
    cache = Cache(tmp_path / "derived", least=0)
    for _ in range(2):
        same(outcome(path, cache), outcome(path))
    assert len(used) == 4


@pytest.mark.parametrize("line", [b"", b"\n", b"x\n", b'{"v":1,"pos":1,"prev":"'])
def test_no_hash_for_what_is_no_frame(line):
    assert hash_of(line, 1, "0" * 64) is None


def test_the_snapshot_of_a_fold_does_not_change_when_the_fold_goes_on(make_log, cache):
    log = make_log()
    log.add(RUN, ev.RunStarted("apply", "loopback"), ev.TargetSeen(1, "loopback", "a", "i"))
    log.add(RUN, ev.Declared(1, 1, "m.yaml", 1, 0, "r"), ev.Intent(1, 1, [[[1], 2]], ["b", "a"]))
    before = log.fold.snapshot()
    snapshots.keep(cache, before, 1)
    log.add(RUN, ev.Intent(2, 1, [[[1], 2]], ["c", "a"]), ev.Accepted(1, "m"))
    same(snapshots.find(cache, "l" * 32).projection(), before)
    assert [list(batch.ids) for batch in log.fold.snapshot().targets[1].batches] == [["a", "b"], ["a", "c"]]
