"""When a delivery goes next: at its own time, or later, for its webhook's sake: then it is Paused.

The same that `due` claims by, told of one delivery.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache

from sqlalchemy import ColumnElement, ScalarSelect, and_, false, func, or_, select
from sqlalchemy.orm import Session

from portal.models.deliveries import Delivery, Priority, is_open
from portal.models.webhooks import Webhook
from portal.services.core.counting import capped
from portal.services.outbox import leases
from portal.services.outbox.due import head_of
from portal.services.outbox.status import PausedFor, ShownStatus, shown_status


def paused_until(
    priority: int, not_before: datetime | None, now: datetime, *, in_order: bool
) -> datetime | None:
    """Until when it waits because its receiver is left alone; None: it does not.

    A test and a person's Retry wait for nobody. In order, the head probes at its own time.
    `now`: the database's clock.
    """
    if not_before is None or not_before <= now:
        return None
    waits = priority == Priority.BULK or (priority == Priority.NORMAL and not in_order)
    return not_before if waits else None


def paused_for(
    status: ShownStatus, due_at: datetime, pause: datetime | None, *, is_behind: bool
) -> PausedFor | None:
    """What holds up a delivery beyond its own time. `pause`: as `paused_until` says."""
    if status not in (ShownStatus.WAITING, ShownStatus.RETRYING):
        return None
    if is_behind:
        return PausedFor.ORDER
    return PausedFor.RECEIVER if pause is not None and pause > due_at else None


def probe_of(current: Session, webhook_id: int, until: datetime) -> int | None:
    """Which one goes first once its receiver is no longer left alone, as things stand (row id);
    None where they go in order: what is paused there stands behind the head.

    Only that one is sure to go then, and the others once it has arrived.
    """
    wanted = (
        select(Delivery.id)
        .join(Webhook, Webhook.id == Delivery.webhook_id)
        .where(
            Delivery.webhook_id == webhook_id,
            is_open(),
            Delivery.priority > Priority.INTERACTIVE,  # no person's Retry waits for it
            Delivery.due_at <= until,
            Webhook.in_order.is_(False),
        )
        .order_by(Delivery.priority, Delivery.due_at, Delivery.id)
        .limit(1)
    )
    return current.scalar(wanted)


def seen_statuses(
    current: Session, rows: Iterable[tuple[Delivery, Webhook]], now: datetime
) -> dict[int, ShownStatus]:
    """The status of each delivery as people see it, by row id. `now`: the database's clock."""
    known = list(rows)
    leased = leases.ends(current, [each.id for each, _ in known])
    ahead = heads(current, (hook.id for _, hook in known if hook.in_order))
    found = {}
    for each, hook in known:
        status = shown_status(each.status, leased.get(each.id), now)
        pause = paused_until(each.priority, hook.not_before, now, in_order=hook.in_order)
        has_turn = not hook.in_order or each.priority == Priority.TEST or each.prior_status
        is_behind = not has_turn and (ahead[hook.id] or each.id) < each.id
        held_up = paused_for(status, each.due_at, pause, is_behind=is_behind)
        found[each.id] = ShownStatus.PAUSED if held_up else status
    return found


def is_paused(now: datetime) -> ColumnElement[bool]:
    """Whether anything holds it up, as a condition on open deliveries that nobody is sending."""
    return _of_webhook(or_(_is_left_alone(now), _is_behind()))


def is_left_alone(now: datetime) -> ColumnElement[bool]:
    """`PausedFor.RECEIVER` as a condition on open deliveries that nobody is sending."""
    return _of_webhook(_is_left_alone(now))


def is_where_nothing_arrives(now: datetime) -> ColumnElement[bool]:
    """Its receiver is left alone, whenever this one goes itself, as a condition on deliveries."""
    return _of_webhook(func.coalesce(Webhook.not_before, now) > now)


def is_behind() -> ColumnElement[bool]:
    """`PausedFor.ORDER` as a condition on open deliveries that nobody is sending."""
    return _of_webhook(_is_behind())


def _is_left_alone(now: datetime) -> ColumnElement[bool]:
    waits = or_(
        Delivery.priority == Priority.BULK,
        and_(Delivery.priority == Priority.NORMAL, Webhook.in_order.is_(False)),
    )
    pause = func.coalesce(Webhook.not_before, now)
    return and_(pause > now, pause > Delivery.due_at, waits)


@cache
def _is_behind() -> ColumnElement[bool]:
    """Built once: the condition asks for no time, and a page of the log needs it several times."""
    return and_(
        Webhook.in_order.is_(True),
        Delivery.priority != Priority.TEST,
        Delivery.prior_status.is_(None),
        Delivery.id > func.coalesce(head_of(Webhook.id.expression), Delivery.id),
    )


def _of_webhook(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Asked of each row by itself, and as a value: told that it exists, a planner might begin at
    the webhooks, or take it for so seldom true that it reads all rows before it sorts them.
    """
    asked = select(condition).where(Webhook.id == Delivery.webhook_id).limit(1)
    return func.coalesce(asked.correlate(Delivery).scalar_subquery(), false())


def heads(current: Session, webhook_ids: Iterable[int]) -> dict[int, int | None]:
    """The oldest open delivery of each of these webhooks, by their row ids."""
    ids = sorted(set(webhook_ids))
    wanted: Sequence[ScalarSelect[int]] = [head_of(each) for each in ids]
    found = current.execute(select(*wanted)).one() if ids else ()
    return dict(zip(ids, found, strict=True))


def count_behind(current: Session, webhook_id: int) -> int:
    """How many wait for an older one at this webhook, which wants them in order (`capped`)."""
    head = heads(current, [webhook_id])[webhook_id]
    if head is None:
        return 0
    behind = select(Delivery.id).where(
        Delivery.webhook_id == webhook_id,
        is_open(),
        Delivery.id > head,
        Delivery.priority != Priority.TEST,
        Delivery.prior_status.is_(None),
    )
    return capped(current, behind)
