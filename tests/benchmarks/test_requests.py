"""The numbers of requests, held: the small cells of the table, and what users were promised."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from dataclasses import replace
from math import ceil
from pathlib import Path

import pytest

from reconciler.errors import ExitCode
from reconciler.operations.applying import ApplyOptions, apply
from reconciler.operations.planning import plan
from reconciler.operations.verifying import verify
from support.counting import (
    INDEX,
    LAG,
    Cell,
    Counts,
    complaints,
    configure,
    counted,
    least,
    measure,
    measure_sdk,
    naive,
    polls,
    seeded,
)
from support.inprocess import ACCOUNT, Service

COMMAND = Path(__file__).with_name("requests.py")


@pytest.fixture
def service():
    made = []

    def start(**settings):
        made.append(Service(lag=LAG, **settings))
        return made[-1]

    yield start
    for each in made:
        each.close()


@pytest.fixture(scope="module")
def command():
    """The command as a module."""
    spec = importlib.util.spec_from_file_location("requests_command", COMMAND)
    module = importlib.util.module_from_spec(spec)
    before = sys.path[:]
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    sys.path[:] = before
    del sys.modules[spec.name]


def operations(service):
    return [entry.operation for entry in service.emulator.record()]


@pytest.mark.parametrize(
    ("vectors", "ids", "refresh", "sent", "audit"),
    [
        # (proof, created_on, size); (deletes, proof, created_on, polls); (proof, created_on, size)
        (1_000, 100, (1, 2, 0), (1, 1, 3, 11), (1, 2, 0)),
        (10_000, 100, (5, 2, 1), (1, 5, 3, 11), (5, 2, 1)),
        (100_000, 10_000, (100, 2, 0), (100, 90, 3, 11), (90, 2, 0)),
        (10_000, 10_000, (10, 2, 0), (100, 1, 3, 11), (1, 2, 0)),
    ],
)
def test_a_deletion_takes_exactly_these_requests_from_plan_to_audit(vectors, ids, refresh, sent, audit):
    cell = Cell(vectors, ids)
    measured = measure(cell)
    assert measured.steps == {
        "refresh": Counts(0, *refresh),
        "apply": Counts(*sent[:3], size=0, polls=sent[3]),
        "verify": Counts(0, *audit),
    }
    assert complaints(cell, measured) == []


@pytest.mark.parametrize("ids", [1, 20, 21, 40, 41, 100, 101, 2_001])
@pytest.mark.parametrize("vectors", [2_001, 5_050])
def test_no_request_beyond_the_least_at_the_edges_of_batches_pages_and_slices(vectors, ids):
    cell = Cell(vectors, ids)
    assert complaints(cell, measure(cell)) == []


@pytest.mark.parametrize(("ids", "slices"), [(4_001, 2), (4_100, 3)])
def test_ids_proven_by_name_cost_one_more_created_on_for_about_two_thousand(ids, slices):
    cell = Cell(250_000, ids)
    measured = measure(cell)
    assert complaints(cell, measured) == []
    made = measured.steps["apply"]
    assert (made.proof, made.created_on) == (ceil(ids / 20), 1 + 1 + slices)


def test_a_request_too_many_is_complained_of():
    cell = Cell(1_000, 100)
    measured = measure(cell)
    for field in ("deletes", "proof", "created_on", "size", "polls"):
        steps = dict(measured.steps)
        steps["apply"] = replace(steps["apply"], **{field: getattr(steps["apply"], field) + 1})
        found = complaints(cell, replace(measured, steps=steps))
        assert any(field in line for line in found), field
    assert len(complaints(cell, replace(measured, announced=(1, 4, 12)))) == 1


@pytest.mark.compat
@pytest.mark.parametrize("cell", [Cell(1_000, 100), Cell(1_000, 250)], ids=str)
def test_the_official_sdk_takes_on_a_socket_what_its_formula_says(cell):
    assert measure_sdk(cell) == naive(cell)


def test_waiting_for_thirty_seconds_takes_eleven_polls():
    assert [polls(seconds) for seconds in (0, 0.3, 0.4, 30, 120)] == [1, 1, 2, 11, 20]


# What users were promised.


@pytest.mark.parametrize("count_lag", [0.0, 3600.0])
def test_half_of_ten_thousand_vectors_take_fifty_deletes_and_at_most_ten_pages(service, tmp_path, count_lag):
    made = service(count_lag=count_lag)
    vectors, ids = seeded(Cell(10_000, 5_000))
    made.emulator.seed(ACCOUNT, INDEX, vectors)
    made.clock.advance(count_lag)
    configure(tmp_path, ids)
    assert apply(made.context(tmp_path)).verified == 5_000
    asked = operations(made)
    assert asked.count("delete_by_ids") == 50
    assert asked.count("list") == 5
    assert "get_by_ids" not in asked


def test_thirty_of_a_million_vectors_are_proven_in_two_reads(service, tmp_path):
    made = service()
    vectors, ids = seeded(Cell(1_000_000, 30))
    made.emulator.seed(ACCOUNT, INDEX, vectors)
    configure(tmp_path, ids)
    assert apply(made.context(tmp_path)).verified == 30
    counts = counted(made.emulator.record(), polling=True)
    assert counts == Counts(deletes=1, proof=2, created_on=3, size=0, polls=11)
    assert "list" not in operations(made)


def test_what_is_absent_already_is_not_sent_and_is_proven_after_a_mutation_of_the_same_run(service, tmp_path):
    made = service()
    vectors, there = seeded(Cell(5_000, 100))
    made.emulator.seed(ACCOUNT, INDEX, vectors)
    configure(tmp_path, [*there, *(f"gone-{n:03}" for n in range(900))])
    result = apply(made.context(tmp_path), options=ApplyOptions(refresh=True))
    assert (result.exit_code, result.verified) == (ExitCode.DONE, 1_000)
    record = made.emulator.record()
    assert [set(entry.ids) for entry in record if entry.operation == "delete_by_ids"] == [set(there)]
    (mutation,) = made.emulator.mutations(ACCOUNT, INDEX)
    sent = next(entry.seq for entry in record if entry.operation == "delete_by_ids")
    proof = [entry for entry in record if entry.operation in ("list", "get_by_ids") and entry.seq > sent]
    assert [entry.operation for entry in proof] == ["list"] * 5
    assert all(entry.at >= mutation.processed_at for entry in proof)
    assert not plan(made.context(tmp_path), refresh=True).plan.changes


def test_a_prefix_costs_one_list_and_full_batches_of_what_no_keep_protects(service, tmp_path):
    made = service()
    chunks = [f"user-829/chunk-{n:04}" for n in range(2_500)]
    made.emulator.seed(ACCOUNT, INDEX, [*chunks, *(f"user-300/chunk-{n:04}" for n in range(4_500))])
    configure(tmp_path, prefix="user-829/", keep=chunks[10:13])
    planned = plan(made.context(tmp_path), refresh=True).plan
    assert operations(made).count("list") == 7
    assert (planned.summary.delete, planned.summary.requests) == (2_497, 25)
    made.emulator.clear_record()
    result = apply(made.context(tmp_path))
    assert (result.exit_code, result.verified) == (ExitCode.DONE, 2_497)
    assert operations(made).count("delete_by_ids") == 25
    assert operations(made).count("list") == 7 + 5  # before the plan, and as the proof
    left = made.emulator.ids(ACCOUNT, INDEX)
    assert [each for each in left if each.startswith("user-829/")] == chunks[10:13]


def test_a_later_verify_finds_in_one_poll_what_nobody_waited_for(service, tmp_path):
    made = service()
    vectors, ids = seeded(Cell(3_000, 1_000))
    made.emulator.seed(ACCOUNT, INDEX, vectors)
    configure(tmp_path, ids)
    assert apply(made.context(tmp_path), options=ApplyOptions(wait=False)).pending == 1_000
    assert counted(made.emulator.record()) == Counts(deletes=10, created_on=1)
    made.emulator.clear_record()
    made.clock.advance(2 * LAG)
    assert verify(made.context(tmp_path)).verified == 1_000
    assert counted(made.emulator.record(), polling=True) == Counts(proof=2, created_on=2, polls=1)


# The command.


def test_the_command_prints_the_table_and_writes_the_numbers(tmp_path):
    where = tmp_path / "requests.json"
    arguments = [sys.executable, str(COMMAND), "--vectors", "1000", "--json", str(where)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "| 1,000 | 100 | 1 + 2 | min(5, 1) + 2 | 5 | 1 + 2 | min(5, 1) + 2 | 5 |" in done.stdout
    assert "| 1,000 | 100 | 1 + 1 + 3 + 11 | 16 | 1 + min(5, 1) + 3 + 11 = 16 | 17 |" in done.stdout
    (cell,) = json.loads(where.read_text())["cells"]
    assert cell["sdk_counted"]
    assert cell["steps"]["apply"]["measured"] == cell["steps"]["apply"]["least"]


def test_the_command_ends_in_1_when_one_request_too_many_was_made(command, monkeypatch, capsys):
    cell = Cell(1_000, 100)
    steps = least(cell)
    made = command.Measured({**steps, "verify": replace(steps["verify"], created_on=3)}, (1, 4, 11))
    monkeypatch.setattr(command, "measure", lambda _: made)
    monkeypatch.setattr(command, "measure_sdk", naive)
    assert command.main(["--vectors", "1000"]) == 1
    assert "verify of 100 of 1,000: 3 created_on, not 2" in capsys.readouterr().err
