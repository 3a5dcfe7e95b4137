"""Ids that only events name, and no batch: the last event says their status, the last that says so their source."""

from __future__ import annotations

import hypothesis
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.tombstones import Status
from reconciler.state import events as ev

RUN = "r1"
POOL = ["a", "b", "é", "a\x00", "zz"]

notes = st.lists(
    st.tuples(
        st.sampled_from(["verified", "reappeared", "released"]),
        st.lists(st.sampled_from(POOL), min_size=1, max_size=5, unique=True),
        st.sampled_from([(), (1,), (1, 2), (2,)]),
        st.integers(0, 5),
    ),
    max_size=12,
)


@hypothesis.settings(
    max_examples=200, deadline=None, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
@given(notes, st.sets(st.sampled_from(POOL), max_size=2))
def test_an_id_in_no_batch_has_the_status_and_the_declarations_that_were_said_last(make_log, said, sent):
    log = make_log()
    log.add(RUN, ev.RunStarted("apply", "loopback"), ev.TargetSeen(1, "loopback", "a", "i"))
    log.add(RUN, ev.Declared(1, 1, "m.yaml", 1, 0, "r"), ev.Declared(2, 1, "m.yaml", 2, 1, "r"))
    statuses, declared = {}, {}
    if sent:
        log.add(RUN, ev.Intent(1, 1, [[[2], len(sent)]], sorted(sent)))
        statuses, declared = dict.fromkeys(sent, Status.UNRESOLVED), dict.fromkeys(sent, (2,))
    for what, ids, numbers, cut in said:
        first = ids[: cut % (len(ids) + 1)]
        runs = (
            [run for run in ([list(numbers), len(first)], [[2], len(ids) - len(first)]) if run[1]]
            if numbers
            else []
        )
        match what:
            case "verified":
                log.add(RUN, ev.Verified(1, "list", ids=ids, declarations=runs))
            case "reappeared":
                log.add(RUN, ev.Reappeared(1, ids, declarations=runs))
            case _:
                runs = []
                log.add(RUN, ev.Released(1, "lapsed", (), (), ids))
        statuses.update(dict.fromkeys(ids, Status(what)))
        if runs:
            declared.update({each: numbers if each in first else (2,) for each in ids})
    record = log.fold.snapshot().targets[1]
    assert {each: status for status, ids in record.by_status.items() for each in ids} == statuses
    found = {each: numbers for numbers, ids in record.by_declaration for each in ids}
    assert found == {e: declared.get(e, ()) for e, status in statuses.items() if status is not Status.RELEASED}
    assert sum(len(ids) for _, ids in record.by_declaration) == len(found)
