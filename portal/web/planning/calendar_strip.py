"""Draw the next 60 days of one asset as an SVG strip: holders, reservations, and due work.

Rendered on the server, with the same facts in text beside it, so it needs no script.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from portal.lib.clock import utcnow
from portal.models.assignments import Assignment
from portal.models.planning import Reservation, ReservationState
from portal.services.actions.planning.queries import Plans
from portal.web.frame.wording import day_of, due_words, zone
from portal.web.planning.wording import span_in_words

DAYS: Final = 60
DAY_WIDTH: Final = 10
WIDTH: Final = DAYS * DAY_WIDTH
LEAST: Final = 3  # keeps an hour visible among 60 days


@dataclass(frozen=True, slots=True)
class Span:
    """A bar on the strip. `kind` (held, approved, pending, or due) sets its row and color."""

    kind: str
    x: float
    width: float
    words: str


@dataclass(frozen=True, slots=True)
class Strip:
    """A strip as the template draws it. `months`: (x, label) of each first day of a month."""

    begins: str
    ends: str
    spans: list[Span]
    months: list[tuple[int, str]]


def strip_of(plans: Plans, held: Assignment | None) -> Strip:
    """Return the strip, starting today in the reader's time zone."""
    first = utcnow().astimezone(zone()).date()
    spans = [*_held(first, held), *_wanted(first, plans), *_due(first, plans)]
    last = first + timedelta(days=DAYS - 1)
    return Strip(day_of(first), day_of(last), spans, list(_months(first)))


def _held(first: date, held: Assignment | None) -> Iterator[Span]:
    if held is None:
        return
    name, now = held.staff.name, utcnow()
    if held.due_at is None:
        yield _span("held", first, now, None, f"Allocated to {name}")
    elif held.due_at <= now:
        words = f"{name}, overdue since {day_of(held.due_at)}"
        yield _span("held", first, now, now + timedelta(days=1), words)
    else:
        words = f"{name}, due back {due_words(held.due_at)}"
        yield _span("held", first, now, held.due_at, words)


def _wanted(first: date, plans: Plans) -> Iterator[Span]:
    begins, ends = _midnight(first), _midnight(first + timedelta(days=DAYS))
    for reservation in plans.reservations:
        if reservation.starts_at < ends and reservation.ends_at > begins:
            yield _span(
                reservation.state,
                first,
                reservation.starts_at,
                reservation.ends_at,
                _of(reservation),
            )


def _due(first: date, plans: Plans) -> Iterator[Span]:
    for maintenance in plans.maintenances:
        place = (maintenance.due_on - first).days
        if 0 <= place < DAYS:
            words = f"{maintenance.title}: due {day_of(maintenance.due_on)}"
            yield Span("due", place * DAY_WIDTH, DAY_WIDTH, words)


def _of(reservation: Reservation) -> str:
    asked = "" if reservation.state == ReservationState.APPROVED else " (pending)"
    when = span_in_words(reservation.starts_at, reservation.ends_at)
    return f"{reservation.staff.name}{asked}: {when}"


def _span(kind: str, first: date, starts: datetime, ends: datetime | None, words: str) -> Span:
    left = _place(first, starts)
    right = WIDTH if ends is None else _place(first, ends)
    width = max(LEAST, right - left)
    return Span(kind, round(min(left, WIDTH - width), 1), round(width, 1), words)


def _place(first: date, at: datetime) -> float:
    seconds = (at - _midnight(first)).total_seconds()
    return min(WIDTH, max(0.0, seconds / 86_400 * DAY_WIDTH))


def _months(first: date) -> Iterator[tuple[int, str]]:
    for place in range(DAYS):
        day = first + timedelta(days=place)
        if day.day == 1 and 0 < place < DAYS - 4:
            yield place * DAY_WIDTH, f"{day:%b}"


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), zone()).astimezone(UTC)
