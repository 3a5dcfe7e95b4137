"""The page for a ticket: nothing in it acts, whatever strangers wrote, and the first line is the answer."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from markdown_it import MarkdownIt

from reconciler import resources
from reconciler.model.idset import IdSet
from reconciler.model.target import Target
from reconciler.model.tombstones import DeclarationRecord, Status
from reconciler.render.escape import plain
from reconciler.render.markdown import cell, code, row
from reconciler.render.report import headline, report_json, report_markdown, report_text
from reconciler.state.proofs import Proof
from reconciler.state.report import Report
from reconciler.state.reported import BackReport, DeclarationReport, MutationReport, ProvenReport

ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"
ARTICLES = Target("https://api.cloudflare.com", ACCOUNT, "support-articles")
AT = "2026-11-22T12:00:00.000Z"
LATER = "2026-11-23T08:00:00.000Z"
HOSTILE = (
    "`rm -rf`|<b>@everyone</b>",
    "``` @octocat #1 ```",
    "\x1b[31mred\x1b]0;title\x07",
    "abc\u202egpj.exe\u2066",
    "two\nlines\r\n# and\u2028more",
    "::set-output name=x::y",
    "##[add-mask]everything",
    "zero\u200bwidth\ufeff",
    "[click](javascript:alert(1)) ![x](https://evil.example/x.png)",
    "https://evil.example www.evil.example a@b.example",
    "<script>alert(1)</script> <!-- @someone --> &#64;someone :tada: $`x`$",
    "a\\|b\\",
    " spaces ",
    "| --- | --- |",
)
STORE = "file:`|@x|`.jsonl"


def mutation(name, status="verified", ids=1, accepted=AT):
    return MutationReport(name, status, AT, accepted, ids, 1, "run-1")


def declaration(reason="GDPR Art. 17, ticket PRIV-4711", ids=("a", "b"), statuses=None, **more):
    newest = DeclarationRecord(1, 1, "manifests/gdpr.yaml", 7, 1, reason, None, (), (), {}, AT)
    by_status = {s: IdSet.of(i) for s, i in (statuses or {Status.VERIFIED: ids}).items()}
    values = {
        "newest": newest, "earlier": (), "target": ARTICLES, "closed": False, "superseded": False, "prefixes": (),
        "ids": IdSet.union(by_status.values()), "shared": IdSet(), "by_status": by_status, "listed": len(ids),
        "missing": 0, "released": 0, "never_sent": IdSet(), "mutations": (mutation("8e2f1c53-" + "7" * 60, ids=len(ids)),),
        "proven": ProvenReport(len(by_status.get(Status.VERIFIED, ())), (("get_by_ids", len(ids)),), AT, AT, LATER),
    }  # fmt: skip
    return DeclarationReport(**(values | more))


def whole(*declarations):
    return Report("0b5e", 12, "ab" * 32, declarations)


@pytest.fixture
def everything():
    """Every status, every fact, every stranger's word hostile."""
    hostile = HOSTILE[0]
    proof = Proof(AT, 9, "get_by_ids", AT, 3, f"m|`{HOSTILE[4]}")
    bad = declaration(
        hostile,
        statuses={
            Status.UNRESOLVED: HOSTILE[:7],
            Status.ACCEPTED: HOSTILE[7:9],
            Status.PROCESSED: HOSTILE[9:10],
            Status.VERIFIED: HOSTILE[10:12],
            Status.REAPPEARED: HOSTILE[12:],
        },
        earlier=HOSTILE[1:],
        prefixes=((HOSTILE[8], None), (HOSTILE[5], 4)),
        missing=3,
        released=2,
        never_sent=IdSet.of(HOSTILE[10:11]),
        mutations=(
            mutation(HOSTILE[0], ids=7),
            mutation(None, "unresolved", accepted=None),
            *map(mutation, HOSTILE),
        ),
        proven=ProvenReport(2, (("get_by_ids", 1), (f"list; {hostile}", 1)), AT, AT, LATER),
        back=(BackReport(IdSet.of(HOSTILE[12:13]), proof, LATER), BackReport(IdSet.of(HOSTILE[13:]), None, None)),
    )
    newest = replace(bad.newest, manifest="::warning::`@x`|.yaml", until="2027-01-01")
    closed = declaration("history", closed=True, target=Target("o", ACCOUNT, hostile))
    return whole(declaration(), replace(bad, newest=newest), closed, declaration("", shared=IdSet.of(["b"])))


def text(report):
    return "".join(f"{each}\n" for each in report_text(report, store=STORE))


def markdown(report):
    return "".join(f"{each}\n" for each in report_markdown(report, store=STORE))


def document(report):
    return json.loads("".join(report_json(report, store=STORE)))


def tokens(source):
    """What a host makes of it, HTML and tables allowed."""
    for token in MarkdownIt("commonmark", {"html": True}).enable("table").parse(source):
        yield token
        yield from token.children or ()


def test_report_text(golden, everything):
    golden("report.txt", text(everything))


def test_report_markdown(golden, everything):
    golden("report.md", markdown(everything))


@pytest.mark.parametrize("at_once", [1, 2, 1_000])
def test_report_json(golden, everything, at_once, monkeypatch):
    monkeypatch.setattr("reconciler.render.report._AT_ONCE", at_once)
    golden("report.json", "".join(report_json(everything, store=STORE)))


def test_a_declaration_of_very_many_ids_is_written_in_pieces():
    many = [f"id-{n:05}" for n in range(20_000)]
    pieces = list(report_json(whole(declaration(statuses={Status.ACCEPTED: many})), store=STORE))
    assert json.loads("".join(pieces))["declarations"][0]["open"]["accepted"] == many
    assert max(map(len, pieces)) < 20_000


def test_the_json_fits_its_schema_and_names_every_open_id(everything):
    found = document(everything)
    Draft202012Validator(resources.schema("report"), format_checker=Draft202012Validator.FORMAT_CHECKER).validate(
        found
    )
    assert (found["format_version"], found["done"], found["head"]) == ("1.0", False, "ab" * 32)
    bad = found["declarations"][1]
    assert sorted(each for ids in bad["open"].values() for each in ids) == sorted(HOSTILE[:10] + HOSTILE[12:])
    assert bad["mutations"][1]["mutation_id"] is None
    assert [each["proof"] is None for each in bad["reappeared"]] == [False, True]


def test_the_json_is_printable_ascii(everything):
    written = "".join(report_json(everything, store=STORE))
    assert written.isascii()
    assert written.replace("\n", "").isprintable()
    assert "##[" not in written


def test_nothing_strangers_wrote_becomes_a_link_html_or_a_mention(everything):
    found = list(tokens(markdown(everything)))
    kinds = {token.type for token in found}
    assert not kinds & {"link_open", "image", "html_inline", "html_block", "fence", "code_block", "softbreak"}
    outside = " ".join(token.content for token in found if token.type == "text")
    assert not re.search(r"[@<>`|\[\]#\\$]|://|www\.|&", outside), outside
    shown = [token.content for token in found if token.type == "code_inline"]
    assert {plain(HOSTILE[1]), plain(HOSTILE[8]), plain(HOSTILE[3])} <= set(shown)


def test_every_mutation_is_a_row_of_its_own(everything):
    found = list(tokens(markdown(everything)))
    rows = [n for n, token in enumerate(found) if token.type == "tr_open"]
    counts = [
        sum(t.type in ("td_open", "th_open") for t in found[a:b])
        for a, b in zip(rows, [*rows[1:], None], strict=True)
    ]
    assert set(counts) == {5}
    assert len(rows) == sum(len(each.mutations) + 1 for each in everything.declarations)


@given(st.text(max_size=30) | st.text("`|\\ a<@", max_size=12))
def test_a_code_span_is_one_code_span_that_shows_the_whole_text(written):
    for made, shown in ((code(written), plain(written)), (cell(written), plain(written).replace("|", "\\x7c"))):
        (inline,) = [t for t in tokens(f"x {made} y") if t.type == "inline"]
        kinds = [child.type for child in inline.children]
        assert kinds == (["text", "code_inline", "text"] if shown else ["text"])
        assert not shown or inline.children[1].content == shown
    cells = [
        t
        for t in tokens("\n".join((row("a", "b"), row("-", "-"), row(cell(written), "z"))))
        if t.type == "td_open"
    ]
    assert len(cells) == 2


@pytest.mark.parametrize("form", [text, markdown])
def test_no_line_acts_on_a_terminal_or_on_a_runner(form, everything):
    for each in form(everything).splitlines():
        assert each.isprintable()
        assert not each.lstrip().startswith("::")
        assert "##[" not in each


def test_mutation_ids_are_never_cut():
    name = "m" * 500
    made = whole(declaration(mutations=(mutation(name),)))
    assert name in text(made)
    assert f"`{name}`" in markdown(made)


def test_done_names_the_last_read_and_says_that_ids_can_come_back():
    assert headline(whole(declaration())) == (
        f"Done: all 2 ids of 1 declaration were found absent by a read, the last at {LATER}. "
        "Ids can come back: `reconciler verify --all` looks again."
    )
    assert markdown(whole(declaration())).startswith("**Done:** all 2 ids of")


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (declaration(statuses={Status.VERIFIED: "a", Status.UNRESOLVED: "bc"}), "of 3 ids, 2 without an answer"),
        (declaration(statuses={Status.ACCEPTED: "a"}), "of 1 id, 1 accepted, not known to be processed"),
        (declaration(statuses={Status.REAPPEARED: "a", Status.PROCESSED: "b"}),
         "of 2 ids, 1 processed, not found absent yet, 1 present again"),
        (declaration(missing=4), "4 ids that the manifests name have no record here"),
        (declaration(prefixes=(("x", None),)), "1 prefix was never listed"),
        (declaration(closed=True), "1 declaration of an index that was created again since"),
        (declaration(statuses={Status.VERIFIED: ()}), "the state names no id for it"),
        (declaration(statuses={Status.VERIFIED: ()}, withdrawn=True, released=2),
         "nothing of this is declared any more, 2 ids released"),
    ],
)  # fmt: skip
def test_what_is_not_done_says_why(made, said):
    report = whole(made)
    assert not report.done
    assert headline(report).startswith("Not done: ")
    assert said in headline(report)


@pytest.mark.parametrize("more", [{"missing": 4}, {"closed": True}, {"prefixes": (("x", None),)}])
def test_one_declaration_that_is_not_done_keeps_all_from_being_done(more):
    assert whole(declaration(), declaration()).done
    assert not whole(declaration(), declaration(**more)).done


def test_an_id_that_two_declarations_name_is_counted_once():
    made = whole(declaration(ids=("a", "b")), declaration(ids=("b", "c")))
    assert headline(made).startswith("Done: all 3 ids of 2 declarations ")


def test_only_examples_of_many_ids_stand_in_text_and_all_of_them_in_json():
    many = [f"id-{n:03}" for n in range(30)]
    made = whole(declaration(statuses={Status.UNRESOLVED: many}))
    assert "id-000, id-001, id-002, id-003, id-004 and 25 more" in text(made)
    assert document(made)["declarations"][0]["open"]["unresolved"] == many
