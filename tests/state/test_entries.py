"""Which record continues which entry: the four rules, each tried on every entry there is."""

from __future__ import annotations

from itertools import groupby

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.model import continuity
from reconciler.model.tombstones import DeclarationRecord
from reconciler.state import entries
from reconciler.state.entries import entries_of

records = st.lists(
    st.tuples(
        st.integers(0, 4), st.sampled_from("mmn"), st.integers(1, 3), st.sampled_from("abc"), st.sampled_from("xy")
    ),
    max_size=14,
)


def same(rule, record, before, at, taken):
    """The rule holds for `record`, and an entry whose newest record is `before`. `at`: who has each place."""
    stands = at.get(before.ordinal) is before
    if rule == 1:
        return record.document() == before.document()
    if rule == 2:
        return stands and (record.ordinal, record.reason) == (before.ordinal, before.reason)
    if rule == 3:
        return record.reason == before.reason and before.ordinal in taken
    return stands and record.ordinal == before.ordinal


def by_definition(applied):
    """The records of each entry, for what was applied at once of one manifest."""
    entries: list[list[DeclarationRecord]] = []
    for together in applied:
        at = {entry[-1].ordinal: entry[-1] for entry in entries}
        taken = {record.ordinal for record in together}
        free, left, continued = list(entries), list(together), []
        for rule in (1, 2, 3, 4):
            for record in list(left):
                fitting = (entry for entry in free if same(rule, record, entry[-1], at, taken))
                entry = next(fitting, None)
                if entry is not None:
                    free = [each for each in free if each is not entry]
                    left.remove(record)
                    continued.append((entry, record))
        for entry, record in continued:
            entry.append(record)
        entries += [[record] for record in left]
    return entries


@settings(max_examples=300, deadline=None)
@given(records)
def test_every_record_continues_the_entry_that_the_first_rule_that_fits_names(given_):
    made, places = [], {}
    for number, (frame, manifest, ordinal, reason, digest) in enumerate(
        sorted(given_, key=lambda each: each[0]), 1
    ):
        source = {"kind": "file", "path": "p", "column": "", "count": 1, "digest": digest}
        made.append(
            DeclarationRecord(number, 1, f"{manifest}.yaml", 1, ordinal, reason, None, (source,), (), {}, "at")
        )
        places[number] = frame * 1_000_000 + number
    expected = []
    for manifest in dict.fromkeys(record.manifest for record in made):
        of_it = [record for record in made if record.manifest == manifest]
        applied = [list(some) for _, some in groupby(of_it, key=lambda record: places[record.number] // 1_000_000)]
        expected += by_definition(applied)
    found = [entry.records for entry in entries_of(made, places)]
    assert [[r.number for r in each] for each in found] == [[r.number for r in each] for each in expected]


def test_a_ticket_more_costs_no_look_at_all_tickets_before_it(monkeypatch):
    looks = []

    def counted(look):
        return lambda wording: looks.append(wording) or look(wording)

    monkeypatch.setattr(continuity, "_RULES", tuple(map(counted, continuity._RULES)))
    monkeypatch.setattr(entries, "saying", counted(entries.saying))
    made = [DeclarationRecord(n, 1, "m.yaml", n, n, f"t{n}", None, (), (), {}, "at") for n in range(1, 401)]
    assert len(entries_of(made, {record.number: record.number * 1_000_000 for record in made})) == 400
    assert len(looks) < 10 * 400
