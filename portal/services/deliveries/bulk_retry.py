"""Retry many deliveries, a few at a time and behind all new ones.

A bulk retry is a task (`tasks`). It collects its rows, hands at most `MOST_UNDER_WAY` of them to
the workers at priority bulk, and records their results. It sends nothing itself.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.orm import Session

from portal.database.engine import AnyRow
from portal.engine.retry_policy import AttemptKind
from portal.lib.clock import common_now
from portal.lib.paging import Page
from portal.models.deliveries import (
    OPEN,
    Attempt,
    AttemptOutcome,
    BatchRow,
    Delivery,
    DeliveryStatus,
    Priority,
    RowOutcome,
    has_no_live_lease,
    reopened,
)
from portal.models.people import User
from portal.models.tasks import Task, TaskState
from portal.models.webhooks import Webhook, WebhookState
from portal.queue.notifier import notify_after_commit, notify_tasks
from portal.services import audit, tasks
from portal.services.core.keyset import newest_first
from portal.services.core.permissions import Actor, require
from portal.services.core.queries import skip_scan
from portal.services.core.refusals import NotAllowed, NotFound, Refusal
from portal.services.core.unit_of_work import database_time, notify, session, writing
from portal.services.deliveries import bulk_retry_selection as selection
from portal.services.deliveries import retry
from portal.services.deliveries.bulk_retry_selection import Selection, Skip
from portal.services.deliveries.retry import UNDER_WAY, RetryEligibility, why_not_retry
from portal.services.outbox import leases
from portal.services.outbox.claimable import refuse_while_stopped
from portal.services.tasks import Kind, Step

NAME: Final = retry.NAME
PERMISSION: Final = "deliveries.retry"
MOST_UNDER_WAY: Final = 200
A_STEP: Final = 100
MOST_FAILURES: Final = 10
LOOK_AGAIN: Final = timedelta(seconds=0.5)
# At a pace, deliveries due within this time are handed over, because no task runs exactly on time.
AHEAD: Final = timedelta(seconds=3)
# The limit for a webhook until its first result is known.
FIRST: Final = 1
# Cursor key: a person stopped the task, which only waits for requests in progress.
STOPPING: Final = "stopping"
# Cursor key: the row id of the person who resumed it.
SENDER: Final = "sender"
# Cursor key: the earliest time for the next delivery, at a pace.
NEXT_AT: Final = "next_at"
# Cursor key: public ids of the first few webhooks that get deliveries.
WEBHOOKS: Final = "webhooks"
MOST_WEBHOOKS: Final = 20
# Cursor key: counts of the selected deliveries left out, by `Skip`.
LEFT_OUT: Final = "left_out"
WAITING_AT: Final = skip_scan("batch_rows", "webhook_id", "task_id = :task AND outcome = :outcome")

TAKEN_BACK: Final = "Taken back before it was sent"
NOT_KEPT: Final = "No longer kept"
CUT_OFF: Final = "Sending stopped unexpectedly several times"
# Contains no name, because an erasure looks for names in the audit trail.
DISMISSED: Final = "Dismissed before it was sent"
TAKEN_OUT: Final = "Removed before it was sent"
TOO_LATE: Final = "This delivery is no longer in a bulk retry. Check its status."
NOTHING: Final = "There’s nothing to retry. These deliveries changed after you selected them."


class Pace(StrEnum):
    """The rate of a bulk retry across all of its webhooks."""

    FAST = "fast"
    SECOND = "second"
    TEN_SECONDS = "ten_seconds"


SPACING: Final = {Pace.SECOND: timedelta(seconds=1), Pace.TEN_SECONDS: timedelta(seconds=10)}


def start(actor: Actor, choice: Selection, pace: Pace = Pace.FAST) -> UUID:
    """Start a bulk retry of a selection and return its public id. Raises `Refusal`.

    Collects the first deliveries at once, so that none is started with nothing to send.
    """
    selection.refuse_unfit(choice)
    with writing() as current:
        require(current, actor, PERMISSION)
        refuse_while_stopped()
        params = {**selection.as_params(choice), "pace": pace}
        task = tasks.start(current, actor, NAME, total=0, params=params)
        _collect(current, task)
        if task.cursor["collected"] and not task.total:
            raise Refusal(NOTHING)
        _record(current, actor, task, "batch.started", _audited(params))
        return task.public_id


def stop(actor: Actor, public_id: UUID) -> None:
    """Stop a bulk retry and give unsent deliveries their earlier status back. Raises `Refusal`.

    The task waits for requests in progress, so that the report includes their results.
    """
    with writing() as current:
        require(current, actor, PERMISSION)
        task = find(public_id)
        if is_stopping(task):
            raise Refusal("This bulk retry is already stopped. Requests in progress will finish.")
        tasks.stop(actor, public_id, KIND)
        if left_by_webhook(current, task.id):
            task.cursor, task.finished_at = {**task.cursor, STOPPING: True}, None
            _wake(current, task)
        _record(current, actor, task, "batch.stopped", {})


def go_on(actor: Actor, public_id: UUID) -> None:
    """Resume a bulk retry, also for webhooks that failed too often. Raises `Refusal`."""
    with writing() as current:
        require(current, actor, PERMISSION)
        find(public_id)  # tasks of another kind are not resumed from here
        task = tasks.locked(current, public_id)
        if task.state in tasks.ENDED or is_stopping(task):
            raise Refusal("This bulk retry has already ended. Start a new one for the rest.")
        refuse_while_stopped()
        broken = {str(webhook_id) for webhook_id in halted(task)}
        failures = {key: many for key, many in _failures(task).items() if key not in broken}
        task.cursor = {**task.cursor, "failures": failures, SENDER: actor.user_id}
        _wake(current, task)
        _record(current, actor, task, "batch.went_on", {})


def take_out(actor: Actor, public_id: UUID) -> None:
    """Remove this delivery from the bulk retry in which it waits. Raises `Refusal`."""
    with writing() as current:
        require(current, actor, PERMISSION)
        row_id = current.scalar(select(Delivery.id).where(Delivery.public_id == public_id))
        if row_id is None:
            raise NotFound("There’s no delivery at this URL.")
        at = retry.taken(current, [row_id]).get(row_id)
        if at is None:
            raise Refusal(TOO_LATE)
        task = tasks.locked(current, current.get_one(Task, at.task_id).public_id)
        conditions = BatchRow.task_id == task.id, BatchRow.delivery_id == row_id
        left = update(BatchRow).where(*conditions, BatchRow.outcome == RowOutcome.WAITING)
        removal = left.values(outcome=RowOutcome.SKIPPED, message=TAKEN_OUT)
        # Rows already handed over are on their way. Stop takes those back.
        if not current.execute(removal.returning(BatchRow.delivery_id)).all():
            raise Refusal(TOO_LATE)
        task.count(RowOutcome.SKIPPED)
        if not left_by_webhook(current, task.id):
            # A paused task with nothing left to resume must wake up to end.
            _wake(current, task)
        _record(current, actor, task, "batch.delivery_taken_out", {"delivery": str(public_id)})


def find(public_id: UUID) -> Task:
    """Find a bulk retry for its page. Raises `NotFound`."""
    task = tasks.find(public_id)
    if task.kind != NAME:
        raise NotFound("There’s no bulk retry at this URL.")
    return task


def is_stopping(task: Task) -> bool:
    """Return whether a person stopped it while requests are still in progress."""
    return bool(task.cursor.get(STOPPING)) and task.state not in tasks.ENDED


def _wake(current: Session, task: Task) -> None:
    task.state, task.due_at = TaskState.RUNNING, database_time(current)
    notify_after_commit(current, notify_tasks)


def _audited(params: dict[str, Any]) -> dict[str, Any]:
    """Describe a selection for the audit trail, by its origin, its size, or its filter."""
    pace = {} if params["pace"] == Pace.FAST else {"pace": str(params["pace"])}
    if "rest" in params:
        return {"rest_of": params["rest"], **pace}
    if "ticked" in params:
        return {"deliveries": len(params["ticked"]), **pace}
    kept = {name: value for name, value in params["filter"].items() if value}
    return kept | ({"with_what_arrived": True} if params["again"] else {}) | pace


def _record(
    current: Session, actor: Actor, task: Task, action: str, values: dict[str, Any]
) -> None:
    target = ("batch", task.public_id, "Bulk retry")
    audit.record(current, actor, action, target=target, changes=audit.added(values))


def step(current: Session, task: Task) -> Step:
    """Collect rows, or settle and hand over, in one short transaction."""
    try:
        require(current, tasks.actor_of(task), PERMISSION)
    except NotAllowed:  # the person who started it lost the permission
        if not is_stopping(task):
            take_back_all(current, task)
            task.stopped_by = "The portal"
            task.cursor = {**task.cursor, STOPPING: True}
    if is_stopping(task):
        return _wait_for_the_last(current, task)
    if not task.cursor.get("collected"):
        _collect(current, task)
        return tasks.MORE
    return _work(current, task)


def _wait_for_the_last(current: Session, task: Task) -> Step:
    settle(current, task)
    if left_by_webhook(current, task.id):
        return tasks.later(LOOK_AGAIN)
    task.finished_at = common_now()
    return Step(TaskState.STOPPED)


def _work(current: Session, task: Task) -> Step:
    ended, moved = settle(current, task), hand_over(current, task)
    left = left_by_webhook(current, task.id)
    if not left:
        return tasks.DONE
    if ended or moved:
        return tasks.MORE
    stopped = halted(task)
    is_stuck = all(part.webhook_id in stopped and not part.sent for part in left)
    if is_stuck:
        return tasks.PAUSED
    return tasks.later(LOOK_AGAIN)


def _collect(current: Session, task: Task) -> None:
    choice = selection.from_params(task.params)
    rows, cursor = selection.page(choice, task.cursor.get("after"))
    skips = {row.id: selection.why_skipped(row, choice.again) for row in rows}
    candidates = [row_id for row_id, skip in skips.items() if skip is None]
    # Leave rows that another bulk retry has taken, so that two requests do not send one twice.
    taken = retry.taken(current, candidates)
    if ids := [row_id for row_id in candidates if row_id not in taken]:
        blank = literal(str(RowOutcome.WAITING)), literal(0), literal("")
        chosen = select(literal(task.id), Delivery.id, Delivery.webhook_id, *blank)
        names = ["task_id", "delivery_id", "webhook_id", "outcome", "attempts", "message"]
        made = insert(BatchRow).from_select(names, chosen.where(Delivery.id.in_(ids)))
        current.execute(made)
    task.total += len(ids)
    chosen_ids, known = set(ids), list(task.cursor.get(WEBHOOKS, ()))
    mine_too = (str(row.webhook_id) for row in rows if row.id in chosen_ids)
    webhooks = list(dict.fromkeys([*known, *mine_too]))[:MOST_WEBHOOKS]
    left_out = Counter(task.cursor.get(LEFT_OUT, {}))
    left_out.update(str(skip) for skip in skips.values() if skip)
    left_out[Skip.TAKEN] += len(taken)
    task.cursor = {"after": cursor, "collected": cursor is None, WEBHOOKS: webhooks}
    if left_out := +left_out:
        task.cursor |= {LEFT_OUT: {str(skip): many for skip, many in left_out.items()}}


class Left(NamedTuple):
    """A webhook's unfinished rows. `waits`: some still wait. `sent`: the number handed over."""

    webhook_id: int
    waits: bool
    sent: int


def left_by_webhook(current: Session, task_id: int) -> list[Left]:
    """Return the webhooks with unfinished rows, ordered by id.

    Does not count waiting rows. Most rows of a long bulk retry wait, and this runs at every step.
    """
    params = {"task": task_id, "outcome": RowOutcome.WAITING}
    waiting = set(current.execute(WAITING_AT, params).scalars())
    sent = counted(current, task_id, BatchRow.outcome == RowOutcome.SENT)
    return [Left(id_, id_ in waiting, sent.get(id_, 0)) for id_ in sorted(waiting | sent.keys())]


def counted(current: Session, task_id: int, *conditions: ColumnElement[bool]) -> dict[int, int]:
    """Count the rows that meet all conditions, by webhook."""
    of_task = BatchRow.task_id == task_id
    counts = select(BatchRow.webhook_id, func.count()).where(of_task, *conditions)
    rows = current.execute(counts.group_by(BatchRow.webhook_id))
    return {row[0]: row[1] for row in rows}


def halted(task: Task) -> set[int]:
    """Return the webhooks with so many failures in a row that a person has to resume them."""
    many = _failures(task).items()
    return {int(webhook_id) for webhook_id, count in many if count >= MOST_FAILURES}


def _failures(task: Task) -> dict[str, int]:
    """Return the failures in a row by webhook. Webhooks without a result are missing."""
    failures: dict[str, int] = task.cursor.get("failures", {})
    return failures


def pace_of(task: Task) -> Pace:
    return Pace(task.params.get("pace", Pace.FAST))


def _spacing(task: Task) -> timedelta:
    return SPACING.get(pace_of(task), timedelta())


def _next_at(task: Task) -> datetime:
    """Return the earliest time for the next delivery at the task's pace."""
    at = task.cursor.get(NEXT_AT)
    return datetime.fromisoformat(at) if at else datetime.min.replace(tzinfo=UTC)


def hand_over(current: Session, task: Task) -> int:
    """Make the next rows due, and return the number handed over, taken back, or skipped."""
    left = left_by_webhook(current, task.id)
    webhooks = _lock_webhooks(current, [part.webhook_id for part in left])
    stopped, moved = halted(task), 0
    running = sum(part.webhook_id not in stopped for part in left)
    share = max(1, MOST_UNDER_WAY // max(1, running))
    places = min(A_STEP, MOST_UNDER_WAY - sum(part.sent for part in left))
    if spacing := _spacing(task):
        ahead = database_time(current) + AHEAD - _next_turn(current, task)
        places = min(places, ahead // spacing + 1)
    for part in left:
        webhook = webhooks[part.webhook_id]
        limit = _limit(task, webhook, share)
        if part.sent > limit:
            moved += _take_back(current, task, webhook.id, part.sent - limit)
        fits = min(places, limit - part.sent)
        if part.waits and fits > 0:
            handed = _hand(current, task, webhook, fits)
            moved, places = moved + handed, places - handed
    return moved


def _limit(task: Task, webhook: AnyRow, share: int) -> int:
    """Return the number of a webhook's rows that the workers can have at once.

    The first goes alone, then a few until one arrives, so that a failing receiver gets only a few.
    While the webhook is throttled, only one goes, as the probe.
    """
    in_row = _failures(task).get(str(webhook.id))
    share = min(share, FIRST if in_row is None else MOST_FAILURES - in_row if in_row else share)
    if spacing := _spacing(task):
        share = min(share, AHEAD // spacing + 1)
    return max(0, min(share, 1) if webhook.throttled else share)


def _hand(current: Session, task: Task, webhook: AnyRow, most: int) -> int:
    statement = (
        select(BatchRow.delivery_id)
        .where(
            BatchRow.task_id == task.id,
            BatchRow.outcome == RowOutcome.WAITING,
            BatchRow.webhook_id == webhook.id,
        )
        .order_by(BatchRow.delivery_id)
        .limit(most)
    )
    ids = current.execute(statement).scalars().all()
    locked = (
        select(Delivery.id, Delivery.status, Delivery.priority, Delivery.prior_status)
        .where(Delivery.id.in_(ids))
        .order_by(Delivery.id)
        .with_for_update()
    )
    rows = {row.id: row for row in current.execute(locked)}
    now, leased = database_time(current), leases.ends(current, ids)
    refused: dict[str, list[int]] = defaultdict(list)
    for row_id in ids:
        row = rows.get(row_id)
        is_being_sent = leased.get(row_id, now) > now
        why = _why_not(webhook, row, task, is_being_sent=is_being_sent) if row else NOT_KEPT
        refused[why].append(row_id)
    handed = refused.pop("", [])
    for sentence, skipped in refused.items():
        set_rows(current, task, skipped, outcome=RowOutcome.SKIPPED, message=sentence)
        task.count(RowOutcome.SKIPPED, len(skipped))
    if handed:
        _at_the_pace(current, task, handed, now)
    return len(ids)


def _why_not(webhook: AnyRow, row: AnyRow, task: Task, *, is_being_sent: bool) -> str:
    if row.status == DeliveryStatus.DISMISSED:
        return DISMISSED
    eligibility = RetryEligibility(
        status=DeliveryStatus(row.status),
        is_being_sent=is_being_sent,
        is_test=row.priority == Priority.TEST,
        webhook_name=webhook.name,
        is_webhook_off=webhook.state != WebhookState.ACTIVE,
        is_webhook_deleted=webhook.deleted_at is not None,
        is_manual=row.status in OPEN and row.prior_status is not None,
    )
    return why_not_retry(eligibility, again=bool(task.params.get("again"))) or ""


def _at_the_pace(current: Session, task: Task, ids: Sequence[int], now: datetime) -> None:
    """Make these due now, or one after another at the task's pace."""
    if not (spacing := _spacing(task)):
        _make_due(current, task, ids, now)
        return
    turn = _next_turn(current, task)
    for row_id in ids:
        _make_due(current, task, [row_id], turn)
        turn += spacing
    task.cursor = {**task.cursor, NEXT_AT: turn.isoformat()}


def _next_turn(current: Session, task: Task) -> datetime:
    return max(_next_at(task), database_time(current))


def _make_due(current: Session, task: Task, ids: Sequence[int], now: datetime) -> None:
    attempts = select(Delivery.attempts).where(Delivery.id == BatchRow.delivery_id)
    before = attempts.scalar_subquery()
    set_rows(current, task, ids, outcome=RowOutcome.SENT, attempts=before)
    current.execute(
        update(Delivery)
        .where(Delivery.id.in_(ids))
        .values(
            prior_status=Delivery.status,
            prior_due_at=Delivery.due_at,
            status=reopened(),
            due_at=now,
            priority=Priority.BULK,
            requested_by=sender(task).name,
        )
        .execution_options(synchronize_session=False)
    )
    notify(current)


def take_back_all(current: Session, task: Task) -> None:
    """Restore the earlier status of deliveries that aren't being sent, and mark all as unsent."""
    settle(current, task)
    left = left_by_webhook(current, task.id)
    _lock_webhooks(current, [part.webhook_id for part in left])
    for part in left:
        _take_back(current, task, part.webhook_id, part.sent)
    waiting = [BatchRow.task_id == task.id, BatchRow.outcome == RowOutcome.WAITING]
    current.execute(update(BatchRow).where(*waiting).values(outcome=RowOutcome.UNSENT))


def _take_back(current: Session, task: Task, webhook_id: int, most: int) -> int:
    """Take back handed-over rows that are not being sent, newest first. Return their number."""
    now = database_time(current)
    statement = (
        select(Delivery.id)
        .join(BatchRow, BatchRow.delivery_id == Delivery.id)
        .where(
            BatchRow.task_id == task.id,
            BatchRow.outcome == RowOutcome.SENT,
            BatchRow.webhook_id == webhook_id,
            Delivery.priority == Priority.BULK,
            Delivery.prior_status.is_not(None),
            has_no_live_lease(now),
        )
        .order_by(Delivery.id.desc())
        .limit(most)
        .with_for_update(of=Delivery)
    )
    ids = leases.free_among(current, current.execute(statement).scalars().all(), now)
    if ids:
        current.execute(
            update(Delivery)
            .where(Delivery.id.in_(ids))
            .values(
                status=Delivery.prior_status,
                due_at=func.coalesce(Delivery.prior_due_at, Delivery.due_at),
                priority=Priority.NORMAL,
                prior_status=None,
                prior_due_at=None,
                requested_by=None,
            )
            .execution_options(synchronize_session=False)
        )
        set_rows(current, task, ids, outcome=RowOutcome.WAITING, attempts=0)
    return len(ids)


def _lock_webhooks(current: Session, ids: Sequence[int]) -> dict[int, AnyRow]:
    """Lock the webhooks and return them by id.

    An expired lease becomes an attempt first, because its holder can no longer record the result.
    """
    columns = Webhook.id, Webhook.name, Webhook.state, Webhook.deleted_at, Webhook.throttled
    statement = select(*columns).where(Webhook.id.in_(ids)).order_by(Webhook.id)
    rows = current.execute(statement.with_for_update(key_share=True)).all()
    leases.settle_ended(current, ids, database_time(current))
    return {row.id: row for row in rows}


def set_rows(current: Session, task: Task, ids: Iterable[int], **values: Any) -> None:
    """Update rows by their delivery ids."""
    conditions = [BatchRow.task_id == task.id, BatchRow.delivery_id.in_(list(ids))]
    statement = update(BatchRow).where(*conditions).values(**values)
    current.execute(statement.execution_options(synchronize_session=False))


def settle(current: Session, task: Task) -> int:
    """Record the outcomes of rows that ended since the last call. Return their number."""
    statement = (
        select(
            BatchRow.delivery_id,
            BatchRow.webhook_id,
            BatchRow.attempts,
            Delivery.id,
            Delivery.status,
            Delivery.priority,
            Delivery.prior_status,
        )
        .outerjoin(Delivery, Delivery.id == BatchRow.delivery_id)
        .where(BatchRow.task_id == task.id, BatchRow.outcome == RowOutcome.SENT)
    )
    rows = current.execute(statement).all()
    ends = _ends(current, rows)
    failures = dict(_failures(task))
    ended: dict[tuple[RowOutcome, str], list[int]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: _at(ends.get(row.delivery_id))):
        if (end := _outcome(row, ends.get(row.delivery_id))) is None:
            continue
        ended[end].append(row.delivery_id)
        webhook = str(row.webhook_id)
        if end[0] == RowOutcome.FAILED:
            failures[webhook] = failures.get(webhook, 0) + 1
        elif end[0] == RowOutcome.DELIVERED:
            failures[webhook] = 0
    for (outcome, message), ids in ended.items():
        set_rows(current, task, ids, outcome=outcome, message=message)
        task.count(outcome, len(ids))
    task.cursor = {**task.cursor, "failures": failures}
    return sum(map(len, ended.values()))


def _ends(current: Session, rows: Sequence[AnyRow]) -> dict[int, AnyRow]:
    """Find each row's first manual attempt that finished since the row was handed over.

    If none finished, the row gets an interrupted one.
    """
    before = {row.delivery_id: row.attempts for row in rows}
    if not before:
        return {}
    attempts = current.execute(
        select(Attempt.delivery_id, Attempt.number, Attempt.outcome, Attempt.finished_at).where(
            Attempt.delivery_id.in_(before),
            Attempt.kind == AttemptKind.MANUAL,
        )
    )
    later = [attempt for attempt in attempts if attempt.number > before[attempt.delivery_id]]
    later.sort(key=lambda row: (row.outcome != AttemptOutcome.INTERRUPTED, -row.number))
    return {attempt.delivery_id: attempt for attempt in later}


def _at(end: AnyRow | None) -> float:
    return end.finished_at.timestamp() if end is not None and end.finished_at else 0.0


def _outcome(row: AnyRow, end: AnyRow | None) -> tuple[RowOutcome, str] | None:
    """Return a row's outcome and message, or None while it is in progress."""
    if end is not None and end.outcome != AttemptOutcome.INTERRUPTED:
        return RowOutcome(end.outcome), ""
    if row.priority == Priority.BULK and row.prior_status is not None:
        return None
    if row.id is None:
        return RowOutcome.SKIPPED, NOT_KEPT
    if end is not None:
        return RowOutcome.FAILED, CUT_OFF
    why = DISMISSED if row.status == DeliveryStatus.DISMISSED else TAKEN_BACK
    return RowOutcome.SKIPPED, why


KIND: Final = Kind(name=NAME, permission=PERMISSION, step=step, ended=take_back_all)

MOST_LISTED: Final = 50


def find_page(cursor: str | None = None) -> Page[Task]:
    """Return the page of bulk retries next to the cursor, newest first."""
    return newest_first(_all(), Task.id, cursor)


def under_way() -> Sequence[Task]:
    """Return the newest `MOST_LISTED` bulk retries that run, wait, or are paused, newest first."""
    statement = _all().where(Task.state.in_(UNDER_WAY)).order_by(Task.id.desc())
    return session().scalars(statement.limit(MOST_LISTED)).all()


def named(ids: Sequence[int]) -> Sequence[Task]:
    """Return the bulk retries with these row ids."""
    return session().scalars(_all().where(Task.id.in_(ids)).order_by(Task.id)).all()


def _all() -> Select[Task]:
    return select(Task).where(Task.kind == NAME)


class Retrier(NamedTuple):
    """The person who started a bulk retry, or resumed it last."""

    user_id: int | None
    name: str


def sender(task: Task) -> Retrier:
    """Return the person who sends. Reads a name only if another person resumed the bulk retry."""
    by = task.cursor.get(SENDER)
    if by is None or by == task.actor_id:
        return Retrier(task.actor_id, task.actor_name)
    name = session().scalar(select(User.name).where(User.id == by))
    return Retrier(by, name or task.actor_name)


def is_paused(task: Task, webhook: int) -> bool:
    """Return whether this webhook (row id) gets nothing until a person resumes the bulk retry."""
    return task.state == TaskState.PAUSED or webhook in halted(task)
