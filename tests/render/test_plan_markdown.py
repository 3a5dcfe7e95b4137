"""A plan as Markdown: it fits, every number in it is exact, and nothing in it acts."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.model.diagnostic import Diagnostic, Position, Severity, error, note, refusal, warning
from reconciler.model.idset import IdSet
from reconciler.model.plan import ActionKind, ActionSource, Cost, PrefixPlan, Summary
from reconciler.render.plan_markdown import DEFAULT_BYTES, LEAST_BYTES, MARKER, Origin, PlanFile, document
from support.hosts import rendered
from support.plans import ACCOUNT, action, index_plan, target, whole_plan

SAVED = Origin(file=PlanFile("erasure.plan.json", "0c" * 32))
#: Its limits in bytes: tests ask for each.
SIZES = (LEAST_BYTES, 32_000, DEFAULT_BYTES)
KINDS = {kind.symbol: kind for kind in ActionKind}


def numbered(prefix, count):
    return IdSet.of_raw([b"%s%07d" % (prefix.encode(), n) for n in range(count)])


@pytest.fixture(scope="module")
def million():
    """A million ids in three indexes."""
    parts = [numbered(f"user-{user}/doc-", 100_000) for user in range(9)]
    return whole_plan(
        index_plan(target("articles"), action(IdSet.union(parts[:5]))),
        index_plan(target("sessions"), action(parts[5], ActionKind.RESEND), action(numbered("s-", 100_000))),
        index_plan(target("users"), action(IdSet.union(parts[6:]))),
        least_seconds=2500.0,
        cost=Cost(10_000, 1_000, 12, 2760.0),
    )


@pytest.fixture(scope="module")
def indexes():
    """Five thousand indexes, some of which only wait."""
    made = []
    for number in range(5000):
        ids = [f"user-{n}/doc-{number}" for n in range(1 + number * 7919 % 50)]
        kind = ActionKind.CONFIRM if number % 5 == 0 else ActionKind.DELETE
        made.append(index_plan(target(f"index-{number:04}"), action(ids, kind), unchanged=number % 3))
    return whole_plan(*made)


@pytest.fixture
def small():
    return whole_plan(
        index_plan(
            target("support-articles"), action([f"doc-000017#chunk-{n:02}" for n in range(4)]), live_count=12_034
        ),
        cost=Cost(1, 1, 3, 2.0),
        observed=False,
    )


class Section:
    """What a folded section says, taken apart."""

    def __init__(self, name, summary, lines):
        self.name, self.summary = name, summary
        self.counts = Counter()
        #: (kind, count, its group counts, ids named, ids only counted), for each action
        self.actions = []
        for line in lines:
            found = re.fullmatch(r"(.) ( {2}|  {3}| {6})(\S.*)", line)
            if line.startswith("@@") or not found:
                continue
            symbol, indent, text = found.groups()
            if len(indent) == 2 and symbol in KINDS:
                count = int(text.split()[0].replace(",", ""))
                self.counts[KINDS[symbol]] += count
                self.actions.append([KINDS[symbol], count, [], [], 0])
            elif len(indent) == 4 and symbol in KINDS:
                self.actions[-1][2].append(int(text.split()[0].replace(",", "")))
            elif len(indent) == 6 and symbol in KINDS:
                self.actions[-1][3].append(text)
            elif len(indent) == 6 and symbol == " ":
                self.actions[-1][4] += int(re.fullmatch(r"… and ([0-9,]+) more", text)[1].replace(",", ""))


def sections(written):
    found = re.findall(
        r"<summary><code>(.*?)</code>: (.*?)</summary>\n\n(`{3,})diff\n(.*?)\n\3\n", written, re.DOTALL
    )
    return [Section(name, summary, lines.split("\n")) for name, summary, _, lines in found]


def number(cell):
    return int(cell.replace(",", "") or 0)


def check_numbers(plan, written):
    """Every count in the table and in every section is exact, and together they are the plan."""
    page = rendered(written, "github")
    head, *rows = page.rows
    kinds = [kind for kind in ActionKind if plan.summary.of(kind)] or [ActionKind.DELETE]
    assert len(head) == len(kinds) + 2
    assert all(len(row) == len(head) for row in rows)
    by_name = {index.target.index: index for index in plan.indexes}
    if len(plan.indexes) > 1:
        whole = [*map(plan.summary.of, kinds), plan.summary.requests]
        assert [number(cell) for cell in rows.pop()[1:]] == whole
    for column, kind in enumerate(kinds, 1):
        assert sum(number(row[column]) for row in rows) == plan.summary.of(kind)
    assert sum(number(row[-1]) for row in rows) == plan.summary.requests
    named = [row for row in rows if row[0] in by_name]
    assert all(number(row[1]) == by_name[row[0]].summary.of(kinds[0]) for row in named)
    summed = [int(re.search(r"[0-9,]+", row[0])[0].replace(",", "")) for row in rows if row[0] not in by_name]
    assert len(named) + sum(summed) == len(plan.indexes)
    for section in sections(written):
        index = by_name[section.name]
        assert {kind: index.summary.of(kind) for kind in ActionKind if kind is not ActionKind.UNCHANGED} == {
            kind: section.counts[kind] for kind in ActionKind if kind is not ActionKind.UNCHANGED
        }
        for _, count, groups, named_ids, left in section.actions:
            assert sum(groups) in (0, count)
            if named_ids:
                assert len(named_ids) + left == count
    return page


def test_a_small_plan(golden, small):
    golden("plan.small.md", document(small, SAVED))


def test_a_plan_that_was_not_saved(golden, small):
    golden("plan.unsaved.md", document(small, Origin(("manifests/a b.yaml",))))


def test_a_refused_plan(golden, small):
    refused = replace(
        small,
        diagnostics=(
            refusal(
                "max-deletes",
                f"{ACCOUNT}/support-articles: too many deletes: 4 ids, max_deletes is 3",
                "Nothing is sent. If this is meant, raise the limit in reconciler.yaml, where it is reviewed.",
            ),
        ),
    )
    golden("plan.refused.md", document(refused, SAVED))


def test_an_errored_plan(golden, small):
    errored = replace(
        small,
        diagnostics=(
            error(
                "duplicate-key", 'the key "ids" is given twice', "Keep one of them.", Position("m/a.yaml", 12, 5)
            ),
            warning("bom", "a byte order mark was dropped", position=Position("m/ids.csv", 1)),
        ),
    )
    written = document(errored)
    golden("plan.errored.md", written)
    assert "doc-000017" not in written


def test_a_plan_with_everything_in_it(golden, every_kind):
    kept = tuple(each for each in every_kind.diagnostics if each.severity is not Severity.ERROR)
    golden("plan.everything.md", document(replace(every_kind, diagnostics=kept), SAVED))


def test_a_million_ids(golden, million):
    written = document(million, SAVED)
    golden("plan.million.md", written)
    check_numbers(million, written)
    assert [section.actions[0][2] for section in sections(written)] == [[100_000] * 5, [], [100_000] * 3]


def test_five_thousand_indexes_cut_to_the_least_size(golden, indexes):
    golden("plan.indexes.md", document(indexes, SAVED, max_bytes=LEAST_BYTES))


@pytest.mark.parametrize("most", SIZES)
def test_many_indexes_fit_with_every_number_exact(indexes, most):
    written = document(indexes, SAVED, max_bytes=most)
    assert most * 0.7 < len(written.encode()) <= most
    check_numbers(indexes, written)
    shown = len(sections(written))
    assert 3 < shown < 5000
    assert f"{shown:,} of 5,000 indexes have a section here: {5000 - shown:,} did not fit" in written


def test_what_changes_most_is_named_first(indexes):
    shown = {section.name for section in sections(document(indexes, max_bytes=LEAST_BYTES))}
    sizes = {index.target.index: index.summary.delete + index.summary.confirm for index in indexes.indexes}
    assert min(sizes[name] for name in shown) == max(sizes.values())


def test_all_is_named_where_it_fits_and_verbose_is_asked_for(million):
    ids = [f"doc-{n:04}" for n in range(900)]
    plan = whole_plan(index_plan(target("a"), action(ids)))
    (folded,), (all_of_it,) = sections(document(plan)), sections(document(plan, verbose=True))
    assert len(folded.actions[0][3]) == 5
    assert all_of_it.actions[0][3] == ids
    check_numbers(million, document(million, verbose=True))


def test_the_largest_section_gives_way_first():
    plan = whole_plan(
        index_plan(target("large"), *(action([f"{n}-{i}" for i in range(90)], reason=f"r{n}") for n in range(90))),
        index_plan(target("little"), action([f"keep-me-{i}" for i in range(60)])),
    )
    large, little = sections(document(plan, max_bytes=20_000))
    assert len(little.actions[0][3]) == 60
    assert all(len(each[3]) < 90 for each in large.actions)


kinds = st.sampled_from([kind for kind in ActionKind if kind is not ActionKind.UNCHANGED])
some_ids = st.builds(
    lambda letters, count: [f"{letters[n % len(letters)]}/{n}" for n in range(count)],
    st.lists(st.text("ab-é", min_size=1, max_size=20), min_size=1, max_size=4),
    st.integers(1, 130),
)
places = st.builds(ActionSource, st.sampled_from(["m/a.yaml", "é" * 300]), st.integers(0, 9), st.text(max_size=9))


@given(st.lists(st.lists(st.tuples(some_ids, kinds, st.lists(places, max_size=3)), max_size=4), max_size=40))
@settings(deadline=None, max_examples=30)
def test_whatever_a_plan_holds_it_fits_and_its_numbers_are_exact(made):
    plan = whole_plan(
        *(
            index_plan(
                target(f"i{n}"), *(action(ids, kind, *sources) for ids, kind, sources in actions), unchanged=n % 2
            )
            for n, actions in enumerate(made)
        )
    )
    for most in (LEAST_BYTES, 15_000):
        written = document(plan, max_bytes=most)
        assert len(written.encode()) <= most
        if plan.indexes:
            check_numbers(plan, written)


def worst_case():
    """Names as long as they may be, of characters that take the most room, and everything in the thousands."""
    wide = "\U000e0001" * 900
    cost = Cost(10**15, 10**15, 10**15, 10.0**15)
    everything = Summary(*(10**15,) * 9)
    found = [Diagnostic(s, wide + str(n), wide, f"{wide}\n" * 99, Position(wide, 7), (Position(wide),) * 99)
             for s in Severity for n in range(60)]  # fmt: skip
    sources = tuple(ActionSource(wide + str(n), n, wide) for n in range(50))
    prefixes = tuple(PrefixPlan(wide, wide, n) for n in range(50))
    indexes = tuple(
        replace(
            index_plan(
                target("x" + wide[:60], account=str(n), origin=wide),
                action([wide[:14], "a"], ActionKind.DELETE, *sources, reason=wide),
                prefixes=prefixes,
            ),
            summary=everything,
            live_count=10**15,
            read_by=wide[:99],
        )
        for n in range(60)
    )
    return whole_plan(
        *indexes,
        diagnostics=tuple(found),
        cost=cost,
        summary=everything,
        fingerprint=wide,
        unresolved_prefixes=True,
    )


@pytest.mark.parametrize("most", SIZES)
@pytest.mark.parametrize("severities", [set(Severity), {Severity.WARNING, Severity.NOTE}, {Severity.REFUSAL}])
def test_the_least_size_holds_the_counts_of_any_plan(most, severities):
    plan = worst_case()
    plan = replace(plan, diagnostics=tuple(each for each in plan.diagnostics if each.severity in severities))
    origin = Origin(file=PlanFile("\U000e0001" * 4000, "0c" * 32))
    for each in (plan, replace(plan, indexes=plan.indexes[:1]), replace(plan, unresolved_prefixes=False)):
        written = document(each, origin, max_bytes=most)
        assert len(written.encode()) <= most
        for severity in severities:
            assert f"**60 {severity}s" in written


def test_less_than_the_least_size_is_refused(small):
    with pytest.raises(ValueError, match="does not fit"):
        document(small, max_bytes=LEAST_BYTES - 1)


def test_the_first_line_is_the_marker_by_which_a_bot_finds_its_comment(small):
    first = document(small).split("\n")[0]
    assert first == f"<!-- {MARKER} fingerprint={small.fingerprint} -->"


def test_findings_that_do_not_fit_are_counted_by_name(small):
    found = [warning("prefix-unresolved", f"prefix {n}", "x" * 300) for n in range(700)]
    found += [warning("no-state", "there is no state yet")] * 2 + [note("n", "m")]
    written = document(replace(small, diagnostics=tuple(found)), max_bytes=20_000)
    assert "> **702 warnings.**" in written
    shown = written.count("(`prefix-unresolved`)")
    assert 0 < shown < 60
    assert f"> - and {702 - shown:,} more: {700 - shown:,} `prefix-unresolved`, 2 `no-state`\n" in written


def test_an_index_that_does_not_exist_is_an_error_and_reappeared_ids_are_a_warning():
    plan = whole_plan(
        index_plan(target("gone"), action(["a"], ActionKind.BLOCKED, reason="index-missing")),
        index_plan(target("back"), action(["b", "c"], ActionKind.REAPPEARED, reason="reappeared")),
        diagnostics=(warning("index-missing", "gone: the service does not know this index"),),
    )
    written = document(plan)
    assert "> [!CAUTION]\n> **1 error: nothing can be done there.**\n" in written
    assert "2 ids are present although deleted before (`reappeared`)" in written
    assert "2 to delete" not in written


def command(plan, origin=None):
    found = re.search(r"```sh\n(.*)\n```", document(plan, origin))
    return found and found[1]


def test_the_command_carries_out_exactly_this_plan(small):
    expect = f"--expect {small.fingerprint}"
    assert command(small, SAVED) == f"reconciler apply erasure.plan.json {expect}"
    assert command(small) == f"reconciler apply {expect}"
    assert command(small, Origin(("a b.yaml", "c"))) == f"reconciler apply 'a b.yaml' c {expect}"
    assert command(replace(small, observed=True)) == f"reconciler apply --refresh {expect}"


@pytest.mark.parametrize(
    ("more", "origin", "said"),
    [
        ({}, Origin(only="docs"), "It covers one index alone: save it with `--out FILE`"),
        ({"unresolved_prefixes": True}, SAVED, "`reconciler plan --refresh --out FILE` lists it"),
        ({"diagnostics": (refusal("max-deletes", "no"),)}, SAVED, "It is refused"),
        ({"diagnostics": (error("yaml", "no"),)}, SAVED, "### No plan"),
    ],
)
def test_a_plan_that_cannot_be_carried_out_says_why_instead(small, more, origin, said):
    assert command(replace(small, **more), origin) is None
    assert said in document(replace(small, **more), origin)


def test_no_changes_are_said_in_one_sentence():
    plan = whole_plan(*(index_plan(target(f"i{n}"), unchanged=301) for n in range(4)))
    written = document(plan)
    assert "**No changes. All 1,204 declared ids are verified absent.**" in written
    assert "| … 4 unchanged indexes | 1,204 | 0 |" in written
    assert "There is nothing in it to apply." in written
    assert "<details>" not in written


def test_an_index_is_called_with_its_account_where_there_are_several():
    accounts = ("a" * 32, "b" * 32)
    plan = whole_plan(*(index_plan(target("docs", account=each), action(["x"])) for each in accounts))
    written = document(plan)
    for each in accounts:
        assert f"| `{each}/docs` | 1 | 1 |" in written
        assert f"<summary><code>{each}/docs</code>: 1 to delete; 1 request</summary>" in written
    assert "Account" not in written
