r"""Untrusted text in Markdown: always a code span.

Nothing else holds everywhere. In running text, hosts such as GitHub and GitLab look for mentions, issue numbers,
addresses and emoji after the escapes are gone; in a code span they do not. HTML, links and emphasis mean nothing
there either. What cannot be seen, or acts on a terminal, is shown as an escape first (see `escape`).
"""

from __future__ import annotations

import re

from reconciler.render.escape import plain

_TICKS = re.compile("`+")


def code(text: str) -> str:
    """`text` as a code span, on one line."""
    shown = plain(text)
    if not shown:
        return "(empty)"
    fence = "`" * (max(map(len, _TICKS.findall(shown)), default=0) + 1)
    # A space is taken off at both ends where both have one: give it one to take.
    pad = " " if shown[0] == "`" or shown[-1] == "`" or (shown[0] == shown[-1] == " " and shown.strip()) else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def cell(text: str) -> str:
    r"""`text` as a code span in a table. A pipe is shown as `\x7c`: hosts differ in how one is escaped there."""
    return code(text.replace("|", "\\x7c"))


def row(*cells: str) -> str:
    """A line of a table. `cells` are Markdown already."""
    return f"| {' | '.join(cells)} |"
