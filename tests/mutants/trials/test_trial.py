"""A trial: who sees a mutant, and that a test which is red without it as well sees nothing."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mutants.sample import mutants_of
from tests.mutants.source import Module
from tests.mutants.trees import ROOT
from tests.mutants.trials.fork_server import ForkServer, fork_server
from tests.mutants.trials.new_process import NewProcess
from tests.mutants.trials.plan import Asker, Change
from tests.mutants.trials.result import Outcome, Result
from tests.mutants.trials.trial import tried

PATH = "portal/limits.py"
TEXT = """
from functools import cache

MOST = 3

def is_more(number, than=5):
    return number > MOST

def is_most(number):
    @cache
    def one(number):
        return number == MOST
    return any(one(each) for each in [number])

class Pile:
    def top(self):
        return sorted([2, 3], reverse=True)[0]
"""
TESTS = """
import os
import subprocess
import sys
from pathlib import Path
from portal import limits

SAID = []

def test_a_clock_that_is_late():
    raise AssertionError

def test_a_machine_that_ended_us_once():
    mark = Path("mark")
    if not mark.exists():
        mark.touch()
        os._exit(7)

def test_a_process_that_ends():
    if limits.is_more(3):
        os._exit(7)

def test_another_thing():
    SAID.append(1)
    assert SAID == [1]

def test_the_bound():
    assert not limits.is_more(3)

def test_the_constant():
    assert limits.MOST == 3

def test_what_is_most():
    assert limits.is_most(3)

def test_a_pile():
    assert limits.Pile().top() == 3

def test_the_default():
    assert limits.is_more.__defaults__ == (5,)

def test_another_process():
    command = "from portal.limits import is_more; print(is_more(3))"
    told = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True)
    assert told.stdout == "False\\n"

def test_that_is_red_in_a_fork_alone():
    assert "tests.mutants.trials.fork_plugin" not in sys.modules or not limits.is_more(3)

def test_that_leaves_a_process():
    left = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    Path("left").write_text(str(left.pid))

def test_the_process_is_gone():
    left = Path("/proc") / Path("left").read_text() / "cmdline"
    assert not left.exists() or b"sleep" not in left.read_bytes()

def test_the_folder_is_empty(tmp_path):
    assert [each.name for each in tmp_path.parent.iterdir() if each.is_dir()] == [tmp_path.name]
    (tmp_path.parent / "left").mkdir()
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small product, its tests, and what tries them."""
    tree = tmp_path_factory.mktemp("copy") / "tree"
    for folder in ("portal", "jobs", "tests"):
        (tree / folder).mkdir(parents=True)
        (tree / folder / "__init__.py").touch()
    (tree / "pytest.ini").write_text("[pytest]\n")
    left_out = shutil.ignore_patterns("test_*.py", "__pycache__")
    shutil.copytree(ROOT / "tests/mutants", tree / "tests/mutants", ignore=left_out)
    (tree / PATH).write_text(TEXT)
    (tree / "tests/test_limits.py").write_text(TESTS)
    return tree


@pytest.fixture(scope="module")
def server(tree: Path) -> Iterator[ForkServer]:
    """A pytest that has read them."""
    with fork_server(tree) as server:
        yield server


def trial(
    tree: Path,
    asker: Asker,
    now: str,
    *tests: str,
) -> Result:
    module = Module(PATH, TEXT)
    mutant = next(each for each in mutants_of(module) if each.now == now)
    plan = [(f"tests/test_limits.py::test_{name}", 0.1) for name in tests]
    is_at_import = "#" not in mutant.place
    change = Change(PATH, TEXT, mutant.text(module), is_at_import)
    return tried(tree, asker, mutant, change, plan, "web")


def names(result: Result) -> list[str]:
    return [test.rpartition("::test_")[2] for test in result.at_times]


BOUND = "return number >= MOST"


@pytest.mark.parametrize("is_forked", [True, False])
def test_the_nearest_test_that_is_red_sees_it(
    tree: Path, server: ForkServer, *, is_forked: bool
) -> None:
    asker = server if is_forked else NewProcess(tree)
    result = trial(tree, asker, BOUND, "another_thing", "the_bound", "a_process_that_ends")
    assert result.outcome is Outcome.SEEN
    assert result.by == "tests/test_limits.py::test_the_bound"
    assert result.processor > 0
    assert (tree / PATH).read_text() == TEXT


def test_one_that_is_red_without_it_as_well_sees_nothing(tree: Path, server: ForkServer) -> None:
    result = trial(tree, server, BOUND, "a_clock_that_is_late", "another_thing")
    assert (result.outcome, result.by) == (Outcome.SURVIVED, "")
    assert names(result) == ["a_clock_that_is_late"]


def test_the_next_one_is_asked_then(tree: Path, server: ForkServer) -> None:
    (tree / "mark").unlink(missing_ok=True)
    tests = ("a_clock_that_is_late", "a_machine_that_ended_us_once", "the_bound")
    result = trial(tree, server, BOUND, *tests)
    assert (result.outcome, result.by) == (Outcome.SEEN, "tests/test_limits.py::test_the_bound")
    assert names(result) == ["a_clock_that_is_late", "a_machine_that_ended_us_once"]


def test_a_process_that_ends_each_time_has_seen_it(tree: Path, server: ForkServer) -> None:
    result = trial(tree, server, BOUND, "another_thing", "a_process_that_ends")
    assert result.outcome is Outcome.SEEN
    assert result.by == "tests/test_limits.py::test_a_process_that_ends"
    assert result.at_times == []


@pytest.mark.parametrize(
    ("now", "test"),
    [
        ("MOST = 4", "the_constant"),
        ("def is_more(number, than=6):", "the_default"),
        ("return number != MOST", "what_is_most"),
        ("return sorted([2, 3])[0]", "a_pile"),
        (BOUND, "another_process"),
        (BOUND, "that_is_red_in_a_fork_alone"),
    ],
)
def test_a_fork_sees_it_wherever_it_stands(
    tree: Path, server: ForkServer, now: str, test: str
) -> None:
    result = trial(tree, server, now, "another_thing", test)
    assert (result.outcome, result.by) == (Outcome.SEEN, f"tests/test_limits.py::test_{test}")


def test_forks_know_nothing_of_each_other(tree: Path, server: ForkServer) -> None:
    for _ in range(2):
        tests = ("another_thing", "the_folder_is_empty")
        assert trial(tree, server, BOUND, *tests).outcome is Outcome.SURVIVED


def test_nothing_that_a_fork_has_started_lives_on(tree: Path, server: ForkServer) -> None:
    trial(tree, server, BOUND, "that_leaves_a_process")
    result = trial(tree, server, BOUND, "the_process_is_gone")
    assert (result.outcome, result.at_times) == (Outcome.SURVIVED, [])


def test_a_server_that_has_ended_is_begun_again(tree: Path, server: ForkServer) -> None:
    server.prepare()
    ended = server._process
    assert ended is not None
    os.killpg(ended.pid, signal.SIGKILL)  # as a machine does that has no memory left
    for _ in range(2):
        assert trial(tree, server, BOUND, "the_bound").outcome is Outcome.SEEN
    assert server._process is not None
    assert server._process is not ended
