"""Wording of times and numbers, and labels of icons."""

from datetime import UTC, date, datetime, timedelta

import pytest
from flask_login import current_user

from portal.web.frame.layout import icon
from portal.web.frame.wording import (
    day_of,
    exact_day,
    in_both_zones,
    moment,
    near_day,
    near_time,
    number,
    plural,
)
from tests.web.component_gallery import make_gallery

NOW = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)


def test_times_less_than_a_day_away_are_relative() -> None:
    with make_gallery().test_request_context("/"):
        assert moment(NOW - timedelta(minutes=3), NOW).text == "3 minutes ago"
        assert moment(NOW + timedelta(minutes=4), NOW).text == "in 4 minutes"


def test_day_and_year_are_shown_if_they_are_not_the_current_ones() -> None:
    with make_gallery().test_request_context("/"):
        assert near_time(NOW - timedelta(hours=5), NOW) == "09:00"
        assert near_time(NOW - timedelta(hours=15), NOW) == "Jun 30, 23:00"
        assert near_time(NOW - timedelta(days=200), NOW) == "Dec 13, 2025, 13:00"
        assert exact_day(NOW, NOW) == "Jul 1, 14:00"
        assert (near_day(NOW, NOW), near_day(NOW - timedelta(days=1), NOW)) == ("14:00", "Jun 30")
        assert (day_of(date(2027, 1, 9), NOW), day_of(None)) == ("Jan 9, 2027", "")


def test_the_exact_time_is_in_the_persons_time_zone() -> None:
    with make_gallery().test_request_context("/"):
        then = moment(datetime(2026, 1, 9, 23, 30, 5, tzinfo=UTC), NOW)
    assert then.text == "Jan 10, 00:30"
    assert then.exact == "Jan 10, 2026, 00:30:05 (Europe/Vienna)"
    assert then.iso == "2026-01-09T23:30:05+00:00"


def test_times_outside_the_portal_add_utc_unless_that_is_the_zone() -> None:
    then = datetime(2026, 1, 9, 23, 30, 5, tzinfo=UTC)
    with make_gallery().test_request_context("/"):
        both = "Jan 10, 2026, 00:30:05 (Europe/Vienna), Jan 9, 23:30:05 UTC"
        assert in_both_zones(then) == both
        current_user.time_zone = "UTC"
        assert in_both_zones(then) == "Jan 9, 2026, 23:30:05 (UTC)"


def test_digits_are_grouped() -> None:
    for value, text in (
        (0, "0"),
        (999, "999"),
        (1234567, "1,234,567"),
        (-1200, "\u22121,200"),
    ):
        assert number(value) == text, value


def test_nouns_follow_their_count() -> None:
    assert plural(1, "delivery", "deliveries") == "1 delivery"
    assert plural(0, "delivery", "deliveries") == "0 deliveries"
    assert plural(2, "event") == "2 events"


def test_an_icon_is_hidden_from_screen_readers_unless_it_is_named() -> None:
    assert 'aria-hidden="true"' in icon("check-circle")
    assert 'aria-label="a &lt;b&gt;"' in icon("check-circle", "a <b>")


def test_an_unknown_icon_is_an_error() -> None:
    with pytest.raises(KeyError):
        icon("no-such-icon")
