"""What is told of changed lists agrees with two dicts of sets, and never names an id."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.model.idset import IdSet
from reconciler.planner.changed import _lists

sources = st.dictionaries(
    st.sampled_from(["ids", "a.txt", "b.csv#id"]), st.sets(st.sampled_from(["secret-1", "secret-2", "secret-3"]))
)


def documents(lists):
    return {place: {"count": len(ids), "digest": IdSet.of(ids).digest()} for place, ids in lists.items()}


@settings(max_examples=200, deadline=None)
@given(sources, sources)
def test_a_line_for_each_list_that_differs_and_for_no_other(before, now):
    lines = list(_lists(documents(before), documents(now)))
    differing = sorted(place for place in {*before, *now} if before.get(place) != now.get(place))
    assert [line.split(":")[0] for line in lines] == differing
    for place, line in zip(differing, lines, strict=True):
        assert "secret" not in line
        assert ("added, " in line) == (place not in before)
        assert ("removed, " in line) == (place not in now)
        both = place in before and place in now
        assert ("not all of them the same" in line) == (both and len(before[place]) == len(now[place]))
        count = len(now[place] if place in now else before[place])
        assert ("1 id" if count == 1 else f"{count} ids") in line
