"""Count the undelivered deliveries of webhooks in trouble, with their start and causes.

Every page and email takes a webhook's state from here.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    String,
    TextClause,
    and_,
    bindparam,
    case,
    column,
    literal_column,
    or_,
    select,
    text,
)
from sqlalchemy.orm import Session
from sqlalchemy.sql.selectable import TextualSelect

from portal.database.engine import AnyRow, UtcDateTime
from portal.engine.http.address_guard import host_of
from portal.engine.reasons import Reason, alike, title
from portal.lib.clock import common_now
from portal.models.deliveries import (
    IS_FAILING,
    IS_OPEN,
    Delivery,
    DeliveryStatus,
    Priority,
    is_failing,
)
from portal.models.webhooks import OURS, OffReason, Webhook, WebhookState
from portal.services.core.unit_of_work import database_time, session
from portal.services.outbox.claimable import head_of, paused_until
from portal.services.webhooks import notes
from portal.services.webhooks.notes import Note


class WebhookStatus(StrEnum):
    """A webhook's status as people see it, worst first.

    Failing: a queued, retrying, or failed delivery has failed twice, for a minute, or for good.
    """

    FAILING = "failing"
    ACTIVE = "active"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Cause:
    """A reason and response code for which `count` deliveries failed last.

    `failed`: the number of them with no automatic attempt left. `reason`: None if none was
    recorded.
    """

    reason: Reason | None
    code: int | None
    count: int
    failed: int = field(default=0, compare=False)

    @property
    def words(self) -> str:
        """Return the text of the log, such as "Server error (500)"."""
        return title(self.reason, self.code) if self.reason else "No attempt was made"


class Taken(NamedTuple):
    """The person who is looking into a webhook's failures, since `at`."""

    by: str
    by_id: int | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """The undelivered deliveries of a webhook in trouble, which fails or was turned off by us.

    `counts`: deliveries by status, tests excluded. `since`: the first failed attempt of the failing
    ones, or None if all are on hold. `causes`: the reasons why those failed last, most common
    first. `next_attempt_at`: the first of all automatic attempts. `waits_until`: no automatic
    attempt is made sooner. `is_untouched`: nothing was delivered since. `changed_at`: the time its
    settings changed after the first failure, if nothing has failed since. `host`, `format`: the
    destination and format of deliveries. `taken`: the person who took it.
    `note`: for colleagues.
    """

    webhook_id: int
    public_id: UUID
    name: str
    status: WebhookStatus
    is_deleted: bool
    off_reason: OffReason | None
    off_at: datetime | None
    in_order: bool
    failures_in_row: int
    counts: Counter[DeliveryStatus]
    since: datetime | None
    causes: tuple[Cause, ...]
    next_attempt_at: datetime | None
    waits_until: datetime | None
    is_untouched: bool
    taken: Taken | None = None
    note: Note | None = None
    last_delivered_at: datetime | None = None
    changed_at: datetime | None = None
    host: str = ""
    format: str | None = None

    @property
    def since_words(self) -> str:
        """Return "failing since", or words for the oldest alone if others were delivered since."""
        is_all = self.is_untouched or self.undelivered == 1
        return "failing since" if is_all else "the oldest failing since"

    @property
    def is_off_by_us(self) -> bool:
        """Return whether we turned it off and no person has decided about that."""
        is_off = self.status is WebhookStatus.OFF and not self.is_deleted
        return is_off and self.off_reason in OURS

    @property
    def undelivered(self) -> int:
        """Return the number of all undelivered deliveries."""
        return self.counts.total()

    @property
    def unsent(self) -> int:
        """Return the number that a deletion of the webhook dismisses."""
        return self.undelivered - self.counts[DeliveryStatus.FAILED]

    @property
    def retryable(self) -> int:
        """Return the number that a person can retry now."""
        if self.status is WebhookStatus.OFF:
            return 0
        return self.counts[DeliveryStatus.RETRYING] + self.counts[DeliveryStatus.FAILED]

    @property
    def cause(self) -> Cause | None:
        """Return the most common cause, or None if the settings have changed since."""
        return self.causes[0] if self.causes and self.changed_at is None else None


def find() -> list[Backlog]:
    """Return all backlogs, first those with nothing delivered since, then the largest."""
    return sorted(_read(session(), None), key=_severity)


def of_ids(current: Session, ids: Collection[int]) -> dict[int, Backlog]:
    """Return the backlogs of these webhooks by row id. Healthy webhooks have none."""
    return {backlog.webhook_id: backlog for backlog in _read(current, ids)} if ids else {}


def of_one(current: Session, webhook_id: int) -> Backlog | None:
    """Return the backlog of one webhook, or None while it is healthy."""
    return of_ids(current, [webhook_id]).get(webhook_id)


def of_webhook(public_id: UUID) -> Backlog | None:
    """Return the backlog of one webhook, or None if it is healthy or does not exist."""
    current = session()
    webhook_id = current.scalar(select(Webhook.id).where(Webhook.public_id == public_id))
    return of_one(current, webhook_id) if webhook_id is not None else None


class Totals(NamedTuple):
    """The number of undelivered deliveries at webhooks in trouble, and of such webhooks shown."""

    undelivered: int
    webhooks: int


def count_of(backlogs: Sequence[Backlog]) -> Totals:
    """Return the totals of these backlogs."""
    undelivered = sum(backlog.undelivered for backlog in backlogs)
    return Totals(undelivered, sum(not backlog.is_deleted for backlog in backlogs))


def count() -> Totals:
    """Return the totals of `find`, for pages that show no single webhook."""
    current = session()
    return Totals(*current.execute(_totals(current.get_bind().dialect.name)).one())


def status_of(webhook: Webhook | AnyRow, backlog: Backlog | None) -> WebhookStatus:
    """Return the status of a shown webhook, given its backlog."""
    if webhook.state != WebhookState.ACTIVE:
        return WebhookStatus.OFF
    return WebhookStatus.FAILING if backlog else WebhookStatus.ACTIVE


@cache
def severity() -> ColumnElement[int]:
    """Return the rank of a shown webhook: turned off by us, failing, other active, other off."""
    is_on = Webhook.state == WebhookState.ACTIVE
    ours = Webhook.off_reason.in_(OURS)
    return case((and_(~is_on, ours), 0), (~is_on, 3), (fails(), 1), else_=2)


def ids_in_trouble(current: Session) -> Sequence[int]:
    """Return the row ids of the webhooks that have a backlog."""
    return current.scalars(select(Webhook.id).where(is_in_trouble()).order_by(Webhook.id)).all()


def is_in_trouble() -> ColumnElement[bool]:
    """Return the condition of a webhook that has a backlog."""
    return or_(fails(), _is_off_by_us())


# A delivery that failed once is retried within seconds. For this long, it makes no webhook Failing.
GRACE: Final = timedelta(minutes=1)


def _grace_began() -> datetime:
    return common_now() - GRACE


def fails() -> ColumnElement[bool]:
    """Return the condition of a webhook with a failing delivery whose grace is over."""
    began = bindparam(None, callable_=_grace_began, type_=UtcDateTime())
    is_over = or_(
        Delivery.status == literal_column("'failed'"),
        Delivery.failing_since <= began,
        Delivery.attempts != literal_column("1"),
    )
    one: Select[Any] = select(Delivery.webhook_id).where(
        Delivery.webhook_id == Webhook.id, is_failing(), is_over
    )
    return one.limit(1).correlate(Webhook).scalar_subquery().is_not(None)


def _is_off_by_us() -> ColumnElement[bool]:
    is_off = Webhook.state == WebhookState.OFF
    return and_(is_off, Webhook.off_reason.in_(OURS), Webhook.deleted_at.is_(None))


FAILING, OTHERS = 0, 1
# Part 0 counts failing deliveries by cause, of webhooks that `fails` finds. Part 1 counts open and
# on-hold deliveries of the same webhooks and of those that we turned off. Part 2 lists these
# webhooks. SQLite's planner has to be told the indexes. Only the newest failures need their rows.
_COUNTED: Final = """
WITH failing AS (
  SELECT webhook_id, status, reason, code, count(*) AS many, min(failing_since) AS since
  FROM deliveries {by_failing} WHERE {is_failing} {of_webhooks}
  GROUP BY webhook_id, reason, code, status),
troubled AS (
  SELECT webhook_id AS id FROM failing
  WHERE status = 'failed' OR since <= :grace_began OR EXISTS (
    SELECT 1 FROM deliveries AS one {by_failing}
    WHERE one.webhook_id = failing.webhook_id AND {is_failing} AND attempts <> 1)
  UNION SELECT id FROM webhooks WHERE state = 'off' AND off_reason IN ({ours})
  AND deleted_at IS NULL {of_ids})
SELECT 0 AS part, webhook_id, status, reason, code, NULL AS priority, many, since, NULL AS due_at
FROM failing WHERE webhook_id IN (SELECT id FROM troubled)
UNION ALL
SELECT 1, webhook_id, status, NULL, NULL, priority, count(*), NULL, min(due_at)
FROM troubled CROSS JOIN deliveries {by_due}
WHERE webhook_id = troubled.id AND {is_open} AND priority <> 0
GROUP BY webhook_id, status, priority
UNION ALL
SELECT 1, webhook_id, status, NULL, NULL, NULL, count(*), NULL, NULL
FROM troubled CROSS JOIN deliveries {by_status}
WHERE webhook_id = troubled.id AND status = '{on_hold}'
GROUP BY webhook_id, status
UNION ALL
SELECT 2, id, NULL, NULL, NULL, NULL, 0, NULL, NULL FROM troubled
"""


_TOTALS: Final = """
SELECT coalesce(sum(CASE WHEN part = 1 OR status = 'failed' THEN many ELSE 0 END), 0),
  coalesce(sum(CASE WHEN part = 2 AND webhook_id NOT IN (
    SELECT id FROM webhooks WHERE deleted_at IS NOT NULL) THEN 1 ELSE 0 END), 0)
FROM ({counted}) AS counted
"""


_BEGAN: Final = bindparam("grace_began", callable_=_grace_began, type_=UtcDateTime())


@cache
def _totals(dialect: str) -> TextualSelect:
    statement = text(_TOTALS.format(counted=_words(dialect, of_some=False)))
    return statement.bindparams(_BEGAN).columns(
        column("undelivered", Integer), column("webhooks", Integer)
    )


@cache
def _counted(dialect: str, *, of_some: bool) -> TextualSelect:
    statement: TextClause = text(_words(dialect, of_some=of_some)).bindparams(_BEGAN)
    if of_some:
        statement = statement.bindparams(bindparam("ids", expanding=True))
    return statement.columns(
        part=Integer,
        webhook_id=Integer,
        status=String,
        reason=String,
        code=Integer,
        priority=Integer,
        many=Integer,
        since=UtcDateTime,
        due_at=UtcDateTime,
    )


def _words(dialect: str, *, of_some: bool) -> str:
    names = {"by_failing": "failing", "by_due": "due", "by_status": "webhook_id_status_id"}
    is_sqlite = dialect == "sqlite"
    by = {
        key: f"INDEXED BY ix_deliveries_{name}" if is_sqlite else "" for key, name in names.items()
    }
    return _COUNTED.format(
        **by,
        is_failing=IS_FAILING,
        is_open=IS_OPEN,
        on_hold=DeliveryStatus.ON_HOLD,
        ours=", ".join(f"'{reason}'" for reason in OURS),
        of_webhooks="AND webhook_id IN :ids" if of_some else "",
        of_ids="AND id IN :ids" if of_some else "",
    )


def _read(current: Session, ids: Collection[int] | None) -> list[Backlog]:
    statement = _counted(current.get_bind().dialect.name, of_some=ids is not None)
    params = {} if ids is None else {"ids": list(ids)}
    by_webhook: dict[int, list[AnyRow]] = defaultdict(list)
    for row in current.execute(statement, params):
        by_webhook[row.webhook_id].append(row)
    if not by_webhook:
        return []
    now = database_time(current)
    return [_backlog(row, by_webhook[row.id], now) for row in _webhooks(current, by_webhook)]


def _webhooks(current: Session, ids: Iterable[int]) -> Sequence[AnyRow]:
    return current.execute(_of_webhooks(), {"ids": list(ids)}).all()


# Built once, like the statements above, because building it takes as long as reading all the rows.
@cache
def _of_webhooks() -> Select[*tuple[Any, ...]]:
    head = select(Delivery.due_at).where(Delivery.id == head_of(Webhook.id.expression))
    statement = select(
        Webhook.id,
        Webhook.public_id,
        Webhook.name,
        Webhook.url,
        Webhook.format,
        Webhook.state,
        Webhook.off_reason,
        Webhook.off_at,
        Webhook.deleted_at,
        Webhook.in_order,
        Webhook.failures_in_row,
        Webhook.backoff_until,
        Webhook.reopened_at,
        Webhook.last_delivered_at,
        Webhook.changed_at,
        Webhook.taken_by,
        Webhook.taken_by_id,
        Webhook.taken_at,
        *notes.COLUMNS,
        case((Webhook.in_order, head.correlate(Webhook).scalar_subquery())).label("head_due_at"),
    )
    return statement.where(Webhook.id.in_(bindparam("ids", expanding=True)))


def _backlog(hook: AnyRow, rows: Sequence[AnyRow], now: datetime) -> Backlog:
    counts: Counter[DeliveryStatus] = Counter()
    causes: Counter[tuple[Reason | None, int | None]] = Counter()
    failed: Counter[tuple[Reason | None, int | None]] = Counter()
    for row in rows:
        if row.part == FAILING:
            reason = alike(Reason(row.reason))[0] if row.reason else None
            causes[reason, row.code] += row.many
            failed[reason, row.code] += row.many if row.status == DeliveryStatus.FAILED else 0
        # Part 1 counts all open deliveries, including failing ones.
        if row.status == DeliveryStatus.FAILED or row.part == OTHERS:
            counts[DeliveryStatus(row.status)] += row.many
    since = min((row.since for row in rows if row.since), default=None)
    is_on = hook.state == WebhookState.ACTIVE and hook.deleted_at is None
    arrived_at, pause = hook.last_delivered_at, hook.backoff_until
    is_changed = is_on and not hook.failures_in_row and since and since < (hook.changed_at or since)
    return Backlog(
        webhook_id=hook.id,
        public_id=hook.public_id,
        name=hook.name,
        status=WebhookStatus.FAILING if is_on else WebhookStatus.OFF,
        is_deleted=hook.deleted_at is not None,
        off_reason=OffReason(hook.off_reason) if hook.off_reason else None,
        off_at=hook.off_at,
        in_order=hook.in_order,
        failures_in_row=hook.failures_in_row,
        counts=counts,
        since=since,
        causes=_sorted(causes, failed),
        next_attempt_at=_next_attempt(hook, rows, now) if is_on else None,
        waits_until=pause if is_on and pause and pause > now else None,
        is_untouched=since is not None and (arrived_at is None or arrived_at <= since),
        taken=taken_of(hook),
        note=notes.note_of(hook),
        last_delivered_at=arrived_at,
        changed_at=hook.changed_at if is_changed else None,
        host=host_of(hook.url),
        format=hook.format,
    )


def taken_of(webhook: Webhook | AnyRow) -> Taken | None:
    """Return the person who took a webhook, or None."""
    at = webhook.taken_at
    if at is None:
        return None
    return Taken(webhook.taken_by or "", webhook.taken_by_id, at)


def _sorted(
    causes: Counter[tuple[Reason | None, int | None]],
    failed: Counter[tuple[Reason | None, int | None]],
) -> tuple[Cause, ...]:
    unsorted = [Cause(*cause, many, failed[cause]) for cause, many in causes.items()]
    return tuple(sorted(unsorted, key=lambda each: (-each.count, each.words)))


def _next_attempt(hook: AnyRow, rows: Sequence[AnyRow], now: datetime) -> datetime | None:
    """Return the time when the first delivery is sent, not before the end of a pause or now.

    In order, the head counts.
    """
    # Resumed deliveries soon become due (`resume_recovered`).
    resumed = hook.reopened_at
    dues = [(row.priority, min(row.due_at, resumed or row.due_at)) for row in rows if row.due_at]
    if hook.in_order and hook.head_due_at:
        dues = [(priority, at) for priority, at in dues if priority != Priority.NORMAL]
        dues.append((Priority.NORMAL, hook.head_due_at))
    pause = hook.backoff_until
    return min(
        (
            max(now, at, paused_until(priority, pause, now, in_order=hook.in_order) or at)
            for priority, at in dues
        ),
        default=None,
    )


def _severity(backlog: Backlog) -> tuple[Any, ...]:
    where = backlog.name.lower(), backlog.public_id
    return not backlog.is_untouched, -backlog.undelivered, *where
