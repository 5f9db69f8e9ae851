"""A trial: one mutant in a copy of the tree, and the tests that are asked whether they see it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeAlias

from tests.mutants.sample import Mutant
from tests.mutants.source import Module
from tests.mutants.trees import TIMED_OUT, pytest_in

Plan: TypeAlias = Sequence[tuple[str, float]]  # tests, the nearest first, and their usual seconds
FILES: Final = "the tests' files"
EVERYTHING = "import pkgutil, importlib, portal, jobs\nfor top in (portal, jobs):\n" + (
    "    for each in pkgutil.walk_packages(top.__path__, top.__name__ + '.'):\n"
    "        if not each.name.endswith('__main__'): importlib.import_module(each.name)\n"
)


class Outcome(StrEnum):
    """What became of a mutant. One that does not even import is no fault that a test need see."""

    SEEN = "seen"
    LATE = "timed out"
    SURVIVED = "survived"
    UNREACHED = "no test reaches it"
    BROKEN = "does not import"
    EQUIVALENT = "equivalent"

    @property
    def is_seen(self) -> bool:
        """Whether it counts as seen."""
        return self in {Outcome.SEEN, Outcome.LATE}

    @property
    def counts(self) -> bool:
        """Whether it counts at all."""
        return self not in {Outcome.BROKEN, Outcome.EQUIVALENT}


@dataclass(slots=True)
class Result:
    """The end of a trial. `by`: the test that saw it, or why there was none to see it."""

    key: str
    area: str
    path: str
    line: int
    kind: str
    was: str
    now: str
    outcome: Outcome
    by: str = ""
    tests: int = 0
    seconds: float = 0.0
    processor: float = 0.0  # seconds of it, of all processes
    at_times: list[str] = field(default_factory=list)
    tree: str = ""

    @classmethod
    def of(cls, mutant: Mutant, area: str, outcome: Outcome, **more: Any) -> "Result":
        """The result of a mutant."""
        kept = {
            name: getattr(mutant, name) for name in ("key", "path", "line", "kind", "was", "now")
        }
        return cls(**kept, area=area, outcome=outcome, **more)

    def as_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> "Result":
        """The other way round."""
        told = json.loads(line)
        return cls(**told | {"outcome": Outcome(told["outcome"])})


class Spent:
    """The time that a trial takes, from now on, and of the processor as its parts end."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self.processor = 0.0

    def until_now(self) -> dict[str, float]:
        """Both, in seconds."""
        passed = time.monotonic() - self._begun
        return {"seconds": round(passed, 1), "processor": round(self.processor, 1)}


def tried(tree: Path, mutant: Mutant, module: Module, plan: Plan, area: str) -> Result:
    """Put the mutant into the copy, ask the tests of the plan, and take it out again."""
    if not plan:
        return Result.of(mutant, area, Outcome.UNREACHED)
    spent, left, doubted = Spent(), plan, list[str]()
    while True:
        with _put(tree, mutant, module):
            outcome, by, at_times = _asked(tree, left, spent)
        doubted += at_times
        # A test that waits sees every mutant on a busy machine: it must be green without, now.
        if not outcome.is_seen or by == FILES or _is_green(tree, _only(by, left), spent):
            break
        doubted.append(by)
        left = _without(by, left)
    told = {"by": by, "at_times": list(dict.fromkeys(doubted)), "tests": len(plan)}
    return Result.of(mutant, area, outcome, **told, **spent.until_now())


@contextmanager
def _put(tree: Path, mutant: Mutant, module: Module) -> Iterator[None]:
    file = tree / mutant.path
    file.write_text(mutant.text(module))
    # Bytecode is told apart by whole seconds and size, which two mutants may share.
    stamp = int(mutant.key[:7], 16)
    os.utime(file, (stamp, stamp))
    try:
        yield
    finally:
        file.write_text(module.text)


def _asked(tree: Path, plan: Plan, spent: Spent) -> tuple[Outcome, str, list[str]]:
    """What becomes of the mutant in the tree; the test that sees it twice, and those in doubt."""
    if not plan:
        return Outcome.SURVIVED, "", []
    status, told = _run(tree, plan, spent)
    if not told:
        # Nothing ran: the product is broken, or a test's own file finds fault while it is read.
        return (Outcome.SEEN, FILES, []) if _imports(tree) else (Outcome.BROKEN, "", [])
    at_times: list[str] = told["at_times"]
    if "by" not in told:  # the tests' process ended, which has to happen again
        begun = told["begun"]
        if _is_green(tree, _only(begun, plan), spent):
            outcome, by, more = _asked(tree, _without(begun, plan), spent)
            return outcome, by, [*at_times, begun, *more]
        return Outcome.LATE if status == TIMED_OUT else Outcome.SEEN, begun, at_times
    if told["by"] is None:
        return Outcome.SURVIVED, "", at_times
    return Outcome.LATE if told["is_late"] else Outcome.SEEN, told["by"], at_times


def _only(test: str, plan: Plan) -> Plan:
    return [each for each in plan if each[0] == test]


def _without(test: str, plan: Plan) -> Plan:
    return [each for each in plan if each[0] != test]


def _is_green(tree: Path, plan: Plan, spent: Spent) -> bool:
    _, told = _run(tree, plan, spent)
    return told.get("by", "the process ended") is None


def _run(tree: Path, plan: Plan, spent: Spent) -> tuple[int, dict[str, Any]]:
    """The exit status of the plan's tests, and the plugin's verdict, if it came to one."""
    folder = tree.parent
    (folder / "plan.json").write_text(json.dumps(plan))
    verdict = folder / "verdict.json"
    verdict.unlink(missing_ok=True)
    files = dict.fromkeys(test.partition("::")[0] for test, _ in plan)
    limit = 300 + 5 * sum(seconds for _, seconds in plan)
    options = ["-p", "tests.mutants.trial_plugin", "--plan", str(folder / "plan.json")]
    arguments = [*options, "--verdict", str(verdict), *files]
    status, processor = pytest_in(tree, arguments, limit, folder / "output.txt")
    spent.processor += processor
    return status, json.loads(verdict.read_text()) if verdict.exists() else {}


def _imports(tree: Path) -> bool:
    command = [sys.executable, "-c", EVERYTHING]
    done = subprocess.run(command, cwd=tree, capture_output=True, timeout=120, check=False)
    return done.returncode == 0
