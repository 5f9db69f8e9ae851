"""The line of a list at which somebody pressed Retry: it stays in its place, and is followed there.

The address of the list names the delivery, so that the line is found again after each reload.
"""

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit
from uuid import UUID

from flask import request, url_for

from portal.lib.paging import Page
from portal.services.core.refusals import NotFound
from portal.services.deliveries.detail import find_delivery
from portal.services.deliveries.log import pages as log_pages
from portal.services.deliveries.log.filters import LogFilter
from portal.services.deliveries.log.rows import LogRow
from portal.web.deliveries.progress import RetryOutcome, is_live, outcome_of, under_way
from portal.web.forms.query_values import uuid_or_none
from portal.web.frame.access import local_path
from portal.web.frame.page_frame import RETRIED


@dataclass(frozen=True, slots=True)
class Retried:
    """How the Retry of a line stands. `is_live`: it is likely to change soon."""

    outcome: RetryOutcome | None
    is_live: bool


def retried(row: LogRow) -> Retried | None:
    """How the Retry of this line stands; None where the address names another one, or none."""
    return stand_of(row.public_id) if row.public_id == _named() else None


def stand_of(public_id: UUID) -> Retried | None:
    """The same of a delivery that is meant; None where it is no longer kept."""
    try:
        delivery = find_delivery(public_id)
    except NotFound:
        return None
    return Retried(under_way(delivery) or outcome_of(delivery), is_live(delivery))


def with_retried(page: Page[LogRow], *, oldest_first: bool = False) -> list[LogRow]:
    """The lines of a page, and the one that was retried, whatever it is by now."""
    rows, named = list(page.rows), _named()
    if named is not None and all(row.public_id != named for row in rows):
        rows += log_pages.latest(LogFilter(delivery=named), 1)
    return sorted(rows, key=lambda row: row.id, reverse=not oldest_first)


def find_row(public_id: UUID) -> LogRow:
    """The line of a delivery. Raises `NotFound`."""
    rows = log_pages.latest(LogFilter(delivery=public_id), 1)
    if not rows:
        raise NotFound("There is no such delivery, or it is no longer kept.")
    return rows[0]


def row_id(public_id: UUID) -> str:
    """The id of a line in its page."""
    return f"delivery-{public_id}"


def row_url(row: LogRow, back: str, choose: str) -> str:
    """Where the cells of a line can be had anew. `choose`: as in the table."""
    return url_for("deliveries.row", public_id=row.public_id, back=back, choose=choose or None)


def here() -> str:
    """The address of the list that is being shown."""
    return request.script_root + request.full_path.rstrip("?")


def place_in(back: str, public_id: UUID) -> str:
    """The address of a list (`local_path` of it) at the line of this delivery."""
    parts = urlsplit(list_of(back))
    query = urlencode([*parse_qsl(parts.query), (RETRIED, str(public_id))])
    return urlunsplit(("", "", parts.path, query, row_id(public_id)))


def list_of(back: str) -> str:
    """The address of a list (`local_path` of it) without anybody's last press in it."""
    parts = urlsplit(local_path(back))
    kept = [each for each in parse_qsl(parts.query) if each[0] != RETRIED]
    return urlunsplit(("", "", parts.path, urlencode(kept), ""))


def _named() -> UUID | None:
    return uuid_or_none(request.args.get(RETRIED))
