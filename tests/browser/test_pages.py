"""Pages in a real browser: harmless, quick, usable by keyboard, on a phone, in the dark, on paper, without a script."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from reconciler.model.diagnostic import refusal
from reconciler.model.tombstones import Projection
from reconciler.render.escape import item, plain
from support.browser import Page
from support.npm import package
from support.pages import (
    HOSTILE,
    index_plan,
    large,
    ordinary,
    plan_html,
    plan_of,
    state_html,
    state_of,
    strange_plan,
    strange_state,
    target,
)

Show = Callable[..., Page]

#: Rows of one list in the document at most, as the script has it.
ROWS = 50

FIELD = "document.getElementById('find')"

#: Everything that people can meet, by name.
PAGES = {
    "plan": plan_html(ordinary(), planfile="erasure.plan.json", digest="9f" * 32),
    "refused": plan_html(replace(ordinary(), diagnostics=(refusal("max-deletes", "too many: 183 ids"),))),
    "nothing": plan_html(plan_of(index_plan(target("docs"), unchanged=1204))),
    "hostile plan": plan_html(strange_plan(HOSTILE)),
    "state": state_html(state_of(8, 120)),
    "empty state": state_html(Projection()),
    "hostile state": state_html(strange_state(HOSTILE)),
}

every_page = pytest.mark.parametrize("text", PAGES.values(), ids=list(PAGES))


def unfold(page: Page) -> None:
    page.run("document.querySelectorAll('details').forEach(each => each.open = true)")
    page.settle()


def find(page: Page, text: str) -> str:
    """Empty the filter and type into it; what it says."""
    page.run(f"{FIELD}.focus(); {FIELD}.value = ''; {FIELD}.dispatchEvent(new Event('input'))")
    page.type(text)
    (said,) = page.texts("#found")
    return said


def rows(page: Page) -> list[str]:
    return page.texts("#hits li code")


def nodes(page: Page) -> int:
    count: int = page.run("document.getElementsByTagName('*').length")
    return count


# Harmless.


@every_page
def test_a_page_is_loaded_without_a_complaint_and_asks_for_nothing(show: Show, text: str) -> None:
    page = show(text)
    unfold(page)
    assert page.run("window.pwned") is None
    # `show` compares what the browser complained of and asked for, after the test.


@pytest.mark.parametrize("name", ["hostile plan", "hostile state"])
def test_every_hostile_text_can_be_read_and_found_and_makes_no_element(show: Show, name: str) -> None:
    page = show(PAGES[name])
    unfold(page)
    seen = page.run("document.body.innerText")
    before = nodes(page)
    for text in HOSTILE:
        assert plain(text) in seen
        assert find(page, plain(text)[:20].strip()).partition(" ")[0] != "0"
        assert item(text) in rows(page) or name == "hostile state"
        assert page.run("document.querySelectorAll('#hits :not(ol,li,code,mark,a,div,button,span)').length") == 0
    find(page, "")
    assert nodes(page) == before
    assert page.run("window.pwned") is None
    assert page.run("[...document.links].every(link => link.getAttribute('href').startsWith('#'))")
    assert (
        page.run("document.querySelectorAll('img, iframe, object, embed, link, base, video, audio').length") == 0
    )
    assert page.run("document.querySelectorAll('script').length") == 2
    assert page.run(
        "[...document.querySelectorAll('*')].every(each => [...each.attributes].every(a => !/^on|^style$/.test(a.name)))"
    )


@pytest.mark.parametrize(
    "attack",
    [
        "<script>window.pwned = 1</script>",
        "<img src=x onerror='window.pwned = 1'>",
        "<p id=styled style='position: fixed'>",
        "<style>p { position: fixed }</style><p id=styled>",
        "<img src='https://example.com/x.png'>",
        "<iframe src='data:text/html,x'></iframe>",
        "<link rel=stylesheet href='https://example.com/x.css'>",
        "<script src='https://example.com/x.js'></script>",
    ],
)
def test_markup_that_got_in_would_still_do_nothing(show: Show, attack: str) -> None:
    page = show(PAGES["plan"].replace("<main", f"{attack}<main"), strict=False)
    page.settle()
    assert page.run("window.pwned") is None
    assert page.run("document.getElementById('styled') && getComputedStyle(styled).position") in (None, "static")
    assert any("Content Security Policy" in each for each in page.complaints)


def test_the_script_cannot_turn_text_into_markup(show: Show) -> None:
    page = show(PAGES["plan"], strict=False)
    tried = "(() => { try { document.body.innerHTML = '<b>x</b>'; return 'done' } catch (e) { return e.name } })()"
    assert page.run(tried) == "TypeError"


# The filter.


def test_the_filter_says_how_many_and_shows_a_page_of_them(show: Show) -> None:
    page = show(PAGES["plan"])
    assert find(page, "CHUNK-0") == "30 matches among 185 ids."
    assert rows(page)[0] == "doc-000017#chunk-00"
    assert page.texts("#hits li mark")[0] == "chunk-0"
    assert find(page, "session-1") == "1 match among 185 ids."
    assert page.texts("#hits li a") == ["! reappeared \u00b7 support-articles"]
    assert find(page, "nobody") == "0 matches among 185 ids."
    assert rows(page) == []
    assert page.run("document.getElementById('found').getAttribute('aria-live')") == "polite"


def test_a_result_leads_to_where_the_id_stands(show: Show) -> None:
    page = show(PAGES["plan"])
    find(page, "doc-000138#chunk-59")
    page.run("document.querySelectorAll('details').forEach(each => each.open = false)")
    page.run("document.querySelector('#hits a').focus()")
    page.press("Enter")
    assert page.run("document.activeElement.closest('details.group').open") is True
    assert page.run("document.activeElement.innerText").startswith("doc-000138#")
    assert page.run("document.activeElement.checkVisibility()") is True


def test_a_group_is_complete_while_it_is_open_a_page_at_a_time(show: Show) -> None:
    page = show(PAGES["plan"])
    group = "document.querySelector('details.group')"
    folded = nodes(page)
    page.run(f"{group}.querySelector('summary').focus()")
    page.press("Enter")
    assert page.texts("details.group[open] li")[:2] == ["doc-000017#chunk-00", "doc-000017#chunk-01"]
    assert len(page.texts("details.group[open] li")) == ROWS
    assert page.texts("details.group[open] .pages span") == ["1 to 50 of 60"]
    for _ in range(2):
        page.press("Tab")
    page.press("Enter")
    assert page.texts("details.group[open] .pages span") == ["51 to 60 of 60"]
    assert page.texts("details.group[open] li") == [f"doc-000017#chunk-{n}" for n in range(50, 60)]
    page.run(f"{group}.open = false")
    page.settle()
    assert nodes(page) == folded


@pytest.mark.parametrize(
    "text", [plan_html(large(100_000)), state_html(state_of(1000, 100))], ids=["plan", "state"]
)
def test_a_hundred_thousand_ids_stay_quick_at_every_key(show: Show, text: str) -> None:
    page = show(text)
    before = nodes(page)
    started = time.monotonic()
    for typed in ("d", "do", "doc", "doc-0", "9", "99", "nobody", "chunk-0", "c"):
        said = find(page, typed)
        assert "among 100,000 ids" in said
        assert len(rows(page)) <= ROWS
        # A row is li, code, mark and link; around them a list, a bar and what is in it.
        assert nodes(page) <= before + 4 * ROWS + 6
    # Measured: below 60 ms for the first key and 10 ms for each after it. This only tells a hang.
    assert time.monotonic() - started < 30
    assert find(page, "doc-00").startswith("100,000 matches")


def test_ids_that_the_page_does_not_carry_are_never_reported_as_missing(show: Show) -> None:
    page = show(plan_html(large(1000), limit=100))
    missing = "900 more ids were not searched: this page does not carry them."
    assert find(page, "nobody") == f"0 matches among 100 ids. {missing}"
    unfold(page)
    shown = [each.replace(",", "").split(" ")[1] for each in page.texts("details.group .more")]
    carried = json.loads(page.run("document.getElementById('carried').textContent"))
    assert sum(map(int, shown)) == sum(
        entry["total"] - (len(entry["ids"]) or min(5, entry["total"])) for entry in carried
    )


def test_a_mutation_is_found_by_its_id_and_lists_its_ids(show: Show) -> None:
    page = show(PAGES["state"])
    assert find(page, "8e2f1c53-0000-4000-8000-000000000007") == "1 match among 960 ids and 8 mutations."
    (where,) = page.texts("#hits li a")
    assert where == "verified \u00b7 support-articles \u00b7 8e2f1c53-0000-4000-8000-000000000007, 120 ids"
    page.run("document.querySelector('#hits a').focus()")
    page.press("Enter")
    assert page.run("document.activeElement.tagName") == "TR"
    page.press("Tab")
    page.press(" ")
    assert page.run("document.activeElement.getAttribute('aria-expanded')") == "true"
    assert page.texts("tr.below li")[0] == "doc-000007#chunk-00"
    page.press(" ")
    assert page.texts("tr.below") == []


def test_an_id_that_came_back_is_never_shown_as_verified_because_its_mutation_was(show: Show) -> None:
    page = show(PAGES["state"])
    mutation = "8e2f1c53-0000-4000-8000-000000000001"
    assert find(page, "doc-000001#chunk-00") == "1 match among 960 ids and 8 mutations."
    assert page.texts("#hits li a") == [f"reappeared \u00b7 agent-memory \u00b7 {mutation}"]
    find(page, "doc-000001#chunk-01")
    assert page.texts("#hits li a") == [f"verified \u00b7 agent-memory \u00b7 {mutation}"]
    page.run("document.querySelector('#mutation-1-1 button').click()")
    assert page.texts("tr.below li")[:2] == ["doc-000001#chunk-00 reappeared now", "doc-000001#chunk-01"]


def test_ten_thousand_mutations_are_folded(show: Show) -> None:
    page = show(state_html(state_of(10_000, 3), limit=10_000))
    assert page.run("document.querySelectorAll('tr[id^=mutation]').length") == 10_000
    assert (
        page.run("[...document.querySelectorAll('tr[id^=mutation]')].filter(e => e.checkVisibility()).length") == 0
    )
    said = find(page, "000000009999")
    assert said.startswith("1 match among 10,000 ids and 10,000 mutations. 20,000 more ids were not searched")


# Without a script.


def test_without_a_script_groups_counts_and_examples_are_there_and_the_filter_says_why_not(show: Show) -> None:
    page = show(PAGES["plan"], scripts=False)
    page.call("Emulation.setScriptExecutionDisabled", value=False)  # the page's own did not run; now ask it
    assert page.run("document.documentElement.className") == ""
    assert page.texts("noscript p") == [
        "The filter needs JavaScript, which is off. Everything else is here: groups, counts and examples."
    ]
    assert page.run(f"{FIELD}.checkVisibility()") is False
    assert page.texts("details.group .count") == ["60 ids", "60 ids", "60 ids"]
    page.run("document.querySelector('details.group').open = true")
    assert page.texts("details.group[open] li") == [f"doc-000017#chunk-0{n}" for n in range(5)]
    assert page.texts("details.group[open] .more") == ["and 55 more"]


# Keyboard and screen reader.


@every_page
def test_tab_reaches_everything_in_order_and_the_focus_can_be_seen(show: Show, text: str) -> None:
    page = show(text)
    order = page.run(
        """(() => { window.order = [...document.querySelectorAll('a[href], button, input, summary, [tabindex="0"]')]
            .filter(each => each.checkVisibility()); return window.order.length })()"""
    )
    for place in range(min(order, 40)):
        page.press("Tab")
        assert page.run("window.order.indexOf(document.activeElement)") == place
        assert page.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert page.run("window.order[0].getAttribute('href')") == "#main"


@every_page
def test_headings_do_not_skip_a_level_and_tables_are_labelled(show: Show, text: str) -> None:
    page = show(text)
    unfold(page)
    levels = page.run("[...document.querySelectorAll('h1,h2,h3,h4,h5')].map(each => Number(each.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert page.run("[...document.querySelectorAll('table')].every(each => each.caption?.innerText.trim())")
    assert page.run("[...document.querySelectorAll('th')].every(each => each.scope)")
    assert page.run("document.querySelectorAll('table:not(:has(thead th))').length") == 0


@every_page
def test_a_screen_reader_is_told_the_landmarks(show: Show, text: str) -> None:
    page = show(text)
    told = page.accessible()
    roles = [each["role"] for each in told]
    assert roles.count("banner") == roles.count("main") == roles.count("contentinfo") == 1
    fields = [each["name"] for each in told if each["role"] == "searchbox"]
    assert all(name.startswith("Part of an id") for name in fields)
    assert [
        each for each in told if each["role"] in ("button", "link", "table", "region") and not each["name"]
    ] == []


@pytest.fixture(scope="session")
def axe() -> str:
    """The rules of axe-core, as a script."""
    return (package("axe-core", "4.10.3", node=16) / "axe.min.js").read_text()


@pytest.mark.parametrize(
    ("name", "dark"), [*((name, False) for name in PAGES), ("plan", True), ("refused", True), ("state", True)]
)
def test_axe_finds_nothing_wrong(show: Show, axe: str, name: str, dark: bool) -> None:
    page = show(PAGES[name], dark=dark)
    if page.run(f"{FIELD} !== null"):
        find(page, "a")
    unfold(page)
    page.run(f"{axe}; undefined")
    found: list[Any] = page.run(
        "axe.run().then(done => done.violations.map(v => [v.id, v.nodes.length, v.nodes[0].html.slice(0, 200)]))"
    )
    assert found == []


# Light, dark, narrow, on paper.


def test_dark_and_light_follow_the_reader(show: Show) -> None:
    def brightness(page: Page, name: str) -> float:
        parts = page.run(f"getComputedStyle(document.documentElement).{name}.match(/[0-9.]+/g).map(Number)")
        return sum(parts[:3]) / 3

    light, dark = show(PAGES["plan"]), show(PAGES["plan"], dark=True)
    assert brightness(light, "backgroundColor") > 240 > 60 > brightness(light, "color")
    assert brightness(dark, "color") > 200 > 60 > brightness(dark, "backgroundColor")


@every_page
def test_nothing_is_wider_than_a_phone(show: Show, text: str) -> None:
    page = show(text, width=360, height=740)
    if page.run(f"{FIELD} !== null"):
        find(page, "w")
    unfold(page)
    assert page.run("document.documentElement.scrollWidth") == 360


@pytest.mark.parametrize("scripts", [True, False], ids=["script", "no script"])
def test_on_paper_everything_folded_is_open_and_the_filter_is_gone(show: Show, scripts: bool) -> None:
    page = show(PAGES["plan"], scripts=scripts)
    assert page.pdf().startswith(b"%PDF")
    page.call("Emulation.setScriptExecutionDisabled", value=False)
    assert page.run("document.querySelectorAll('details.group[open]').length") == 0
    page.call("Emulation.setEmulatedMedia", media="print")
    page.settle()
    folded = "[...document.querySelectorAll('details:not([open]) li')]"
    assert page.run(f"{folded}.length") > 10
    assert page.run(f"{folded}.every(each => each.checkVisibility() && each.getBoundingClientRect().height > 10)")
    assert page.run("document.querySelector('.finder').checkVisibility()") is False
    assert page.run("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"
