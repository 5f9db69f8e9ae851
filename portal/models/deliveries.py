"""The outbox and its log: events, deliveries, and attempts. Bodies are in separate tables."""

import uuid
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    ForeignKey,
    Index,
    String,
    Text,
    UniqueConstraint,
    and_,
    case,
    exists,
    literal_column,
    or_,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from portal.extensions import Base, Big
from portal.lib import request_id
from portal.lib.clock import common_now
from portal.lib.ids import public_id


class DeliveryStatus(StrEnum):
    """The statuses of a delivery, as stored and as shown.

    Queued and Retrying are open. An open delivery is Retrying once an attempt has failed, also
    during a person's Retry of a failed one. A resend of a delivered one is Queued.
    """

    QUEUED = "queued"
    RETRYING = "retrying"
    ON_HOLD = "on_hold"
    DELIVERED = "delivered"
    FAILED = "failed"
    DISMISSED = "dismissed"


# The names before migration 0101, which are still in people's bookmarks and in the audit trail.
EARLIER_STATUSES: Final = {
    "waiting": DeliveryStatus.QUEUED,
    "held": DeliveryStatus.ON_HOLD,
    "stopped": DeliveryStatus.DISMISSED,
}
OPEN = (DeliveryStatus.QUEUED, DeliveryStatus.RETRYING)

# The predicate of the partial indexes. Queries repeat it literally (`is_open`), so that both
# databases recognize that they can use the index.
IS_OPEN = "status IN ('queued', 'retrying')"
# The same for failing deliveries, except tests.
IS_FAILING = f"failing_since IS NOT NULL AND ({IS_OPEN} OR status = 'failed') AND priority <> 0"
# The same for dismissals with an undo.
IS_OF_AN_ACT = "dismissal_id IS NOT NULL"
# The same for failed attempts.
IS_FAILED_ATTEMPT = "outcome = 'failed'"


class Priority(IntEnum):
    """The order of claims. A test has its own priority."""

    TEST = 0
    INTERACTIVE = 1
    NORMAL = 2
    BULK = 3


class AttemptOutcome(StrEnum):
    """The results of an attempt. Interrupted: no process recorded its end."""

    INTERRUPTED = "interrupted"
    DELIVERED = "delivered"
    FAILED = "failed"


def _request() -> str | None:
    return request_id.current() or None


class Event(Base):
    """An event of an asset. `body`: the exact bytes for every receiver.

    `request_id`: the ID of the request that caused it, as in the log.
    """

    __tablename__ = "events"

    id: Mapped[Big] = mapped_column(primary_key=True)
    public_id: Mapped[uuid.UUID] = mapped_column(default=public_id, unique=True)
    event: Mapped[str] = mapped_column(String(40))
    asset_id: Mapped[int | None]
    asset_tag: Mapped[str] = mapped_column(String(40), default="")
    asset_name: Mapped[str] = mapped_column(String(120), default="")
    occurred_at: Mapped[datetime]
    body: Mapped[bytes]
    is_test: Mapped[bool] = mapped_column(default=False)
    request_id: Mapped[str | None] = mapped_column(String(16), default=_request)

    __table_args__ = ({"sqlite_autoincrement": True},)


class FeedEntry(Base):
    """The position of an event among all events except tests, in commit order.

    A trigger writes it (migration 0117).
    """

    __tablename__ = "feed"

    position: Mapped[Big] = mapped_column(primary_key=True)
    event_id: Mapped[Big] = mapped_column(ForeignKey("events.id", ondelete="CASCADE"), unique=True)

    __table_args__ = ({"sqlite_autoincrement": True},)


class Delivery(Base):
    """One event for one webhook.

    `due_at`: by the database's clock. `tries` counts ended scheduled attempts, `attempts` all ended
    attempts. `prior_*` are set during a person's extra attempt. For a dismissed delivery,
    `prior_status` is the status to restore. `dismissal_id`: shared by all deliveries that one
    action dismissed, None without an undo. `failing_since`: the end of the first failed
    attempt. A Retry doesn't change it, and a delivered one has none.
    """

    __tablename__ = "deliveries"

    id: Mapped[Big] = mapped_column(primary_key=True)
    public_id: Mapped[uuid.UUID] = mapped_column(default=public_id, unique=True)
    event_id: Mapped[Big] = mapped_column(ForeignKey("events.id"))
    webhook_id: Mapped[int] = mapped_column(ForeignKey("webhooks.id"))
    event: Mapped[str] = mapped_column(String(40))
    asset_id: Mapped[int | None]
    status: Mapped[str] = mapped_column(String(10), default=DeliveryStatus.QUEUED)
    priority: Mapped[int] = mapped_column(default=Priority.NORMAL)
    due_at: Mapped[datetime]
    tries: Mapped[int] = mapped_column(default=0)
    attempts: Mapped[int] = mapped_column(default=0)
    prior_status: Mapped[str | None] = mapped_column(String(10))
    prior_due_at: Mapped[datetime | None]
    requested_by: Mapped[str | None] = mapped_column(String(120))
    reason: Mapped[str | None] = mapped_column(String(20))
    code: Mapped[int | None]
    took_ms: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(default=common_now)
    finished_at: Mapped[datetime | None]
    failing_since: Mapped[datetime | None]
    dismissed_by: Mapped[str | None] = mapped_column(String(120))
    dismissed_at: Mapped[datetime | None]
    dismissed_reason: Mapped[str | None] = mapped_column(String(200))
    dismissal_id: Mapped[uuid.UUID | None]

    __table_args__ = (
        UniqueConstraint("event_id", "webhook_id"),
        Index(
            "ix_deliveries_due",
            "webhook_id",
            "priority",
            "due_at",
            "id",  # finds the lease without reading the row
            sqlite_where=text(IS_OPEN),
            postgresql_where=text(IS_OPEN),
        ),
        Index(
            "ix_deliveries_order",
            "webhook_id",
            "id",
            sqlite_where=text(IS_OPEN),
            postgresql_where=text(IS_OPEN),
        ),
        Index("ix_deliveries_webhook_id_id", "webhook_id", "id"),
        Index("ix_deliveries_webhook_id_status_id", "webhook_id", "status", "id"),
        Index("ix_deliveries_status_id", "status", "id"),
        Index("ix_deliveries_by_event", "event", "id"),
        Index("ix_deliveries_asset_id_id", "asset_id", "id"),
        Index("ix_deliveries_reason_id", "reason", "id"),
        Index("ix_deliveries_code_id", "code", "id"),
        Index("ix_deliveries_created_at", "created_at"),
        Index(
            "ix_deliveries_dismissal",
            "dismissal_id",
            "id",
            sqlite_where=text(IS_OF_AN_ACT),
            postgresql_where=text(IS_OF_AN_ACT),
        ),
        Index(
            "ix_deliveries_failing",
            "webhook_id",
            # These columns answer queries without reading the rows.
            "reason",
            "code",
            "status",
            "failing_since",
            "priority",
            sqlite_where=text(IS_FAILING),
            postgresql_where=text(IS_FAILING),
        ),
        {"sqlite_autoincrement": True},
    )


def is_open(column: Any = Delivery.status) -> ColumnElement[bool]:
    """Return the condition of open deliveries, written literally as in the partial index."""
    words: ColumnElement[bool] = column.in_([literal_column(f"'{status}'") for status in OPEN])
    return words


def is_failing() -> ColumnElement[bool]:
    """Return the condition of failing deliveries except tests, as in the partial index."""
    is_left = or_(is_open(), Delivery.status == literal_column("'failed'"))
    return and_(
        Delivery.failing_since.is_not(None), is_left, Delivery.priority != literal_column("0")
    )


class Lease(Base):
    """The claim of a delivery by a sender, and the only row of an attempt in progress.

    `until`: by the database's clock. A lease that is left after it proves a crash. `run`: of the
    process with the claim (`services/core/heartbeats.py`), which can reveal a crash sooner.
    `number`, `kind`, `actor`, `url`, `started_at`: of the attempt. There is no foreign key because
    it would lock the delivery's row, and so write to it.
    """

    __tablename__ = "leases"

    delivery_id: Mapped[Big] = mapped_column(primary_key=True, autoincrement=False)
    webhook_id: Mapped[int]
    token: Mapped[uuid.UUID]
    until: Mapped[datetime]
    run: Mapped[uuid.UUID | None]
    number: Mapped[int]
    kind: Mapped[str] = mapped_column(String(10))
    actor: Mapped[str | None] = mapped_column(String(120))
    url: Mapped[str] = mapped_column(String(2048))
    started_at: Mapped[datetime]

    __table_args__ = (
        Index("ix_leases_webhook_id", "webhook_id"),
        {
            # All its rows are replaced thousands of times per hour.
            "postgresql_with": {
                "autovacuum_vacuum_scale_factor": 0,
                "autovacuum_vacuum_threshold": 1000,
            }
        },
    )


def has_no_lease() -> ColumnElement[bool]:
    """Return the condition of deliveries without any lease, even an expired one."""
    return ~exists().where(Lease.delivery_id == Delivery.id)


def has_no_live_lease(now: Any) -> ColumnElement[bool]:
    """Return the condition of deliveries without an unexpired lease. `now`: the database's time."""
    return ~exists().where(Lease.delivery_id == Delivery.id, Lease.until > now)


# Foreign keys for SQLite only. For each inserted row, PostgreSQL would look up the parent and write
# a lock into its row, a twelfth of its work for a delivery (docs/adr/0017). Code that inserts
# attempts holds the lock of the webhook or the delivery. Code that removes deliveries removes their
# attempts first.
ON_SQLITE: Final = {"dialect": "sqlite"}


class Attempt(Base):
    """One HTTP request for a delivery.

    Inserted at its end. Until then, there is a `Lease`. An expired lease becomes an interrupted
    attempt. `phases` are milliseconds: name, connect, tls, first_byte, total, and again if it was
    sent twice.
    """

    __tablename__ = "attempts"

    id: Mapped[Big] = mapped_column(primary_key=True)
    delivery_id: Mapped[Big] = mapped_column(ForeignKey("deliveries.id", info=ON_SQLITE))
    number: Mapped[int]
    kind: Mapped[str] = mapped_column(String(10))
    actor: Mapped[str | None] = mapped_column(String(120))
    url: Mapped[str] = mapped_column(String(2048))
    outcome: Mapped[str] = mapped_column(String(12))
    reason: Mapped[str | None] = mapped_column(String(20))
    code: Mapped[int | None]
    phases: Mapped[dict[str, Any] | None]
    peer: Mapped[str | None] = mapped_column(String(64))
    certificate_ends_at: Mapped[datetime | None]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("delivery_id", "number"),
        Index(
            "ix_attempts_failures",
            "finished_at",
            "delivery_id",
            sqlite_where=text(IS_FAILED_ATTEMPT),
            postgresql_where=text(IS_FAILED_ATTEMPT),
        ),
        {"sqlite_autoincrement": True},
    )


def is_failed_attempt() -> ColumnElement[bool]:
    """Return the condition of failed attempts, written literally as in the partial index."""
    return Attempt.outcome == literal_column("'failed'")


def reopened() -> ColumnElement[str]:
    """Return the new status of a finished delivery that is sent again.

    It is Retrying after a failed attempt, but Queued for a delivered one.
    """
    status: ColumnElement[str] = Delivery.status.expression
    has_failed = exists().where(Attempt.delivery_id == Delivery.id, is_failed_attempt())
    return case(
        (status == DeliveryStatus.DELIVERED, str(DeliveryStatus.QUEUED)),
        (
            status.in_((DeliveryStatus.RETRYING, DeliveryStatus.FAILED)),
            str(DeliveryStatus.RETRYING),
        ),
        (has_failed, str(DeliveryStatus.RETRYING)),
        else_=str(DeliveryStatus.QUEUED),
    )


class AttemptBody(Base):
    """Headers and bodies of one attempt's request and response, with redacted header values.

    `request_body`: None if the event's own body was sent.
    """

    __tablename__ = "attempt_bodies"

    attempt_id: Mapped[Big] = mapped_column(
        ForeignKey("attempts.id", ondelete="CASCADE", info=ON_SQLITE), primary_key=True
    )
    request_headers: Mapped[list[Any]]
    request_body: Mapped[str | None] = mapped_column(Text)
    response_headers: Mapped[list[Any]]
    response_text: Mapped[str] = mapped_column(default="")
    is_truncated: Mapped[bool] = mapped_column(default=False)
    location: Mapped[str | None]
    detail: Mapped[str] = mapped_column(default="")


class Rollup(Base):
    """Counts of a webhook's deliveries that became Delivered or Failed in one hour, except tests.

    `hour`: its start, UTC, by the database's clock. `late`: delivered more than five minutes after
    the event. `failed_attempts`: all failed attempts, regardless of their delivery's status.
    """

    __tablename__ = "rollups"

    hour: Mapped[datetime] = mapped_column(primary_key=True)
    webhook_id: Mapped[int] = mapped_column(
        ForeignKey("webhooks.id", ondelete="CASCADE"), primary_key=True
    )
    delivered: Mapped[int] = mapped_column(default=0)
    failed: Mapped[int] = mapped_column(default=0)
    late: Mapped[int] = mapped_column(default=0)
    failed_attempts: Mapped[int] = mapped_column(default=0)

    __table_args__ = (Index("ix_rollups_webhook_id_hour", "webhook_id", "hour"),)


class RowOutcome(StrEnum):
    """The states of a delivery in a batch. The first two are in progress, the others final."""

    WAITING = "waiting"
    SENT = "sent"
    DELIVERED = "delivered"
    FAILED = "failed"
    SKIPPED = "skipped"
    UNSENT = "unsent"


class BatchRow(Base):
    """One delivery of a batch. `attempts`: its number of attempts before the batch sent it.

    `delivery_id` is no foreign key because the report outlives deliveries that retention removes.
    """

    __tablename__ = "batch_rows"

    task_id: Mapped[int] = mapped_column(
        ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True
    )
    delivery_id: Mapped[Big] = mapped_column(primary_key=True, autoincrement=False)
    webhook_id: Mapped[int]
    outcome: Mapped[str] = mapped_column(String(12), default=RowOutcome.WAITING)
    attempts: Mapped[int] = mapped_column(default=0)
    message: Mapped[str] = mapped_column(default="")

    __table_args__ = (
        Index("ix_batch_rows_next", "task_id", "outcome", "webhook_id", "delivery_id"),
    )
