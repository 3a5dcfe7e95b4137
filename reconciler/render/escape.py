r"""Untrusted text made harmless. Ids, reasons, paths and messages of the API are written by strangers.

What cannot be seen, or acts on the reader's screen, is shown as an escape such as `\x1b` or `\u202e`:

- control characters (C0, DEL, C1), and with them every ANSI sequence and line break;
- line and paragraph separators;
- format characters: bidi marks, embeddings and isolates, zero-width characters, tags, soft hyphens;
- characters that a font draws as nothing: variation selectors, Hangul fillers, the grapheme joiner;
- halves of surrogate pairs, which no output can encode.

The joiner inside an emoji is escaped like any other: two ids that differ in it alone must not look the same.
A backslash stays as it is, so an id that spells `\x1b` in letters looks like an escape; both are harmless.
"""

from __future__ import annotations

import json
import re
from typing import Any

_INVISIBLE = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f\xad"
    "\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ud800-\udfff"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff"
    "]"
)
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}

#: GitHub's runner obeys the old form of a command, `##[name]value`, anywhere in a line of a log.
_OLD_COMMAND = re.compile(r"##(?=\[)")


def plain(text: str) -> str:
    """`text` on one line, harmless on a terminal and in a log, wherever in a line it stands but at its start.

    For the start of a line, see `line`.
    """
    if text.isascii() and text.isprintable() and "##[" not in text:
        return text
    return _OLD_COMMAND.sub(r"#\\x23", _INVISIBLE.sub(_escaped, text))


def line(text: str) -> str:
    """As `plain`, for text that begins a line: `::name::` there is a command to GitHub's runner, even indented."""
    return at_start(plain(text))


def at_start(safe: str) -> str:
    """What `plain` or another of these gave, for the start of a line: see `line`."""
    return safe.replace("::", "\\x3a:", 1) if "::" in safe and safe.lstrip().startswith("::") else safe


def item(text: str) -> str:
    r"""As `plain`, for text alone on a line: spaces at its ends, which nobody sees there, are shown as `\x20`."""
    safe = plain(text)
    if safe and safe[0] != " " != safe[-1]:
        return safe
    bare = safe.strip(" ")
    start, end = len(safe) - len(safe.lstrip(" ")), len(safe) - len(safe.rstrip(" "))
    return "\\x20" * start + bare + "\\x20" * (end if bare else 0)


def shortened(text: str, most: int | None) -> str:
    """As `plain`, of some `most` characters (None: all): a longer one without its middle, and how long it is.

    Costs what is shown, however long `text` is.
    """
    if most is None:
        return plain(text)
    if len(text) <= most and len(safe := plain(text)) <= most:
        return safe
    start, end = most * 2 // 3, most // 3
    head, tail = plain(text[:start])[:start], plain(text[-end:])[-end:]
    return f"{head} … (of {len(text):,} characters) … {tail}"


def workflow(text: str) -> str:
    """`text` as the message of a workflow command. Its line breaks are shown, not obeyed."""
    return _percent(plain(text))


def workflow_property(text: str) -> str:
    """`text` as the value of a property (`file=`, `title=`) of a workflow command."""
    return workflow(text).replace(":", "%3A").replace(",", "%2C")


def json_text(value: Any, *, indent: int | None = None) -> str:
    """`value` as JSON in printable ASCII: nothing in it acts on a terminal, on a runner, or fails to be encoded.

    Raises:
        ValueError: it holds a number that JSON does not know (NaN, infinity).
    """
    return harmless_json(json.dumps(value, allow_nan=False, indent=indent))


def harmless_json(ascii_json: str) -> str:
    """JSON in ASCII, where DEL and GitHub's old commands are written as the escapes that JSON has for them."""
    return ascii_json.replace("\x7f", "\\u007f").replace("##[", "#\\u0023[")


def _escaped(match: re.Match[str]) -> str:
    character = match[0]
    code = ord(character)
    if character in _NAMED:
        return _NAMED[character]
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _percent(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
