"""What a plan says it costs is what carrying it out takes."""

from __future__ import annotations

import pytest

from reconciler.model.limits import polls_within
from reconciler.planner.cost import proof_requests


@pytest.mark.parametrize(
    ("asked", "vectors", "reads"),
    [
        (5_000, 5_000, 5 + 2),  # five pages, and created_on before and after
        (30, 1_000_000, 2 + 2),  # two reads by name instead of 1,000 pages
        (20, 0, 1 + 2),
        (2_000, None, 100 + 2),  # nobody knows how large the index is
        (100_000, None, 5_000 + 51),  # created_on after each slice
        (40, 1_000, 1 + 2),
    ],
)
def test_the_cheaper_proof_is_counted(asked, vectors, reads):
    assert proof_requests(asked, vectors) == reads


def test_polls_back_off():
    assert [polls_within(seconds) for seconds in (0, 0.3, 1, 30, 120)] == [1, 1, 3, 11, 20]


@pytest.mark.parametrize("declared", [30, 250])
def test_the_cost_of_an_observed_plan_is_what_apply_takes(world, ids, declared):
    world.declare(ids(declared))
    cost = world.plan(refresh=True).plan.cost
    before = len(world.requests())
    world.apply()
    made = world.requests()[before:]
    polls = [each for each in made if each.operation == "info"]
    assert cost.deletes == len(world.deletes())
    assert cost.proofs == len(made) - len(polls) - cost.deletes
    assert cost.waiting >= len(polls) > 0, "this service has no lag"


def test_an_offline_plan_promises_no_less_than_apply_takes(world, ids):
    world.declare(ids(250))
    cost = world.plan().plan.cost
    before = len(world.requests())
    world.apply()
    assert len(world.requests()) - before <= cost.total


def test_nothing_to_do_costs_nothing(world, ids):
    world.declare(ids(3))
    world.apply()
    assert world.plan().plan.cost.total == 0


@pytest.mark.parametrize(("declared", "how", "requests"), [(30, "list", 3), (20, "get_by_ids", 4)])
def test_a_plan_that_looked_says_how_and_at_what_cost(world, ids, declared, how, requests):
    world.declare(ids(declared))
    (index,) = world.plan(refresh=True).plan.indexes
    assert (index.read_by, index.read_requests) == (how, requests) == (how, len(world.requests()))
    assert world.plan().plan.indexes[0].read_by == ""
