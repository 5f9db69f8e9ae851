"""What is claimable now, asked in one way by the pump, the sweep and whoever says "more is due"."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    Connection,
    Exists,
    Select,
    and_,
    case,
    exists,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.orm import aliased

from portal.database import database_now
from portal.extensions import settings
from portal.models.deliveries import Delivery, Priority, has_no_live_lease, is_open
from portal.models.webhooks import Webhook, WebhookState
from portal.services.unit import session

TEST_PLACES: Final = 1


@dataclass(frozen=True, slots=True)
class Wanted:
    """How many deliveries a webhook may have claimed now, and of which priorities."""

    webhook_id: int
    test_places: int
    places: int
    priorities: tuple[Priority, ...]


def has_claimable() -> bool:
    """Whether a claim made now would get anything. Reads only."""
    connection = session().connection()
    return bool(find_wanted(connection, database_now(connection)))


def find_wanted(connection: Connection, now: datetime) -> list[Wanted]:
    """The webhooks that have something due and a free place, and what they may take."""
    rows = connection.execute(_due_by_webhook(now)).all()
    leases = live_leases(connection, [row.id for row in rows], now)
    wanted = [
        free_places(
            row.id, leases, with_test=row.due_0, priorities=tuple(p for p in REAL if row[1 + p])
        )
        for row in rows
    ]
    return [each for each in wanted if each.test_places or each.places]


REAL: Final = (Priority.INTERACTIVE, Priority.NORMAL, Priority.BULK)


def free_places(
    webhook_id: int,
    leases: dict[int, tuple[int, int]],
    *,
    with_test: bool,
    priorities: tuple[Priority, ...],
) -> Wanted:
    """What is left of a webhook's places, given its live leases (tests, others)."""
    tests, others = leases.get(webhook_id, (0, 0))
    return Wanted(
        webhook_id,
        test_places=max(0, TEST_PLACES - tests) if with_test else 0,
        places=max(0, settings().webhook_max_in_flight - others) if priorities else 0,
        priorities=priorities,
    )


def live_leases(
    connection: Connection, webhook_ids: Iterable[int], now: datetime
) -> dict[int, tuple[int, int]]:
    """How many deliveries of each webhook are being sent: (tests, others)."""
    is_test = Delivery.priority == Priority.TEST
    counts = (
        select(
            Delivery.webhook_id,
            func.sum(case((is_test, 1), else_=0)),
            func.sum(case((is_test, 0), else_=1)),
        )
        .where(
            Delivery.webhook_id.in_(list(webhook_ids)),
            Delivery.lease_token.is_not(None),
            Delivery.lease_until > now,
        )
        .group_by(Delivery.webhook_id)
    )
    return {row[0]: (row[1], row[2]) for row in connection.execute(counts)}


def _due_by_webhook(now: datetime) -> Select[*tuple[Any, ...]]:
    """(id, due_0 … due_3): the webhooks with something due, by priority.

    Walks from one webhook to the next through the index of open rows: the cost grows with the
    webhooks that have any, never with their backlog.
    """
    walk = with_open_rows().cte()
    is_free = and_(Webhook.state == WebhookState.ACTIVE, Webhook.deleted_at.is_(None))
    not_paused = or_(Webhook.not_before.is_(None), Webhook.not_before <= now)
    due = [
        and_(Webhook.deleted_at.is_(None), _is_due(Priority.TEST, now)),
        and_(is_free, _is_due(Priority.INTERACTIVE, now)),
        and_(is_free, not_paused, _is_due(Priority.NORMAL, now)),
        and_(is_free, not_paused, _is_due(Priority.BULK, now)),
    ]
    labelled = [each.label(f"due_{number}") for number, each in enumerate(due)]
    return select(Webhook.id, *labelled).join(walk, walk.c.id == Webhook.id).where(or_(*due))


def with_open_rows() -> Select[int]:
    """The ids of the webhooks that have an open delivery, by a skip scan of its index."""
    first = select(func.min(Delivery.webhook_id).label("id")).where(is_open())
    walk = first.cte("walk", recursive=True)
    later = aliased(Delivery)
    following = (
        select(func.min(later.webhook_id))
        .where(is_open(later.status), later.webhook_id > walk.c.id)
        .scalar_subquery()
    )
    walk = walk.union_all(select(following).where(walk.c.id.is_not(None)))
    return select(walk.c.id).where(walk.c.id.is_not(None))


def _is_due(priority: Priority, now: datetime) -> Exists:
    return exists().where(
        Delivery.webhook_id == Webhook.id,
        is_open(),
        Delivery.priority == literal_column(str(int(priority))),
        Delivery.due_at <= now,
        has_no_live_lease(now),
    )
