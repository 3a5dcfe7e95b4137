"""What a declaration is said to hold, read back by the readable definition, is exactly what it was to hold."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.model.batches import BatchRecord
from reconciler.model.idset import IdSet
from reconciler.model.status import REJECTED, Status
from reconciler.model.target import Target
from reconciler.model.tombstones import TargetRecord
from reconciler.operations.recording import spell_out

POOL = [f"id-{n:02}" for n in range(14)]
some = st.sets(st.sampled_from(POOL), min_size=1)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(some, st.booleans()), max_size=7),
    st.lists(st.sets(st.sampled_from([*POOL, "found", "absent"])), max_size=4),
)
def test_what_is_spelled_out_names_each_id_once_by_its_last_batch_or_singly(sent, sets):
    batches, last = [], {}
    for number, (ids, rejected) in enumerate(sent, 1):
        status = REJECTED if rejected else Status.ACCEPTED
        batches.append(BatchRecord(number, 1, "r", (((1,), IdSet.of(ids)),), number, "at", status=status))
        if not rejected:
            last.update(dict.fromkeys(ids, number))
    record = TargetRecord(1, Target("o", "a", "i"), batches=tuple(batches))
    found = list(spell_out(record, [IdSet.of(each) for each in sets]))
    assert len(found) == len(sets)
    for ids, held in zip(sets, found, strict=True):
        assert held.keys() <= {"batches", "except_ids", "ids"}
        assert all(held.values())
        whole = {n for first, end in held.get("batches", ()) for n in range(first, end + 1)}
        carried = {each for n in whole for each in batches[n - 1].ids}
        singly, excepted = held.get("ids", []), held.get("except_ids", [])
        assert (carried - set(excepted)) | set(singly) == ids
        assert singly == sorted(set(singly))
        assert excepted == sorted(set(excepted))
        assert whole <= set(last.values()), "a batch that carries nothing, or was rejected"
        assert {each for each in ids if each not in last} <= set(singly)
