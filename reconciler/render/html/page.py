"""Pages that carry everything they need: one file, no network, nothing that a stranger wrote is markup.

Three things hold for every page, whatever its template does:

- every string that a template prints is made visible (`escape.plain`), then escaped; only what this package made
  itself (`Markup`) goes through as it is;
- a Content-Security-Policy allows the page's own style and script, by their hashes, and nothing else: no request,
  no form, no frame, no string that becomes code or markup;
- the text is ASCII, everything else a character reference: it means the same in every encoding.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.render.escape import item, plain

if TYPE_CHECKING:
    from jinja2 import Environment

_HERE = Path(__file__).resolve().parent

#: Pieces of a page that are written at once, in characters: few writes, and never a whole page in memory.
_PIECE = 65_536


def render(template: str, **values: Any) -> Iterator[str]:
    """The page that `template` makes of `values`, in pieces of ASCII; the last ends with a line feed."""
    style, script = _asset("page.css"), _asset("page.js")
    chunks = (
        _environment()
        .get_template(template)
        .generate(**values, style=_raw(style), script=_raw(script), policy=_policy(style, script))
    )
    held: list[str] = []
    size = 0
    for chunk in chunks:
        held.append(chunk)
        size += len(chunk)
        if size >= _PIECE:
            yield _ascii("".join(held))
            held, size = [], 0
    yield _ascii("".join(held)) + "\n"


@dataclass(frozen=True, slots=True)
class Fact:
    """A name and what there is to say. `code`: it is an identifier, in the letters of one."""

    name: str
    value: str
    code: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a page comes down to. `tone`: "good", "bad" or "calm"."""

    tone: str
    badge: str
    title: str
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tile:
    """One count. `kind`: a class of the style sheet."""

    kind: str
    symbol: str
    name: str
    count: int


def count(number: int, one: str = "id", many: str = "") -> str:
    """`1 id`, `1,204 ids`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def moment(at: str | None) -> str:
    """An RFC 3339 time of a log as people read it: to the second, UTC. Anything else as it is."""
    if not at:
        return ""
    return f"{at[:10]} {at[11:19]}" if len(at) > 19 and at[10] == "T" and at.endswith("Z") else at


def _policy(style: str, script: str) -> str:
    rules = [
        "default-src 'none'",
        f"style-src '{_hash(style)}'",
        f"script-src '{_hash(script)}'",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
    return "; ".join(rules)


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _ascii(text: str) -> str:
    return text.encode("ascii", "xmlcharrefreplace").decode("ascii")


@cache
def _asset(name: str) -> str:
    """Style or script, as it stands between its tags. ASCII: a character reference means nothing there."""
    return (_HERE / "assets" / name).read_text("ascii")


def _raw(text: str) -> Any:
    from markupsafe import Markup  # noqa: PLC0415 - comes with jinja2, which only pages need

    return Markup(text)  # noqa: S704 - a file of this package


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 - 60 ms that only pages need
    from markupsafe import Markup  # noqa: PLC0415 - as above

    def visible(value: Any) -> Any:
        return plain(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    made = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        finalize=visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"count": count, "item": item, "moment": moment, "number": lambda number: f"{number:,}"}
    return made
