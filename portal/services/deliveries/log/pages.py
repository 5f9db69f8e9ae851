"""The log: pages of deliveries, newest first, and the few numbers beside them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from sqlalchemy import func, literal, select

from portal.lib.paging import PAGE_SIZE, Cursor, Page, page_of
from portal.models.deliveries import (
    Delivery,
    DeliveryStatus,
)
from portal.models.webhooks import Webhook, WebhookState
from portal.services.core.counting import COUNT_LIMIT, capped
from portal.services.core.unit_of_work import database_time, session
from portal.services.deliveries.answers import answers_with
from portal.services.deliveries.log.failures import failed_between, last_failures
from portal.services.deliveries.log.filters import LogFilter, StatusFilter
from portal.services.deliveries.log.plan import walk_for, without_drafts
from portal.services.deliveries.log.rows import LogRow, rows_of
from portal.services.deliveries.log.statuses import of_status
from portal.services.deliveries.log.walk import Walk, end_of_window, page_statement
from portal.services.deliveries.log.webhook_counts import count_of_webhook
from portal.services.deliveries.problems import queries as problems

EXPORT_LIMIT: Final = 50_000
EXPORT_CHUNK: Final = 500


@dataclass(frozen=True, slots=True)
class LogPage:
    """A page. `further`: a cursor, when the search for older ones ended before the log did."""

    page: Page[LogRow]
    further: str | None = None


def find_page(
    wanted: LogFilter,
    cursor: str | None = None,
    size: int = PAGE_SIZE,
    *,
    oldest_first: bool = False,
) -> LogPage:
    """The deliveries that match, newest first, beside the cursor. Reads only.

    `oldest_first`: the other way round; `newer` of a page then leads to its beginning as well.
    """
    current = session()
    place = Cursor.decode(cursor)
    now = database_time(current)
    is_back = place is not None and place.newer
    is_up = is_back is not oldest_first  # along rising ids
    walk = walk_for(current, wanted, replace(place, newer=is_up) if place else None, now)
    if walk is None:
        return LogPage(Page([]))
    found = current.execute(page_statement(walk, newer=is_up, limit=size + 1)).all()
    last = None
    if walk.has_window and (walk.fan or len(found) <= size):
        last = end_of_window(current, walk, newer=is_up)
    if last is not None:
        # Of several walks another one may have come further: not past what this one left unread.
        found = [row for row in found if (row.id <= last if is_up else row.id >= last)]
        last = None if len(found) > size else last
    if is_back and not found and last is None:
        return find_page(wanted, None, size, oldest_first=oldest_first)
    found = sorted(found, key=lambda row: row.id, reverse=not is_up)
    rows = rows_of(current, found, now)
    if wanted.failed:
        failures = last_failures(current, wanted.failed, [row.id for row in rows])
        rows = [replace(row, failure=failures.get(row.id)) for row in rows]
    if wanted.answer:
        among = failed_between(wanted.failed)
        said = answers_with(wanted.answer, [row.id for row in rows], among)
        rows = [replace(row, said=said.get(row.id)) for row in rows]
    step = 1 if is_up else -1
    page = page_of(rows, place, lambda row: (row.id,), size) if rows else _blank(place, step)
    further = Cursor((last,), newer=is_back).encode() if last is not None else None
    if is_back:
        return LogPage(replace(page, newer=page.newer or further))
    return LogPage(page, further)


def _blank(place: Cursor | None, step: int) -> Page[LogRow]:
    """Nothing here, and the way back to where the reader came from; `step`: the way of reading."""
    if place is None:
        return Page([])
    beside = Cursor((int(place.key[0]) + step,), newer=not place.newer).encode()
    return Page([], older=beside) if place.newer else Page([], newer=beside)


def of_ids(ids: Sequence[int]) -> Sequence[LogRow]:
    """These deliveries by their row ids, the newest first; a few hundred at most."""
    if not ids:
        return []
    current = session()
    is_one = (Delivery.id.in_(ids), *without_drafts(current))
    as_tuple = current.get_bind().dialect.name != "sqlite"
    walk = Walk({}, None, {}, is_one, min(ids), max(ids), as_tuple)
    found = current.execute(page_statement(walk, newer=False, limit=len(ids))).all()
    newest_first = sorted(found, key=lambda row: row.id, reverse=True)
    return rows_of(current, newest_first, database_time(current))


def latest(wanted: LogFilter, count: int = 10) -> Sequence[LogRow]:
    """The newest few that match, for other pages."""
    return find_page(wanted, None, count).page.rows


def every(wanted: LogFilter, most: int | None = None) -> Iterator[LogRow]:
    """All that match, the newest first, at most `most` (`EXPORT_LIMIT`).

    Read in chunks that are a transaction each: a long download holds nothing up.
    """
    left, cursor = most or EXPORT_LIMIT, None
    while True:
        found = find_page(wanted, cursor, min(left, EXPORT_CHUNK))
        session().rollback()
        yield from found.page.rows
        left -= len(found.page.rows)
        cursor = found.page.older or found.further
        if not left or cursor is None:
            return


def count(status: StatusFilter, webhook: UUID | None = None) -> int:
    """How many the log has with this status, of one webhook if given (`capped`).

    Tests before saving are in no list. What needs attention is the sum of the problems.
    """
    if status is StatusFilter.ATTENTION:
        return problems.count(webhook)
    current = session()
    now = database_time(current)
    if webhook is not None:
        return count_of_webhook(current, status, webhook, now)
    wanted = of_status(status, now) + without_drafts(current)
    return capped(current, select(literal(1)).where(*wanted))


def count_of_asset(asset_id: int) -> dict[DeliveryStatus, int]:
    """How many of an asset's newest `COUNT_LIMIT` deliveries have which stored status."""
    current = session()
    some = (
        select(Delivery.status)
        .where(Delivery.asset_id == asset_id, *without_drafts(current))
        .order_by(Delivery.asset_id.desc(), Delivery.id.desc())
        .limit(COUNT_LIMIT)
        .subquery()
    )
    rows = current.execute(select(some.c.status, func.count()).group_by(some.c.status))
    return {DeliveryStatus(status): many for status, many in rows}


def webhook_names() -> Sequence[tuple[UUID, str, bool]]:
    """(public id, name, is deleted) of every webhook that may stand in the log, by name."""
    rows = session().execute(
        select(Webhook.public_id, Webhook.name, Webhook.deleted_at)
        .where(Webhook.state != WebhookState.DRAFT)
        .order_by(func.lower(Webhook.name), Webhook.id)
    )
    return [(row.public_id, row.name, row.deleted_at is not None) for row in rows]
