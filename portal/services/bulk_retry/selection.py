"""What a bulk retry is for: ticked deliveries or all that match, counted before it starts."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, select

from portal.engine.events.catalogue import EventName
from portal.engine.reason_keys import Reason
from portal.lib.paging import Cursor
from portal.models.deliveries import Delivery
from portal.services.bulk_retry import batches
from portal.services.core.unit_of_work import session
from portal.services.deliveries import log as log_pages
from portal.services.deliveries import retry
from portal.services.deliveries.log import RETRYABLE, LogRow
from portal.services.deliveries.statuses import FailedBetween, LogFilter, StatusFilter
from portal.services.outbox.due import ShownStatus

CHUNK: Final = 500
MOST_TICKED: Final = 100
MOST_COUNTED: Final = 10_000
COUNT_SECONDS: Final = 3.0


class Skip(StrEnum):
    """Why a delivery is left out of a bulk retry."""

    ARRIVED = "arrived"
    WAITING = "waiting"
    SENDING = "sending"
    HELD = "held"
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
        """Whether nothing was chosen."""
        return not self.ticked and self.wanted is None and self.rest_of is None


@dataclass(slots=True)
class Count:
    """What a choice comes to now. `is_more`: counting ended before the log did.

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

    def add(self, row: LogRow, again: bool, taken_by: int | None) -> None:
        """Count one delivery. `taken_by`: the bulk retry that it is in now."""
        if taken_by is not None:
            self.taken[taken_by] += 1
            self.skipped[Skip.TAKEN] += 1
            return
        self.arrived += _is_arrived(row)
        if skip := why_skipped(row, again):
            self.skipped[skip] += 1
            return
        self.total += 1
        self.by_webhook[row.webhook_name] += 1
        self.by_reason[row.reason, row.code] += 1
        if row.is_in_order:
            self.in_order.add(row.webhook_name)


def newest_now() -> int:
    """The id of the newest delivery: what comes later was not meant."""
    return session().execute(select(func.max(Delivery.id))).scalar_one() or 0


def why_skipped(row: LogRow, again: bool) -> Skip | None:
    """Why this delivery is not retried; None when it is."""
    if row.is_test:
        return Skip.TEST
    if row.unpaused not in (*RETRYABLE, ShownStatus.DELIVERED):
        return Skip(row.unpaused)
    if not row.is_webhook_active:
        return Skip.OFF
    return Skip.ARRIVED if row.status is ShownStatus.DELIVERED and not again else None


def count(choice: Selection) -> Count:
    """Count per webhook, per reason, and what is skipped and why. Bounded in rows and in time."""
    counted, until = Count(), time.monotonic() + COUNT_SECONDS
    read = 0
    for rows, _ in pages(choice):
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


def pages(choice: Selection) -> Iterator[tuple[Sequence[LogRow], str | None]]:
    """The log's lines of a choice in chunks, each with the cursor behind it."""
    cursor: str | None = None
    while True:
        rows, cursor = page(choice, cursor)
        yield rows, cursor
        if cursor is None:
            return


def page(choice: Selection, cursor: str | None) -> tuple[Sequence[LogRow], str | None]:
    """One chunk of a choice, the newest first, and the cursor behind it; None at the end."""
    if choice.rest_of is not None:
        return _rest(choice.rest_of, cursor)
    if choice.wanted is None:
        ids = select(Delivery.id).where(Delivery.public_id.in_(choice.ticked))
        return log_pages.of_ids(session().scalars(ids).all()), None
    start = cursor or Cursor((choice.newest + 1,)).encode()
    found = log_pages.find_page(choice.wanted, start, CHUNK)
    return found.page.rows, found.page.older or found.further


def _rest(batch: UUID, cursor: str | None) -> tuple[Sequence[LogRow], str | None]:
    ids = batches.unsent(session(), batch, int(cursor) if cursor else None, CHUNK)
    return log_pages.of_ids(ids), str(ids[-1]) if len(ids) == CHUNK else None


def _is_arrived(row: LogRow) -> bool:
    is_free = row.is_webhook_active and not row.is_test
    return is_free and row.status is ShownStatus.DELIVERED


def as_params(choice: Selection) -> dict[str, Any]:
    """A choice as a task keeps it."""
    kept: dict[str, Any] = {"again": choice.again, "newest": choice.newest}
    if choice.rest_of is not None:
        return {**kept, "rest": str(choice.rest_of)}
    if choice.wanted is None:
        return {**kept, "ticked": [str(each) for each in choice.ticked]}
    return {**kept, "filter": _as_words(choice.wanted)}


def from_params(params: Mapping[str, Any]) -> Selection:
    """The choice that a task kept."""
    if "rest" in params:
        return Selection(rest_of=UUID(params["rest"]), again=params["again"])
    if "filter" not in params:
        ticked = tuple(UUID(each) for each in params["ticked"])
        return Selection(ticked=ticked, again=params["again"])
    wanted = filter_of(params)
    return Selection(wanted=wanted, newest=params["newest"], again=params["again"])


def _as_words(wanted: LogFilter) -> dict[str, Any]:
    return {
        "status": wanted.status,
        "webhook": str(wanted.webhook) if wanted.webhook else None,
        "event": wanted.event,
        "asset_id": wanted.asset_id,
        "search": wanted.search,
        "reasons": [str(each) for each in wanted.reasons],
        "untried": wanted.untried,
        "codes": wanted.codes,
        "delivery": str(wanted.delivery) if wanted.delivery else None,
        "since": wanted.since.isoformat() if wanted.since else None,
        "until": wanted.until.isoformat() if wanted.until else None,
        "failed": [each.isoformat() if each else None for each in wanted.failed]
        if wanted.failed
        else None,
        "answer": wanted.answer,
    }


def _codes(kept: Mapping[str, Any]) -> tuple[int, int] | None:
    """Tasks of an earlier edition kept one code."""
    if one := kept.get("code"):
        return one, one
    return tuple(kept["codes"]) if kept.get("codes") else None


def filter_of(params: Mapping[str, Any]) -> LogFilter:
    """The filter that a task kept."""
    kept = params["filter"]
    return LogFilter(
        status=StatusFilter(kept["status"]) if kept["status"] else None,
        webhook=UUID(kept["webhook"]) if kept["webhook"] else None,
        event=EventName(kept["event"]) if kept["event"] else None,
        asset_id=kept["asset_id"],
        search=kept["search"],
        reasons=tuple(Reason(each) for each in kept["reasons"]),
        untried=bool(kept.get("untried")),
        codes=_codes(kept),
        delivery=UUID(kept["delivery"]) if kept["delivery"] else None,
        since=datetime.fromisoformat(kept["since"]) if kept["since"] else None,
        until=datetime.fromisoformat(kept["until"]) if kept["until"] else None,
        failed=_failed(kept),
        answer=kept.get("answer", ""),
    )


def _failed(kept: Mapping[str, Any]) -> FailedBetween | None:
    """Tasks of an earlier edition have no such filter."""
    if not kept.get("failed"):
        return None
    return FailedBetween(*(datetime.fromisoformat(at) if at else None for at in kept["failed"]))
