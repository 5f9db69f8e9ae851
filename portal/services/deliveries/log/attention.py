"""What wants a person: the one meaning of *Needs attention* for deliveries."""

from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, func, literal, not_, or_, select
from sqlalchemy.orm import Session

from portal.database.engine import UtcDateTime
from portal.models.deliveries import Delivery, DeliveryStatus, Lease, Priority
from portal.models.dismissals import Dismissal
from portal.models.webhooks import Webhook
from portal.services.outbox.next_try import is_behind, is_left_alone, is_where_nothing_arrives

# So many tries without success want a person's look.
TRIES_BEFORE_A_LOOK: Final = 3
LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)


def wants_attention(now: datetime) -> ColumnElement[bool]:
    """A person should look, unless one has dismissed it; see `StatusFilter`.

    Of deliveries that are failed or open. `now`: the database's clock.
    """
    # What failed at a receiver that is left alone is the reason why others wait there.
    enough = or_(Delivery.tries >= TRIES_BEFORE_A_LOOK, is_where_nothing_arrives(now))
    failing = and_(Delivery.status == DeliveryStatus.RETRYING, enough, not_(is_behind()))
    open_ones = and_(nobody_sends(now), or_(is_left_alone(now), failing))
    failed = Delivery.status == DeliveryStatus.FAILED
    return and_(Delivery.priority != Priority.TEST, or_(failed, open_ones))


def nobody_sends(now: datetime) -> ColumnElement[bool]:
    """`has_no_live_lease`, asked of each row as it is walked by, and in words that PostgreSQL takes
    for nearly always true: it would take half of the rows for leased, and read all of them."""
    live = select(func.count()).where(Lease.delivery_id == Delivery.id, Lease.until > now)
    return func.nullif(live.correlate(Delivery).scalar_subquery(), 1).is_not(None)


def is_undismissed(row: Any) -> ColumnElement[bool]:
    """It has not failed, or later than a problem of its kind was dismissed. `row`: a delivery."""
    until = (
        select(Dismissal.until)
        .where(
            Dismissal.webhook_id == row.webhook_id,
            Dismissal.reason == func.coalesce(row.reason, ""),
        )
        .scalar_subquery()
    )
    since = func.coalesce(until, literal(LONG_AGO, UtcDateTime()))
    ended = func.coalesce(row.finished_at, row.created_at)
    return or_(row.status != DeliveryStatus.FAILED, ended > since)


def has_dismissals(current: Session, webhook_id: int | None = None) -> bool:
    """Whether anything was ever dismissed, at one webhook if given."""
    wanted = select(Dismissal.webhook_id)
    if webhook_id is not None:
        wanted = wanted.where(Dismissal.webhook_id == webhook_id)
    return current.execute(wanted.limit(1)).first() is not None


def paused_webhooks(current: Session, now: datetime, webhook_id: int | None = None) -> list[int]:
    """The row ids of the webhooks that are left alone now; of one, if given."""
    wanted = select(Webhook.id).where(Webhook.not_before > now)
    if webhook_id is not None:
        wanted = wanted.where(Webhook.id == webhook_id)
    return list(current.scalars(wanted))
