"""One browser for all tests of a process, and pages that are opened in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.browser import Browser, Page


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    running = Browser(tmp_path_factory.mktemp("browser"))
    yield running
    running.close()


@pytest.fixture
def show(browser: Browser, tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """Opens the text of a page. Whatever a test did with it, the browser must have had nothing against it."""
    opened: list[Page] = []

    def page(text: str, *, strict: bool = True, **options: Any) -> Page:
        path = tmp_path / f"page-{len(opened)}.html"
        path.write_text(text, "ascii")
        made = browser.open(path, **options)
        made.strict = strict
        opened.append(made)
        return made

    yield page
    for each in opened:
        each.close()
    for each in opened:
        if each.strict:
            assert each.complaints == []
            assert each.requests == each.requests[:1]
            assert each.requests[0].startswith("file:///")
