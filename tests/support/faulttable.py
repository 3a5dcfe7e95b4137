"""`--fault-table`: which faults were provoked, how often, and what held; printed when the tests have ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest

from support.catalogue import FAULTS


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fault-table", action="store_true", help="Print the table of faults at the end.")


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """The numbers travel with the reports, from the workers too."""
    for item in items:
        for mark in item.iter_markers("fault"):
            for number in mark.args:
                if number not in FAULTS:
                    raise pytest.UsageError(f"{item.nodeid}: fault {number} is not in tests/support/catalogue.py")
                item.user_properties.append(("fault", number))


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--fault-table") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Table(), "fault-table")


class _Table:
    """Counts the cases of each fault."""

    def __init__(self) -> None:
        self._held: Counter[int] = Counter()
        self._failed: Counter[int] = Counter()
        self._skipped: Counter[int] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        ended = report.when == "call" or (report.when == "setup" and report.outcome != "passed")
        if not ended:
            return
        said = report.user_properties
        cases = sum(int(str(value)) for name, value in said if name == "cases") or 1
        counter = {"passed": self._held, "skipped": self._skipped}.get(report.outcome, self._failed)
        for name, number in said:
            if name == "fault":
                counter[int(str(number))] += cases

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        line = terminalreporter.write_line
        line("")
        line("| # | fault | cases | what held |")
        line("|---|---|---|---|")
        for number, fault in FAULTS.items():
            line(f"| {number} | {fault.what} | {self._cases(number)} | {fault.holds} |")

    def _cases(self, number: int) -> str:
        parts = [f"{self._held[number]:,}" if self._held[number] else ""]
        parts.append(f"**{self._failed[number]:,} FAILED**" if self._failed[number] else "")
        parts.append(f"{self._skipped[number]:,} skipped" if self._skipped[number] else "")
        return ", ".join(filter(None, parts)) or "none"
