r"""Untrusted text in Markdown: always a code span, or a block of code.

Nothing else holds everywhere. In running text, hosts such as GitHub and GitLab look for mentions, issue numbers,
addresses and emoji after the escapes are gone; in code they do not. HTML, links and emphasis mean nothing there
either. What cannot be seen, or acts on a terminal, is shown as an escape first (see `escape`). Sentences that
quote untrusted text are read word by word: only what is an ordinary word or a small number stands outside of code.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator

from reconciler.render.escape import plain

_TICKS = re.compile("`+")

#: Words that no host makes anything of: letters, with hyphens and apostrophes inside, and small numbers.
_WORD = re.compile(r"(?:[A-Za-z]+(?:['-][a-z]+)*|[0-9]{1,3}(?:,[0-9]{3})*(?:\.[0-9]{1,2})?|%)[,;:]?|[A-Za-z]+[.?]")

#: Seven letters of these may name a commit.
_COMMIT = re.compile("[0-9a-f]{7,}", re.IGNORECASE)


def code(text: str) -> str:
    """`text` as a code span, on one line."""
    shown = plain(text)
    if not shown:
        return "(empty)"
    fence = "`" * (max(map(len, _TICKS.findall(shown)), default=0) + 1)
    # A space is taken off at both ends where both have one: give it one to take.
    pad = " " if shown[0] == "`" or shown[-1] == "`" or (shown[0] == shown[-1] == " " and shown.strip()) else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def prose(text: str) -> str:
    """A sentence that may quote untrusted text, on one line: its ordinary words as they are, all else as code.

    Stands behind other text, never at the start of a line.
    """
    return " ".join(_spans(plain(text).split(" "))) if text else ""


def _spans(words: Iterable[str]) -> Iterator[str]:
    quoted: list[str] = []
    for word in words:
        if _WORD.fullmatch(word) and not _COMMIT.match(word):
            if quoted:
                yield code(" ".join(quoted))
                quoted = []
            yield word
        elif word[:-1] and word[-1] in ",;:.":
            yield code(" ".join([*quoted, word[:-1]])) + word[-1]
            quoted = []
        elif word or quoted:  # several spaces are one, outside of code
            quoted.append(word)
    if quoted:
        yield code(" ".join(quoted))


def html_code(text: str) -> str:
    """`text` as `<code>` inside HTML, where Markdown is not read; hosts find no mentions in it either."""
    return f"<code>{html.escape(plain(text))}</code>"


def block(lines: Iterable[str], language: str = "") -> Iterator[str]:
    """`lines` as a fenced block of code. Each is one line and neutralised already."""
    held = list(lines)
    ticks = max((len(run) for each in held for run in _TICKS.findall(each)), default=0)
    fence = "`" * max(3, ticks + 1)
    yield f"{fence}{language}"
    yield from held
    yield fence


def alert(kind: str, lines: Iterable[str]) -> Iterator[str]:
    """`lines` of Markdown as an alert of GitHub's kinds ("CAUTION"); a quotation where there are none."""
    yield f"> [!{kind}]"
    yield from (f"> {each}".rstrip() for each in lines)


def comment(text: str) -> str:
    """A comment that readers do not see. What could end it is left out."""
    kept = re.sub("[^ 0-9A-Za-z=:_.-]", "", text)
    return f"<!-- {re.sub('--+', '-', kept)} -->"


def size(lines: Iterable[str]) -> int:
    """Bytes of UTF-8 that `lines` take, their ends included."""
    return sum(len(each.encode()) + 1 for each in lines)


def cell(text: str) -> str:
    r"""`text` as a code span in a table. A pipe is shown as `\x7c`: hosts differ in how one is escaped there."""
    return code(text.replace("|", "\\x7c"))


def row(*cells: str) -> str:
    """A line of a table. `cells` are Markdown already."""
    return f"| {' | '.join(cells)} |"
