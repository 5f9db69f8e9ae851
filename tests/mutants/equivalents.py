"""The table of equivalent mutants: changes that change nothing that anybody could see."""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.sample import Mutant

TABLE = Path(__file__).with_name("equivalents.toml")


@dataclass(frozen=True, slots=True)
class Equivalent:
    """A change by its lines, as the report shows them, and why it changes nothing."""

    path: str
    was: str
    now: str
    reason: str


class Equivalents:
    """The table, asked by mutants."""

    def __init__(self, rows: Iterable[Equivalent]) -> None:
        self.rows = {(row.path, row.was, row.now): row for row in rows}

    @classmethod
    def read(cls) -> "Equivalents":
        """The table of the repository."""
        told = tomllib.loads(TABLE.read_text()).get("equivalent", [])
        return cls(Equivalent(**row) for row in told)

    def reason(self, mutant: Mutant) -> str:
        """Why the mutant changes nothing; empty when it is not in the table."""
        row = self.rows.get((mutant.path, mutant.was, mutant.now))
        return row.reason if row else ""
