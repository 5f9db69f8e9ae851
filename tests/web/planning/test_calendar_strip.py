"""The calendar strip of the next 60 days: its spans, their positions, and their widths."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from flask import Flask

from portal.lib.clock import frozen
from portal.models.assignments import Assignment, Staff
from portal.models.planning import Maintenance, Reservation
from portal.services.actions.planning.queries import Plans
from portal.web.planning.calendar_strip import Strip, strip_of

NOW = datetime(2026, 3, 10, 11, 0, tzinfo=UTC)  # noon in Vienna
MIDNIGHT = datetime(2026, 3, 9, 23, 0, tzinfo=UTC)
TODAY = date(2026, 3, 10)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
END = datetime(2026, 5, 8, 22, 0, tzinfo=UTC)  # the clocks have moved on an hour by then


@pytest.fixture(autouse=True)
def _asked(app: Flask) -> Iterator[None]:
    """Open the page at noon in Vienna."""
    with app.test_request_context(), frozen(NOW):
        yield


def wanted(starts: datetime, ends: datetime, state: str = "approved") -> Reservation:
    return Reservation(staff=Staff(name="Cleo"), starts_at=starts, ends_at=ends, state=state)


def held(due_at: datetime | None) -> Assignment:
    return Assignment(staff=Staff(name="Ben"), started_at=NOW - DAY, due_at=due_at)


def due(days: int) -> Maintenance:
    return Maintenance(title="Oil", due_on=TODAY + timedelta(days=days))


def of_wish(starts: datetime, ends: datetime) -> list[tuple[float, float]]:
    strip = strip_of(Plans((wanted(starts, ends),)), None)
    return [(span.x, span.width) for span in strip.spans]


def of_holding(due_at: datetime | None) -> tuple[float, float, str]:
    (span,) = strip_of(Plans(), held(due_at)).spans
    assert span.kind == "held"
    return span.x, span.width, span.words


def test_times_outside_the_60_days_are_not_drawn() -> None:
    assert of_wish(MIDNIGHT - 2 * DAY, MIDNIGHT) == []
    assert of_wish(END, END + DAY) == []
    assert of_wish(MIDNIGHT - 2 * DAY, MIDNIGHT + 12 * HOUR) == [(0, 5)]
    assert of_wish(MIDNIGHT - DAY, END + DAY) == [(0, 600)]


def test_a_day_is_10_wide_and_an_hour_stays_visible() -> None:
    assert of_wish(MIDNIGHT + 12 * HOUR, MIDNIGHT + 36 * HOUR) == [(5, 10)]
    assert of_wish(MIDNIGHT + DAY, MIDNIGHT + DAY + HOUR) == [(10, 3)]
    assert of_wish(END - HOUR, END + DAY) == [(597, 3)]


def test_an_assignment_spans_from_now_to_its_due_time() -> None:
    words = "Allocated to Ben"
    assert of_holding(None) == (5, 595, words)
    assert of_holding(NOW + 3 * DAY) == (5, 30, "Ben, due back Fri, Mar 13, 12:00")
    late = "Ben, overdue since Mar 10"
    assert of_holding(NOW) == of_holding(NOW - HOUR) == (5, 10, late)


def test_maintenance_is_drawn_on_its_due_day_within_the_strip() -> None:
    strip = strip_of(Plans((), tuple(due(days) for days in (-1, 0, 59, 60))), None)
    assert [(span.kind, span.x, span.width) for span in strip.spans] == [
        ("due", 0, 10),
        ("due", 590, 10),
    ]


def test_each_span_names_its_person_and_says_if_it_is_pending() -> None:
    reservations = [
        wanted(MIDNIGHT + DAY, MIDNIGHT + DAY + HOUR, state) for state in ("approved", "pending")
    ]
    spans = strip_of(Plans(tuple(reservations)), None).spans
    when = "Mar 11, 00:00 to 01:00"
    assert [(span.kind, span.words) for span in spans] == [
        ("approved", f"Cleo: {when}"),
        ("pending", f"Cleo (pending): {when}"),
    ]


def strip_on(day: date) -> Strip:
    with frozen(datetime(day.year, day.month, day.day, 12, tzinfo=UTC)):
        return strip_of(Plans(), None)


def test_months_are_named_where_their_names_fit() -> None:
    assert strip_on(TODAY).months == [(220, "Apr"), (520, "May")]
    assert strip_on(date(2026, 3, 1)).months == [(310, "Apr")]
    assert strip_on(date(2026, 3, 2)).months == [(300, "Apr")]
    assert strip_on(date(2026, 3, 7)).months == [(250, "Apr"), (550, "May")]
    assert strip_on(date(2026, 3, 6)).months == [(260, "Apr")]


def test_the_strip_names_its_first_and_last_day() -> None:
    strip = strip_on(TODAY)
    assert (strip.begins, strip.ends) == ("Mar 10", "May 8")
