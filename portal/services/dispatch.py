"""What is claimable now, asked in one way by the pump, the sweep and whoever says "more is due"."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Exists,
    ScalarSelect,
    Select,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.orm import aliased

from portal.database import AnyRow, UtcDateTime, database_now
from portal.extensions import settings
from portal.models.deliveries import Delivery, Priority, has_no_live_lease, is_open
from portal.models.webhooks import Webhook, WebhookState
from portal.services.unit import session

TEST_PLACES: Final = 1

# What the statements below are given when they run.
NOW: Final[Any] = bindparam("now", type_=UtcDateTime())
IDS: Final[Any] = bindparam("ids", expanding=True)


@dataclass(frozen=True, slots=True)
class Wanted:
    """How many deliveries a webhook may have claimed now, and of which priorities.

    In order, the normal one is its oldest open delivery; people's own retries go out of turn.
    """

    webhook_id: int
    in_order: bool
    test_places: int
    places: int
    priorities: tuple[Priority, ...]


def has_claimable() -> bool:
    """Whether a claim made now would get anything. Reads only."""
    connection = session().connection()
    return bool(find_wanted(connection, database_now(connection)))


def find_wanted(
    connection: Connection, now: datetime, among: Iterable[int] | None = None
) -> list[Wanted]:
    """The webhooks (`among` these ids) with something due and a free place, and what they may take.

    Exact once the webhooks' rows are locked.
    """
    if among is None:
        rows = connection.execute(_due_by_webhook(), {"now": now}).all()
    else:
        rows = connection.execute(_due_among(), {"now": now, "ids": list(among)}).all()
    leases = live_leases(connection, [row.id for row in rows], now)
    wanted = [_free_places(row, *leases.get(row.id, (0, 0))) for row in rows]
    return [each for each in wanted if each.test_places or each.places]


def _free_places(row: AnyRow, tests: int, others: int) -> Wanted:
    """What is left of a webhook's places, given its live leases."""
    due = {Priority.INTERACTIVE: row.due_1, Priority.NORMAL: row.due_2, Priority.BULK: row.due_3}
    priorities = tuple(priority for priority, is_due in due.items() if is_due)
    cap = 1 if row.throttled or row.in_order else settings().webhook_max_in_flight
    return Wanted(
        row.id,
        row.in_order,
        test_places=max(0, TEST_PLACES - tests) if row.due_0 else 0,
        places=max(0, cap - others) if priorities else 0,
        priorities=priorities,
    )


def live_leases(
    connection: Connection, webhook_ids: Iterable[int], now: datetime
) -> dict[int, tuple[int, int]]:
    """How many deliveries of each webhook are being sent: (tests, others)."""
    found = connection.execute(_leases(), {"ids": list(webhook_ids), "now": now})
    return {row[0]: (row[1], row[2]) for row in found}


# Statements are built once: building one costs more than running it.
@cache
def _leases() -> Select[int, Any, Any]:
    is_test = Delivery.priority == literal_column(str(int(Priority.TEST)))
    return (
        select(
            Delivery.webhook_id,
            func.sum(case((is_test, 1), else_=0)),
            func.sum(case((is_test, 0), else_=1)),
        )
        .where(
            Delivery.webhook_id.in_(IDS),
            Delivery.lease_token.is_not(None),
            Delivery.lease_until > NOW,
        )
        .group_by(Delivery.webhook_id)
    )


@cache
def _due_among() -> Select[*tuple[Any, ...]]:
    return _due_by_webhook().where(Webhook.id.in_(IDS))


@cache
def _due_by_webhook() -> Select[*tuple[Any, ...]]:
    """(id, in_order, throttled, due_0 … due_3): webhooks with something due, by priority.

    Walks from one webhook to the next through the index of open rows: the cost grows with the
    webhooks that have any, never with their backlog.
    """
    walk = with_open_rows().cte()
    is_on = and_(Webhook.state == WebhookState.ACTIVE, Webhook.deleted_at.is_(None))
    not_paused = or_(Webhook.not_before.is_(None), Webhook.not_before <= NOW)
    # In order, only the head probes, and at its own due time: the webhook's pause is not asked.
    usual = and_(is_on, Webhook.in_order.is_(False), not_paused)
    head = and_(is_on, Webhook.in_order.is_(True), _head_is_due())
    due = [
        and_(Webhook.deleted_at.is_(None), _is_due(Priority.TEST)),
        and_(is_on, _is_due(Priority.INTERACTIVE)),
        or_(head, and_(usual, _is_due(Priority.NORMAL))),
        and_(is_on, not_paused, _is_due(Priority.BULK)),
    ]
    labelled = [each.label(f"due_{number}") for number, each in enumerate(due)]
    return (
        select(Webhook.id, Webhook.in_order, Webhook.throttled, *labelled)
        .join(walk, walk.c.id == Webhook.id)
        .where(or_(*due))
    )


def head_of(webhook_id: ColumnElement[int] | int) -> ScalarSelect[int]:
    """The oldest open delivery of a webhook, tests and people's own retries apart."""
    head = aliased(Delivery)
    return (
        select(func.min(head.id))
        .where(
            head.webhook_id == webhook_id,
            is_open(head.status),
            head.priority != Priority.TEST,
            head.prior_status.is_(None),
        )
        .scalar_subquery()
    )


def _head_is_due() -> Exists:
    head = head_of(Webhook.id.expression).correlate(Webhook)
    return exists().where(Delivery.id == head, Delivery.due_at <= NOW, has_no_live_lease(NOW))


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


def _is_due(priority: Priority) -> Exists:
    return exists().where(
        Delivery.webhook_id == Webhook.id,
        is_open(),
        Delivery.priority == literal_column(str(int(priority))),
        Delivery.due_at <= NOW,
        has_no_live_lease(NOW),
    )
