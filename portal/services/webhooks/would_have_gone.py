"""Count the newest stored events that a webhook with these conditions would have received."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import select

from portal.engine.conditions.facts import facts_of
from portal.engine.conditions.predicate import are_met
from portal.models.deliveries import Event
from portal.services.core.unit_of_work import session
from portal.services.webhooks.rules import subscribed_to

MOST_READ: Final = 5000
SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """A summary of one stored event."""

    event: str
    asset_tag: str
    asset_name: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Counts of stored events. `met` of the `read` events of these kinds meet the conditions.

    `kinds`: both counts by event. `since`: the time of the oldest of them. `newest`: the newest
    that meet the conditions, newest first. `looked_at`: the maximum number of events, of any kind,
    that were searched.
    """

    read: int
    since: datetime | None
    met: int
    kinds: Mapping[str, tuple[int, int]]
    newest: Sequence[StoredEvent]
    looked_at: int


def count(events: Sequence[str], conditions: str | None) -> Counted:
    """Count among the newest `MOST_READ` events, without tests. `events`: as stored."""
    kinds = subscribed_to(events)
    newest = (
        select(Event.id)
        .where(Event.is_test.is_(False))
        .order_by(Event.id.desc())
        .limit(MOST_READ)
        .subquery()
    )
    columns = (Event.event, Event.asset_tag, Event.asset_name, Event.occurred_at)
    rows = session().execute(
        select(*columns, Event.body)
        .join(newest, newest.c.id == Event.id)
        .where(Event.event.in_(kinds))
        .order_by(Event.id.desc())
    )
    read, met = Counter[str](), Counter[str]()
    shown: list[StoredEvent] = []
    since: datetime | None = None
    for row in rows:
        since = row.occurred_at if since is None else min(since, row.occurred_at)
        read[row.event] += 1
        if are_met(conditions, facts_of(row.body)):
            met[row.event] += 1
            if len(shown) < SHOWN:
                shown.append(StoredEvent(row.event, row.asset_tag, row.asset_name, row.occurred_at))
    return Counted(
        read=read.total(),
        since=since,
        met=met.total(),
        kinds={kind: (read[kind], met[kind]) for kind in kinds if read[kind]},
        newest=shown,
        looked_at=MOST_READ,
    )
