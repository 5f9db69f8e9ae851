"""For pytest: the chosen tests of a mutant in their order, until one is red twice.

A test that was red is run again at once, so that one which is red at times sees no mutant. Its time
is up after five times its usual and a little more. `--verdict` names the file that tells the end,
as JSON: `by`, `is_late`, `at_times`.
"""

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import pytest

SLACK: Final = 20  # seconds
SERVERS: Final = 100


def pytest_addoption(parser: pytest.Parser) -> None:
    """The plan (JSON: pairs of a test's id and its usual seconds), and where the verdict goes."""
    parser.addoption("--plan", type=Path)
    parser.addoption("--verdict", type=Path)


def pytest_configure(config: pytest.Config) -> None:
    """Begin, unless only help was asked for."""
    plan = json.loads(config.getoption("--plan").read_text())
    config.pluginmanager.register(Trial(dict(plan), config.getoption("--verdict")))


class Trial:
    """Runs the plan."""

    def __init__(self, plan: dict[str, float], verdict: Path) -> None:
        self._plan = plan
        self._verdict = verdict
        self._red: list[pytest.TestReport] = []
        self._again: pytest.Item | None = None
        self._at_times: list[str] = []

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Only those of the plan; PostgreSQL last, since its start takes long."""
        places = {name: number for number, name in enumerate(self._plan)}
        chosen = [item for item in items if item.nodeid in places]
        chosen.sort(key=lambda item: (needs_postgres(item.nodeid), places[item.nodeid]))
        begun: set[bool] = set()
        for item in chosen:
            limit = 5 * self._plan[item.nodeid] + SLACK
            # The first of each database waits for the servers that the others find.
            if (kind := needs_postgres(item.nodeid)) not in begun:
                begun.add(kind)
                limit += SERVERS
            item.add_marker(pytest.mark.timeout(limit), append=False)
        items[:] = chosen

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Look at how it ended."""
        self._red.clear()
        self._write(begun=item.nodeid)
        result = yield
        is_late = any("from pytest-timeout" in each.longreprtext for each in self._red)
        if not self._red:
            if self._again is item:
                self._at_times.append(item.nodeid)
        elif self._again is item:
            self._write(by=item.nodeid, is_late=is_late)
            item.session.shouldstop = "a test has seen it"
        else:
            self._again = item
            items = item.session.items
            items.insert(items.index(item) + 1, item)
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember what was red."""
        if report.failed:
            self._red.append(report)

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Every test was green, or was so at the second time."""
        is_at_end = exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}
        if is_at_end and not session.shouldstop:
            self._write(by=None)

    def _write(self, **verdict: Any) -> None:
        self._verdict.write_text(json.dumps({**verdict, "at_times": self._at_times}))


def needs_postgres(test: str) -> bool:
    """Whether the test is the variant for PostgreSQL."""
    return "[postgres" in test or "-postgres" in test
