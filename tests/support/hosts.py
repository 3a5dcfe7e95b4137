"""What a host makes of Markdown: rendered by two real renderers, taken apart again.

`cmarkgfm` is GitHub's own renderer (its fork of cmark), `comrak` the one inside GitLab, here with the extensions that
GitLab turns on; `markdown-it` stands for the many that are written in other languages. What hosts do afterwards with text outside of code (mentions, references, emoji) is looked for by `acts`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser

import cmarkgfm
import comrak
from cmarkgfm.cmark import Options
from markdown_it import MarkdownIt


@dataclass
class Page:
    """Rendered Markdown.

    Attributes:
        elements: (name, attributes) of each element, in order.
        text: pieces of text outside of code.
        code: texts of code spans and blocks, each whole.
        rows: cells of each row of a table, as text.
        comments: HTML comments.
        whole: all text, in order.
    """

    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    code: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    whole: str = ""

    @property
    def names(self) -> set[str]:
        return {name for name, _ in self.elements}


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.page = Page()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.page.elements.append((tag, dict(attrs)))
        if tag == "tr":
            self.page.rows.append([])
        if tag in ("td", "th"):
            self.page.rows[-1].append("")
        if tag == "code":
            self.page.code.append("")
        if tag not in ("br", "hr", "img", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> ends what it did not begin"

    def handle_data(self, data: str) -> None:
        self.page.whole += data
        if "code" in self.open:
            self.page.code[-1] += data
        elif data.strip():
            self.page.text.append(data)
        if "td" in self.open or "th" in self.open:
            self.page.rows[-1][-1] += data

    def handle_comment(self, data: str) -> None:
        self.page.comments.append(data)


def _github(source: str) -> str:
    return cmarkgfm.github_flavored_markdown_to_html(source, options=Options.CMARK_OPT_UNSAFE)


def _markdown_it(source: str) -> str:
    return MarkdownIt("gfm-like", {"html": True, "linkify": True}).render(source)


_GITLAB = (
    "alerts", "autolink", "cjk_friendly_emphasis", "description_lists", "footnotes", "math_code", "math_dollars",
    "multiline_block_quotes", "strikethrough", "table", "tasklist", "wikilinks_title_before_pipe",
)  # fmt: skip


def _gitlab(source: str, *, without: str = "") -> str:
    extensions, parsing, rendering = comrak.ExtensionOptions(), comrak.ParseOptions(), comrak.RenderOptions()
    for name in _GITLAB:
        setattr(extensions, name, name != without)
    extensions.front_matter_delimiter = "---"
    parsing.relaxed_autolinks = parsing.relaxed_tasklist_matching = parsing.tasklist_in_table = True
    rendering.unsafe_ = rendering.github_pre_lang = rendering.full_info_string = True
    return comrak.render_markdown(source, extensions, parsing, rendering)


def _old_gitlab(source: str) -> str:
    """Before 17.10 there were no alerts."""
    return _gitlab(source, without="alerts")


RENDERERS: dict[str, Callable[[str], str]] = {
    "github": _github, "gitlab": _gitlab, "gitlab-17.9": _old_gitlab, "markdown-it": _markdown_it,
}  # fmt: skip


def rendered(source: str, renderer: str) -> Page:
    """`source` as a reader of `renderer` sees it. Every element is closed where it should be."""
    reader = _Reader()
    reader.feed(RENDERERS[renderer](source))
    reader.close()
    assert not reader.open
    return reader.page


_ACTS = re.compile(
    r"@|#\d|\b[0-9a-f]{7,}\b|\bGH-\d|://|www\.|:[a-z0-9_+-]+:|(?:^|\s)/\w|\[|\$|`|\*|</?\w"
    # GitLab's, also behind the path of a project: !1 &1 ~label ~"two words" %1 %"v 1" ^alert project> {+ + {- -
    r'|[!&~%][\w"{]|\^\w|\w>|[{+-][{}+-]',
    re.IGNORECASE,
)


def acts(page: Page) -> list[str]:
    """Text outside of code of which GitHub or GitLab makes more: mentions, references, links, emoji, commands."""
    return [
        each for each in page.text if _ACTS.search(re.sub(r"^\[!(?:CAUTION|WARNING|NOTE)\]", "", each.strip()))
    ]
