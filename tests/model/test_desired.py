from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.desired import Declaration, Desired, DesiredTarget, Keep, Prefix, Source
from reconciler.model.diagnostic import Position
from reconciler.model.idset import IdSet
from reconciler.model.target import Target

TARGET = Target("https://api.example", "a" * 32, "articles")
AT = Position("m/a.yaml", 4)


def listed(*ids: str) -> Source:
    return Source(AT, "ids", IdSet.of(ids))


@pytest.mark.parametrize(
    ("scope", "manifest", "inside"),
    [
        (".", "m/a.yaml", True),
        ("m", "m/a.yaml", True),
        ("m", "m/deep/a.yaml", True),
        ("m/a.yaml", "m/a.yaml", True),
        ("m/a.yaml", "m/b.yaml", False),
        ("m", "mm/a.yaml", False),
        ("m/a", "m/a.yaml", False),
        ("m/deep", "m/a.yaml", False),
    ],
)
def test_a_part_of_the_manifests_never_claims_its_neighbours(scope, manifest, inside):
    desired = Desired(scope=(scope,))
    assert desired.in_scope(manifest) is inside
    assert desired.in_scope(manifest) is inside  # what was asked before
    assert Desired(scope=("elsewhere", scope)).in_scope(manifest) is inside


def test_an_empty_scope_holds_nothing():
    assert not Desired(scope=()).in_scope("m/a.yaml")


@pytest.mark.parametrize(
    ("account", "index", "covered"),
    [
        (None, "articles", True),
        ("a" * 32, "articles", True),
        ("b" * 32, "articles", False),
        (None, "other", False),
        ("a" * 32, "other", False),
    ],
)
def test_a_keep_without_an_account_protects_the_name_in_every_account(account, index, covered):
    keep = Keep(AT, index, account, "hold", (listed("x"),))
    assert keep.covers(TARGET) is covered
    assert (Desired(keeps=(keep,)).of(TARGET).kept(IdSet.of("x")) == IdSet.of("x")) is covered


def test_a_keep_protects_what_it_names_and_what_begins_with_its_prefixes():
    keep = Keep(AT, "articles", None, "hold", (listed("x", "y"), listed("z")), (Prefix("user/", AT),))
    assert set(keep.protects(IdSet.of(["x", "z", "a", "user/1", "user", "User/2"]))) == {"x", "z", "user/1"}
    assert not keep.protects(IdSet())


def test_several_keeps_add_up():
    keeps = tuple(Keep(AT, "articles", None, "", (listed(each),)) for each in "xy")
    assert set(DesiredTarget(TARGET, (), (), keeps).kept(IdSet.of("wxyz"))) == {"x", "y"}


def test_lapsed_declarations_are_not_in_force():
    def declared(name):
        return Declaration(AT, 1, TARGET, "r", None, (listed(name),), (Prefix(name, AT),))

    target = DesiredTarget(TARGET, (declared("x"),), (declared("y"),))
    assert set(target.ids) == {"x"}
    assert [prefix.text for prefix in target.prefixes] == ["x"]


def test_two_declarations_compare_equal_when_only_lines_moved():
    def declared(line, reason="r"):
        sources = (
            Source(Position("m/a.yaml", line), "ids", IdSet.of("ab")),
            Source(Position("ids/x.csv", 1), "file", IdSet.of("c"), "00", "vector_id"),
            Source(Position("ids/x.csv", 1), "file", IdSet.of("d"), "00", "other"),
        )
        prefixes = (Prefix("q/", Position("m/a.yaml", line)), Prefix("p/", Position("m/a.yaml", line + 1)))
        at = Position("m/a.yaml", line)
        return Declaration(at, 1, TARGET, reason, date(2027, 5, 22), sources, prefixes).document()

    assert declared(3) == declared(30)
    assert declared(3) != declared(3, "another")
    assert declared(3) == {
        "reason": "r",
        "until": "2027-05-22",
        "prefixes": ["p/", "q/"],
        "sources": {
            "ids": {"count": 2, "digest": IdSet.of("ab").digest()},
            "ids/x.csv vector_id": {"count": 1, "digest": IdSet.of("c").digest()},
            "ids/x.csv other": {"count": 1, "digest": IdSet.of("d").digest()},
        },
    }


def test_what_is_not_declared_is_an_empty_target():
    empty = Desired().of(TARGET)
    assert (empty.declarations, empty.lapsed, empty.keeps, len(empty.ids)) == ((), (), (), 0)


TEXTS = st.text("ab/", min_size=1, max_size=4)
KEPT = st.builds(
    lambda ids, prefixes: Keep(
        AT, "articles", None, "hold", (listed(*ids),), tuple(Prefix(text, AT) for text in prefixes)
    ),
    st.lists(TEXTS, max_size=4),
    st.lists(TEXTS, max_size=6),
)


@given(keeps=st.lists(KEPT, max_size=4), ids=st.sets(TEXTS, max_size=12))
def test_many_keeps_together_protect_what_each_of_them_protects(keeps, ids):
    target = DesiredTarget(TARGET, (), (), tuple(keeps))
    assert list(target.kept(IdSet.of(ids))) == sorted(i for i in ids if any(keep.holds(i) for keep in keeps))


@given(keeps=st.lists(KEPT, max_size=4), text=TEXTS)
def test_what_protects_ids_under_a_prefix_is_all_of_it_and_nothing_else(keeps, text):
    prefixes, ids = DesiredTarget(TARGET, (), (), tuple(keeps)).keeps_near(text)
    known = {prefix.text for keep in keeps for prefix in keep.prefixes}
    assert prefixes == sorted(each for each in known if each.startswith(text) or text.startswith(each))
    assert list(ids) == sorted({i for keep in keeps for i in keep.ids if i.startswith(text)})
