"""A trial: who sees a mutant, and that a test which is red without it as well sees nothing."""

import shutil
from pathlib import Path

import pytest

from tests.mutants.sample import mutants_of
from tests.mutants.source import Module
from tests.mutants.trees import ROOT
from tests.mutants.trial import Outcome, Result, tried

TEXT = "MOST = 3\n"
TESTS = """
import os
from pathlib import Path
from portal.limits import MOST

def test_a_clock_that_is_late():
    raise AssertionError

def test_a_machine_that_ended_us_once():
    mark = Path("mark")
    if not mark.exists():
        mark.touch()
        os._exit(7)

def test_a_process_that_ends():
    if MOST == 4:
        os._exit(7)

def test_another_thing():
    assert True

def test_the_bound():
    assert MOST == 3
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small product, its tests, and what tries them."""
    tree = tmp_path / "tree"
    for folder in ("portal", "jobs", "tests/mutants"):
        (tree / folder).mkdir(parents=True)
        (tree / folder / "__init__.py").touch()
    (tree / "tests/__init__.py").touch()
    (tree / "pytest.ini").write_text("[pytest]\n")
    shutil.copy(ROOT / "tests/mutants/trial_plugin.py", tree / "tests/mutants")
    (tree / "portal/limits.py").write_text(TEXT)
    (tree / "tests/test_limits.py").write_text(TESTS)
    return tree


def trial(tree: Path, *tests: str) -> Result:
    module = Module("portal/limits.py", TEXT)
    mutant = next(each for each in mutants_of(module) if each.now == "MOST = 4")
    plan = [(f"tests/test_limits.py::test_{name}", 0.1) for name in tests]
    return tried(tree, mutant, module, plan, "web")


def names(result: Result) -> list[str]:
    return [test.rpartition("::test_")[2] for test in result.at_times]


def test_the_nearest_test_that_is_red_sees_it(tree: Path) -> None:
    result = trial(tree, "another_thing", "the_bound", "a_process_that_ends")
    assert result.outcome is Outcome.SEEN
    assert result.by == "tests/test_limits.py::test_the_bound"
    assert result.processor > 0.1
    assert (tree / "portal/limits.py").read_text() == TEXT


def test_one_that_is_red_without_it_as_well_sees_nothing(tree: Path) -> None:
    result = trial(tree, "a_clock_that_is_late", "another_thing")
    assert (result.outcome, result.by) == (Outcome.SURVIVED, "")
    assert names(result) == ["a_clock_that_is_late"]


def test_the_next_one_is_asked_then(tree: Path) -> None:
    result = trial(tree, "a_clock_that_is_late", "a_machine_that_ended_us_once", "the_bound")
    assert (result.outcome, result.by) == (Outcome.SEEN, "tests/test_limits.py::test_the_bound")
    assert names(result) == ["a_clock_that_is_late", "a_machine_that_ended_us_once"]


def test_a_process_that_ends_each_time_has_seen_it(tree: Path) -> None:
    result = trial(tree, "another_thing", "a_process_that_ends")
    assert result.outcome is Outcome.SEEN
    assert result.by == "tests/test_limits.py::test_a_process_that_ends"
    assert result.at_times == []
