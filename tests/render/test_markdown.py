"""The pieces of Markdown: whatever strangers wrote, it is shown whole, and as text alone."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.render.escape import plain
from reconciler.render.markdown import alert, block, comment, html_code, prose, size
from support import hostile
from support.hosts import RENDERERS, acts, rendered

texts = st.sampled_from(hostile.STRINGS) | st.text(max_size=30) | st.text("`|\\ a<@#*_[]()!:/.-~1", max_size=14)
either = pytest.mark.parametrize("renderer", RENDERERS)


@either
@given(st.lists(texts, min_size=1, max_size=3).map(" ".join))
@settings(deadline=None)
def test_a_sentence_shows_every_word_and_none_of_them_acts(renderer, written):
    page = rendered(f"- x {prose(written)} y", renderer)
    assert page.names <= {"ul", "li", "code"}
    assert not acts(page)
    assert page.whole.split() == f"x {plain(written)} y".split()


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("too many deletes: 243 ids, max_deletes is 100", "too many deletes: 243 ids, `max_deletes` is 100"),
        ("nobody's fault, re-created twice. Run it", "nobody's fault, re-created twice. Run it"),
        ("30.5 % of 12,034 vectors", "30.5 % of 12,034 vectors"),
        ("a/b: c @d e", "`a/b`: c `@d` e"),
        ("in a.yaml, b.yaml.", "in `a.yaml`, `b.yaml`."),
        ("facade effaced 1234567", "facade `effaced 1234567`"),
    ],
)
def test_ordinary_words_stay_as_they_are(written, shown):
    assert prose(written) == shown


@either
@given(st.lists(texts.map(plain), max_size=5))
@settings(deadline=None)
def test_a_block_holds_its_lines_and_nothing_else(renderer, lines):
    page = rendered(
        "\n".join(["before", "", *block([f"  {each}" for each in lines], "diff"), "", "after"]), renderer
    )
    assert page.code == ["".join(f"  {each}\n" for each in lines)]
    assert [each.strip() for each in page.text] == ["before", "after"]
    assert page.names == {"p", "pre", "code"}


@either
@given(texts)
@settings(deadline=None)
def test_a_name_inside_html_stays_a_name(renderer, written):
    source = f"<details>\n<summary>{html_code(written)}: 3 ids</summary>\n\ninside\n\n</details>\n"
    page = rendered(source, renderer)
    assert page.names == {"details", "summary", "code", "p"}
    assert page.code == [plain(written)]
    assert [each.strip() for each in page.text] == [": 3 ids", "inside"]


@either
@given(texts)
@settings(deadline=None)
def test_nothing_ends_a_comment_early(renderer, written):
    page = rendered(f"{comment(f'vectorize-reconciler plan {written}')}\n\nafter", renderer)
    assert page.names == {"p"}
    assert [each.strip() for each in page.text] == ["after"]
    assert page.comments[0].startswith(" vectorize-reconciler plan ")


def test_the_size_is_that_of_the_text_in_utf8():
    lines = [*alert("NOTE", ["**ü**", "", "- 😀"]), ""]
    assert lines[2] == ">"
    assert size(lines) == len("".join(f"{each}\n" for each in lines).encode())
