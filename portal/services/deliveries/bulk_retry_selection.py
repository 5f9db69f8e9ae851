"""Choose what is retried: ticked deliveries, or all that match, counted before it starts."""

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
    """Why a delivery is left out of a bulk retry."""

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
    """Ticked deliveries, or with `wanted` all that match it and are no newer than `newest`.

    `rest_of`: what another bulk retry, which was stopped, did not send. `again`: also what has
    arrived already.
    """

    ticked: tuple[UUID, ...] = ()
    rest_of: UUID | None = None
    wanted: LogFilter | None = None
    newest: int = 0
    again: bool = False

    @property
    def is_blank(self) -> bool:
        """Return whether nothing was chosen."""
        return not self.ticked and self.wanted is None and self.rest_of is None


@dataclass(slots=True)
class Count:
    """The numbers of a choice as it is now. `is_more`: counting ended before the log did.

    `in_order`: the names of the webhooks that get something out of turn. `taken`: how many are in
    another bulk retry now, by its row id.
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
    """Raise `Refusal` where nothing was chosen, or more than can be by hand."""
    if choice.is_blank:
        raise Refusal(NONE_SELECTED)
    if len(choice.ticked) > MOST_TICKED:
        raise Refusal(f"Select at most {MOST_TICKED} deliveries at a time.")


def newest_now() -> int:
    """Return the id of the newest delivery: what comes later was not chosen."""
    return session().execute(select(func.max(Delivery.id))).scalar_one() or 0


def newest_or_now(text: str | None) -> int:
    """Return the id up to which a form counted; `newest_now` for anything else."""
    text = text or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else newest_now()


def why_skipped(row: LogRow, again: bool) -> Skip | None:
    """Return why this delivery is not retried; None when it is."""
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
    """Count per webhook, per reason, and what is skipped and why. Bounded in rows and in time."""
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
    gone = len(set(choice.ticked)) - read
    if choice.ticked and gone > 0:
        counted.skipped[Skip.GONE] = gone
    return counted


def pages(choice: Selection) -> Iterator[Sequence[LogRow]]:
    """Read all of a choice, in chunks."""
    rows, cursor = page(choice, None)
    yield rows
    while cursor is not None:
        rows, cursor = page(choice, cursor)
        yield rows


def page(
    choice: Selection, cursor: str | None, size: int = CHUNK
) -> tuple[Sequence[LogRow], str | None]:
    """Read one chunk of a choice, the newest first, and the cursor behind it; None at the end.

    `size`: how many, of all that match a filter.
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
    """Find the row ids of deliveries that a stopped one did not send, the newest first."""
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
    """Write a choice as a task keeps it."""
    kept: dict[str, Any] = {"again": choice.again, "newest": choice.newest}
    if choice.rest_of is not None:
        return {**kept, "rest": str(choice.rest_of)}
    if choice.wanted is None:
        return {**kept, "ticked": [str(public_id) for public_id in choice.ticked]}
    values = {name: (getattr(choice.wanted, name), write) for name, (write, _) in KEPT.items()}
    words = {name: write(value) for name, (value, write) in values.items() if value}
    return {**kept, "filter": words}


def from_params(params: Mapping[str, Any]) -> Selection:
    """Read the choice that a task kept."""
    again = params["again"]
    if "rest" in params:
        return Selection(rest_of=UUID(params["rest"]), again=again)
    if "filter" in params:
        return Selection(wanted=filter_of(params), newest=params["newest"], again=again)
    return Selection(ticked=tuple(map(UUID, params["ticked"])), again=again)


def filter_of(params: Mapping[str, Any]) -> LogFilter:
    """Read the filter that a task kept."""
    kept = params["filter"]
    return LogFilter(**{name: read(kept[name]) for name, (_, read) in KEPT.items() if name in kept})


def _write_times(failed: FailedBetween) -> list[str | None]:
    return [at.isoformat() if at else None for at in failed]


def _read_times(times: Sequence[str | None]) -> FailedBetween:
    return FailedBetween(*(datetime.fromisoformat(at) if at else None for at in times))


# How each part of a filter is written as JSON, and read again.
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
