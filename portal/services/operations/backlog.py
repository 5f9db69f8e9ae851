"""How far the sending is behind: what waits, and since when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ScalarSelect, literal, select
from sqlalchemy.orm import Session, aliased

from portal.models.deliveries import Delivery, DeliveryStatus, Priority, has_no_live_lease, is_open
from portal.models.webhooks import Webhook
from portal.services.core.queries import capped
from portal.services.core.unit_of_work import database_time, session
from portal.services.outbox.due import find_wanted, heads

# Where deliveries go in order, what has to wait for its turn.
IN_TURN: Final = frozenset({Priority.NORMAL, Priority.BULK})


@dataclass(frozen=True, slots=True)
class Backlog:
    """`waiting`, `retrying`: counts (`capped`). `oldest_due_at`: of what could be
    sent this moment and is not, because nobody has picked it up."""

    waiting: int
    retrying: int
    oldest_due_at: datetime | None


def read_backlog() -> Backlog:
    """How things stand now. Reads only, and never the whole backlog."""
    current = session()
    return Backlog(
        waiting=_stored(current, DeliveryStatus.WAITING),
        retrying=_stored(current, DeliveryStatus.RETRYING),
        oldest_due_at=_oldest_due(current, database_time(current)),
    )


def _stored(current: Session, status: DeliveryStatus) -> int:
    return capped(current, select(literal(1)).where(Delivery.status == status))


def _oldest_due(current: Session, now: datetime) -> datetime | None:
    """One probe of the index for each priority of the webhooks that have something due. What such
    a webhook has of other priorities rests, however long ago it was due.

    In order, what was due long before its turn came tells nothing, but for the first.
    """
    wanted = {
        each.webhook_id: {*each.priorities, *((Priority.TEST,) if each.test_places else ())}
        for each in find_wanted(current.connection()).wanted
    }
    firsts = [_first_due(priority, now) for priority in Priority]
    rows = current.execute(
        select(Webhook.id, Webhook.in_order, *firsts).where(Webhook.id.in_(wanted))
    )
    found: list[datetime] = []
    in_turn: list[int] = []
    for webhook_id, in_order, *dues in rows:
        told = wanted[webhook_id]
        if in_order and Priority.NORMAL in told:
            in_turn.append(webhook_id)
        told = told - IN_TURN if in_order else told
        # None: somebody has taken it since the look.
        pairs = zip(Priority, dues, strict=True)
        found += [due for priority, due in pairs if due is not None and priority in told]
    return min([*found, *_turns(current, in_turn)], default=None)


def _turns(current: Session, webhook_ids: Sequence[int]) -> list[datetime]:
    """Since when the first of each of these webhooks, which want them in order, could have gone:
    it was due, and the one before it had ended."""
    if not webhook_ids:
        return []
    before = aliased(Delivery)
    ended = (
        select(before.finished_at)
        .where(
            before.webhook_id == Delivery.webhook_id,
            before.id < Delivery.id,
            before.priority != Priority.TEST,
        )
        .order_by(before.id.desc())
        .limit(1)
        .correlate(Delivery)
        .scalar_subquery()
    )
    first = [each for each in heads(current, webhook_ids).values() if each is not None]
    rows = current.execute(select(Delivery.due_at, ended).where(Delivery.id.in_(first)))
    return [max(due, ended_at or due) for due, ended_at in rows]


def _first_due(priority: Priority, now: datetime) -> ScalarSelect[datetime]:
    return (
        select(Delivery.due_at)
        .where(
            Delivery.webhook_id == Webhook.id,
            is_open(),
            Delivery.priority == priority,
            has_no_live_lease(now),
        )
        .order_by(Delivery.due_at)
        .limit(1)
        .correlate(Webhook)
        .scalar_subquery()
    )
