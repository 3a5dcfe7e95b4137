"""What would go wrong is caught: one line of the package changed, and a test fails."""

from __future__ import annotations

import pytest

from support.mutants import Mutant, copy_package, mutate, origin, run_tests
from support.needs import unavailable

pytestmark = [pytest.mark.fault(3), pytest.mark.timeout(240)]

_FILE = "tests/state/test_file_store.py"
_JOURNAL = "tests/state/test_journal.py"
_ORDER = "tests/faults/test_order.py"
_SYNCED = f"{_FILE}::test_nothing_is_acknowledged_before_it_and_its_directory_are_synced"
_LOST = f"{_JOURNAL}::test_a_lost_answer_neither_loses_nor_repeats_the_frame"
_POWER = "tests/faults/test_power_cut.py"
_WRITTEN = f"{_POWER}::test_a_log_that_is_created_and_written_survives_a_cut_at_every_call"
_TORN = f"{_POWER}::test_a_torn_tail_is_never_lost_although_the_power_is_cut_while_it_is_put_aside[a few bytes]"
_BROKEN = (
    f"{_POWER}::test_the_disk_fails_at_any_call_and_the_power_is_cut_at_any_call_of_the_next_writer[1500-clean]"
)
_FULL = (
    "tests/faults/test_disk_errors.py"
    "::test_whatever_call_fails_no_acknowledged_line_is_lost_and_the_next_command_works[ENOSPC-once]"
)
_DURABLE = f"{_ORDER}::test_no_request_leaves_while_its_intent_is_not_durable_however_slow_the_disk"

MUTANTS = [
    Mutant(
        "the fsync of an append is left out", "state/stores/file.py",
        "            sync(handle)\n            if not self._folder_synced",
        "            if not self._folder_synced", (_SYNCED,),
    ),
    Mutant(
        "the directory of a new log is never synced", "state/stores/file.py",
        "                sync_folder(self._calls, self.folder)\n                self._folder_synced",
        "                self._folder_synced", (_SYNCED,),
    ),
    Mutant(
        "the line end is written with the rest", "state/stores/file.py",
        '        self._make_durable(handle, line[:-1] + b"\\0", start, start, self._calls.fsync)\n'
        "        self._make_durable(handle, line[-1:], last, start, self._calls.fdatasync)",
        "        self._make_durable(handle, line, start, start, self._calls.fsync)",
        (f"{_FILE}::test_the_line_end_is_written_alone_when_all_before_it_is_durable",),
    ),
    Mutant(
        "a handle that failed to sync is used again", "state/stores/file.py",
        '            self._poison = self._failed("made durable", error)\n            raise self._poison from error',
        "            raise",
        (f"{_FILE}::test_what_could_not_be_synced_is_never_acknowledged_nor_anything_after_it",),
    ),
    Mutant(
        "requests leave while their frame is being written", "applier/__init__.py",
        "            self._recorder.start(events)", "            self._recorded()\n            self._recorder.start(events)",
        (_DURABLE,),
    ),
    Mutant(
        "an old intent is as good as a new one", "applier/__init__.py",
        "self._dispatcher.gate = lambda: self._run.fresh(FRESH)", "self._dispatcher.gate = lambda: True",
        ("tests/applier/test_rules.py::test_a_pause_of_90_seconds_makes_every_intent_stale_and_forces_a_new_frame_first",),
    ),
    Mutant(
        "an unknown append counts as done", "state/placing.py",
        "        if isinstance(outcome, Done):", "        if isinstance(outcome, Done | Unknown):", (_LOST,),
    ),
    Mutant(
        "a conflict counts as done", "state/placing.py",
        "        if isinstance(outcome, Done):", "        if isinstance(outcome, Done | Conflict):",
        (f"{_JOURNAL}::test_two_inits_at_once_make_one_log",),
    ),
    Mutant(
        "the own frame is not recognised", "state/placing.py",
        "        if found == line:", "        if False:", (_LOST,),
    ),
    Mutant(
        "a doubtful append is not read back", "state/placing.py",
        "            found = standing()", "            found = None", (_LOST,),
    ),
    Mutant(
        "a frame is believed whatever its hash", "state/frames.py",
        "    if not _bears(line, digest):", "    if False:",
        ("tests/state/test_damage.py::test_every_flipped_bit_is_refused_or_put_aside_and_reported",),
    ),
    Mutant(
        "a plain line is not rendered again", "state/frames.py",
        "        return found if _encode_plain(found) == line[:-1] else None", "        return found",
        ("tests/state/test_frames.py::test_every_small_change_of_a_line_is_refused_as_by_rendering_it_again",),
    ),
    Mutant(
        "a fraction is left to the faster library", "state/frames.py",
        "Decoder(_PlainLine, float_hook=_unclear)", "Decoder(_PlainLine)",
        ("tests/state/test_frames.py::test_a_fraction_is_read_only_as_seal_writes_it",),
    ),
    Mutant(
        "a projection that was handed out changes with the fold", "state/batchtable.py",
        "        if self._lent:", "        if False:",
        ("tests/state/test_snapshots.py::test_the_snapshot_of_a_fold_does_not_change_when_the_fold_goes_on",),
    ),
    Mutant(
        "entries that share ids are taken for such as share none", "model/partition.py",
        "    if len(everything) != sum(len(part) for _, part in parts):", "    if False:",
        ("tests/model/test_partition.py::test_every_id_is_in_the_one_group_of_the_parts_that_hold_it",),
    ),
    Mutant(
        "the older of two batches has the last word", "model/layers.py",
        "    for key, left in _without(older, newer.all).items():", "    for key, left in older.ids.items():",
        ("tests/model/test_layers.py::test_every_id_belongs_to_the_key_that_named_it_last",),
    ),
    Mutant(
        "frames need not follow each other", "state/chain.py",
        "        if frame.prev != self.head:", "        if False:",
        (f"{_ORDER}::test_a_log_whose_frames_do_not_follow_each_other_is_not_walked",),
    ),
    Mutant(
        "a run goes on after it was taken over", "state/run.py",
        "        if holder is None or holder.run != self.run:", "        if False:",
        ("tests/state/test_run.py::test_a_fenced_run_writes_nothing_more_and_keeps_its_outcomes",),
    ),
    Mutant(
        "a log that was moved is written", "state/journal.py",
        "        if moved is not None and not self.store.answers_to(moved):", "        if False:",
        (f"{_JOURNAL}::test_a_moved_log_is_not_written_any_more[file]",),
    ),
    Mutant(
        "an object of somebody else is overwritten", "state/stores/s3.py",
        'obstore.put(self._bucket, name, body, mode="create", use_multipart=False)',
        'obstore.put(self._bucket, name, body, mode="overwrite", use_multipart=False)',
        ("tests/state/test_s3_store.py::test_two_writers_at_one_position_have_one_winner",),
    ),
    Mutant(
        "PostgreSQL compares no hash", "state/stores/postgres.py",
        " AND hash = %(prev)s RETURNING position", " RETURNING position",
        ("tests/state/test_postgres_store.py::test_tables_are_made_by_init_and_a_database_without_them_reads_as_empty",),
    ),
    Mutant(
        "an append is answered before its line end is synced", "state/stores/file.py",
        "        self._make_durable(handle, line[-1:], last, start, self._calls.fdatasync)",
        "        write_all(self._calls, handle, line[-1:], last)", (_WRITTEN,),
    ),
    Mutant(
        "what is put aside is not synced", "state/stores/durable.py",
        "        calls.fsync(handle)\n    finally:\n        calls.close(handle)\n    sync_folder(calls, path.parent)",
        "    finally:\n        calls.close(handle)\n    sync_folder(calls, path.parent)", (_TORN,),
    ),
    Mutant(
        "a torn tail is cut off before it is kept", "state/stores/file.py",
        "        create_private(self._calls, path, [rest])\n",
        "        self._calls.ftruncate(handle, end)\n        create_private(self._calls, path, [rest])\n", (_TORN,),
    ),
    Mutant(
        "nobody is told of a torn tail", "state/stores/file.py",
        "self._recovered.append(self._cut_off(handle, self._mark.end, self._bytes(handle, self._mark.end, size)))",
        "self._cut_off(handle, self._mark.end, self._bytes(handle, self._mark.end, size))", (_TORN,),
    ),
    Mutant(
        "a log that moves here appears line by line", "state/stores/durable.py",
        "        create_private(calls, incoming, chunks)\n        calls.link(incoming, path)\n",
        "        create_private(calls, path, chunks)\n",
        (f"{_POWER}::test_a_log_that_moves_here_is_here_as_a_whole_or_not_at_all",),
    ),
    Mutant(
        "a move that was found written is not synced", "state/moving.py",
        "    destination.sync()", "    pass",
        (f"{_POWER}::test_a_move_that_was_killed_and_done_again_is_not_undone_by_a_power_cut",),
    ),
    Mutant(
        "a line is taken back together with its line end", "state/stores/file.py",
        "            self._take_back(handle, offset, error)", "            self._take_back(handle, start, error)",
        (_BROKEN,),
    ),
    Mutant(
        "a line end that failed to sync comes back while its line is cut off", "state/stores/file.py",
        "        self._calls.fsync(handle)  # no line end that", "        # no line end that", (_BROKEN,),
    ),
    Mutant(
        "half a line stays on a full disk", "state/stores/file.py",
        "            self._take_back(handle, start, error)\n", "",
        (_FULL,),
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A copy without a change: on it the tests pass."""
    return copy_package(tmp_path_factory.mktemp("sound"))


def test_the_copy_is_what_is_tested(sound):
    assert origin(sound) == sound / "reconciler" / "__init__.py"
    done = run_tests(sound, tuple({test for mutant in MUTANTS for test in mutant.tests}))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.what)
def test_a_test_fails_when(mutant, tmp_path):
    folder = copy_package(tmp_path)
    mutate(folder, mutant)
    done = run_tests(folder, mutant.tests)
    if done.returncode == 0 and " skipped" in done.stdout and " passed" not in done.stdout:
        unavailable(f"the test that would notice is skipped: {done.stdout[-300:]}")
    assert done.returncode == 1, f"nobody noticed:\n{done.stdout[-2000:]}{done.stderr[-500:]}"
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED ")]
    assert any(line.startswith(f"FAILED {test}") for line in failed for test in mutant.tests), done.stdout[-2000:]
