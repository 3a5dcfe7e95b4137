"""A line of text with a style, and the ways to write lines: the words are the same with colours and without."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console

#: Lines written at once.
_AT_ONCE = 512


@dataclass(slots=True)
class Line:
    """One line, already neutralised. `style` is a style of rich ("bold red"), "" for none.

    Not frozen, which would take three times as long to make: a large plan has hundreds of thousands.
    """

    text: str = ""
    style: str = ""

    def __str__(self) -> str:
        return self.text


def write_lines(lines: Iterable[Line | str], stream: TextIO) -> None:
    """Write `lines` without colours, one after the other."""
    given = iter(lines)
    while block := [each.text if isinstance(each, Line) else each for each in islice(given, _AT_ONCE)]:
        block.append("")
        stream.write("\n".join(block))


def print_lines(lines: Iterable[Line | str], console: Console) -> None:
    """Write `lines` in their colours. Never wrapped: a wrapped line could begin with untrusted text."""
    from rich.text import Text  # noqa: PLC0415 - 50 ms of import that output without colours does not need

    for each in lines:
        styled = Text(each.text, style=each.style) if isinstance(each, Line) else Text(each)
        console.print(styled, soft_wrap=True, highlight=False, markup=False, emoji=False)


def write_coloured(lines: Iterable[Line | str], stream: TextIO) -> None:
    """Write `lines` to `stream`: in colours on a terminal, unless the environment sets NO_COLOR."""
    if not stream.isatty() or os.environ.get("NO_COLOR"):
        write_lines(lines, stream)
        return
    from reconciler.render.console import PatientConsole  # noqa: PLC0415 - as above

    print_lines(lines, PatientConsole(file=stream))
