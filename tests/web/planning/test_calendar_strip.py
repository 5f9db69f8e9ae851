"""The strip of the next 60 days: what lies in it, where each stretch begins, and how long it is."""

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
    """Somebody opens the page at noon."""
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


def test_what_lies_before_today_or_after_the_last_day_is_not_drawn() -> None:
    assert of_wish(MIDNIGHT - 2 * DAY, MIDNIGHT) == []
    assert of_wish(END, END + DAY) == []
    assert of_wish(MIDNIGHT - 2 * DAY, MIDNIGHT + 12 * HOUR) == [(0, 5)]
    assert of_wish(MIDNIGHT - DAY, END + DAY) == [(0, 600)]


def test_a_day_is_ten_wide_and_an_hour_is_still_to_be_seen() -> None:
    assert of_wish(MIDNIGHT + 12 * HOUR, MIDNIGHT + 36 * HOUR) == [(5, 10)]
    assert of_wish(MIDNIGHT + DAY, MIDNIGHT + DAY + HOUR) == [(10, 3)]
    assert of_wish(END - HOUR, END + DAY) == [(597, 3)]


def test_a_holding_reaches_from_now_to_its_end() -> None:
    words = "Allocated to Ben"
    assert of_holding(None) == (5, 595, words)
    assert of_holding(NOW + 3 * DAY) == (5, 30, "Ben, due back Fri, Mar 13, 12:00")
    late = "Ben, overdue since Mar 10"
    assert of_holding(NOW) == of_holding(NOW - HOUR) == (5, 10, late)


def test_work_has_its_day_if_that_is_among_those_drawn() -> None:
    found = strip_of(Plans((), tuple(due(days) for days in (-1, 0, 59, 60))), None)
    assert [(span.kind, span.x, span.width) for span in found.spans] == [
        ("due", 0, 10),
        ("due", 590, 10),
    ]


def test_each_stretch_says_whose_it_is_and_whether_that_is_decided() -> None:
    wishes = [
        wanted(MIDNIGHT + DAY, MIDNIGHT + DAY + HOUR, state) for state in ("approved", "pending")
    ]
    found = strip_of(Plans(tuple(wishes)), None).spans
    when = "Mar 11, 00:00 to 01:00"
    assert [(span.kind, span.words) for span in found] == [
        ("approved", f"Cleo: {when}"),
        ("pending", f"Cleo (pending): {when}"),
    ]


def strip_on(day: date) -> Strip:
    with frozen(datetime(day.year, day.month, day.day, 12, tzinfo=UTC)):
        return strip_of(Plans(), None)


def test_months_are_named_where_there_is_room_for_their_names() -> None:
    assert strip_on(TODAY).months == [(220, "Apr"), (520, "May")]
    assert strip_on(date(2026, 3, 1)).months == [(310, "Apr")]
    assert strip_on(date(2026, 3, 2)).months == [(300, "Apr")]
    assert strip_on(date(2026, 3, 7)).months == [(250, "Apr"), (550, "May")]
    assert strip_on(date(2026, 3, 6)).months == [(260, "Apr")]


def test_it_says_from_which_day_to_which_it_reaches() -> None:
    found = strip_on(TODAY)
    assert (found.begins, found.ends) == ("Mar 10", "May 8")
