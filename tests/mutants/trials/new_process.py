"""A pytest for each plan: it imports all anew, and so sees every change."""

import json
from pathlib import Path

from tests.mutants.trees import pytest_in
from tests.mutants.trials.plan import Answer, Change, Plan, limit_of


class NewProcess:
    """Asks in the copy whose root is `tree`."""

    def __init__(self, tree: Path) -> None:
        self._tree = tree

    def prepare(self) -> None:
        """Nothing: it reads all anew."""

    def ask(self, plan: Plan, change: Change | None) -> Answer:
        """Run the tests of the plan."""
        folder = self._tree.parent
        (folder / "plan.json").write_text(json.dumps(plan))
        verdict = folder / "verdict.json"
        verdict.unlink(missing_ok=True)
        files = dict.fromkeys(test.partition("::")[0] for test, _ in plan)
        options = ["-p", "tests.mutants.trials.trial_plugin", "--plan", str(folder / "plan.json")]
        arguments = [*options, "--verdict", str(verdict), *files]
        status, processor = pytest_in(self._tree, arguments, limit_of(plan), folder / "output.txt")
        return Answer(status, told_in(verdict), processor)


def told_in(verdict: Path) -> dict[str, object]:
    """What the plugin wrote; nothing if it did not come to that."""
    return json.loads(verdict.read_text()) if verdict.exists() else {}
