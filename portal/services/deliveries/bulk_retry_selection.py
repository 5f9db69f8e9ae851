"""Select deliveries to retry, by hand or by a filter, and count them before the start."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, select

from portal.engine.events.catalogue import EventName
from portal.engine.reasons import Reason
from portal.lib.paging import Cursor
from portal.models.deliveries import BatchRow, Delivery, DeliveryStatus, RowOutcome
from portal.models.tasks import Task
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import session
from portal.services.deliveries import log as log_pages
from portal.services.deliveries import retry
from portal.services.deliveries.log import RETRYABLE, LogRow
from portal.services.deliveries.retry import Place
from portal.services.deliveries.statuses import FailedBetween, LogFilter, StatusFilter

CHUNK: Final = 500
MOST_TICKED: Final = 100
MOST_COUNTED: Final = 10_000
COUNT_SECONDS: Final = 3.0
NONE_SELECTED: Final = "Select at least 1 delivery."


class Skip(StrEnum):
    """Reasons to leave a delivery out of a bulk retry."""

    ARRIVED = "arrived"
    QUEUED = "queued"
    SENDING = "sending"
    ON_HOLD = "on_hold"
    DISMISSED = "dismissed"
    TAKEN = "taken"
    TEST = "test"
    OFF = "off"
    GONE = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The `ticked` deliveries, or all that match `wanted` and are no newer than `newest`.

    `rest_of`: a stopped bulk retry, for the deliveries that it did not send. `again`: include those
    that have already arrived.
    """

    ticked: tuple[UUID, ...] = ()
    rest_of: UUID | None = None
    wanted: LogFilter | None = None
    newest: int = 0
    again: bool = False

    @property
    def is_blank(self) -> bool:
        return not self.ticked and self.wanted is None and self.rest_of is None


@dataclass(slots=True)
class Count:
    """The current counts of a selection. `is_more`: counting stopped before the end of the log.

    `in_order`: names of the webhooks that get deliveries out of order. `taken`: the number in each
    other bulk retry now, by its row id.
    """

    total: int = 0
    is_more: bool = False
    by_webhook: Counter[str] = field(default_factory=Counter)
    by_reason: Counter[tuple[str | None, int | None]] = field(default_factory=Counter)
    skipped: Counter[Skip] = field(default_factory=Counter)
    arrived: int = 0
    in_order: set[str] = field(default_factory=set)
    taken: Counter[int] = field(default_factory=Counter)

    def add(self, row: LogRow, again: bool, at: Place | None) -> None:
        """Count one delivery. `at`: the bulk retry that it is in now."""
        if at is not None:
            self.taken[at.task_id] += 1
            self.skipped[Skip.TAKEN] += 1
            return
        is_sent_to = row.is_webhook_active and not row.is_test
        self.arrived += is_sent_to and row.status is DeliveryStatus.DELIVERED
        if skip := why_skipped(row, again):
            self.skipped[skip] += 1
            return
        self.total += 1
        self.by_webhook[row.webhook_name] += 1
        self.by_reason[row.reason, row.code] += 1
        if row.is_in_order:
            self.in_order.add(row.webhook_name)


def refuse_unfit(choice: Selection) -> None:
    """Raise `Refusal` if nothing was selected, or more than `MOST_TICKED` by hand."""
    if choice.is_blank:
        raise Refusal(NONE_SELECTED)
    if len(choice.ticked) > MOST_TICKED:
        raise Refusal(f"Select at most {MOST_TICKED} deliveries at a time.")


def newest_now() -> int:
    """Return the newest delivery's row id. Later deliveries are not part of a selection."""
    return session().execute(select(func.max(Delivery.id))).scalar_one() or 0


def newest_or_now(text: str | None) -> int:
    """Parse the row id up to which a form counted. Other text gives `newest_now`."""
    row_id = row_id_in(text)
    return newest_now() if row_id is None else row_id


def row_id_in(text: str | None) -> int | None:
    """Return the row id in a hidden field, or None for any other text."""
    text = text or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def why_skipped(row: LogRow, again: bool) -> Skip | None:
    """Return the reason to skip this delivery, or None to retry it."""
    if row.is_test:
        return Skip.TEST
    if row.is_being_sent:
        return Skip.SENDING
    if row.status not in (*RETRYABLE, DeliveryStatus.DELIVERED):
        return Skip(row.status)
    if row.is_manual:
        return Skip.QUEUED
    if not row.is_webhook_active:
        return Skip.OFF
    return Skip.ARRIVED if row.status is DeliveryStatus.DELIVERED and not again else None


def count(choice: Selection) -> Count:
    """Count a selection by webhook, reason, and cause of skipping. Bounded in rows and in time."""
    counted, until = Count(), time.monotonic() + COUNT_SECONDS
    read = 0
    for rows in pages(choice):
        taken = retry.taken(session(), [row.id for row in rows])
        for row in rows:
            counted.add(row, choice.again, taken.get(row.id))
        read += len(rows)
        session().rollback()
        if read >= MOST_COUNTED or time.monotonic() > until:
            counted.is_more = True
            return counted
    missing = len(set(choice.ticked)) - read
    if choice.ticked and missing > 0:
        counted.skipped[Skip.GONE] = missing
    return counted


def pages(choice: Selection) -> Iterator[Sequence[LogRow]]:
    """Yield a selection in chunks."""
    rows, cursor = page(choice, None)
    yield rows
    while cursor is not None:
        rows, cursor = page(choice, cursor)
        yield rows


def page(
    choice: Selection, cursor: str | None, size: int = CHUNK
) -> tuple[Sequence[LogRow], str | None]:
    """Return a chunk of a selection, newest first, and the next cursor (None at the end).

    `size`: the size of the chunk, if the selection has a filter.
    """
    if choice.rest_of is not None:
        ids = _unsent(choice.rest_of, int(cursor) if cursor else None)
        return log_pages.of_ids(ids), str(ids[-1]) if len(ids) == CHUNK else None
    if choice.wanted is None:
        ticked = select(Delivery.id).where(Delivery.public_id.in_(choice.ticked))
        return log_pages.of_ids(session().scalars(ticked).all()), None
    start = cursor or Cursor((choice.newest + 1,)).encode()
    chunk = log_pages.find_page(choice.wanted, start, size)
    return chunk.page.rows, chunk.page.older or chunk.further


def _unsent(batch: UUID, below: int | None) -> Sequence[int]:
    """Return row ids of deliveries that a stopped bulk retry did not send, newest first."""
    statement = (
        select(BatchRow.delivery_id)
        .join(Task, Task.id == BatchRow.task_id)
        .where(
            Task.public_id == batch, Task.kind == retry.NAME, BatchRow.outcome == RowOutcome.UNSENT
        )
        .order_by(BatchRow.delivery_id.desc())
        .limit(CHUNK)
    )
    if below is not None:
        statement = statement.where(BatchRow.delivery_id < below)
    return session().scalars(statement).all()


def as_params(choice: Selection) -> dict[str, Any]:
    """Convert a selection to the parameters of a task."""
    kept: dict[str, Any] = {"again": choice.again, "newest": choice.newest}
    if choice.rest_of is not None:
        return {**kept, "rest": str(choice.rest_of)}
    if choice.wanted is None:
        return {**kept, "ticked": [str(public_id) for public_id in choice.ticked]}
    values = {name: (getattr(choice.wanted, name), write) for name, (write, _) in KEPT.items()}
    words = {name: write(value) for name, (value, write) in values.items() if value}
    return {**kept, "filter": words}


def from_params(params: Mapping[str, Any]) -> Selection:
    """Read a selection from the parameters of a task."""
    again = params["again"]
    if "rest" in params:
        return Selection(rest_of=UUID(params["rest"]), again=again)
    if "filter" in params:
        return Selection(wanted=filter_of(params), newest=params["newest"], again=again)
    return Selection(ticked=tuple(map(UUID, params["ticked"])), again=again)


def filter_of(params: Mapping[str, Any]) -> LogFilter:
    """Read a filter from the parameters of a task."""
    kept = params["filter"]
    return LogFilter(**{name: read(kept[name]) for name, (_, read) in KEPT.items() if name in kept})


def _write_times(failed: FailedBetween) -> list[str | None]:
    return [at.isoformat() if at else None for at in failed]


def _read_times(times: Sequence[str | None]) -> FailedBetween:
    return FailedBetween(*(datetime.fromisoformat(at) if at else None for at in times))


# Functions that convert each part of a filter to JSON and back.
KEPT: Final[Mapping[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]]] = {
    "status": (str, StatusFilter),
    "webhook": (str, UUID),
    "event": (str, EventName),
    "asset_id": (int, int),
    "search": (str, str),
    "reasons": (lambda reasons: [*map(str, reasons)], lambda kept: tuple(map(Reason, kept))),
    "untried": (bool, bool),
    "codes": (list, tuple),
    "delivery": (str, UUID),
    "since": (datetime.isoformat, datetime.fromisoformat),
    "until": (datetime.isoformat, datetime.fromisoformat),
    "failed": (_write_times, _read_times),
    "answer": (str, str),
}
