"""What is claimable now, asked in one way by the pump, the sweep and whoever says "more is due"."""

from collections.abc import Iterable
from datetime import datetime
from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Exists,
    ScalarSelect,
    Select,
    TextualSelect,
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

from portal.database.engine import UtcDateTime, database_now
from portal.extensions import settings
from portal.models.deliveries import IS_OPEN, Delivery, Priority, has_no_live_lease, is_open
from portal.models.webhooks import Webhook, WebhookState
from portal.services.core.rowset import as_json, given_ids
from portal.services.core.skip_scan import skip_scan
from portal.services.core.unit_of_work import session

TEST_PLACES: Final = 1

# What the statements below are given when they run.
NOW: Final[Any] = bindparam("now", type_=UtcDateTime())


class Claimable(NamedTuple):
    """How many deliveries a webhook may have claimed now, and of which priorities.

    `leased`: how many are being sent to it, tests apart; `throttled`: its receiver is in trouble.
    In order, the normal one is its oldest open delivery; retries of younger ones go out of turn.
    """

    webhook_id: int
    in_order: bool
    test_places: int
    places: int
    priorities: tuple[Priority, ...]
    leased: int = 0
    throttled: bool = False

    @property
    def takes_head(self) -> bool:
        """Whether its oldest is what it wants of the normal ones."""
        return self.in_order and self.places > 0 and Priority.NORMAL in self.priorities


class Flags(NamedTuple):
    """A webhook, and of which priorities it has something due."""

    id: int
    in_order: bool
    throttled: bool
    due_0: bool
    due_1: bool
    due_2: bool
    due_3: bool


def has_claimable() -> bool:
    """Whether a claim made now would get anything. Reads only."""
    connection = session().connection()
    return bool(find_wanted(connection, database_now(connection)))


def find_wanted(
    connection: Connection, now: datetime, among: Iterable[int] | None = None
) -> list[Claimable]:
    """The webhooks (`among` these ids) with something due and a free place, and what they may take.

    Exact once the webhooks' rows are locked.
    """
    dialect = connection.dialect.name
    if among is None:
        found = connection.execute(_due_by_webhook(dialect), {"now": now})
    else:
        found = connection.execute(_due_among(dialect), {"now": now, "ids": as_json(among)})
    # Asking for what is due in a WHERE as well would have the database find it out twice.
    flags = [each for each in map(Flags._make, found.all()) if any(each[3:])]
    leases = live_leases(connection, [each.id for each in flags], now) if flags else {}
    wanted = [_free_places(each, *leases.get(each.id, (0, 0))) for each in flags]
    return [each for each in wanted if each.test_places or each.places]


def _free_places(row: Flags, tests: int, others: int) -> Claimable:
    """What is left of a webhook's places, given its live leases."""
    due = {Priority.INTERACTIVE: row.due_1, Priority.NORMAL: row.due_2, Priority.BULK: row.due_3}
    priorities = tuple(priority for priority, is_due in due.items() if is_due)
    cap = most_at_once(throttled=row.throttled, in_order=row.in_order)
    return Claimable(
        row.id,
        row.in_order,
        test_places=max(0, TEST_PLACES - tests) if row.due_0 else 0,
        places=max(0, cap - others) if priorities else 0,
        priorities=priorities,
        leased=others,
        throttled=row.throttled,
    )


def most_at_once(*, throttled: bool, in_order: bool) -> int:
    """How many a webhook is sent at once, tests apart."""
    return 1 if throttled or in_order else settings().webhook_max_in_flight


def live_leases(
    connection: Connection, webhook_ids: Iterable[int], now: datetime
) -> dict[int, tuple[int, int]]:
    """How many deliveries of each webhook are being sent: (tests, others)."""
    values = {"ids": as_json(webhook_ids), "now": now}
    found = connection.execute(_leases(connection.dialect.name), values)
    return {row[0]: (row[1], row[2]) for row in found.all()}


# Statements are built once: building one costs more than running it.
@cache
def _leases(dialect: str) -> Select[int, Any, Any]:
    is_test = Delivery.priority == literal_column(str(int(Priority.TEST)))
    return (
        select(
            Delivery.webhook_id,
            func.sum(case((is_test, 1), else_=0)),
            func.sum(case((is_test, 0), else_=1)),
        )
        .where(
            Delivery.webhook_id.in_(given_ids(dialect)),
            Delivery.lease_token.is_not(None),
            Delivery.lease_until > NOW,
        )
        .group_by(Delivery.webhook_id)
    )


@cache
def _due_among(dialect: str) -> Select[*tuple[Any, ...]]:
    return _due_flags().where(Webhook.id.in_(given_ids(dialect)))


@cache
def _due_by_webhook(dialect: str) -> Select[*tuple[Any, ...]]:
    """The flags of every webhook with an open row.

    Walks from one webhook to the next through the index of open rows: the cost grows with the
    webhooks that have any, never with their backlog.
    """
    walk = with_open_rows(dialect).cte()
    return _due_flags().join(walk, walk.c.id == Webhook.id)


def _due_flags() -> Select[*tuple[Any, ...]]:
    """The columns of `Flags`."""
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
    return select(Webhook.id, Webhook.in_order, Webhook.throttled, *labelled)


def head_of(webhook_id: ColumnElement[int] | int) -> ScalarSelect[int]:
    """The oldest open delivery of a webhook, tests apart, and retries of what had ended.

    One that a person retries while its turn lasts keeps its turn: the next may not overtake it.
    """
    head = aliased(Delivery)
    was_open = or_(head.prior_status.is_(None), is_open(head.prior_status))
    # Not min(id): for that, SQLite reads every open row of the webhook.
    return (
        select(head.id)
        .where(
            head.webhook_id == webhook_id,
            is_open(head.status),
            head.priority != Priority.TEST,
            was_open,
        )
        .order_by(head.id)
        .limit(1)
        .scalar_subquery()
    )


def _head_is_due() -> Exists:
    head = head_of(Webhook.id.expression).correlate(Webhook)
    return exists().where(Delivery.id == head, Delivery.due_at <= NOW, has_no_live_lease(NOW))


def with_open_rows(dialect: str) -> TextualSelect:
    """The ids of the webhooks that have an open delivery, by a skip scan of its index."""
    # SQLite's planner would rather look at every open row for each step of it.
    by = "INDEXED BY ix_deliveries_order" if dialect == "sqlite" else ""
    return skip_scan("deliveries", "webhook_id", IS_OPEN, by=by)


def _is_due(priority: Priority) -> ColumnElement[bool]:
    # Not EXISTS: for that, PostgreSQL may read all that is due, once for all webhooks. The order
    # has both databases walk the index and stop at the first.
    first: Select[Any] = (
        select(literal_column("1"))
        .where(
            Delivery.webhook_id == Webhook.id,
            is_open(),
            Delivery.priority == literal_column(str(int(priority))),
            Delivery.due_at <= NOW,
            has_no_live_lease(NOW),
        )
        .order_by(Delivery.due_at)
        .limit(1)
    )
    return first.correlate(Webhook).scalar_subquery().is_not(None)
