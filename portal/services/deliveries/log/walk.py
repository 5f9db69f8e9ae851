"""How a page of the log is read, as quick on the ten millionth row as on the first.

A page scans one index from the cursor, and no planner may be tempted to scan the whole table by id
and hope for hits. On PostgreSQL the bounds compare the index's columns as one tuple. SQLite would
search by the first column of a tuple alone: it is told each, and how selective each is
(https://sqlite.org/lang_corefunc.html#likelihood). What the index does not know is filtered from at
most `MOST_READ` rows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    func,
    literal_column,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.orm import InstrumentedAttribute, Session

from portal.models.deliveries import Delivery, Event, Lease
from portal.models.webhooks import Webhook, WebhookState

MOST_READ: Final = 20_000
SELECTIVE: Final[ColumnElement[float]] = literal_column("0.0001")
UNSELECTIVE: Final[ColumnElement[float]] = literal_column("0.99")

Column = InstrumentedAttribute[Any]
# A condition on a row, given as the columns of a delivery.
Check = Callable[[Any], ColumnElement[bool]]


@dataclass(frozen=True, slots=True)
class IndexScan:
    """Along the index whose columns are `along`, from id `low` to `high`.

    `branches`: one such scan for each of several values of a column. `filters` drop few rows
    on the way, `selective` (values as for `matches`) and `checks` may drop nearly all of them.
    `as_tuple`: how the bounds are said.
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
        """Whether a page looks for its rows among those that are read, so many and no more."""
        return bool(self.selective or self.checks)


def matches(column: Any, value: Any) -> ColumnElement[bool]:
    """Equal to one value, or among several (a tuple, or a query that finds them)."""
    is_one = isinstance(value, int | str)
    found: ColumnElement[bool] = column == value if is_one else column.in_(value)
    return found


def page_statement(scan: IndexScan, *, newer: bool, limit: int) -> Select[*tuple[Any, ...]]:
    """One query: the rows of the page, then the names of their webhooks and assets. In no order."""
    row = _page_of(scan, newer=newer, limit=limit).subquery("page")
    its = row.c
    is_active = and_(Webhook.state == WebhookState.ACTIVE, Webhook.deleted_at.is_(None))
    return (
        select(
            its.id,
            its.public_id,
            its.created_at,
            its.event,
            its.asset_id,
            its.status,
            its.priority,
            its.reason,
            its.code,
            its.tries,
            its.attempts,
            its.due_at,
            its.webhook_id,
            its.prior_status,
            Lease.until.label("leased_until"),
            Lease.kind.label("leased_kind"),
            its.took_ms,
            its.finished_at,
            Event.asset_tag,
            Event.asset_name,
            Webhook.public_id.label("webhook_public_id"),
            Webhook.name.label("webhook_name"),
            Webhook.in_order,
            Webhook.not_before,
            Webhook.off_at,
            is_active.label("is_webhook_active"),
        )
        .select_from(row)
        # Outer joins: a planner may not turn the scan round and begin at the webhooks.
        .outerjoin(Event, Event.id == its.event_id)
        .outerjoin(Webhook, Webhook.id == its.webhook_id)
        .outerjoin(Lease, Lease.delivery_id == its.id)
    )


def end_of_window(current: Session, scan: IndexScan, *, newer: bool) -> int | None:
    """The last id to which all was read for a page with a window; None when every branch came to
    its end."""
    ends = [_end_of(current, each, newer=newer) for each in _branch_scans(scan, newer=newer)]
    cut_off = [end for end in ends if end is not None]
    return (min if newer else max)(cut_off, default=None)


def _end_of(current: Session, along: Select[Delivery], *, newer: bool) -> int | None:
    read = along.limit(MOST_READ).with_only_columns(Delivery.id).subquery()
    last = func.max(read.c.id) if newer else func.min(read.c.id)
    found, count = current.execute(select(last, func.count(read.c.id))).one()
    return found if count == MOST_READ else None


def _branch_scans(scan: IndexScan, *, newer: bool) -> list[Select[Delivery]]:
    if scan.branches is None:
        return [_along(scan, newer=newer)]
    column, values = scan.branches
    return [_along(scan, {column: value}, newer=newer) for value in values]


def _page_of(scan: IndexScan, *, newer: bool, limit: int) -> Select[Delivery]:
    """Of several branches a page of each; the page is the first of all of them."""
    pages = [
        _found(scan, each, newer=newer, limit=limit) for each in _branch_scans(scan, newer=newer)
    ]
    if len(pages) == 1:
        return pages[0]
    side_by_side = union_all(*(select(each.subquery()) for each in pages)).subquery("branches")
    at = side_by_side.c.id
    return select(side_by_side).order_by(at.asc() if newer else at.desc()).limit(limit)


def _found(
    scan: IndexScan, along: Select[Delivery], *, newer: bool, limit: int
) -> Select[Delivery]:
    if not scan.has_window:
        return along.limit(limit)
    scanned = along.limit(MOST_READ).subquery("scanned")
    its = scanned.c
    found = [matches(its[column.key], value) for column, value in scan.selective.items()]
    found += [check(its) for check in scan.checks]
    order = its.id.asc() if newer else its.id.desc()
    return select(scanned).where(*found).order_by(order).limit(limit)


def _along(
    scan: IndexScan, more: dict[Column, Any] | None = None, *, newer: bool
) -> Select[Delivery]:
    equal = scan.along | (more or {})
    columns = (*equal, Delivery.id)
    order = [column.asc() if newer else column.desc() for column in columns]
    inside = _inside(scan, equal)
    return select(Delivery).where(*inside, *scan.filters).order_by(*order)


def _inside(scan: IndexScan, equal: dict[Column, Any]) -> list[ColumnElement[bool]]:
    """From the lower to the upper end of the scan."""
    if not scan.as_tuple:
        ends = [Delivery.id >= scan.low, Delivery.id <= scan.high]
        same = [func.likelihood(column == value, SELECTIVE) for column, value in equal.items()]
        return [*same, *(func.likelihood(end, UNSELECTIVE) for end in ends)] if same else ends
    key, values = tuple_(*equal, Delivery.id), tuple(equal.values())
    ends = [key >= (*values, scan.low), key <= (*values, scan.high)]
    if scan.has_window and len(equal) > 1:
        # Of a tuple the planner weighs the first column alone. Where it takes a window for more
        # than there is, it would read all of that column's rows and sort them.
        ends += [column == value for column, value in equal.items()]
    return ends
