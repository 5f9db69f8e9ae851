"""What the processes do for the portal, and whether each duty is looked after. Pure."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from portal.queue.names import BACKGROUND, DELIVERIES
from portal.services.core import heartbeats
from portal.services.core.heartbeats import worker_of
from portal.services.operations.findings import lives_of
from portal.services.operations.health import Facts


class DutyState(StrEnum):
    """`SILENT`: there was a sign of life once."""

    RUNNING = "running"
    SILENT = "silent"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Duty:
    """One duty. `count`: living processes that do it."""

    name: str
    state: DutyState
    count: int
    seen_at: datetime | None


# name, the kinds of processes that do it
DUTIES: Final = (
    ("Showing pages", (heartbeats.WEB,)),
    ("Sending deliveries", (worker_of(DELIVERIES), heartbeats.PUMP)),
    ("Background work", (worker_of(BACKGROUND),)),
    ("Starting what is scheduled", (heartbeats.SCHEDULER,)),
)


def read_duties(facts: Facts) -> list[Duty]:
    """Every duty, in a fixed order."""
    return [_duty(facts, *each) for each in DUTIES]


def _duty(facts: Facts, name: str, kinds: tuple[str, ...]) -> Duty:
    seen = [each.seen_at for each in facts.lives if each.kind in kinds]
    count = len(lives_of(facts, *kinds))
    state = DutyState.RUNNING if count else DutyState.SILENT if seen else DutyState.NEVER
    return Duty(name, state, count, max(seen, default=None))
