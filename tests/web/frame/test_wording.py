"""Times and numbers as people read them."""

from datetime import UTC, datetime, timedelta

import pytest

from portal.web.frame.layout import icon
from portal.web.frame.wording import dated, moment, number, plural
from tests.web.component_gallery import make_gallery

NOW = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)


def test_it_tells_the_time_relative_under_a_day() -> None:
    with make_gallery().test_request_context("/"):
        assert moment(NOW - timedelta(minutes=3), NOW).text == "3 minutes ago"
        assert moment(NOW + timedelta(minutes=4), NOW).text == "in 4 minutes"


def test_it_tells_the_clock_time_beside_one_that_is_relative() -> None:
    with make_gallery().test_request_context("/"):
        assert dated(NOW - timedelta(hours=5), NOW) == "5 hours ago, 09:00"
        assert dated(NOW - timedelta(hours=15), NOW) == "15 hours ago, yesterday 23:00"
        assert dated(NOW - timedelta(days=3), NOW) == "28 Jun 2026, 14:00"


def test_it_tells_the_exact_time_in_the_persons_zone() -> None:
    with make_gallery().test_request_context("/"):
        then = moment(datetime(2026, 1, 9, 23, 30, 5, tzinfo=UTC), NOW)
    assert then.text == "10 Jan 2026, 00:30"
    assert then.exact == "10 Jan 2026, 00:30:05 (Europe/Vienna)"
    assert then.iso == "2026-01-09T23:30:05+00:00"


def test_it_groups_digits() -> None:
    for value, text in (
        (0, "0"),
        (999, "999"),
        (1234567, "1\u202f234\u202f567"),
        (-1200, "-1\u202f200"),
    ):
        assert number(value) == text, value


def test_it_counts_in_words() -> None:
    assert plural(1, "delivery", "deliveries") == "1 delivery"
    assert plural(0, "delivery", "deliveries") == "0 deliveries"
    assert plural(2, "event") == "2 events"


def test_an_icon_is_silent_unless_it_is_named() -> None:
    assert 'aria-hidden="true"' in icon("check-circle")
    assert 'aria-label="a &lt;b&gt;"' in icon("check-circle", "a <b>")


def test_an_unknown_icon_is_an_error() -> None:
    with pytest.raises(KeyError):
        icon("no-such-icon")
