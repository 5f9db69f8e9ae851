"""A trial: one mutant in a copy of the tree, and the tests that are asked whether they see it."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.mutants.sample import Mutant
from tests.mutants.trees import TIMED_OUT
from tests.mutants.trials.plan import Answer, Asker, Change, Plan
from tests.mutants.trials.result import Outcome, Result

FILES: Final = "the tests' files"
EVERYTHING = "import pkgutil, importlib, portal, jobs\nfor top in (portal, jobs):\n" + (
    "    for each in pkgutil.walk_packages(top.__path__, top.__name__ + '.'):\n"
    "        if not each.name.endswith('__main__'): importlib.import_module(each.name)\n"
)


def tried(
    tree: Path, asker: Asker, mutant: Mutant, change: Change, plan: Plan, area: str
) -> Result:
    """Put the mutant into the copy, ask the tests of the plan, and take it out again."""
    if not plan:
        return Result.of(mutant, area, Outcome.UNREACHED)
    trial = Trial(tree, asker, mutant.key, change)
    outcome, by = trial.end(plan)
    told = {"by": by, "at_times": list(dict.fromkeys(trial.doubted)), "tests": len(plan)}
    return Result.of(mutant, area, outcome, **told, **trial.until_now())


class Trial:
    """A trial from now on. `doubted`: the tests that were red for another reason."""

    def __init__(self, tree: Path, asker: Asker, key: str, change: Change) -> None:
        self._tree, self._asker, self._key, self._change = tree, asker, key, change
        self._begun = time.monotonic()
        self._processor = 0.0
        self.doubted: list[str] = []

    def until_now(self) -> dict[str, float]:
        """The time that it took, and of the processor, in seconds."""
        passed = time.monotonic() - self._begun
        return {"seconds": round(passed, 1), "processor": round(self._processor, 1)}

    def end(self, plan: Plan) -> tuple[Outcome, str]:
        """What becomes of the mutant, and the test that sees it."""
        while True:
            self._asker.prepare()
            with self._put():
                outcome, by = self._asked(plan)
            # A test that waits sees every mutant on a busy machine: it must be green without, now.
            if not outcome.is_seen or by == FILES or self._is_green(by, plan, None):
                return outcome, by
            self.doubted.append(by)
            plan = _without(by, plan)

    @contextmanager
    def _put(self) -> Iterator[None]:
        file = self._tree / self._change.path
        file.write_text(self._change.new)
        # Bytecode is told apart by whole seconds and size, which two mutants may share.
        stamp = int(self._key[:7], 16)
        os.utime(file, (stamp, stamp))
        try:
            yield
        finally:
            file.write_text(self._change.old)

    def _asked(self, plan: Plan) -> tuple[Outcome, str]:
        """What becomes of it while it is put; the test must see it twice."""
        if not plan:
            return Outcome.SURVIVED, ""
        status, told, _ = self._answer(plan, self._change)
        if not told:
            # Nothing ran: the product is broken, or a test's own file finds fault when it is read.
            return (Outcome.SEEN, FILES) if _imports(self._tree) else (Outcome.BROKEN, "")
        self.doubted += told["at_times"]
        if "by" not in told:  # the tests' process ended, which has to happen again
            begun = told["begun"]
            if self._is_green(begun, plan, self._change):
                self.doubted.append(begun)
                return self._asked(_without(begun, plan))
            return Outcome.LATE if status == TIMED_OUT else Outcome.SEEN, begun
        if told["by"] is None:
            return Outcome.SURVIVED, ""
        return Outcome.LATE if told["is_late"] else Outcome.SEEN, told["by"]

    def _is_green(self, test: str, plan: Plan, change: Change | None) -> bool:
        answer = self._answer([each for each in plan if each[0] == test], change)
        return answer.told.get("by", "the process ended") is None

    def _answer(self, plan: Plan, change: Change | None) -> Answer:
        answer = self._asker.ask(plan, change)
        self._processor += answer.processor
        return answer


def _without(test: str, plan: Plan) -> Plan:
    return [each for each in plan if each[0] != test]


def _imports(tree: Path) -> bool:
    command = [sys.executable, "-c", EVERYTHING]
    done = subprocess.run(command, cwd=tree, capture_output=True, timeout=120, check=False)
    return done.returncode == 0
