"""How long deliveries are kept: `RETENTION_DAYS` after they ended; then they go with all of theirs.

Small transactions; rows that somebody works at are left to the next run. The timeline of an asset
keeps its lines.
"""

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, Select, and_, delete, exists, func, or_, select, update
from sqlalchemy.orm import Session

from portal.delivery.reason_keys import Reason
from portal.extensions import settings
from portal.lib.clock import utcnow
from portal.models.deliveries import Attempt, Delivery, DeliveryStatus, Event
from portal.models.webhooks import Webhook
from portal.services import draft_rows, leftovers
from portal.services.unit import session, writing
from portal.services.webhook_secrets import forget_replaced

BATCH: Final = 200
FINAL: Final = (DeliveryStatus.DELIVERED, DeliveryStatus.FAILED, DeliveryStatus.STOPPED)
KEPT_TOO_LONG: Final = "Asset register, kept {days} days while off"
# An event that is just being stored may still mean to refer to a webhook that was deleted.
DELETED_FOR: Final = timedelta(days=1)
STOPPED: Final = "held deliveries stopped"
DELIVERIES: Final = "deliveries removed"
EVENTS: Final = "events removed"
DRAFTS: Final = "drafts removed"
SECRETS: Final = "replaced secrets erased"
WEBHOOKS: Final = "deleted webhooks removed"


def prune(seconds: float | None = None) -> dict[str, int]:
    """Let go what has been kept long enough, for at most about `seconds`; may run twice at once.

    Returns how many of what. What is left when the time is over is the next run's.
    """
    until = time.monotonic() + seconds if seconds is not None else None
    before = _before()
    done = {
        STOPPED: _repeat(lambda after: _stop_held(before, after), until),
        DELIVERIES: _repeat(lambda after: _let_go(before, after), until),
        EVENTS: _repeat(lambda after: _let_go_unheard(before, after), until),
    }
    with writing() as current:
        done[DRAFTS] = draft_rows.let_go(current)
        done[SECRETS] = forget_replaced(current)
        done[WEBHOOKS] = _let_go_webhooks(current)
    leftovers.clear(before)
    return done


def count() -> dict[str, int]:
    """What `prune` would let go now, by the same names. Reads only."""
    before = _before()
    is_used = exists().where(Delivery.webhook_id == Webhook.id, ~_is_over(before))
    return {
        STOPPED: _how_many(select(Delivery.id).where(_is_held_too_long(before), _is_free())),
        DELIVERIES: _how_many(select(Delivery.id).where(_is_over(before), _is_free())),
        EVENTS: _how_many(select(Event.id).where(Event.occurred_at < before, ~_has_deliveries())),
        DRAFTS: _how_many(draft_rows.long_left(session())),
        SECRETS: _how_many(select(Webhook.id).where(Webhook.old_until <= utcnow())),
        WEBHOOKS: _how_many(select(Webhook.id).where(_is_long_deleted(), ~is_used)),
    }


def kept_until(finished_at: datetime | None) -> datetime | None:
    """Until when a delivery that ended then is kept; None while it has not ended."""
    return finished_at + timedelta(days=settings().retention_days) if finished_at else None


Step = Callable[[int], tuple[int, int | None]]  # after which id → (how many, the last id or None)


def _repeat(step: Step, until: float | None) -> int:
    total, after = 0, 0
    while until is None or time.monotonic() < until:
        count, last = step(after)
        total += count
        if last is None:
            break
        after = last
    return total


def _stop_held(before: datetime, after: int) -> tuple[int, int | None]:
    with writing() as current:
        ids = _locked(current, _is_held_too_long(before), after)
        by = KEPT_TOO_LONG.format(days=settings().retention_days)
        values = {
            "status": DeliveryStatus.STOPPED,
            "stopped_by": by,
            "finished_at": utcnow(),
            "reason": Reason.WEBHOOK_OFF,
        }
        current.execute(update(Delivery).where(Delivery.id.in_(ids)).values(values))
        return len(ids), _last(ids)


def _let_go(before: datetime, after: int) -> tuple[int, int | None]:
    with writing() as current:
        ids = _locked(current, _is_over(before), after)
        chosen = Delivery.id.in_(ids)
        events = current.scalars(select(Delivery.event_id).where(chosen)).all()
        # Locked first: of two runs that take an event's last two deliveries one sees that.
        wanted = select(Event.id).where(Event.id.in_(events)).order_by(Event.id)
        current.execute(wanted.with_for_update())
        current.execute(delete(Attempt).where(Attempt.delivery_id.in_(ids)))
        current.execute(delete(Delivery).where(chosen))
        current.execute(delete(Event).where(Event.id.in_(events), ~_has_deliveries()))
        return len(ids), _last(ids)


def _let_go_unheard(before: datetime, after: int) -> tuple[int, int | None]:
    """Events that nobody asked for, or whose deliveries went without them."""
    old = select(Event.id).where(Event.id > after, Event.occurred_at < before, ~_has_deliveries())
    with writing() as current:
        wanted = old.order_by(Event.id).limit(BATCH).with_for_update(skip_locked=True)
        ids = current.scalars(wanted).all()
        current.execute(delete(Event).where(Event.id.in_(ids)))
        return len(ids), _last(ids)


def _let_go_webhooks(current: Session) -> int:
    """A deleted webhook goes with its last delivery."""
    is_used = exists().where(Delivery.webhook_id == Webhook.id)
    wanted = select(Webhook.id).where(_is_long_deleted(), ~is_used).limit(BATCH)
    ids = current.scalars(wanted.with_for_update(skip_locked=True)).all()
    current.execute(delete(Webhook).where(Webhook.id.in_(ids)))
    return len(ids)


def _locked(current: Session, wanted: ColumnElement[bool], after: int) -> Sequence[int]:
    """The next ids after `after`, locked; somebody else's are passed over."""
    ids = select(Delivery.id).where(wanted, Delivery.id > after).order_by(Delivery.id)
    return current.scalars(
        ids.where(_is_free()).limit(BATCH).with_for_update(skip_locked=True)
    ).all()


def _before() -> datetime:
    return utcnow() - timedelta(days=settings().retention_days)


def _is_held_too_long(before: datetime) -> ColumnElement[bool]:
    return and_(Delivery.status == DeliveryStatus.HELD, Delivery.created_at < before)


def _is_over(before: datetime) -> ColumnElement[bool]:
    ended = func.coalesce(Delivery.finished_at, Delivery.created_at)
    final = Delivery.status.in_([str(status) for status in FINAL])
    return and_(final, Delivery.created_at < before, ended < before)


def _is_free() -> ColumnElement[bool]:
    return or_(Delivery.lease_until.is_(None), Delivery.lease_until < utcnow())


def _is_long_deleted() -> ColumnElement[bool]:
    return Webhook.deleted_at < utcnow() - DELETED_FOR


def _how_many(wanted: Select[int]) -> int:
    return session().execute(select(func.count()).select_from(wanted.subquery())).scalar_one()


def _has_deliveries() -> ColumnElement[bool]:
    return exists().where(Delivery.event_id == Event.id)


def _last(ids: Sequence[int]) -> int | None:
    return ids[-1] if len(ids) == BATCH else None
