"""What is known already: the results of a seed, a line of JSON each, in an ignored folder."""

import hashlib
from pathlib import Path
from typing import Final

from tests.mutants.trees import ROOT, listed
from tests.mutants.trials.result import Outcome, Result

TREE: Final = ("jobs/", "migrations/", "portal/", "static/", "templates/", "tests/")


class Results:
    """Results are good for the tree in which they were found.

    `again`: what was seen in an earlier tree counts too, so that only survivors are tried again.
    """

    def __init__(self, kept: Path, *, again: bool) -> None:
        self._kept = kept
        self._tree = fingerprint()
        self._found: dict[str, Result] = {}
        for line in kept.read_text().splitlines() if kept.exists() else []:
            result = Result.from_json(line)
            is_good = result.tree == self._tree or (again and result.outcome.is_seen)
            if is_good and not (again and result.outcome in {Outcome.SURVIVED, Outcome.UNREACHED}):
                self._found[result.key] = result

    def get(self, key: str) -> Result | None:
        """The result of a mutant."""
        return self._found.get(key)

    def add(self, result: Result) -> None:
        """Keep a result."""
        result.tree = self._tree
        self._found[result.key] = result
        with self._kept.open("a") as file:
            file.write(result.as_json() + "\n")


def fingerprint() -> str:
    """What tells one state of the product and its tests from another."""
    told = hashlib.sha256()
    for path in listed():
        if path.startswith(TREE) and not path.startswith("tests/mutants/"):
            told.update(path.encode() + b"\0" + (ROOT / path).read_bytes())
    return told.hexdigest()[:16]
