"""The systems that the demo register is connected to, and how each of them answered, and when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from portal.engine.events.catalogue import EventName
from portal.engine.reasons import Reason, reason_for_code

EVERY: Final = tuple(EventName)
LENDING: Final = (
    EventName.CREATED,
    EventName.ALLOCATED,
    EventName.REVOKED,
    EventName.CHECKED_OUT,
    EventName.CHECKED_IN,
    EventName.LIQUIDATED,
)
VALUE: Final = tuple(event for event in LENDING if event is not EventName.CHECKED_IN)
TROUBLE: Final = (
    EventName.BROKEN,
    EventName.LOST,
    EventName.WARRANTY,
    EventName.MAINTENANCE_SCHEDULED,
    EventName.MAINTENANCE_COMPLETED,
    EventName.CHECKED_IN,
    EventName.CHECKOUT_OVERDUE,
    EventName.WARRANTY_EXPIRING,
)
STOCK_AND_PLACES: Final = (
    EventName.UPDATED,
    EventName.TRANSFERRED,
    EventName.CHECKED_IN,
    EventName.LOW_STOCK,
)


class Answer(NamedTuple):
    """What came back: a code with its text; or nothing, and then `broken_by` says why.

    `takes`: seconds, a little more or less each time.
    """

    code: int | None
    text: str = ""
    takes: float = 0.02
    broken_by: Reason | None = None
    retry_after: int | None = None

    @property
    def reason(self) -> Reason | None:
        """Why it counts as failed; None for success."""
        return self.broken_by or (reason_for_code(self.code) if self.code else None)


class Spell(NamedTuple):
    """From so many hours ago to so many hours ago it gave this answer."""

    begins: float
    ends: float
    answer: Answer


OK: Final = Answer(200, '{"status": "ok"}', 0.12)
BROKEN: Final = Answer(500, "NullPointerException at ErpSink.java:118", 0.21)
MENDED: Final = Answer(503, "Down for maintenance", 0.05, retry_after=2 * 3600)
RESTARTS: Final = Answer(503, "Service Unavailable", 0.04)
SLOW: Final = Answer(None, broken_by=Reason.READ_TIMEOUT)  # as long as we wait
CLOSED: Final = Answer(410, "Gone", 0.06)
BUSY: Final = Answer(429, "Too many requests", 0.03)
DENIED: Final = Answer(401, '{"error": "signature does not match"}', 0.05)
INSIDE: Final = Answer(200, "The built-in inbox has it.\n")
NOT_UNDERSTOOD: Final = Answer(422, '{"error": "asset.serial_number is missing"}', 0.09)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """One webhook of the demo.

    `is_inside`: it delivers into this portal; else to an address at which nobody listens. `odd`:
    every so-manieth delivery is one that it never accepts.
    """

    name: str
    events: Sequence[EventName]
    is_inside: bool = True
    in_order: bool = False
    usual: Answer = INSIDE
    spells: tuple[Spell, ...] = ()
    odd: int = 0

    def answer(self, delivery: int, at: datetime, now: datetime) -> Answer:
        """What it said then. `delivery`: the row's id; `now`: the end of the story."""
        hours = (now - at) / timedelta(hours=1)
        for spell in self.spells:
            if spell.ends <= hours < spell.begins:
                return spell.answer
        return NOT_UNDERSTOOD if self.odd and delivery % self.odd == 0 else self.usual


INBOX: Final = "Built-in inbox"
FINANCE: Final = "Finance depreciation"
WAREHOUSE: Final = "Warehouse sheet"
CRM: Final = "Old CRM"
HELPDESK: Final = "Helpdesk tickets"

# Hours ago of what the story is about.
FINANCE_WAS_DOWN: Final = (20 * 24.0, 16.2 * 24.0)
FINANCE_IS_DOWN: Final = 13.0
WAREHOUSE_IS_DOWN: Final = 5.0


def receivers() -> tuple[Receiver, ...]:
    """All of them, the inbox first."""
    return (
        Receiver(name=INBOX, events=EVERY),
        Receiver(
            name=HELPDESK,
            events=TROUBLE,
            spells=(Spell(260, 254, RESTARTS), Spell(100, 92, SLOW), Spell(9, 8.2, BUSY)),
        ),
        Receiver(
            name="Accounting export",
            events=LENDING,
            in_order=True,
            spells=(Spell(6, -1, DENIED),),
        ),
        Receiver(
            name=FINANCE,
            events=VALUE,
            is_inside=False,
            usual=OK,
            spells=(Spell(*FINANCE_WAS_DOWN, BROKEN), Spell(FINANCE_IS_DOWN, -1, BROKEN)),
            odd=29,
        ),
        Receiver(
            name=WAREHOUSE,
            events=STOCK_AND_PLACES,
            is_inside=False,
            usual=OK,
            spells=(Spell(WAREHOUSE_IS_DOWN, -1, MENDED),),
        ),
        Receiver(name=CRM, events=VALUE, is_inside=False, usual=OK),
        Receiver(
            name="Label service",
            events=(EventName.CREATED, EventName.CHECKED_OUT, EventName.TRANSFERRED),
            is_inside=False,
            usual=OK,
            spells=(Spell(4 * 24, -1, CLOSED),),
        ),
    )
