"""For pytest: what each test reaches of the product, in the copy with probes.

A line of JSON for each test: `id`, `seconds`, `outcome`, `reached` (a bit for each probe, in
hexadecimal digits). What a fixture of a longer life reached counts for every test that uses it.
What a function keeps from call to call is forgotten before each test, or the first one alone would
reach what made it.
"""

import json
import mmap
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.mutants.caches import forget_what_is_kept
from tests.mutants.reach.probes import NOTES


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where the lines go."""
    parser.addoption("--reach", type=Path)


def pytest_configure(config: pytest.Config) -> None:
    """Begin, unless only help was asked for."""
    config.pluginmanager.register(Recorder(config.rootpath, config.getoption("--reach")))


class Recorder:
    """Reads and clears the notes around each test and each fixture of a longer life."""

    def __init__(self, tree: Path, output: Path) -> None:
        with (tree / NOTES).open("r+b") as file:
            self._notes = mmap.mmap(file.fileno(), 0)
        self._output = output
        self._fixtures: dict[str, int] = {}
        self._seconds = 0.0
        self._outcome = "passed"

    def pytest_collection_finish(self) -> None:
        """What importing reached is reached by all."""
        self._write(id="", seconds=0, outcome="passed", reached=f"{self._taken():x}")

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Generator[None, Any, Any]:
        """Set what it reaches apart."""
        if fixturedef.scope == "function":
            return (yield)
        before = self._taken()
        try:
            return (yield)
        finally:
            # One that is set up again, with another parameter, may reach other things.
            reached = self._taken() | self._fixtures.get(fixturedef.argname, 0)
            self._fixtures[fixturedef.argname] = reached
            self._put_back(before)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Write the test's line."""
        forget_what_is_kept()
        self._taken()
        self._seconds, self._outcome = 0.0, "passed"
        result = yield
        reached = self._taken()
        for name in getattr(item, "fixturenames", ()):
            reached |= self._fixtures.get(name, 0)
        seconds, outcome = round(self._seconds, 3), self._outcome
        self._write(id=item.nodeid, seconds=seconds, outcome=outcome, reached=f"{reached:x}")
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add up the parts of a test."""
        self._seconds += report.duration
        if report.outcome != "passed":
            self._outcome = report.outcome

    def _write(self, **line: Any) -> None:
        with self._output.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def _taken(self) -> int:
        """The notes as bits, the first probe the lowest; they are cleared."""
        notes = self._notes[:]
        self._notes[:] = bytes(len(notes))
        return int(notes[::-1].translate(bytes.maketrans(b"\0\1", b"01")), 2)

    def _put_back(self, bits: int) -> None:
        for number in range(len(self._notes)):
            if bits >> number & 1:
                self._notes[number] = 1
