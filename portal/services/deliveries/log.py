"""Read pages of the delivery log, newest first, and the counts shown beside them."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Row, and_, exists, func, literal, or_, select
from sqlalchemy.orm import Session

from portal.engine.http.address_guard import host_of
from portal.engine.reasons import NEVER_LEFT
from portal.engine.retry_policy import AttemptKind
from portal.extensions import settings
from portal.lib.paging import PAGE_SIZE, Cursor, Page, UnreadableCursor, page_of
from portal.models.deliveries import (
    OPEN,
    Attempt,
    AttemptOutcome,
    BatchRow,
    Delivery,
    DeliveryStatus,
    Lease,
    Priority,
)
from portal.models.webhooks import Webhook, WebhookKind, WebhookState
from portal.services.core.queries import COUNT_LIMIT, capped
from portal.services.core.unit_of_work import database_time, session
from portal.services.deliveries import retry
from portal.services.deliveries.answers import Said, answers_with
from portal.services.deliveries.log_query import (
    Failure,
    IndexScan,
    count_statement,
    end_of_window,
    example_statement,
    failed_between,
    has_more_than,
    ids_statement,
    last_failures,
    needs_attention,
    next_statement,
    page_statement,
    scan_for,
    without_drafts,
)
from portal.services.deliveries.retry import RetryEligibility
from portal.services.deliveries.statuses import (
    Check,
    LogFilter,
    StatusFilter,
    matches,
    of_status,
    stored_as,
)
from portal.services.outbox import leases
from portal.services.outbox.at_rest import UNDELIVERED
from portal.services.outbox.claimable import (
    WaitsFor,
    heads,
    kept_by,
    most_at_once,
    paced_until,
    paused_until,
)
from portal.services.outbox.connectivity import find_offline
from portal.services.webhooks import backlog as backlogs

RETRYABLE: Final = (DeliveryStatus.RETRYING, DeliveryStatus.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRow:
    """One line of the log.

    `reason`, `code`, `took_ms`: of the last attempt or, if delivered, of the successful one.
    `resent`: the (reason, code) of a later attempt that failed. `sent`: the number of attempts that
    may have reached the receiver. `most`: the number of deliveries that its webhook is sent at
    once. `next_try_at`: set while it is open and waits for no older delivery, and never
    in the past. `is_manual`: a
    person's Retry of it is open. `finished_at`: the time it arrived, failed for good, or was
    dismissed. None while it is tried. `failure`: the last attempt that failed in the time range of
    the filter. `said`: the newest response that matches the filter.
    """

    id: int
    public_id: UUID
    event_id: int
    created_at: datetime
    event: str
    asset_id: int | None
    asset_tag: str
    asset_name: str
    webhook_id: UUID
    webhook_name: str
    is_webhook_active: bool
    is_webhook_deleted: bool
    webhook_off_at: datetime | None
    webhook_off_until: datetime | None
    is_in_order: bool
    status: DeliveryStatus
    is_being_sent: bool
    waits_for: WaitsFor | None
    most: int
    webhook_format: str | None
    is_test: bool
    is_manual: bool
    reason: str | None
    code: int | None
    tries: int
    attempts: int
    sent: int
    next_try_at: datetime | None
    took_ms: int | None
    finished_at: datetime | None
    dismissed_by: str | None
    dismissed_at: datetime | None
    dismissed_reason: str | None
    resent: tuple[str, int | None] | None = None
    failing_since: datetime | None = None
    failure: Failure | None = None
    said: Said | None = None

    @property
    def is_undelivered(self) -> bool:
        """Return whether it can be dismissed."""
        return self.status not in (DeliveryStatus.DELIVERED, DeliveryStatus.DISMISSED)

    @property
    def is_restorable(self) -> bool:
        return self.status is DeliveryStatus.DISMISSED and not self.is_webhook_deleted

    @property
    def eligibility(self) -> RetryEligibility:
        """Return the facts that decide whether it can be retried, except a stop of all sending."""
        return RetryEligibility(
            status=self.status,
            is_being_sent=self.is_being_sent,
            is_test=self.is_test,
            webhook_name=self.webhook_name,
            is_webhook_off=not self.is_webhook_active,
            is_webhook_deleted=self.is_webhook_deleted,
            is_manual=self.is_manual,
            is_kept=self.waits_for in (WaitsFor.RECEIVER, WaitsFor.ORDER, WaitsFor.PACE),
        )


def rows_of(
    current: Session, lines: Sequence[Row[*tuple[Any, ...]]], now: datetime
) -> list[LogRow]:
    """Build rows from the results of `page_statement`. `now`: the database's clock."""
    sent = _sent(current, [line.id for line in lines if _may_have_failed(line)])
    ahead = heads(current, (line.webhook_id for line in lines if _waits_its_turn(line)))
    rows = [_row(line, now, sent, ahead) for line in lines]
    due = [
        (row, line)
        for row, line in zip(rows, lines, strict=True)
        if line.status in OPEN and not row.is_being_sent
        if row.waits_for in (None, WaitsFor.PACE)
        if line.due_at <= now
    ]
    if due:
        kept = _kept_though_due(current, due, now)
        rows = [replace(row, waits_for=kept.get(row.id, row.waits_for)) for row in rows]
    resent = {row.id for row in rows if row.status is DeliveryStatus.DELIVERED and row.reason}
    if resent:
        arrivals = _arrivals(current, resent)
        rows = [
            _as_arrived(row, arrivals.get(row.id, (None, None))) if row.id in resent else row
            for row in rows
        ]
    return rows


def _kept_though_due(
    current: Session, due: Sequence[tuple[LogRow, Row[*tuple[Any, ...]]]], now: datetime
) -> dict[int, WaitsFor]:
    """Return the reasons why these due deliveries still wait, by row id."""
    reasons: dict[int, WaitsFor] = {}
    under_way = leases.count_of(current, {line.webhook_id for _, line in due}, now)
    for row, line in due:
        # A test has a place of its own.
        if (
            row.waits_for is None
            and not row.is_test
            and under_way.get(line.webhook_id, 0) >= row.most
        ):
            reasons[row.id] = WaitsFor.PLACES
    offline_hosts = {host for sender in find_offline() for host in sender.hosts}
    if offline_hosts:
        query = select(Webhook.id, Webhook.url).where(
            Webhook.id.in_({line.webhook_id for _, line in due}), Webhook.kind == WebhookKind.HTTP
        )
        cut_off = {row.id for row in current.execute(query) if host_of(row.url) in offline_hosts}
        reasons |= {row.id: WaitsFor.CONNECTION for row, line in due if line.webhook_id in cut_off}
    return reasons


def _arrivals(current: Session, ids: Collection[int]) -> dict[int, tuple[int | None, int | None]]:
    """Return (code, milliseconds) of each delivery's last successful attempt."""
    delivered = (
        select(Attempt.delivery_id, Attempt.code, Attempt.phases)
        .where(Attempt.delivery_id.in_(ids), Attempt.outcome == AttemptOutcome.DELIVERED)
        .order_by(Attempt.number)
    )
    return {
        row.delivery_id: (row.code, _milliseconds(row.phases)) for row in current.execute(delivered)
    }


def _milliseconds(phases: dict[str, Any] | None) -> int | None:
    total = (phases or {}).get("total")
    return round(total) if total else None


def _as_arrived(row: LogRow, arrival: tuple[int | None, int | None]) -> LogRow:
    """Return the row of a delivery that arrived, but failed when it was resent."""
    code, took_ms = arrival
    resent = (row.reason or "", row.code)
    return replace(row, reason=None, code=code, took_ms=took_ms, resent=resent)


def _sent(current: Session, ids: Sequence[int]) -> dict[int, int]:
    """Count each delivery's attempts that may have reached the receiver."""
    if not ids:
        return {}
    left = or_(Attempt.reason.is_(None), Attempt.reason.not_in(map(str, NEVER_LEFT)))
    counted = (
        select(Attempt.delivery_id, func.count())
        .where(Attempt.delivery_id.in_(ids), left)
        .group_by(Attempt.delivery_id)
    )
    return {row[0]: row[1] for row in current.execute(counted)}


def _may_have_failed(row: Row[*tuple[Any, ...]]) -> bool:
    """Return whether an attempt may not have left. Most deliveries arrive on the first attempt."""
    has_arrived_at_once = row.attempts == 1 and row.status == DeliveryStatus.DELIVERED
    return row.attempts > 0 and not has_arrived_at_once


def _waits_its_turn(row: Row[*tuple[Any, ...]]) -> bool:
    """Return whether it may have to wait for an older delivery."""
    is_usual = row.priority != Priority.TEST and row.prior_status is None
    return row.status in OPEN and row.in_order and is_usual


def _row(
    row: Row[*tuple[Any, ...]], now: datetime, sent: dict[int, int], ahead: dict[int, int | None]
) -> LogRow:
    waits_behind = _waits_its_turn(row) and (ahead[row.webhook_id] or row.id) < row.id
    is_leased = row.leased_kind is not None  # an attempt that has no row of its own yet
    is_being_sent = row.status in OPEN and is_leased and row.leased_until > now
    pause = paused_until(row.priority, row.backoff_until, now, in_order=row.in_order)
    paced, waits_for = paced_until(row, row, now), None
    if row.status in OPEN and not is_being_sent:
        is_paced = paced is not None
        waits_for = kept_by(row.due_at, pause, is_behind=waits_behind, is_paced=is_paced)
    is_sent_to = row.is_webhook_active or row.priority == Priority.TEST
    goes_by_itself = row.status in OPEN and is_sent_to and not waits_behind
    return LogRow(
        id=row.id,
        public_id=row.public_id,
        event_id=row.event_id,
        created_at=row.created_at,
        event=row.event,
        asset_id=row.asset_id,
        asset_tag=row.asset_tag,
        asset_name=row.asset_name,
        webhook_id=row.webhook_public_id,
        webhook_name=row.webhook_name,
        is_webhook_active=bool(row.is_webhook_active),
        is_webhook_deleted=row.webhook_deleted_at is not None,
        webhook_off_at=row.off_at,
        webhook_off_until=row.off_until,
        is_in_order=bool(row.in_order),
        status=DeliveryStatus(row.status),
        is_being_sent=is_being_sent,
        waits_for=waits_for,
        most=most_at_once(
            settings().webhook_max_in_flight,
            throttled=row.throttled,
            in_order=row.in_order,
            format_=row.format,
        ),
        webhook_format=row.format,
        is_test=row.priority == Priority.TEST,
        is_manual=row.status in OPEN and row.prior_status is not None,
        reason=row.reason,
        code=row.code,
        tries=row.tries + (row.leased_kind == AttemptKind.SCHEDULED),
        attempts=row.attempts + is_leased,
        sent=(sent.get(row.id, 0) if _may_have_failed(row) else row.attempts) + is_leased,
        next_try_at=max(filter(None, (now, row.due_at, pause, paced))) if goes_by_itself else None,
        took_ms=row.took_ms,
        finished_at=row.finished_at,
        failing_since=row.failing_since,
        dismissed_by=row.dismissed_by,
        dismissed_at=row.dismissed_at,
        dismissed_reason=row.dismissed_reason,
    )


EXPORT_LIMIT: Final = 50_000
EXPORT_CHUNK: Final = 500


@dataclass(frozen=True, slots=True)
class LogPage:
    """A page. `further`: the cursor to continue from if a search stopped before the log's end."""

    page: Page[LogRow]
    further: str | None = None


def find_page(
    log_filter: LogFilter,
    cursor: str | None = None,
    size: int = PAGE_SIZE,
    *,
    oldest_first: bool = False,
) -> LogPage:
    """Return the page of matching deliveries next to the cursor, newest first. Reads only.

    `oldest_first`: reverse the order. The page's `newer` still leads toward the beginning of the
    list.
    """
    current = session()
    place = Cursor.decode(cursor)
    now = database_time(current)
    is_back = place is not None and place.newer
    is_up = is_back is not oldest_first  # by ascending ids
    scan = scan_for(current, log_filter, replace(place, newer=is_up) if place else None, now)
    if scan is None:
        return LogPage(Page([]))
    lines = current.execute(page_statement(scan, newer=is_up, limit=size + 1)).all()
    last = None
    if scan.has_window and (scan.branches or len(lines) <= size):
        if len(lines) > size:  # A window that ends beyond the page does not matter.
            ids = [row.id for row in lines]
            scan = replace(scan, high=max(ids)) if is_up else replace(scan, low=min(ids))
        last = end_of_window(current, scan, newer=is_up)
    if last is not None:
        # Another branch may have read further. Drop its rows beyond the unread part of this one.
        lines = [row for row in lines if (row.id <= last if is_up else row.id >= last)]
        last = None if len(lines) > size else last
    if is_back and not lines and last is None:
        return find_page(log_filter, None, size, oldest_first=oldest_first)
    lines = sorted(lines, key=lambda row: row.id, reverse=not is_up)
    rows = _as_asked_for(current, rows_of(current, lines, now), log_filter)
    step = 1 if is_up else -1
    page = page_of(rows, place, lambda row: (row.id,), size) if rows else _blank(place, step)
    further = Cursor((last,), newer=is_back).encode() if last is not None else None
    if is_back:
        return LogPage(replace(page, newer=page.newer or further))
    return LogPage(page, further)


def find_next(
    log_filter: LogFilter, cursor: str | None = None, size: int = PAGE_SIZE
) -> Page[LogRow]:
    """Return matching open deliveries by the time of their next attempt. Reads only.

    Deliveries without a planned attempt come last.
    """
    current = session()
    place = Cursor.decode(cursor, (str, int))
    is_back = place is not None and place.newer
    now = database_time(current)
    scan = scan_for(current, log_filter, None, now)
    if scan is None:
        return Page([])
    beside = _time_and_id(place) if place else None
    statement = next_statement(scan, beside, now, is_back=is_back, limit=size + 1)
    times = {line.id: line.at for line in current.execute(statement)}
    if is_back and not times:
        return find_next(log_filter, None, size)
    unordered = _as_asked_for(current, of_ids(list(times)), log_filter)
    by_id = {row.id: row for row in unordered}
    rows = [by_id[row_id] for row_id in times if row_id in by_id]
    return page_of(rows, place, lambda row: (times[row.id].isoformat(), row.id), size)


def _time_and_id(place: Cursor) -> tuple[datetime, int]:
    at, row_id = place.key
    try:
        return datetime.fromisoformat(str(at)).astimezone(UTC), int(row_id)
    except (ValueError, OverflowError):
        raise UnreadableCursor from None


def _as_asked_for(
    current: Session, rows: Sequence[LogRow], log_filter: LogFilter
) -> Sequence[LogRow]:
    """Add the failures and responses that the filter asks for."""
    ids = [row.id for row in rows]
    if log_filter.failed:
        failures = last_failures(current, log_filter.failed, ids)
        rows = [replace(row, failure=failures.get(row.id)) for row in rows]
    if log_filter.answer:
        answers = answers_with(log_filter.answer, ids, failed_between(log_filter.failed))
        rows = [replace(row, said=answers.get(row.id)) for row in rows]
    return rows


def _blank(place: Cursor | None, step: int) -> Page[LogRow]:
    """Return an empty page with a cursor back to the previous page. `step`: reading direction."""
    if place is None:
        return Page([])
    beside = Cursor((int(place.key[0]) + step,), newer=not place.newer).encode()
    return Page([], older=beside) if place.newer else Page([], newer=beside)


def of_ids(ids: Sequence[int]) -> Sequence[LogRow]:
    """Return the deliveries with these row ids, newest first. Meant for a few hundred at most."""
    if not ids:
        return []
    current = session()
    is_one = (Delivery.id.in_(ids), *without_drafts(current))
    as_tuple = current.get_bind().dialect.name != "sqlite"
    scan = IndexScan({}, None, {}, is_one, min(ids), max(ids), as_tuple)
    lines = current.execute(page_statement(scan, newer=False, limit=len(ids))).all()
    newest_first = sorted(lines, key=lambda row: row.id, reverse=True)
    return rows_of(current, newest_first, database_time(current))


def named(public_ids: Collection[UUID]) -> Iterator[LogRow]:
    """Yield at most `MOST_NAMED` of these deliveries, newest first."""
    chosen = list(dict.fromkeys(public_ids))[:MOST_NAMED]
    yield from of_ids(
        session().scalars(select(Delivery.id).where(Delivery.public_id.in_(chosen))).all()
    )


MOST_NAMED: Final = 100


@dataclass(frozen=True, slots=True)
class Matches:
    """Counts of the deliveries that match a filter.

    `retryables`: those that can be retried, or resent if the filter is for delivered ones.
    `attention`: the number that need attention. `failed_tests`: the number of failed tests.
    `is_more`: there are more than were counted. Above `COUNT_LIMIT`, statuses are known only from
    examples (`with_examples`).
    """

    total: int = 0
    statuses: Counter[DeliveryStatus] = field(default_factory=Counter)
    retryables: Counter[DeliveryStatus] = field(default_factory=Counter)
    attention: int = 0
    failed_tests: int = 0
    is_more: bool = False

    @property
    def undelivered(self) -> int:
        """Return the number that can be dismissed."""
        return sum(self.statuses[status] for status in UNDELIVERED)

    @property
    def retryable(self) -> int:
        """Return the number that can be retried together."""
        return self.retryables.total()

    def having(self, status: DeliveryStatus) -> "Matches":
        """Return the counts of one status. Valid only if all were counted."""
        counted, retryable = (
            {status: counts[status]} for counts in (self.statuses, self.retryables)
        )
        return Matches(counted[status], Counter(counted), Counter(retryable))


def count_matches(log_filter: LogFilter, *, by_attention: bool = False) -> Matches:
    """Count up to `COUNT_LIMIT` matches in one statement.

    A search counts only the newest rows that it reads. `by_attention`: also count failed tests and
    those that need attention, which checks every webhook.
    """
    current = session()
    now = database_time(current)
    scan = scan_for(current, log_filter, None, now)
    if scan is None:
        return Matches()
    if has_more_than(current, scan, COUNT_LIMIT):
        return Matches(COUNT_LIMIT + 1, is_more=True)
    taken = _taken(log_filter)
    others = [needs_attention, _is_failed_test] if by_attention else []
    checks = [_is_retryable(current, now, taken), *others]
    rows = current.execute(count_statement(scan, checks, COUNT_LIMIT + 1)).all()
    statuses = Counter({DeliveryStatus(row[0]): row[1] for row in rows})
    retryables = Counter({DeliveryStatus(row[0]): row[2] for row in rows if row[0] in taken})
    is_more = statuses.total() > COUNT_LIMIT
    if scan.has_window and not is_more:
        is_more = end_of_window(current, scan, newer=False) is not None
    attention, failed_tests = (
        sum(row[column] for row in rows) if by_attention else 0 for column in (3, 4)
    )
    return Matches(statuses.total(), statuses, retryables, attention, failed_tests, is_more)


def count_failures(log_filter: LogFilter) -> int:
    """Count (`capped`) the failed attempts in the filter's time, 0 if it asks for more than that.

    A webhook may narrow it.
    """
    failed, webhook = log_filter.failed, log_filter.webhook
    if failed is None or log_filter != LogFilter(failed=failed, webhook=webhook):
        return 0
    current = session()
    of_one = [Webhook.public_id == webhook] if webhook else []
    attempts = (
        select(Attempt.id)
        .join(Delivery, Delivery.id == Attempt.delivery_id)
        .join(Webhook, Webhook.id == Delivery.webhook_id)
        .where(*failed_between(failed), Delivery.priority != Priority.TEST, *of_one)
    )
    return capped(current, attempts)


def with_examples(found: Matches, log_filter: LogFilter) -> Matches:
    """Add an example to dismiss and one to retry if the matches are too many to count by status."""
    if found.total == found.statuses.total():
        return found
    current = session()
    now = database_time(current)
    scan = scan_for(current, log_filter, None, now)
    if scan is None:
        return Matches()
    may_retry = _is_retryable(current, now, _taken(log_filter))
    of_dismissal, of_retry = (
        current.scalars(example_statement(scan, check, COUNT_LIMIT + 1)).all()
        for check in (is_undelivered, may_retry)
    )
    statuses, retryables = (
        Counter(map(DeliveryStatus, examples)) for examples in (of_dismissal, of_retry)
    )
    return replace(found, statuses=statuses, retryables=retryables)


def _taken(log_filter: LogFilter) -> Sequence[DeliveryStatus]:
    """Return the statuses that a bulk retry takes, which are only delivered ones if so filtered."""
    is_resend = log_filter.status is StatusFilter.DELIVERED
    return (DeliveryStatus.DELIVERED,) if is_resend else RETRYABLE


def _is_failed_test(row: Any) -> ColumnElement[bool]:
    return and_(row.priority == Priority.TEST, row.status == str(DeliveryStatus.FAILED))


def is_undelivered(row: Any) -> ColumnElement[bool]:
    """Return the condition of a delivery that can be dismissed."""
    return matches(row.status, tuple(map(str, UNDELIVERED)))


def _is_retryable(
    current: Session, now: datetime, statuses: Sequence[DeliveryStatus] = RETRYABLE
) -> Check:
    """Return a check for deliveries that a bulk retry would take. It skips merely queued ones."""
    active = select(Webhook.id).where(
        Webhook.state == WebhookState.ACTIVE, Webhook.deleted_at.is_(None)
    )
    running = retry.running(current)

    def check(row: Any) -> ColumnElement[bool]:
        leased = exists().where(Lease.delivery_id == row.id, Lease.until > now)
        taken = exists().where(BatchRow.delivery_id == row.id, retry.is_of(running))
        return and_(
            matches(row.status, tuple(map(str, statuses))),
            row.priority != Priority.TEST,
            row.prior_status.is_(None),
            row.webhook_id.in_(active),
            ~leased,
            *([~taken] if running else []),
        )

    return check


MOST_COUNTED: Final = 1_000_000
MOST_PAGES: Final = 20


def count_undelivered(log_filter: LogFilter, newest: int) -> int:
    """Count matching deliveries up to `newest` that are neither delivered nor dismissed.

    A search has to read them, so it looks at `MOST_PAGES` pages at most.
    """
    current = session()
    cursor: str | None = Cursor((newest + 1,)).encode()
    scan = scan_for(current, log_filter, Cursor.decode(cursor), database_time(current))
    if scan is None:
        return 0
    if not scan.has_window:
        statement = count_statement(scan, [], MOST_COUNTED)
        return sum(many for status, many in current.execute(statement) if status in UNDELIVERED)
    count = 0
    for _ in range(MOST_PAGES):
        log_page = find_page(log_filter, cursor, EXPORT_CHUNK)
        count += sum(row.is_undelivered for row in log_page.page.rows)
        cursor = log_page.page.older or log_page.further
        if cursor is None:
            break
    return count


def find_undelivered(
    log_filter: LogFilter, below: int, size: int
) -> tuple[Sequence[int], int | None]:
    """Find the undelivered among the next `size` matches older than `below`. Reads only.

    Returns their row ids and the id to continue from, which is None at the end. Dismissed
    deliveries are left out.
    """
    current = session()
    scan = scan_for(current, log_filter, Cursor((below,)), database_time(current))
    if scan is None:
        return [], None
    rows = current.execute(ids_statement(scan, size)).all()
    last = None
    if scan.has_window and (scan.branches or len(rows) < size):
        last = end_of_window(current, scan, newer=False)
    if last is not None:
        rows = [row for row in rows if row.id >= last]
    undelivered = [row.id for row in rows if row.status in UNDELIVERED]
    return undelivered, min(row.id for row in rows) if len(rows) == size else last


def latest(log_filter: LogFilter, count: int = 10) -> Sequence[LogRow]:
    """Return the newest matches, for other pages."""
    return find_page(log_filter, None, count).page.rows


def every(log_filter: LogFilter, most: int | None = None) -> Iterator[LogRow]:
    """Yield all matches, newest first, up to `most` (default `EXPORT_LIMIT`).

    Reads each chunk in its own transaction, so that a long download blocks nothing.
    """
    left, cursor = most or EXPORT_LIMIT, None
    while True:
        part = find_page(log_filter, cursor, min(left, EXPORT_CHUNK))
        session().rollback()
        yield from part.page.rows
        left -= len(part.page.rows)
        cursor = part.page.older or part.further
        if not left or cursor is None:
            return


def count(status: StatusFilter, webhook: UUID | None = None) -> int:
    """Count the deliveries with this status, of one webhook if given (`capped`).

    Tests before saving are not counted.
    """
    if status is StatusFilter.ATTENTION:
        if webhook is None:
            return backlogs.count().undelivered
        backlog = backlogs.of_webhook(webhook)
        return backlog.undelivered if backlog else 0
    current = session()
    now = database_time(current)
    if webhook is not None:
        return count_of_webhook(current, status, webhook, now)
    statement = of_status(status, now) + without_drafts(current)
    return capped(current, select(literal(1)).where(*statement))


def count_of_asset(asset_id: int) -> dict[DeliveryStatus, int]:
    """Count an asset's newest `COUNT_LIMIT` deliveries by stored status."""
    current = session()
    newest = (
        select(Delivery.status)
        .where(Delivery.asset_id == asset_id, *without_drafts(current))
        .order_by(Delivery.asset_id.desc(), Delivery.id.desc())
        .limit(COUNT_LIMIT)
        .subquery()
    )
    rows = current.execute(select(newest.c.status, func.count()).group_by(newest.c.status))
    return {DeliveryStatus(status): many for status, many in rows}


def complete_since() -> datetime | None:
    """Return the time since which no delivery has been removed, or None before the first one.

    A delivery on hold can be older.
    """
    current = session()
    oldest = current.scalar(
        select(Delivery.created_at)
        .where(*without_drafts(current))
        .order_by(Delivery.created_at)
        .limit(1)
    )
    if oldest is None:
        return None
    return max(oldest, database_time(current) - timedelta(days=settings().retention_days))


def webhook_names() -> Sequence[tuple[UUID, str, bool]]:
    """Return (public id, name, is deleted) of every webhook that can appear in the log, by name."""
    rows = session().execute(
        select(Webhook.public_id, Webhook.name, Webhook.deleted_at)
        .where(Webhook.state != WebhookState.DRAFT)
        .order_by(func.lower(Webhook.name), Webhook.id)
    )
    return [(row.public_id, row.name, row.deleted_at is not None) for row in rows]


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Public ids of the deliveries next to one in a list.

    None where the list ends, or where a search reached its read limit. `page`: the cursor of a page
    of the list that contains the delivery, or None for the first page.
    """

    previous: UUID | None
    following: UUID | None
    page: str | None


def find_neighbours(
    log_filter: LogFilter, row_id: int, *, oldest_first: bool = False, size: int = PAGE_SIZE
) -> Neighbours:
    """Return the neighbors of a delivery, which may no longer match the filter itself. Reads only.

    `size`: the page size of the list.
    """
    step = -1 if oldest_first else 1
    back, on = (Cursor((row_id,), newer=is_back).encode() for is_back in (True, False))
    before = find_page(log_filter, back, size, oldest_first=oldest_first).page
    after = find_page(log_filter, on, 1, oldest_first=oldest_first).page.rows
    # If nothing comes before it, `find_page` returned the first page instead.
    rows = [row for row in before.rows if (row.id - row_id) * step > 0]
    is_on_first = len(rows) < size and before.newer is None
    return Neighbours(
        previous=rows[-1].public_id if rows else None,
        following=after[0].public_id if after else None,
        page=None if is_on_first else Cursor((row_id + step,)).encode(),
    )


def count_of_webhook(current: Session, status: StatusFilter, webhook: UUID, now: datetime) -> int:
    """Count one webhook's deliveries with this status (`capped`). `now`: the database's clock."""
    query = select(Webhook.id).where(
        Webhook.public_id == webhook, Webhook.state != WebhookState.DRAFT
    )
    hook = current.scalar(query)
    if hook is None:
        return 0
    of_webhook = Delivery.webhook_id == hook
    stored, others = stored_as(status, now)
    if others or not isinstance(stored, DeliveryStatus):
        return capped(current, select(literal(1)).where(of_webhook, *of_status(status, now)))
    # BETWEEN instead of =. With =, PostgreSQL sees that these are open deliveries, and reads all
    # open ones.
    is_one = Delivery.status.between(stored, stored)
    return capped(current, select(literal(1)).where(of_webhook, is_one))
