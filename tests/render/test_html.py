"""Pages, without a browser: what they say, what they carry, and that no text of a stranger is markup."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest

from reconciler.model.diagnostic import error, refusal
from reconciler.model.idset import IdSet
from reconciler.model.plan import Action, ActionKind, ActionSource, Cost, Plan
from reconciler.model.tombstones import Projection
from reconciler.render.escape import item, plain
from reconciler.render.html import history_page
from reconciler.state.history import HistoryEntry
from support.pages import (
    GDPR,
    HOSTILE,
    NOW,
    index_plan,
    large,
    ordinary,
    plan_html,
    plan_of,
    skeleton,
    state_html,
    state_of,
    strange_plan,
    strange_state,
    target,
)

#: As many texts, each as long as what is seen of the hostile one in its place, and in the same order when sorted.
PLAIN = tuple(f"{sorted(HOSTILE).index(text):02d}".ljust(len(item(text)), "x") for text in HOSTILE)


def uneven() -> Plan:
    """A plan whose ids fold into groups and a few others, at the top and within a group."""
    many = [f"doc-{n:02d}/{part}" for n in range(4) for part in range(40)]
    few = ["doc-x1", "doc-y2", "alone", "single", "zebra"]
    ids = IdSet.of([*many, *few, *(f"user/{n}" for n in range(30))])
    return plan_of(index_plan(target("docs"), Action(ActionKind.DELETE, "new", (GDPR,), ids)))


def carried(page: str) -> list[dict]:
    """The JSON at the end of a page, as a script reads it. It holds nothing that could end it or begin a tag."""
    (block,) = re.findall(r'<script type="application/json" id="carried">\n(.*?)\n</script>', page, re.DOTALL)
    assert set("<>&").isdisjoint(block)
    return json.loads(block)


def words(page: str) -> str:
    """What stands between the tags."""
    body = page[page.index("<body>") : page.index("<script")]
    return html.unescape(re.sub(r"<[^>]*>", "", body))


def shape(page: str) -> str:
    """A page without its style and script, which have files of their own."""
    page = re.sub(r"<style>.*</style>", "<style></style>", page, flags=re.DOTALL)
    page = re.sub(r"<script>.*</script>", "<script></script>", page, flags=re.DOTALL)
    return re.sub(r"sha256-[\w+/=]{44}", "sha256-", page)


@pytest.mark.parametrize(
    ("name", "plan"),
    [
        ("plan", ordinary()),
        ("plan.refused", replace(ordinary(), diagnostics=(refusal("max-deletes", "too many: 183 ids"),))),
        ("plan.errored", replace(ordinary(), diagnostics=(error("yaml", "a key is given twice"),))),
        ("plan.nothing", plan_of(index_plan(target("docs"), unchanged=1204))),
    ],
)
def test_pages_of_plans(golden: Callable[[str, str], None], name: str, plan: Plan) -> None:
    golden(f"{name}.html", shape(plan_html(plan, planfile="erasure.plan.json", digest="9f" * 32)))


def test_pages_of_states(golden: Callable[[str, str], None], projection: Projection) -> None:
    golden("state.html", shape(state_html(projection)))
    golden("state.empty.html", shape(state_html(Projection())))


@pytest.mark.parametrize("make", [(plan_html, strange_plan), (state_html, strange_state)], ids=["plan", "state"])
def test_hostile_texts_make_no_element_and_no_attribute(make) -> None:
    page, values = make
    assert skeleton(page(values(HOSTILE))) == skeleton(page(values(PLAIN)))


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_is_on_the_page_and_readable(text: str) -> None:
    page = plan_html(strange_plan(HOSTILE))
    assert plain(text) in words(page)
    assert item(text) in {each for entry in carried(page) for each in entry["ids"]}


@pytest.mark.parametrize(
    "page",
    [
        plan_html(strange_plan(HOSTILE)),
        state_html(strange_state(HOSTILE)),
        state_html(strange_state(HOSTILE[::-1])),
    ],
)
def test_a_page_is_ascii_and_no_line_of_it_is_a_command_to_a_pipeline(page: str) -> None:
    assert page.isascii()
    assert re.findall(r"^\s*::", page, re.MULTILINE) == []
    assert "##[" not in page
    assert set(re.findall(r"[\x00-\x1f\x7f]", page)) == {"\n"}


def test_the_policy_allows_the_style_and_the_script_of_the_page_and_nothing_else() -> None:
    page = plan_html(ordinary())
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    rules = dict(rule.split(" ", 1) for rule in html.unescape(policy).split("; "))

    def digest(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert rules["default-src"] == "'none'"
    assert rules["style-src"] == digest(style)
    assert rules["script-src"] == digest(script)
    assert rules["base-uri"] == rules["form-action"] == "'none'"
    assert page.index("Content-Security-Policy") < page.index("<style>")


@pytest.mark.parametrize("page", [plan_html(ordinary()), state_html(state_of(8, 3))])
def test_a_page_names_no_address_outside_itself(page: str) -> None:
    assert re.findall(r'\b(?:src|srcset|action|data|poster)\s*=\s*"', page) == []
    assert re.findall(r"url\(|@import", page) == []
    assert {each[0] for each in re.findall(r'href="([^"]*)"', page)} == {"#"}


@pytest.mark.parametrize("plan", [ordinary(), uneven()], ids=["ordinary", "uneven"])
def test_the_page_carries_every_id_of_a_plan_once(plan: Plan) -> None:
    held = [each for entry in carried(plan_html(plan)) for each in entry["ids"]]
    assert sorted(held) == sorted(each for _, action in plan.actions() for each in action.ids)


def test_ids_that_share_nothing_with_a_group_are_a_group_of_others() -> None:
    page = plan_html(uneven())
    others = [entry for entry in carried(page) if "zebra" in entry["ids"]]
    assert [(entry["total"], len(entry["ids"])) for entry in others] == [(3, 3)]
    assert "others" in words(page)


def test_beyond_the_limit_counts_stay_exact_and_the_page_says_what_is_missing() -> None:
    page = plan_html(large(1000), limit=100, planfile="p.json", digest="9f" * 32)
    entries = carried(page)
    assert sum(len(entry["ids"]) for entry in entries) == 100
    assert sum(entry["total"] for entry in entries) == 1000
    counts = re.findall(r'<span class="count">([\d,]+) ids?</span>', page)
    assert sum(int(each.replace(",", "")) for each in counts) == 1000
    assert "This page carries 100 of 1,000 ids at most" in words(page)
    assert "The complete list is the JSON plan: its SHA-256 is below." in words(page)
    assert "9f" * 32 in words(page)


def test_a_million_ids_make_a_page_of_a_few_megabytes() -> None:
    page = plan_html(large(300_000))
    assert len(page) < 6_000_000
    assert "300,000 ids to delete in 3 indexes" in words(page)


def test_thousands_of_indexes_are_counted_and_none_is_left_out() -> None:
    indexes = [
        index_plan(target(f"index-{n:04d}"), Action(ActionKind.DELETE, "new", (GDPR,), IdSet.of([f"id-{n}"])))
        for n in range(1000)
    ]
    page = plan_html(plan_of(*indexes))
    assert "and 975 more with 975 ids" in words(page)
    for index in indexes:
        assert f"<code>{index.target.index}</code>" in page
    assert sorted(each for entry in carried(page) for each in entry["ids"]) == sorted(
        f"id-{n}" for n in range(1000)
    )
    for entry in carried(page):
        assert f'id="{entry["at"]}"' in page


def test_thousands_of_declarations_are_counted_and_none_is_left_out() -> None:
    actions = [
        Action(ActionKind.DELETE, "new", (ActionSource("m.yaml", n, ""),), IdSet.of([f"id-{n}"]))
        for n in range(1000)
    ]
    page = plan_html(plan_of(index_plan(target("docs"), *actions)))
    assert "800 other declarations" in words(page)
    assert "800 ids to delete new" in words(page)
    assert len([each for entry in carried(page) for each in entry["ids"]]) == 1000


def test_what_is_wrong_a_thousand_times_is_counted() -> None:
    many = tuple(refusal("r", f"refused {n}") for n in range(2000))
    said = words(plan_html(replace(ordinary(), diagnostics=many)))
    assert said.count("refused ") == 500
    assert "and more: 1,970 refusals, 1 warning" in said
    assert "and 1,500 refusals, 1 warning, which the JSON plan lists" in said


def test_the_command_carries_out_exactly_this_plan() -> None:
    plan = ordinary()
    fingerprint = plan.fingerprint
    told = {
        "reconciler apply erasure.plan.json --expect ": {"planfile": "erasure.plan.json"},
        "reconciler apply 'my plan.json' --expect ": {"planfile": "my plan.json"},
        "reconciler apply --refresh --expect ": {},
        "reconciler apply manifests/a.yaml --refresh --expect ": {"paths": ("manifests/a.yaml",)},
    }
    for command, options in told.items():
        assert command + fingerprint in words(plan_html(plan, **options))
    assert "reconciler apply --expect" in words(plan_html(replace(plan, observed=False)))


def test_what_cannot_be_applied_has_no_command() -> None:
    refused = replace(ordinary(), diagnostics=(refusal("max-deletes", "too many"),))
    assert "No command carries out this plan: it is refused." in words(plan_html(refused))
    unlisted = replace(ordinary(), unresolved_prefixes=True, complete=False)
    assert "No command carries out this plan: a prefix was never listed." in words(plan_html(unlisted))
    narrowed = words(plan_html(replace(ordinary(), complete=False), only="docs"))
    assert "it is narrowed to one index, so it must be saved with plan --out first" in narrowed
    for page in (plan_html(refused), plan_html(unlisted)):
        assert "reconciler apply" not in page


def test_manifests_that_cannot_be_used_show_no_action_and_no_count() -> None:
    page = plan_html(replace(ordinary(), diagnostics=(error("yaml", "broken"),)))
    assert "The manifests cannot be used: there is no plan" in page
    assert "doc-000017" not in page
    assert 'class="tiles"' not in page
    assert "sha256:5d8c" not in page


def test_the_worst_comes_first_and_too_many_problems_are_folded_and_counted() -> None:
    many = [refusal("r", f"refused {n}") for n in range(40)] + [error("e", "broken")]
    page = plan_html(replace(ordinary(), diagnostics=tuple(many)))
    said = words(page)
    assert said.index("broken") < said.index("refused 0") < said.index("and more: 11 refusals")


def test_the_cost_is_told_in_requests_and_time() -> None:
    said = words(plan_html(replace(ordinary(), cost=Cost(30, 140, 9, 7205.0), least_seconds=130.0)))
    assert re.search(r"Delete\s*30\s*at least 2 min", said)
    assert re.search(r"Together\s*179\s*at least 2 h under the budget", said)
    assert "read, in 13 requests" in said


def test_every_mutation_of_a_state_is_there_with_its_whole_id() -> None:
    projection = state_of(450, 2)
    page = state_html(projection, limit=10)
    for record in projection.targets.values():
        for batch in record.batches:
            assert f"<code>{batch.mutation_id}</code>" in page
    assert len(re.findall(r'<tr id="mutation-', page)) == 450
    assert "This page carries 10 of 900 ids at most" in words(page)


def test_what_came_back_names_the_mutation_that_sent_it_last() -> None:
    said = words(state_html(state_of(8, 3)))
    assert "2 ids are present that should be gone" in said
    assert "1 id sent last with mutation 8e2f1c53-0000-4000-8000-000000000001, 2026-11-22 00:00:00" in said


def test_the_history_of_one_id_is_a_page_too(golden: Callable[[str, str], None]) -> None:
    at = "2026-11-22T12:00:00.000Z"
    entries = [
        HistoryEntry(
            3, at, "run-1", "intent", target("docs"), 1, None, {"attempt": 1, "reasons": ["GDPR", "<i>"]}
        ),
        HistoryEntry(4, at, "run-1", "accepted", target("docs"), 1, "8e2f1c53-" + "7" * 60, {"final": False}),
        HistoryEntry(9, at, "run-2", "reappeared", target("docs"), detail={"how": "two\n::error::lines"}),
    ]
    page = "".join(history_page(entries, id_="<b>\u202e", tool_version="0.1.0", created_at=NOW))
    golden("history.html", shape(page))
    assert "&lt;b&gt;\\u202e" in page


def test_what_makes_pages_is_not_imported_where_none_is_made() -> None:
    code = "import sys, reconciler.cli.app, reconciler.render.html; sys.exit('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
