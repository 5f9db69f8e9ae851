"""What became of a mutant."""

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from tests.mutants.sample import Mutant


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
