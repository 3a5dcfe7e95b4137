"""What would go wrong is caught: one line of the package changed, and a test fails."""

from __future__ import annotations

import pytest

from support.mutants import Mutant, copy_package, mutate, origin, run_tests

pytestmark = [pytest.mark.fault(3), pytest.mark.timeout(240)]

_FILE = "tests/state/test_file_store.py"
_JOURNAL = "tests/state/test_journal.py"
_ORDER = "tests/faults/test_order.py"
_SYNCED = f"{_FILE}::test_nothing_is_acknowledged_before_it_and_its_directory_are_synced"
_DURABLE = f"{_ORDER}::test_no_request_leaves_while_its_intent_is_not_durable_however_slow_the_disk"

MUTANTS = [
    Mutant(
        "the fsync of an append is left out", "state/stores/file.py",
        "            self._calls.fsync(handle)\n            if not self._folder_synced",
        "            if not self._folder_synced", (_SYNCED,),
    ),
    Mutant(
        "the directory of a new log is never synced", "state/stores/file.py",
        "                sync_folder(self._calls, self.folder)\n                self._folder_synced",
        "                self._folder_synced", (_SYNCED,),
    ),
    Mutant(
        "the line end is written with the rest", "state/stores/file.py",
        "        end = self._make_durable(handle, line[:-1], start, start)\n"
        "        end = self._make_durable(handle, line[-1:], end, start)",
        "        end = self._make_durable(handle, line, start, start)",
        (f"{_FILE}::test_the_line_end_is_written_alone_when_all_before_it_is_durable",),
    ),
    Mutant(
        "a handle that failed to sync is used again", "state/stores/file.py",
        '            self._poison = self._failed("made durable", error)\n            raise self._poison from error',
        "            raise", (_FILE,),
    ),
    Mutant(
        "requests leave while their frame is being written", "applier/__init__.py",
        "            self._recorder.start(events)", "            self._recorded()\n            self._recorder.start(events)",
        (_DURABLE,),
    ),
    Mutant(
        "an old intent is as good as a new one", "applier/__init__.py",
        "self._dispatcher.gate = lambda: self._run.fresh(FRESH)", "self._dispatcher.gate = lambda: True",
        ("tests/applier/test_rules.py", "tests/operations/test_state_faults.py"),
    ),
    Mutant(
        "an unknown append counts as done", "state/placing.py",
        "        if isinstance(outcome, Done):", "        if isinstance(outcome, Done | Unknown):", (_JOURNAL,),
    ),
    Mutant(
        "a conflict counts as done", "state/placing.py",
        "        if isinstance(outcome, Done):", "        if isinstance(outcome, Done | Conflict):", (_JOURNAL,),
    ),
    Mutant(
        "the own frame is not recognised", "state/placing.py",
        "        if found == line:", "        if False:", (_JOURNAL,),
    ),
    Mutant(
        "a frame is believed whatever its hash", "state/frames.py",
        "    if hashlib.sha256(body).hexdigest() != digest:", "    if False:", ("tests/state/test_frames.py",),
    ),
    Mutant(
        "frames need not follow each other", "state/chain.py",
        "        if frame.prev != self.head:", "        if False:",
        (f"{_ORDER}::test_a_log_whose_frames_do_not_follow_each_other_is_not_walked",),
    ),
    Mutant(
        "a run goes on after it was taken over", "state/run.py",
        "        if holder is None or holder.run != self.run:", "        if False:",
        ("tests/state/test_run.py",),
    ),
    Mutant(
        "a log that was moved is written", "state/journal.py",
        "        if moved is not None and not self.store.answers_to(moved):", "        if False:", (_JOURNAL,),
    ),
    Mutant(
        "an object of somebody else is overwritten", "state/stores/s3.py",
        'obstore.put(self._bucket, name, body, mode="create", use_multipart=False)',
        'obstore.put(self._bucket, name, body, mode="overwrite", use_multipart=False)',
        ("tests/state/test_s3_store.py::test_two_writers_at_one_position_have_one_winner",),
    ),
    Mutant(
        "PostgreSQL compares no hash", "state/stores/postgres.py",
        " AND hash = %(prev)s RETURNING position", " RETURNING position", ("tests/state/test_postgres_store.py",),
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A copy without a change: on it the tests pass."""
    return copy_package(tmp_path_factory.mktemp("sound"))


def test_the_copy_is_what_is_tested(sound):
    assert origin(sound) == sound / "reconciler" / "__init__.py"
    tests = tuple({test for mutant in MUTANTS for test in mutant.tests if "::" in test})
    done = run_tests(sound, tests)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.what)
def test_a_test_fails_when(mutant, tmp_path):
    folder = copy_package(tmp_path)
    mutate(folder, mutant)
    done = run_tests(folder, mutant.tests)
    assert done.returncode == 1, f"nobody noticed:\n{done.stdout[-2000:]}{done.stderr[-500:]}"
    assert " failed" in done.stdout
