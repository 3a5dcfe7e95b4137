from __future__ import annotations

import json
from collections.abc import Callable

from reconciler.model.diagnostic import Diagnostic, error, note, warning
from reconciler.render import diagnostics as render
from reconciler.render.github import annotate


def test_text(golden: Callable[[str, str], None], diagnostics: tuple[Diagnostic, ...]) -> None:
    golden("diagnostics.txt", "".join(f"{each}\n" for each in render.text(diagnostics)))


def test_github(golden: Callable[[str, str], None], diagnostics: tuple[Diagnostic, ...]) -> None:
    golden("diagnostics.github.txt", "".join(f"{each}\n" for each in annotate(diagnostics)))


def test_json(golden: Callable[[str, str], None], diagnostics: tuple[Diagnostic, ...]) -> None:
    golden("diagnostics.json", render.json_document(diagnostics, manifests=2, ids=1204) + "\n")


def test_a_warning_alone_does_not_make_the_manifests_invalid() -> None:
    document = json.loads(render.json_document([warning("w", "x")], manifests=1, ids=0))
    assert (document["valid"], document["error_count"], document["warning_count"]) == (True, 0, 1)


def test_annotations_that_github_would_drop_silently_are_counted() -> None:
    found = [note("n", "x"), *(warning("w", str(n)) for n in range(12)), *(error("e", str(n)) for n in range(250))]
    lines = list(annotate(found))
    assert [each.split()[0] for each in lines] == ["::error"] * 10 + ["::warning"] * 10 + ["::notice"]
    assert lines[9] == "::error title=241 more errors::not shown here: 241 e"
    assert lines[19] == "::warning title=3 more warnings::not shown here: 3 w"


def test_untrusted_text_never_begins_a_line_as_a_command(diagnostics: tuple[Diagnostic, ...]) -> None:
    assert not [each for each in render.text(diagnostics) if each.lstrip().startswith("::")]
    assert not [each for each in annotate(diagnostics) if "\n" in each or "set-output name=path::" in each]
