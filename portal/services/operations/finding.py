"""What a finding is: one thing about the running portal that wants a look."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """`DANGER`: deliveries do not go out, alerts do not fire, or changes cannot be saved."""

    WARNING = "warning"
    DANGER = "danger"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that wants a look. `key`: its name for machines; it never changes."""

    key: str
    level: Level
    title: str
    todo: str
