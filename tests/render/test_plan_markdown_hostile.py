"""A plan in which everything was written by strangers: readable in every host, and nothing in it acts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.model.diagnostic import Diagnostic, Position, Severity
from reconciler.model.plan import ActionKind, ActionSource, PrefixPlan
from reconciler.render.escape import item, plain
from reconciler.render.plan_markdown import LEAST_BYTES, Origin, PlanFile, document
from support import hostile
from support.hosts import RENDERERS, acts, rendered
from support.plans import action, index_plan, target, whole_plan


@pytest.fixture(scope="module")
def strangers():
    """Every place where somebody else's words stand holds every hostile string."""
    sources = [ActionSource(text, number, text[::-1]) for number, text in enumerate(hostile.STRINGS)]
    made = [
        index_plan(
            target(name[:64], origin=name),
            *(
                action(hostile.ids(), kind, source, reason=name)
                for kind, source in zip(ActionKind, sources, strict=False)
            ),
            action(["…", "… and 5 more", "-", *hostile.ids()], ActionKind.DELETE, *sources[:4]),
            prefixes=tuple(PrefixPlan(text, text, 3, 4) for text in hostile.STRINGS),
            live_count=5,
            read_by=name,
        )
        for name in hostile.STRINGS
    ]
    found = [
        Diagnostic(
            severity,
            text[:30],
            f"{text}: said about {text}",
            f"{text}\n{text}",
            Position(text, 1),
            (Position(text),),
        )
        for severity in (Severity.REFUSAL, Severity.WARNING, Severity.NOTE)
        for text in hostile.STRINGS
    ]
    limits = {index.target.index: dict.fromkeys(hostile.STRINGS, 3.0) for index in made}
    return whole_plan(*made, diagnostics=tuple(found), limits=limits)


@pytest.mark.parametrize("renderer", RENDERERS)
@pytest.mark.parametrize("only", [None, Severity.WARNING, Severity.ERROR])
@pytest.mark.parametrize("most", [LEAST_BYTES, 3_000_000])
def test_nothing_that_strangers_wrote_acts_in_any_host(strangers, renderer, most, only):
    plan = strangers
    if only is Severity.ERROR:
        plan = replace(plan, diagnostics=tuple(replace(each, severity=only) for each in plan.diagnostics))
    elif only:
        plan = replace(plan, diagnostics=tuple(each for each in plan.diagnostics if each.severity is only))
    origin = Origin((hostile.STRINGS[0], "@everyone"), None, PlanFile(hostile.STRINGS[2], "0c" * 32))
    for origin_ in (origin, replace(origin, file=None)):
        page = rendered(document(plan, origin_, max_bytes=most), renderer)
        assert page.names <= {
            "h3", "p", "strong", "code", "pre", "ul", "li", "blockquote", "details", "summary",
            "table", "thead", "tbody", "tr", "th", "td", *(["div"] if renderer == "gitlab" else []),
        }  # fmt: skip
        for name, attributes in page.elements:
            if attributes.get("class", "").startswith("markdown-alert"):
                assert name in ("div", "p"), "the alerts of GitLab"
                continue
            allowed = {"th": {"align", "style"}, "td": {"align", "style"}, "pre": {"lang"}, "code": {"class"}}
            assert set(attributes) <= allowed.get(name, set())
            assert attributes.get("lang", attributes.get("class")) in (
                None,
                "diff",
                "sh",
                "language-diff",
                "language-sh",
            )
        assert acts(page) == []
        assert len(page.comments) == 1
        assert page.names & {"details"} or only is Severity.ERROR


def test_every_hostile_string_is_readable_as_what_it_is(strangers):
    page = rendered(document(strangers, max_bytes=3_000_000), "github")
    shown = "\n".join(page.code)
    assert not [text for text in hostile.STRINGS if plain(text) not in shown]
    assert not [id_ for id_ in hostile.ids() if f"-       {item(id_)}\n" not in shown]


def test_no_line_acts_on_a_terminal_or_on_a_runner(strangers):
    for each in document(strangers, max_bytes=3_000_000).split("\n"):
        assert each.isprintable()
        assert not each.lstrip().startswith("::")
        # Older versions of GitLab look for quick actions, quotations and mathematics by patterns, in code as well.
        assert not each.startswith(("/", ">>>", "$$"))
        assert "##[" not in each
