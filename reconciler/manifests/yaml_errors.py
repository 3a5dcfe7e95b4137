"""Why a file is not YAML, in words, at the place to look at.

The parser says where it gave up, in its own units; the file is read again to say what stands there.
Only diagnostics depend on that second reading.
"""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from reconciler.manifests.files import HashingFile, reason
from reconciler.model.diagnostic import Diagnostic, Position, error

#: Characters that YAML does not allow in a file, in quotes or not.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAB_ADVICE = "YAML is indented with blanks. Replace the tab."


class Stop(Exception):
    """Reading a YAML file ends here; `diagnostic` says why."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.summary)
        self.diagnostic = diagnostic


def explain(failed: Exception, path: Path, shown: str) -> Diagnostic:
    """What to tell people about an exception of the YAML parser."""
    if isinstance(failed, OSError):
        return error("unreadable", f"reading failed: {reason(failed)}", "", Position(shown))
    if isinstance(failed, RecursionError):
        return error(
            "nested-too-deeply", "nested too deeply", "Look for brackets that are not closed.", Position(shown)
        )
    if isinstance(failed, yaml.MarkedYAMLError):
        return _syntax(failed, path, shown)
    return _characters(path, shown) or error("yaml-syntax", f"not YAML: {str(failed)[:80]}", "", Position(shown))


def _syntax(failed: yaml.MarkedYAMLError, path: Path, shown: str) -> Diagnostic:
    problem = (failed.problem or "not YAML").removeprefix("found ")
    mark = failed.problem_mark or failed.context_mark
    if mark is None:
        return error("yaml-syntax", f"not YAML: {problem[:80]}", "", Position(shown))
    position = Position(shown, mark.line + 1, mark.column + 1)
    if "Unicode character escape" in problem:
        detail = (
            "An escape such as \\ud800 is half of a character. Write the character itself, or \\U and 8 digits."
        )
        return error("invalid-unicode", "an escape that is no Unicode character", detail, position)
    tab = _tab_in_indentation(path, mark.line)
    if tab is not None:
        summary = "a tab in the indentation"
        return error("yaml-tab", summary, _TAB_ADVICE, Position(shown, mark.line + 1, tab + 1))
    begun = failed.context_mark
    context = (failed.context or "").removeprefix("while ")
    since = f" ({context}, begun in line {begun.line + 1})" if context and begun else ""
    detail = (
        "Look at this line and the one before: quotes, brackets, indentation, a missing blank after `:` or `-`."
    )
    return error("yaml-syntax", f"not YAML: {problem[:80]}{since}", detail, position)


def _tab_in_indentation(path: Path, line: int) -> int | None:
    """The column (from 0) of the first tab before the text of a line (from 0), None without one."""
    try:
        with HashingFile(path) as file:
            lines = re.split(r"\r\n|[\n\r\x85\u2028\u2029]", file.read().decode("utf-8-sig", "replace"))
    except OSError:
        return None
    text = lines[line] if line < len(lines) else ""
    indentation = text[: len(text) - len(text.lstrip(" \t-"))]
    return indentation.find("\t") if "\t" in indentation else None


def _characters(path: Path, shown: str) -> Diagnostic | None:
    """The first byte that is not UTF-8 or not allowed in YAML; None when there is none."""
    try:
        with HashingFile(path) as file:
            data = file.read()
    except OSError:
        return None
    for number, raw in enumerate(data.split(b"\n"), 1):
        try:
            text = raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as wrong:
            column = len(raw[: wrong.start].decode("utf-8", "replace")) + 1
            summary = f"not UTF-8: byte 0x{raw[wrong.start]:02X} at byte {wrong.start + 1} of line {number}"
            return error("not-utf8", summary, "Save the file as UTF-8.", Position(shown, number, column))
        found = _FORBIDDEN.search(text)
        if found:
            summary = f"the character U+{ord(found[0]):04X} is not allowed in YAML"
            detail = "Remove it, or write it as an escape in double quotes."
            return error("yaml-character", summary, detail, Position(shown, number, found.start() + 1))
    return None
