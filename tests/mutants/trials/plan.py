"""A plan: the tests that are asked of a change, and what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias

Plan: TypeAlias = Sequence[tuple[str, float]]  # tests, the nearest first, and their usual seconds


@dataclass(frozen=True, slots=True)
class Change:
    """The text of a file before and after; the file has it already. `path` is from the root."""

    path: str
    old: str
    new: str
    is_at_import: bool  # whether what changed is done while the file is imported


class Answer(NamedTuple):
    """What came of a plan: the exit status, the plugin's verdict if it came to one, and the seconds
    of processor that all of it took."""

    status: int
    told: dict[str, Any]
    processor: float


class Asker(Protocol):
    """Asks the tests of a plan, in a copy of the tree."""

    def prepare(self) -> None:
        """Read what is needed from the copy, which is as it was."""

    def ask(self, plan: Plan, change: Change | None) -> Answer:
        """Run them; `change` is what the copy differs by, if it does."""


def limit_of(plan: Plan) -> float:
    """The seconds that a plan may take."""
    return 300 + 5 * sum(seconds for _, seconds in plan)
