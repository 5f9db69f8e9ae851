"""A trial: one mutant in a copy of the tree, and the tests that are asked whether they see it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from tests.mutants.sample import Mutant
from tests.mutants.source import Module
from tests.mutants.trees import TIMED_OUT, pytest_in

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


def tried(
    tree: Path, mutant: Mutant, module: Module, plan: Sequence[tuple[str, float]], area: str
) -> Result:
    """Put the mutant into the copy, ask the tests of the plan, and take it out again."""
    if not plan:
        return Result.of(mutant, area, Outcome.UNREACHED)
    file, begun = tree / mutant.path, time.monotonic()
    file.write_text(mutant.text(module))
    # Bytecode is told apart by whole seconds and size, which two mutants may share.
    stamp = int(mutant.key[:7], 16)
    os.utime(file, (stamp, stamp))
    try:
        outcome, more = _asked(tree, plan)
    finally:
        file.write_text(module.text)
    seconds = round(time.monotonic() - begun, 1)
    return Result.of(mutant, area, outcome, tests=len(plan), seconds=seconds, **more)


def _asked(tree: Path, plan: Sequence[tuple[str, float]]) -> tuple[Outcome, dict[str, Any]]:
    folder = tree.parent
    (folder / "plan.json").write_text(json.dumps(plan))
    verdict = folder / "verdict.json"
    verdict.unlink(missing_ok=True)
    files = dict.fromkeys(test.partition("::")[0] for test, _ in plan)
    limit = 300 + 5 * sum(seconds for _, seconds in plan)
    options = ["-p", "tests.mutants.trial_plugin", "--plan", str(folder / "plan.json")]
    arguments = [*options, "--verdict", str(verdict), *files]
    status = pytest_in(tree, arguments, limit, folder / "output.txt")
    if not verdict.exists():
        # Nothing ran: the product is broken, or a test's own file finds fault while it is read.
        return (
            (Outcome.SEEN, {"by": "the tests' files"}) if _imports(tree) else (Outcome.BROKEN, {})
        )
    told = json.loads(verdict.read_text())
    more: dict[str, Any] = {"at_times": told["at_times"]}
    if "by" not in told:
        ended = Outcome.LATE if status == TIMED_OUT else Outcome.SEEN
        return ended, more | {"by": f"{told['begun']} (the tests' process ended)"}
    if told["by"] is None:
        return Outcome.SURVIVED, more
    return (Outcome.LATE if told["is_late"] else Outcome.SEEN), more | {"by": told["by"]}


def _imports(tree: Path) -> bool:
    command = [sys.executable, "-c", EVERYTHING]
    done = subprocess.run(command, cwd=tree, capture_output=True, timeout=120, check=False)
    return done.returncode == 0
