"""Remove deliveries `RETENTION_DAYS` after they ended, with all their data.

Transactions are small, and rows in use are left to the next run. The timeline of an asset keeps
its lines.
"""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, TypeVar

from sqlalchemy import ColumnElement, Select, and_, delete, exists, func, or_, select, update
from sqlalchemy.orm import Session

from portal.engine.reasons import Reason
from portal.extensions import settings
from portal.lib.clock import frozen_at, note_skew
from portal.lib.durations import in_words
from portal.models.deliveries import (
    Delivery,
    DeliveryStatus,
    Event,
    Rollup,
    has_no_live_lease,
)
from portal.models.mails import Mail
from portal.models.operations import Submission
from portal.models.people import Link
from portal.models.tasks import Task, TaskState
from portal.models.webhooks import InboxMessage, Webhook
from portal.services.core.permissions import SYSTEM
from portal.services.core.queries import remove_in_steps
from portal.services.core.unit_of_work import database_time, session, writing
from portal.services.mail import mails
from portal.services.outbox import at_rest, leases, rollups
from portal.services.outbox.at_rest import Dismissal
from portal.services.outbox.rollups import remove_deliveries
from portal.services.people import sessions, sign_in_throttle
from portal.services.webhooks import rows as webhook_rows
from portal.services.webhooks.inbox import KEPT_FOR
from portal.services.webhooks.secrets import forget_replaced

BATCH: Final = 200
FINAL: Final = (DeliveryStatus.DELIVERED, DeliveryStatus.FAILED, DeliveryStatus.DISMISSED)
HOLD_EXPIRED: Final = "Hold expired"
WINDOW: Final = 1000  # events checked in one step
# An event that is being stored can still refer to a webhook that was just deleted.
DELETED_FOR: Final = timedelta(days=1)
# Charts show a week, even if the log is kept for less.
CHARTS: Final = timedelta(days=8)
LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)
DISMISSED: Final = "deliveries on hold dismissed"
DELIVERIES: Final = "deliveries removed"
EVENTS: Final = "events removed"
HOURS: Final = "hours of charts removed"
DRAFTS: Final = "drafts removed"
SECRETS: Final = "replaced secrets erased"
WEBHOOKS: Final = "deleted webhooks removed"

T = TypeVar("T")
Place = tuple[datetime, int]  # a delivery's time and row id
START: Final[Place] = (LONG_AGO, 0)


def prune(seconds: float | None = None) -> dict[str, int]:
    """Remove expired rows, for at most about `seconds`. Safe to run concurrently.

    Returns counts by name. The next run continues. Uses the database's clock. Raises `WrongClock`.
    """
    trust()
    until = time.monotonic() + seconds if seconds is not None else None
    before = _before()
    done = {
        DISMISSED: _repeat(partial(_dismiss_held, before), START, until),
        DELIVERIES: _repeat(partial(_let_go, before), START, until),
        EVENTS: _repeat(partial(_let_go_unheard, before), 0, until),
        HOURS: _repeat(partial(_forget, _of_charts(before)), 0, until),
    }
    with writing() as current:
        done[DRAFTS] = webhook_rows.prune_drafts(current)
        done[SECRETS] = forget_replaced(current)
        done[WEBHOOKS] = _let_go_webhooks(current)
    clear(before, database_time(session()))
    return done


def count() -> dict[str, int]:
    """Count rows that `prune` would remove now, by the same names. Reads only."""
    before = _before()
    is_used = exists().where(Delivery.webhook_id == Webhook.id, ~_is_over(before))
    return {
        DISMISSED: _how_many(select(Delivery.id).where(_is_held_too_long(before), _is_free())),
        DELIVERIES: _how_many(select(Delivery.id).where(_is_over(before), _is_free())),
        EVENTS: _repeat(partial(_count_unheard, before), 0, None),
        HOURS: _how_many(select(Rollup.hour).where(Rollup.hour < _of_charts(before)).distinct()),
        DRAFTS: _how_many(webhook_rows.old_drafts(session())),
        SECRETS: _how_many(select(Webhook.id).where(Webhook.old_until <= database_time(session()))),
        WEBHOOKS: _how_many(select(Webhook.id).where(_is_long_deleted(), ~is_used)),
    }


def kept_until(finished_at: datetime | None) -> datetime | None:
    """Return until when a delivery that ended then is kept, or None if it hasn't ended."""
    return finished_at + timedelta(days=settings().retention_days) if finished_at else None


def _repeat(step: Callable[[T], tuple[int, T | None]], start: T, until: float | None) -> int:
    """Run steps, each from the end of the last one, until none is left or the time is over."""
    total, after = 0, start
    while until is None or time.monotonic() < until:
        count, last = step(after)
        total += count
        if last is None:
            break
        after = last
    return total


def _dismiss_held(before: datetime, after: Place) -> tuple[int, Place | None]:
    with writing() as current:
        ids, last = _locked(current, before, _is_held_too_long(before), after)
        dismissal = Dismissal(SYSTEM.name, HOLD_EXPIRED)
        values = at_rest.dismissed(database_time(current), dismissal)
        values["reason"] = Reason.WEBHOOK_OFF
        current.execute(update(Delivery).where(Delivery.id.in_(ids)).values(values))
        return len(ids), last


def _let_go(before: datetime, after: Place) -> tuple[int, Place | None]:
    with writing() as current:
        ids, last = _locked(current, before, _is_over(before), after)
        events = current.scalars(select(Delivery.event_id).where(Delivery.id.in_(ids))).all()
        # Lock events first. If two runs remove an event's last two deliveries, one of them sees it.
        query = select(Event.id).where(Event.id.in_(events)).order_by(Event.id)
        current.execute(query.with_for_update())
        remove_deliveries(current, ids)
        current.execute(delete(Event).where(Event.id.in_(events), ~_has_deliveries()))
        return len(ids), last


def _let_go_unheard(before: datetime, after: int) -> tuple[int, int | None]:
    """Remove events without subscribers, or whose deliveries were removed without them."""
    with writing() as current:
        query, last = _unheard(current, before, after)
        ids = current.scalars(query.with_for_update(skip_locked=True)).all()
        current.execute(delete(Event).where(Event.id.in_(ids)))
        return len(ids), last


def _count_unheard(before: datetime, after: int) -> tuple[int, int | None]:
    query, last = _unheard(session(), before, after)
    return _how_many(query), last


def _unheard(current: Session, before: datetime, after: int) -> tuple[Select[int], int | None]:
    """Return a query for expired events among the next `WINDOW`, and their last id.

    The id is None at the end, or if none is old. Ids are in the order of time, so all that follow
    are young, and there can be millions.
    """
    window = select(Event.id, Event.occurred_at).where(Event.id > after).order_by(Event.id)
    rows = current.execute(window.limit(WINDOW)).all()
    is_end = len(rows) < WINDOW or not any(row.occurred_at < before for row in rows)
    last = rows[-1].id if rows else after
    inside = and_(Event.id > after, Event.id <= last, Event.occurred_at < before)
    expired = select(Event.id).where(inside, ~_has_deliveries()).order_by(Event.id)
    return expired, None if is_end else last


def _forget(before: datetime, _after: int) -> tuple[int, int | None]:
    with writing() as current:
        hours = rollups.forget_oldest(current.connection(), before)
    return hours, hours or None


def _let_go_webhooks(current: Session) -> int:
    """Remove deleted webhooks that have no deliveries left."""
    is_used = exists().where(Delivery.webhook_id == Webhook.id)
    query = select(Webhook.id).where(_is_long_deleted(), ~is_used).limit(BATCH)
    ids = current.scalars(query.with_for_update(skip_locked=True)).all()
    current.execute(delete(Webhook).where(Webhook.id.in_(ids)))
    return len(ids)


def _locked(
    current: Session, before: datetime, wanted: ColumnElement[bool], after: Place
) -> tuple[Sequence[int], Place | None]:
    """Lock the next deliveries stored before `before`, and skip rows that others locked.

    Walks by their times, so that millions of younger rows are never read.
    """
    at, last_id = after
    beside = or_(Delivery.created_at > at, Delivery.id > last_id)
    query = (
        select(Delivery.id, Delivery.created_at)
        .where(Delivery.created_at >= at, Delivery.created_at < before, beside)
        .where(wanted, _is_free())
        .order_by(Delivery.created_at, Delivery.id)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    )
    rows = current.execute(query).all()
    is_end = len(rows) < BATCH
    free = leases.free_among(current, [row.id for row in rows], database_time(current))
    return free, None if is_end else (rows[-1].created_at, rows[-1].id)


def _before() -> datetime:
    return database_time(session()) - timedelta(days=settings().retention_days)


def _is_held_too_long(before: datetime) -> ColumnElement[bool]:
    """Match old deliveries on hold whose webhook has been off for as long.

    Attempts can have taken days before it was turned off, and that time doesn't count as held.
    """
    off_since = exists().where(Webhook.id == Delivery.webhook_id, Webhook.off_at >= before)
    return and_(_stored() == DeliveryStatus.ON_HOLD, Delivery.created_at < before, ~off_since)


def _is_over(before: datetime) -> ColumnElement[bool]:
    ended = func.coalesce(Delivery.finished_at, Delivery.created_at)
    final = _stored().in_([str(status) for status in FINAL])
    return and_(final, Delivery.created_at < before, ended < before)


def _stored() -> ColumnElement[str]:
    """Return the status, hidden from the planner, because its index leads through the whole log."""
    return func.coalesce(Delivery.status, "")


def _of_charts(before: datetime) -> datetime:
    return min(before, database_time(session()) - CHARTS)


def _is_free() -> ColumnElement[bool]:
    return has_no_live_lease(database_time(session()))


def _is_long_deleted() -> ColumnElement[bool]:
    return Webhook.deleted_at < database_time(session()) - DELETED_FOR


def _how_many(wanted: Select[Any]) -> int:
    return session().execute(select(func.count()).select_from(wanted.subquery())).scalar_one()


def _has_deliveries() -> ColumnElement[bool]:
    return exists().where(Delivery.event_id == Event.id)


FORM_KEPT: Final = timedelta(hours=24)


def clear(before: datetime, now: datetime) -> None:
    """Remove all other expired rows. `now` is the database's time.

    Forms, failed sign-ins, and the inbox are kept for a day, and emails for a week. Sessions are
    removed after they end. Links and tasks are removed if they ended `before`, as are imports from
    then that no one began.
    """
    remove_in_steps(Submission.id, Submission.created_at < now - FORM_KEPT)
    remove_in_steps(Link.id, Link.expires_at < before)
    sign_in_throttle.remove_old()
    sessions.remove_old()
    # An import that still waits for a person's choice of how to read the file has never started.
    is_forgotten = and_(
        Task.state == TaskState.PAUSED, Task.started_at.is_(None), Task.created_at < before
    )
    remove_in_steps(Task.id, or_(Task.finished_at < before, is_forgotten))
    remove_in_steps(Mail.id, and_(Mail.created_at < now - mails.KEPT, Mail.kept.is_(None)))
    remove_in_steps(InboxMessage.id, InboxMessage.received_at < now - KEPT_FOR)


DISTRUSTED: Final = timedelta(minutes=5)


class WrongClock(Exception):
    """This machine's clock is too far from the database's. The message is a sentence."""


def trust() -> None:
    """Compare this machine's clock with the database's. Raises `WrongClock`."""
    session().rollback()
    ahead = note_skew(database_time(session()))
    if frozen_at() is None and abs(ahead) > DISTRUSTED:
        order = "behind" if ahead > timedelta() else "ahead of"
        raise WrongClock(
            f"This machine’s clock is {in_words(abs(ahead.total_seconds()))} {order} the "
            "database’s. It removes nothing until both agree."
        )
