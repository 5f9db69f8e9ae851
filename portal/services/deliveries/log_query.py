"""Plan and read a page of the log, equally fast at any depth.

A page scans one index from the cursor. The statements keep the planner from scanning the whole
table by id. On PostgreSQL the bounds compare the index's columns as one tuple. SQLite would search
by only the first column of a tuple, so it gets each column by itself, with its selectivity
(https://sqlite.org/lang_corefunc.html#likelihood). Conditions that the index does not cover are
checked on at most `MOST_READ` rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Select,
    Subquery,
    and_,
    case,
    func,
    literal,
    literal_column,
    or_,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from portal.engine import answer_words
from portal.lib.ids import ids_beginning
from portal.lib.paging import Cursor
from portal.models.assets import Asset
from portal.models.deliveries import (
    Attempt,
    AttemptBody,
    Delivery,
    DeliveryStatus,
    Event,
    Lease,
    Priority,
    is_failed_attempt,
    is_open,
)
from portal.models.webhooks import Webhook, WebhookState
from portal.services.assets.queries import by_words
from portal.services.core.keyset import FIRST_ID, LAST_ID, side_by_side
from portal.services.core.queries import skip_scan
from portal.services.deliveries.answers import has_answer
from portal.services.deliveries.statuses import (
    Check,
    FailedBetween,
    LogFilter,
    StatusFilter,
    matches,
    stored_as,
)
from portal.services.outbox.at_rest import UNDELIVERED
from portal.services.outbox.claimable import head_of
from portal.services.webhooks.backlog import ids_in_trouble, is_in_trouble
from portal.services.webhooks.rows import draft_ids

MOST_READ: Final = 20_000
SELECTIVE: Final[ColumnElement[float]] = literal_column("0.0001")
UNSELECTIVE: Final[ColumnElement[float]] = literal_column("0.99")

Column = InstrumentedAttribute[Any]


@dataclass(frozen=True, slots=True)
class IndexScan:
    """A scan of the index with the columns `along`, from id `low` to `high`.

    `branches`: one scan for each of several values of a column. `filters` drop few rows on the way.
    `selective` (values as for `matches`) and `checks` can drop nearly all of them. `as_tuple`: the
    bounds are written as one tuple.
    """

    along: dict[Column, Any]
    branches: tuple[Column, tuple[Any, ...]] | None
    selective: dict[Column, Any]
    filters: tuple[ColumnElement[bool], ...]
    low: int
    high: int
    as_tuple: bool
    checks: tuple[Check, ...] = ()

    @property
    def has_window(self) -> bool:
        """Return whether a page looks for its rows among a limited number of rows."""
        return bool(self.selective or self.checks)


def page_statement(scan: IndexScan, *, newer: bool, limit: int) -> Select[*tuple[Any, ...]]:
    """Select the rows of a page, then their webhooks and assets, in one query and in no order."""
    row = _page_of(scan, newer=newer, limit=limit).subquery("page")
    page = row.c
    is_active = and_(Webhook.state == WebhookState.ACTIVE, Webhook.deleted_at.is_(None))
    return (
        select(
            page.id,
            page.public_id,
            page.event_id,
            page.created_at,
            page.event,
            page.asset_id,
            page.status,
            page.priority,
            page.reason,
            page.code,
            page.tries,
            page.attempts,
            page.due_at,
            page.webhook_id,
            page.prior_status,
            Lease.until.label("leased_until"),
            Lease.kind.label("leased_kind"),
            page.took_ms,
            page.finished_at,
            page.failing_since,
            page.dismissed_by,
            page.dismissed_at,
            page.dismissed_reason,
            Event.asset_tag,
            Event.asset_name,
            Webhook.public_id.label("webhook_public_id"),
            Webhook.name.label("webhook_name"),
            Webhook.in_order,
            Webhook.throttled,
            Webhook.backoff_until,
            Webhook.format,
            Webhook.next_at,
            Webhook.off_at,
            Webhook.off_until,
            Webhook.deleted_at.label("webhook_deleted_at"),
            is_active.label("is_webhook_active"),
        )
        .select_from(row)
        # Outer joins keep the planner from starting at the webhooks.
        .outerjoin(Event, Event.id == page.event_id)
        .outerjoin(Webhook, Webhook.id == page.webhook_id)
        .outerjoin(Lease, Lease.delivery_id == page.id)
    )


# For deliveries without a next attempt, so that they come last.
NEVER: Final = datetime(9999, 12, 31, tzinfo=UTC)


def next_statement(
    scan: IndexScan, place: tuple[datetime, int] | None, now: datetime, *, is_back: bool, limit: int
) -> Select[int, datetime]:
    """Select the ids and next attempt times of open deliveries, in order of that time.

    Reads and sorts all open deliveries, by the partial indexes that hold no others.
    """
    in_order = aliased(Webhook)
    first = head_of(in_order.id.expression).correlate(in_order).label("id")
    head = select(in_order.id.label("webhook_id"), first).where(in_order.in_order).subquery()
    kind, due = Delivery.due_at.type, Delivery.due_at
    is_usual = and_(Delivery.priority != Priority.TEST, Delivery.prior_status.is_(None))
    is_sent_to = and_(Webhook.state == WebhookState.ACTIVE, Webhook.deleted_at.is_(None))
    is_paused = or_(
        Delivery.priority == Priority.BULK,
        and_(Delivery.priority == Priority.NORMAL, Webhook.in_order.is_(False)),
    )
    until = Webhook.backoff_until
    at = case(
        (~or_(is_sent_to, Delivery.priority == Priority.TEST), literal(NEVER, kind)),
        (and_(Webhook.in_order, is_usual, Delivery.id > head.c.id), literal(NEVER, kind)),
        (and_(is_paused, until > literal(now, kind), until > due), until),
        else_=due,
    )
    asked = [
        *(matches(column, value) for column, value in (scan.along | scan.selective).items()),
        *([matches(*scan.branches)] if scan.branches else []),
        *(check(Delivery) for check in scan.checks),
    ]
    beside = []
    if place:
        time, row_id = literal(place[0], kind), place[1]
        ends = (at < time, Delivery.id < row_id) if is_back else (at > time, Delivery.id > row_id)
        beside = [or_(ends[0], and_(at == time, ends[1]))]
    order = (at.desc(), Delivery.id.desc()) if is_back else (at.asc(), Delivery.id.asc())
    return (
        select(Delivery.id, at.label("at"))
        .join(Webhook, Webhook.id == Delivery.webhook_id)
        .outerjoin(head, head.c.webhook_id == Delivery.webhook_id)
        .where(is_open(), *asked, *scan.filters, *beside)
        .where(Delivery.id.between(scan.low, scan.high))
        .order_by(*order)
        .limit(limit)
    )


def has_more_than(current: Session, scan: IndexScan, most: int) -> bool:
    """Return whether a scan of one index finds more than `most` rows.

    Reads only the index, while counting would read the rows. False for a scan with a window or
    branches.
    """
    if scan.has_window or scan.branches:
        return False
    rows = _along(scan, newer=False).where(*scan.filters)
    beyond = rows.with_only_columns(Delivery.id).offset(most).limit(1)
    return current.execute(beyond).first() is not None


def count_statement(
    scan: IndexScan, checks: Sequence[Check], most: int
) -> Select[*tuple[Any, ...]]:
    """Count at most `most` rows by status, and how many of them pass each check.

    A scan with a window counts the rows in the window.
    """
    rows = _some_of(scan, most)
    passed = [func.count(case((check(rows.c), 1))) for check in checks]
    return select(rows.c.status, func.count(), *passed).group_by(rows.c.status)


def example_statement(scan: IndexScan, check: Check, most: int) -> Select[str]:
    """Select the status of one row that passes the check, among the first `most`."""
    rows = _some_of(scan, most)
    return select(rows.c.status).where(check(rows.c)).limit(1)


def ids_statement(scan: IndexScan, limit: int) -> Select[int, str]:
    """Select the ids and statuses of a page of older rows, in no order."""
    row = _page_of(scan, newer=False, limit=limit).subquery("page")
    return select(row.c.id, row.c.status)


def end_of_window(current: Session, scan: IndexScan, *, newer: bool) -> int | None:
    """Return the last id read for a page with a window, or None if all was read."""
    branches = _branch_scans(scan, newer=newer)
    ends = [current.execute(_last_read(scan, branch)).scalar() for branch in branches]
    cut_off = [end for end in ends if end is not None]
    return (min if newer else max)(cut_off, default=None)


def _last_read(scan: IndexScan, along: Select[Delivery]) -> Select[int]:
    """Select the id of the last row in a full window."""
    if scan.as_tuple or not (scan.along or scan.branches):
        along = along.where(*scan.filters)
    # Without the filters, SQLite reads only the index. They drop too few rows to justify fetching
    # all.
    return along.with_only_columns(Delivery.id).offset(MOST_READ - 1).limit(1)


def _branch_scans(scan: IndexScan, *, newer: bool) -> list[Select[Delivery]]:
    if scan.branches is None:
        return [_along(scan, newer=newer)]
    column, values = scan.branches
    return [_along(scan, {column: value}, newer=newer) for value in values]


def _page_of(scan: IndexScan, *, newer: bool, limit: int) -> Select[Delivery]:
    """Select a page of each branch, then the first rows of them all."""
    pages = [
        _found(scan, branch, newer=newer, limit=limit)
        for branch in _branch_scans(scan, newer=newer)
    ]
    if len(pages) == 1:
        return pages[0]
    side_by_side = union_all(*(select(page.subquery()) for page in pages)).subquery("branches")
    at = side_by_side.c.id
    return select(side_by_side).order_by(at.asc() if newer else at.desc()).limit(limit)


# The columns needed for counting. With fewer columns, SQLite has less to carry.
ASKED: Final = ("id", "webhook_id", "status", "priority", "prior_status")


def _some_of(scan: IndexScan, limit: int) -> Subquery:
    """Select up to `limit` rows from any branches. Counting needs no order."""
    pages = [
        _found(scan, branch, newer=False, limit=limit).subquery()
        for branch in _branch_scans(scan, newer=False)
    ]
    rows = [select(*(page.c[name] for name in ASKED)) for page in pages]
    return union_all(*rows).limit(limit).subquery("counted")


def _found(
    scan: IndexScan, along: Select[Delivery], *, newer: bool, limit: int
) -> Select[Delivery]:
    """Select the first `limit` matches. Reading ends there, or at the end of the window."""
    kept = along.where(*scan.filters)
    if not scan.has_window:
        return kept.limit(limit)
    if not scan.as_tuple:
        last = _last_read(scan, along).correlate(None).scalar_subquery()
        end = func.coalesce(last, scan.high if newer else scan.low)
        inside = Delivery.id <= end if newer else Delivery.id >= end
        asked = [
            func.likelihood(condition, UNSELECTIVE) for condition in _conditions(scan, Delivery)
        ]
        return kept.where(inside, *asked).limit(limit)
    scanned = kept.limit(MOST_READ).subquery("scanned")
    # In the order of the index, which is that of the ids. Any other order would sort the whole
    # window.
    columns = (*scan.along, *([scan.branches[0]] if scan.branches else []), Delivery.id)
    scanned_columns = [scanned.c[column.key] for column in columns]
    order = [column.asc() if newer else column.desc() for column in scanned_columns]
    return select(scanned).where(*_conditions(scan, scanned.c)).order_by(*order).limit(limit)


def _conditions(scan: IndexScan, row: Any) -> list[ColumnElement[bool]]:
    """Return the conditions checked on each row that a scan with a window reads."""
    selective = scan.selective.items()
    asked = [matches(getattr(row, column.key), value) for column, value in selective]
    return [*asked, *(check(row) for check in scan.checks)]


def _along(
    scan: IndexScan, more: dict[Column, Any] | None = None, *, newer: bool
) -> Select[Delivery]:
    equal = scan.along | (more or {})
    columns = (*equal, Delivery.id)
    order = [column.asc() if newer else column.desc() for column in columns]
    return select(Delivery).where(*_inside(scan, equal)).order_by(*order)


def _inside(scan: IndexScan, equal: dict[Column, Any]) -> list[ColumnElement[bool]]:
    """Return the conditions for the lower and upper end of the scan."""
    if not scan.as_tuple:
        ends = [Delivery.id >= scan.low, Delivery.id <= scan.high]
        same = [func.likelihood(column == value, SELECTIVE) for column, value in equal.items()]
        return [*same, *(func.likelihood(end, UNSELECTIVE) for end in ends)] if same else ends
    key, values = tuple_(*equal, Delivery.id), tuple(equal.values())
    ends = [key >= (*values, scan.low), key <= (*values, scan.high)]
    if scan.has_window and len(equal) > 1:
        # The planner estimates a tuple by its first column alone. If it thinks that a window holds
        # more rows than there are, it would read all of that column's rows and sort them.
        ends += [column == value for column, value in equal.items()]
    return ends


# The scan takes the first index whose columns are all filtered. Each index ends in the id.
INDEXES: Final[tuple[tuple[Column, ...], ...]] = (
    (Delivery.asset_id,),
    (Delivery.webhook_id, Delivery.status),
    (Delivery.webhook_id,),
    (Delivery.reason,),
    (Delivery.code,),
    (Delivery.event,),
    (Delivery.status,),
    (),
)
# Up to this many assets are scanned by their index. More are filtered from the rows read.
FOLLOWED: Final = 30
# All ids of a minute begin alike. Up to this many are looked up.
MOST_BEGUN: Final = 500
# Ids are assigned before the commit, so rows can be this much out of order in time.
SLACK: Final = timedelta(minutes=1)
CODES: Final = skip_scan("deliveries", "code", "code BETWEEN :first AND :last")
Asked = dict[Column, Any]


@dataclass(frozen=True, slots=True)
class SearchTerm:
    """The assets that a search finds, as ids or, if there are many, as a query."""

    ids: tuple[int, ...]
    query: Select[int] | None = None


def scan_for(
    current: Session, log_filter: LogFilter, place: Cursor | None, now: datetime
) -> IndexScan | None:
    """Choose the index and the ids. Return None if nothing can match. `now`: the database's
    clock."""
    beginning = _begun(current, log_filter)
    failing = few(current, log_filter.failed) if log_filter.failed else None
    named = [*beginning, *([Delivery.id.in_(failing)] if failing is not None else [])]
    between = bounds(current, log_filter, place)
    asked = _asked(current, replace(log_filter, search="") if beginning else log_filter)
    if asked is None:
        return None
    ends = (*between, current.get_bind().dialect.name != "sqlite")
    status, filters = stored_as(log_filter.status, now)
    if status is not None:
        asked[Delivery.status] = status
    checks: tuple[Check, ...] = ()
    if log_filter.status is StatusFilter.ATTENTION:
        troubled = ids_in_trouble(current)
        if not troubled:
            return None
        if len(troubled) == 1:
            asked.setdefault(Delivery.webhook_id, troubled[0])
        if Delivery.webhook_id not in asked:
            checks += (lambda row: row.webhook_id.in_(troubled),)
        elif asked[Delivery.webhook_id] not in troubled:
            return None
    if log_filter.untried:
        checks += (lambda row: row.reason.is_(None),)
    if log_filter.failed and failing is None:
        checks += (has_failed_between(log_filter.failed),)
    if log_filter.answer:
        checks += (has_answer(log_filter.answer, failed_between(log_filter.failed)),)
    filters += [*times(log_filter), *without_drafts(current)]
    filters += [Delivery.priority != Priority.TEST] if log_filter.failed else []
    if named:
        # A few rows, found without the log's indexes.
        filters += [*named, *(matches(column, value) for column, value in asked.items())]
        return IndexScan({}, None, {}, tuple(filters), *ends, checks)
    branches = _branches(asked)
    equal = {column for column, value in asked.items() if isinstance(value, int | str)}
    index = next(columns for columns in INDEXES if equal.issuperset(columns))
    along = (
        {column: asked.pop(column) for column in index}
        if branches is None
        else _beside(asked, branches)
    )
    return IndexScan(along, branches, asked, tuple(filters), *ends, checks)


def search_term(current: Session, text: str) -> SearchTerm:
    """Find the asset with exactly this tag, also if deleted, or else all that contain the text."""
    exact = select(Asset.id).where(func.lower(Asset.asset_tag) == text.lower())
    ids = _few(current, exact) or ()
    if ids:
        return SearchTerm(ids)
    similar = by_words(text)
    few = _few(current, similar)
    return SearchTerm((), similar) if few is None else SearchTerm(few)


def begun(current: Session, text: str) -> tuple[int, ...]:
    """Return row ids of the newest `MOST_BEGUN` deliveries with a public id that begins this
    way."""
    ends = ids_beginning(text)
    if ends is None:
        return ()
    rows = select(Delivery.id).where(Delivery.public_id.between(*ends))
    return tuple(current.scalars(rows.order_by(Delivery.public_id.desc()).limit(MOST_BEGUN)))


def _begun(current: Session, log_filter: LogFilter) -> list[ColumnElement[bool]]:
    """Return the conditions for deliveries requested by id, or none."""
    if log_filter.delivery:
        return [Delivery.public_id == log_filter.delivery]
    ids = begun(current, log_filter.search) if log_filter.asset_id is None else ()
    return [Delivery.id.in_(ids)] if ids else []


def bounds(current: Session, log_filter: LogFilter, place: Cursor | None) -> tuple[int, int]:
    """Return the lowest and the highest row id that can match."""
    low, high = FIRST_ID, LAST_ID
    if place is not None:
        beside = int(place.key[0])
        low, high = (beside + 1, high) if place.newer else (low, beside - 1)
    if log_filter.since:
        low = max(low, _first_since(current, log_filter.since - SLACK))
    ends = filter(None, (log_filter.until, log_filter.failed.until if log_filter.failed else None))
    if (until := min(ends, default=None)) is not None:
        high = min(high, _last_until(current, until + SLACK))
    return low, high


def _first_since(current: Session, since: datetime) -> int:
    """Return the lowest id that can be from this time or later.

    Derived from the nearest row before that time, because the first row after it need not have the
    lowest id. If a clock was set back by more than `SLACK`, the row after it can have a lower id,
    which then counts.
    """
    before = _id_near(current, Delivery.created_at < since, ascending=False)
    if before is None:
        return FIRST_ID
    after = _id_near(current, Delivery.created_at >= since, ascending=True)
    return before + 1 if after is None else min(before + 1, after)


def _last_until(current: Session, until: datetime) -> int:
    """Return the highest id that can be from this time or earlier, as in `_first_since`."""
    after = _id_near(current, Delivery.created_at > until, ascending=True)
    if after is None:
        return LAST_ID
    before = _id_near(current, Delivery.created_at <= until, ascending=False)
    return after - 1 if before is None else max(after - 1, before)


def times(log_filter: LogFilter) -> list[ColumnElement[bool]]:
    """Return the exact conditions on time, which `bounds` only approximates."""
    # Hides the column from the planner, which would otherwise scan the index of times.
    at = func.coalesce(Delivery.created_at, Delivery.created_at)
    return _between(at, log_filter.since, log_filter.until)


def _between(
    at: ColumnElement[Any] | Column, since: datetime | None, until: datetime | None
) -> list[ColumnElement[bool]]:
    ends = [at >= since] if since else []
    return [*ends, at < until] if until else ends


def needs_attention(row: Any) -> ColumnElement[bool]:
    """Return the condition of an undelivered delivery of a webhook in trouble, tests excluded."""
    is_one = matches(row.status, tuple(map(str, UNDELIVERED)))
    troubled = select(Webhook.id).where(is_in_trouble())
    return and_(is_one, row.priority != Priority.TEST, row.webhook_id.in_(troubled))


def without_drafts(current: Session) -> list[ColumnElement[bool]]:
    """Exclude tests before saving, which belong only to an open form.

    Uses ids, so that no planner starts at the drafts.
    """
    drafts = draft_ids(current)
    return [Delivery.webhook_id.not_in(drafts)] if drafts else []


def _asked(current: Session, log_filter: LogFilter) -> Asked | None:
    """Return the columns with one value, several, or a query. None if nothing can match."""
    asked: Asked = {
        Delivery.asset_id: log_filter.asset_id,
        Delivery.event: log_filter.event,
        Delivery.reason: _one_or_more(tuple(map(str, log_filter.reasons))) or None,
    }
    asked = {column: value for column, value in asked.items() if value is not None}
    if log_filter.codes is not None:
        asked[Delivery.code] = _one_or_more(_codes(current, *log_filter.codes))
    if log_filter.webhook is not None:
        webhook = select(Webhook.id).where(Webhook.public_id == log_filter.webhook)
        asked[Delivery.webhook_id] = current.execute(webhook).scalar_one_or_none()
    if log_filter.search and log_filter.asset_id is None:
        term = search_term(current, log_filter.search)
        several = _one_or_more(term.ids)
        asked[Delivery.asset_id] = term.query if term.query is not None else several
    return None if any(value is None or value == () for value in asked.values()) else asked


def _codes(current: Session, first: int, last: int) -> tuple[int, ...]:
    """Return the codes in the log from the first to the last."""
    if first == last:
        return (first,)
    params = {"first": first, "last": last}
    return tuple(current.execute(CODES, params).scalars())


def _one_or_more(values: tuple[Any, ...]) -> Any:
    return values[0] if len(values) == 1 else values


def _branches(asked: Asked) -> tuple[Column, tuple[Any, ...]] | None:
    """Return the column that splits the scan into branches, and its values, one for each branch.

    This is a column that is filtered alone, or the status beside the webhook unless an asset is
    narrower.
    """
    has_webhook, has_asset = (
        column in asked for column in (Delivery.webhook_id, Delivery.asset_id)
    )
    column = Delivery.status if has_webhook else next(iter(asked), None)
    if column is None or (len(asked) > 1 and (has_asset or not has_webhook)):
        return None
    value = asked.get(column)
    return (column, value) if isinstance(value, tuple) else None


def _beside(asked: Asked, branches: tuple[Column, tuple[Any, ...]]) -> Asked:
    """Remove the branches' column from `asked`, and return the columns that all branches share."""
    del asked[branches[0]]
    return {Delivery.webhook_id: asked.pop(Delivery.webhook_id)} if asked else {}


def _few(current: Session, statement: Select[int]) -> tuple[int, ...] | None:
    """Return the ids, newest first, or None if there are more than `FOLLOWED`."""
    ids = tuple(current.scalars(side_by_side([statement], FOLLOWED + 1)))
    return ids if len(ids) <= FOLLOWED else None


def _id_near(current: Session, side: ColumnElement[bool], *, ascending: bool) -> int | None:
    at = Delivery.created_at
    nearest = (
        select(Delivery.id).where(side).order_by(at.asc() if ascending else at.desc()).limit(1)
    )
    return current.execute(nearest).scalar_one_or_none()


MOST_ATTEMPTS: Final = 10_000
MOST_TOLD: Final = 2_000


class Failure(NamedTuple):
    """An attempt that failed in the requested time. `said`: the beginning of the response."""

    at: datetime
    reason: str | None
    code: int | None
    said: str


def few(current: Session, failed: FailedBetween) -> tuple[int, ...] | None:
    """Return row ids of deliveries with such an attempt, or None if there are too many to list."""
    owners = current.scalars(failed_attempts(failed)).all()
    ids = tuple(set(owners))
    return ids if len(owners) <= MOST_ATTEMPTS and len(ids) <= MOST_TOLD else None


def failed_attempts(failed: FailedBetween) -> Select[int]:
    """Select the delivery ids of failed attempts, latest first, one more than the limit."""
    return (
        select(Attempt.delivery_id)
        .where(*failed_between(failed))
        .order_by(Attempt.finished_at.desc())
        .limit(MOST_ATTEMPTS + 1)
    )


def has_failed_between(failed: FailedBetween) -> Check:
    """Return a check for deliveries with an attempt that failed in this time."""

    def check(row: Any) -> ColumnElement[bool]:
        # Most deliveries arrive on the first attempt, and have no other to look for.
        arrived = and_(row.status == DeliveryStatus.DELIVERED, row.reason.is_(None))
        may_have = and_(row.attempts > 0, or_(row.attempts > 1, ~arrived))
        attempt = select(Attempt.id).where(Attempt.delivery_id == row.id, *failed_between(failed))
        return and_(may_have, attempt.exists())

    return check


def failed_between(failed: FailedBetween | None) -> list[ColumnElement[bool]]:
    """Return the conditions of an attempt that failed in this time, or none without a time."""
    return [is_failed_attempt(), *_between(Attempt.finished_at, *failed)] if failed else []


def last_failures(
    current: Session, failed: FailedBetween, ids: Sequence[int]
) -> dict[int, Failure]:
    """Return each delivery's last attempt that failed in this time."""
    if not ids:
        return {}
    answer = func.substr(AttemptBody.response_text, 1, answer_words.MOST_READ)
    attempts = (
        select(Attempt.delivery_id, Attempt.finished_at, Attempt.reason, Attempt.code, answer)
        .outerjoin(AttemptBody, AttemptBody.attempt_id == Attempt.id)
        .where(Attempt.delivery_id.in_(ids), *failed_between(failed))
        .order_by(Attempt.delivery_id, Attempt.number)
    )
    rows = current.execute(attempts)
    return {
        row_id: Failure(at, why, code, text or "") for row_id, at, why, code, text in rows if at
    }
