"""Dismiss deliveries, the only way to keep them from being sent, and restore them.

Each dismissal has an id, by which all of its deliveries can be restored. Up to `MOST_TICKED`
deliveries are handled at once. More become a task of short transactions, so that sending goes on
meanwhile.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Select, func, select, update
from sqlalchemy.orm import Session

from portal.database.engine import AnyRow
from portal.lib.clock import common_now
from portal.models.deliveries import Delivery, DeliveryStatus
from portal.models.tasks import Task, TaskState
from portal.models.webhooks import Webhook, WebhookState
from portal.services import audit, tasks
from portal.services.core.permissions import SYSTEM, Actor, require
from portal.services.core.queries import as_json, given_ids
from portal.services.core.refusals import NotAllowed, Refusal
from portal.services.core.unit_of_work import database_time, notify, session, writing
from portal.services.deliveries import bulk_retry_selection as selection
from portal.services.deliveries import log as log_pages
from portal.services.deliveries.bulk_retry_selection import MOST_TICKED, Selection
from portal.services.deliveries.log import LogRow
from portal.services.deliveries.retry import audited
from portal.services.deliveries.statuses import LogFilter, StatusFilter
from portal.services.outbox import at_rest, leases
from portal.services.outbox.at_rest import UNDELIVERED, Dismissal
from portal.services.tasks import Kind, Step
from portal.services.webhooks import held_deliveries, turn_on_off
from portal.services.webhooks.held_deliveries import HeldDecision, Rest
from portal.services.webhooks.turn_on_off import HeldChoice, TurnedOn

PERMISSION: Final = "deliveries.dismiss"
LONGEST_REASON: Final = 200
A_STEP: Final = 100
A_SEARCH: Final = 10  # steps served by one search
# Longer than a step takes, so that sending has priority.
PAUSE: Final = 0.1
STOPPED: Final = Step(TaskState.STOPPED)
TOO_LONG: Final = f"Enter at most {LONGEST_REASON} characters"


class Outcome(StrEnum):
    """Outcomes for a delivery. The last five dismiss or restore nothing."""

    DISMISSED = "dismissed"
    RESTORED = "restored"
    DELIVERED = "delivered"
    ALREADY = "already"
    NOT_DISMISSED = "not_dismissed"
    DELETED = "deleted"
    GONE = "gone"


@dataclass(slots=True)
class Done:
    """The result of a dismissal or restoration. `task`: set for long work, with nothing done yet.

    `names`: the (event, asset tag) of unchanged deliveries by outcome, if selected by hand.
    `statuses`: counts of the restored deliveries by status.
    """

    act: UUID | None = None
    task: UUID | None = None
    counts: Counter[Outcome] = field(default_factory=Counter)
    names: dict[Outcome, list[tuple[str, str]]] = field(default_factory=lambda: defaultdict(list))
    statuses: Counter[DeliveryStatus] = field(default_factory=Counter)

    @property
    def changed(self) -> int:
        """Return the number that were dismissed or restored."""
        return self.counts[Outcome.DISMISSED] + self.counts[Outcome.RESTORED]


@dataclass(frozen=True, slots=True)
class Preview:
    """A preview of a dismissal. `total`: the number to dismiss. `statuses`: the counts by status.

    `left`: the number of selected deliveries that would not change. `ids`: set if few enough to
    select by hand, as are `statuses` and `webhooks` (names by public id).
    """

    total: int
    ids: Sequence[UUID] = ()
    statuses: Mapping[str, int] = field(default_factory=dict)
    left: int = 0
    webhooks: Mapping[UUID, str] = field(default_factory=dict)


def preview(choice: Selection) -> Preview:
    """Preview a dismissal made now. Reads only."""
    rows, more = selection.page(choice, None, MOST_TICKED)
    if more is not None:
        return Preview(log_pages.count_undelivered(choice.wanted or LogFilter(), choice.newest))
    undelivered = [row for row in rows if row.is_undelivered]
    left = len(set(choice.ticked)) - len(undelivered) if choice.ticked else 0
    statuses = Counter(str(row.status) for row in undelivered)
    webhooks = {row.webhook_id: row.webhook_name for row in undelivered}
    return Preview(
        len(undelivered), [row.public_id for row in undelivered], statuses, left, webhooks
    )


def dismiss(actor: Actor, choice: Selection, reason: str = "") -> Done:
    """Stop sending these deliveries. Raises `Refusal`.

    An attempt in progress finishes. If it succeeds, the delivery is delivered. Otherwise it stays
    dismissed.
    """
    if len(reason) > LONGEST_REASON:
        raise Refusal(TOO_LONG, field="reason")
    selection.refuse_unfit(choice)
    # Counted before the transaction, which keeps others from writing to SQLite.
    total = preview(choice).total if choice.wanted else 0
    with writing() as current:
        require(current, actor, PERMISSION)
        act = uuid4()
        rows, more = selection.page(choice, None, MOST_TICKED)
        if choice.wanted:
            rows = [row for row in rows if row.is_undelivered]
        if more is not None:
            params = {**selection.as_params(choice), "reason": reason, "act": str(act)}
            return Done(act, _start(current, actor, DISMISS, total, params))
        outcomes = _dismiss(current, [row.id for row in rows], Dismissal(actor.name, reason, act))
        _record(current, actor, "dismissed", rows, outcomes, reason)
        return _done(act, rows, outcomes, choice.ticked)


def restore(actor: Actor, public_ids: Sequence[UUID]) -> Done:
    """Restore these to Failed if they had failed, else to their earlier status. Raises
    `Refusal`."""
    choice = Selection(ticked=tuple(public_ids))
    selection.refuse_unfit(choice)
    with writing() as current:
        require(current, actor, PERMISSION)
        rows, _ = selection.page(choice, None)
        return _restore_at_once(current, actor, rows, choice.ticked)


def restore_act(actor: Actor, act: UUID) -> Done:
    """Restore the deliveries of one dismissal that are still dismissed. Raises `Refusal`."""
    with writing() as current:
        require(current, actor, PERMISSION)
        total = count_of_act(act)
        if total > MOST_TICKED:
            return Done(act, _start(current, actor, RESTORE, total, {"act": str(act)}))
        ids = current.scalars(_of_act(act, 0, MOST_TICKED)).all()
        return _restore_at_once(current, actor, log_pages.of_ids(ids), ())


def count_of_act(act: UUID) -> int:
    """Count the deliveries of one dismissal that are still dismissed."""
    of_act = select(func.count()).where(Delivery.dismissal_id == act)
    return session().execute(of_act).scalar_one()


def turn_on(actor: Actor, webhook: UUID, reason: str = "") -> tuple[TurnedOn, Done]:
    """Turn a webhook on and dismiss its deliveries on hold. Raises `Refusal`."""
    with writing():
        turned_on = turn_on_off.turn_on(actor, webhook, HeldChoice.KEEP)
        return turned_on, dismiss(actor, _on_hold(webhook, selection.newest_now()), reason)


def decide(
    actor: Actor, webhook: UUID, choice: HeldDecision, reason: str = ""
) -> tuple[TurnedOn, Done]:
    """Turn a webhook on, send the chosen deliveries on hold, and keep or dismiss the rest.

    Raises `Refusal`.
    """
    with writing():
        decided = held_deliveries.decide(actor, webhook, choice)
        if choice.rest is Rest.KEEP:
            return decided, Done()
        return decided, dismiss(actor, _on_hold(webhook, choice.seen.newest), reason)


def _on_hold(webhook: UUID, newest: int) -> Selection:
    log_filter = LogFilter(webhook=webhook, status=StatusFilter.ON_HOLD)
    return Selection(wanted=log_filter, newest=newest)


def _of_act(act: UUID, after: int, most: int) -> Select[int]:
    query = select(Delivery.id).where(Delivery.dismissal_id == act, Delivery.id > after)
    return query.order_by(Delivery.id).limit(most)


def _restore_at_once(
    current: Session, actor: Actor, rows: Sequence[LogRow], ticked: Sequence[UUID]
) -> Done:
    outcomes = _restore(current, [row.id for row in rows])
    _record(current, actor, "restored", rows, outcomes)
    done = _done(None, rows, outcomes, ticked)
    restored = [row_id for row_id, outcome in outcomes.items() if outcome is Outcome.RESTORED]
    statuses = select(Delivery.status).where(_among(current))
    stored = current.scalars(statuses, {"ids": as_json(restored)}) if restored else ()
    done.statuses.update(map(DeliveryStatus, stored))
    return done


def _done(
    act: UUID | None,
    rows: Sequence[LogRow],
    outcomes: dict[int, Outcome],
    ticked: Sequence[UUID],
) -> Done:
    done = Done(act, counts=Counter(outcomes.values()))
    for row in rows if ticked else ():
        if (outcome := outcomes[row.id]) not in CHANGES:
            done.names[outcome].append((row.event, row.asset_tag))
    if missing := len(set(ticked) - {row.public_id for row in rows}):
        done.counts[Outcome.GONE] = missing
    return done


CHANGES: Final = (Outcome.DISMISSED, Outcome.RESTORED)


def _dismiss(current: Session, ids: Sequence[int], dismissal: Dismissal) -> dict[int, Outcome]:
    rows, _, now = _locked(current, ids)
    lease_ends = leases.ends(current, [row.id for row in rows])
    outcomes, changed = dict.fromkeys(ids, Outcome.GONE), []
    for row in rows:
        outcomes[row.id] = _outcome(row)
        # Take back a requested resend of an arrived delivery, unless it is being sent now.
        is_resend = row.status != DeliveryStatus.DELIVERED and lease_ends.get(row.id, now) <= now
        if outcomes[row.id] is Outcome.DISMISSED or (
            outcomes[row.id] is Outcome.DELIVERED and is_resend
        ):
            changed.append(row.id)
    _write(current, changed, at_rest.dismissed(now, dismissal))
    return outcomes


def _outcome(row: AnyRow) -> Outcome:
    if row.status == DeliveryStatus.DISMISSED:
        return Outcome.ALREADY
    is_undelivered = (row.prior_status or row.status) in UNDELIVERED
    return Outcome.DISMISSED if is_undelivered else Outcome.DELIVERED


def _restore(current: Session, ids: Sequence[int]) -> dict[int, Outcome]:
    rows, webhooks, _ = _locked(current, ids)
    outcomes = dict.fromkeys(ids, Outcome.GONE)
    by_state: dict[bool, list[int]] = defaultdict(list)
    for row in rows:
        webhook = webhooks[row.webhook_id]
        if row.status != DeliveryStatus.DISMISSED:
            outcomes[row.id] = Outcome.NOT_DISMISSED
        elif webhook.deleted_at is not None:
            outcomes[row.id] = Outcome.DELETED
        else:
            outcomes[row.id] = Outcome.RESTORED
            by_state[webhook.state != WebhookState.ACTIVE].append(row.id)
    for is_off, row_ids in by_state.items():
        _write(current, row_ids, at_rest.restored(is_off=is_off))
    if by_state[False]:
        notify(current)
    return outcomes


def _locked(
    current: Session, ids: Sequence[int]
) -> tuple[Sequence[AnyRow], dict[int, AnyRow], datetime]:
    """Lock the webhooks, then the deliveries. Return deliveries, webhooks by id, and database
    time.

    An expired lease becomes an attempt first, because its holder can no longer record the result.
    """
    owners = select(Delivery.webhook_id).where(_among(current)).distinct()
    hooks = select(Webhook.id, Webhook.state, Webhook.deleted_at).where(Webhook.id.in_(owners))
    params, now = {"ids": as_json(ids)}, database_time(current)
    locked = hooks.order_by(Webhook.id).with_for_update(key_share=True)
    webhooks = {row.id: row for row in current.execute(locked, params)}
    leases.settle_ended(current, webhooks, now)
    columns = Delivery.id, Delivery.webhook_id, Delivery.status, Delivery.prior_status
    query = select(*columns).where(_among(current)).order_by(Delivery.id).with_for_update()
    return current.execute(query, params).all(), webhooks, now


def _among(current: Session) -> ColumnElement[bool]:
    return Delivery.id.in_(given_ids(current.get_bind().dialect.name))


def _write(current: Session, ids: Sequence[int], values: dict[str, Any]) -> None:
    if ids:
        statement = update(Delivery).where(_among(current)).values(values)
        current.connection().execute(statement, {"ids": as_json(ids)})


def _record(
    current: Session,
    actor: Actor,
    verb: str,
    rows: Sequence[LogRow],
    outcomes: dict[int, Outcome],
    reason: str = "",
) -> None:
    """Audit a single delivery by itself, and several as a count for each webhook."""
    changed = [row for row in rows if outcomes[row.id] in CHANGES]
    why = audit.added({"why": reason} if reason else {})
    if len(changed) == 1:
        (row,) = changed
        target: tuple[str, UUID, str] = audited(row.public_id, row.event, row.asset_tag)
        audit.record(current, actor, f"delivery.{verb}", target=target, changes=why)
        return
    for (public_id, name), many in Counter(
        (row.webhook_id, row.webhook_name) for row in changed
    ).items():
        changes = {**audit.added({"deliveries": many}), **why}
        target = ("webhook", public_id, name)
        audit.record(current, actor, f"webhook.deliveries_{verb}", target=target, changes=changes)


def _start(current: Session, actor: Actor, kind: Kind, total: int, params: dict[str, Any]) -> UUID:
    task = tasks.start(current, actor, kind.name, total=total, params=params)
    details = {
        name: value for name, value in params.items() if name in ("filter", "reason") and value
    }
    target = (kind.name, task.public_id, "Deliveries")
    changes = audit.added({"deliveries": total, **details})
    audit.record(current, actor, f"{kind.name}.started", target=target, changes=changes)
    return task.public_id


def _is_allowed(current: Session, task: Task) -> bool:
    """Return whether the task's author still has the permission. Mark the task as stopped if
    not."""
    try:
        require(current, tasks.actor_of(task), PERMISSION)
    except NotAllowed:
        task.stopped_by, task.finished_at = SYSTEM.name, common_now()
        return False
    return True


def _dismiss_some(current: Session, task: Task) -> Step:
    if not _is_allowed(current, task):
        return STOPPED
    choice, cursor = selection.from_params(task.params), task.cursor
    ids, after = cursor.get("ids", ()), cursor.get("after", choice.newest + 1)
    if not ids:
        # A search takes as long as a step, so it finds deliveries for several steps.
        log_filter = choice.wanted or LogFilter()
        ids, after = log_pages.find_undelivered(log_filter, after, A_SEARCH * A_STEP)
    batch, left = ids[:A_STEP], ids[A_STEP:]
    by = Dismissal(task.actor_name, task.params["reason"], UUID(task.params["act"]))
    outcomes = _dismiss(current, batch, by)
    is_over = not left and after is None
    return _go_on(task, outcomes, None if is_over else {"ids": left, "after": after})


def _restore_some(current: Session, task: Task) -> Step:
    if not _is_allowed(current, task):
        return STOPPED
    after = task.cursor.get("after", 0)
    ids = current.scalars(_of_act(UUID(task.params["act"]), after, A_STEP)).all()
    more = {"after": ids[-1]} if len(ids) == A_STEP else None
    return _go_on(task, _restore(current, ids), more)


def _go_on(task: Task, outcomes: dict[int, Outcome], more: dict[str, Any] | None) -> Step:
    for outcome, many in Counter(outcomes.values()).items():
        task.count(outcome, many)
    task.total = max(task.total, task.done)
    if more is None:
        task.total = task.done
        return tasks.DONE
    task.cursor = more
    return tasks.MORE


DISMISS: Final = Kind(name="dismissal", permission=PERMISSION, step=_dismiss_some, pause=PAUSE)
RESTORE: Final = Kind(name="restoration", permission=PERMISSION, step=_restore_some, pause=PAUSE)
