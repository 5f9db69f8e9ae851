"""The log's filter form, its words, and its URLs."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from flask import Flask, request

from portal.lib.clock import utcnow
from portal.services.deliveries import log as log_pages
from portal.services.deliveries.detail import find_delivery
from portal.services.deliveries.statuses import LogFilter, StatusFilter
from portal.web.deliveries import log_presenter
from portal.web.deliveries.forms import FAILED_IN, PERIODS, LogFilterForm, read_codes, time_words
from portal.web.deliveries.list_place import delivery_url, place_of
from tests.support.deliveries import make_delivery
from tests.support.factories import make_webhook

VIENNA = ZoneInfo("Europe/Vienna")


@contextmanager
def asked(app: Flask, query: str) -> Iterator[LogFilterForm]:
    """Yield the log's filter form for this query string."""
    with app.test_request_context(f"/deliveries?{query}"):
        yield LogFilterForm(request.args)


def chosen(app: Flask, query: str) -> LogFilter:
    with asked(app, query) as form:
        assert form.validate(), form.errors
        return form.chosen()


def test_a_code_can_end_in_x_as_a_wildcard() -> None:
    for typed, codes in (
        ("404", (404, 404)),
        ("50x", (500, 509)),
        ("5XX", (500, 599)),
        ("1xx", (100, 199)),
    ):
        assert read_codes(typed) == codes, typed


def test_a_malformed_code_is_refused() -> None:
    for typed in ("600", "5x0", "x00", "50", "5000", "5\u0660\u0660", ""):
        with pytest.raises(ValueError, match="3 digits"):
            read_codes(typed)


def test_the_narrower_of_two_times_applies(app: Flask) -> None:
    for hours in (1, -1):
        with app.test_request_context():
            begin, end = PERIODS["yesterday"][1]()
        assert end is not None, hours
        since, until = (at + timedelta(hours=hours) for at in (begin, end))
        typed = [f"{at.astimezone(VIENNA):%Y-%m-%d %H:%M}" for at in (since, until)]
        log_filter = chosen(app, f"time=yesterday&since={typed[0]}&until={typed[1]}")
        assert (log_filter.since, log_filter.until) == (max(begin, since), min(end, until)), hours
        alone = chosen(app, f"since={typed[0]}")
        assert (alone.since, alone.until) == (since, None), hours


def test_until_must_be_later_than_since(app: Flask) -> None:
    for until, is_good in (("2026-03-01 09:00", True), ("2026-03-01 08:00", False)):
        with asked(app, f"since=2026-03-01 08:00&until={until}") as form:
            assert form.validate() is is_good


def test_each_field_sets_its_part_of_the_filter(app: Flask) -> None:
    for query, expected in (
        ("q=019a0000-0000-7000-8000-000000000001", {"search": "", "delivery": True}),
        ("q=AST-1", {"search": "AST-1", "delivery": False}),
        ("status=failed", {"status": StatusFilter.FAILED}),
        ("reason=none", {"untried": True, "reasons": ()}),
        ("reason=reset", {"reasons": ("reset", "no_reply"), "untried": False}),
        ("asset=7", {"asset_id": 7}),
    ):
        log_filter = chosen(app, query)
        for name, value in expected.items():
            actual = getattr(log_filter, name)
            if name == "delivery":
                assert (actual is not None) is value
            elif name == "reasons":
                assert sorted(map(str, actual)) == sorted(value)  # type: ignore[call-overload]
            else:
                assert actual == value


def test_a_failure_time_filter_ignores_the_event_time(app: Flask) -> None:
    log_filter = chosen(app, "time=failed&since=2026-03-01 08:00&until=2026-03-01 09:00")
    assert (log_filter.since, log_filter.until) == (None, None)
    begin, end = (datetime(2026, 3, 1, hour, tzinfo=UTC) for hour in (7, 8))
    assert log_filter.failed == (begin, end)
    assert chosen(app, "time=failed-hour").failed is not None
    assert chosen(app, "time=hour").failed is None


def test_a_bounded_time_names_its_dates(app: Flask) -> None:
    with app.test_request_context():
        for span in ("hour", "day", "week", ""):
            assert time_words(span) == ""
        night, yesterday = time_words("night"), time_words("yesterday")
        assert night.startswith("Last night (")
        assert " 18:00 to " in night
        assert night.endswith(" 08:00)")
        assert yesterday.startswith("Yesterday (")
        assert " to " not in yesterday
        assert time_words("failed-night") == night.replace("Last night", "Failed last night")
        assert time_words("failed-yesterday").startswith("Failed yesterday (")
    assert set(FAILED_IN) == set(PERIODS)


def test_an_event_time_filter_links_to_failures_in_that_time(app: Flask) -> None:
    for query, leads in (
        ("time=night&status=on_hold", {"time": ["failed-night"]}),
        ("since=2026-03-01&webhook=x", {"time": ["failed"], "since": ["2026-03-01"]}),
        ("until=2026-03-01", {"time": ["failed"], "until": ["2026-03-01"]}),
        ("time=failed-night", None),
        ("time=failed&since=2026-03-01", None),
        ("status=failed", None),
    ):
        with asked(app, query) as form:
            params = parse_qs(urlsplit(log_presenter.failed_url(form)).query)
            assert "status" not in params
            params.pop("webhook", None)
            assert params == (leads or {})


def test_a_search_links_to_the_response_search_unless_it_is_active(app: Flask) -> None:
    for query, answer in (
        ("q=stock", "stock"),
        ("q=stock&answer=x", None),
        ("status=on_hold", None),
    ):
        with asked(app, query) as form:
            params = parse_qs(urlsplit(log_presenter.answers_url(form)).query)
            assert params == ({"answer": [answer]} if answer else {})


def test_queries_are_classified_as_unfiltered_problem_or_other(app: Flask) -> None:
    for query, is_searched, is_a_problem in (
        ("", False, False),
        ("sort=when&cursor=x&all=1&retried=x&q=", False, False),
        ("status=attention", True, True),
        ("status=attention&webhook=x&reason=dns&code=500&sort=when", True, True),
        ("status=attention&event=x", True, False),
        ("status=failed&webhook=x", True, False),
        ("webhook=x", True, False),
    ):
        with asked(app, query):
            assert log_presenter.is_searched() is is_searched
            assert log_presenter.looks_for_problems() is is_a_problem
            kept = {"sort", "cursor", "all", "retried"}
            assert not kept & set(log_presenter.filters_in_force())
            assert urlsplit(log_presenter.retry_all_url()).query.endswith("all=1")


def test_tab_counts_cover_all_webhooks_or_one(app: Flask) -> None:
    hook = make_webhook()
    for status in ("on_hold", "queued", "failed", "delivered"):
        make_delivery(hook, status=status)
    for query, counts in (
        ("", [None, "3", "1", None, "1", None, "1", None, None]),
        (f"webhook={hook.public_id}", [None, "3", "1", None, "1", None, "1", None, None]),
    ):
        with asked(app, query) as form:
            assert form.validate()
            tabs = log_presenter.tabs(form.chosen())
            assert [tab.count for tab in tabs] == counts
            assert [tab.is_bad for tab in tabs] == [place == 1 for place in range(9)]
            assert [tab.is_here for tab in tabs] == [place == 0 for place in range(9)]
    with asked(app, "status=on_hold") as form:
        assert form.validate()
        tabs = log_presenter.tabs(form.chosen())
        assert [tab.label for tab in tabs if tab.is_here] == ["On hold"]


def test_a_tab_links_to_its_first_page_and_keeps_other_filters(app: Flask) -> None:
    statuses = (
        *("", "attention", "queued", "retrying", "on_hold", "delivered", "failed", "dismissed"),
    )
    with asked(app, "event=asset.created&status=on_hold&cursor=x&retried=x&sort=when") as form:
        filtered = [each.url for each in log_presenter.tabs(form.chosen())]
        plain = [each.url for each in log_presenter.tabs()]
    kept = {"event": ["asset.created"], "sort": ["when"]}
    for urls, beside in ((filtered, kept), (plain, {})):
        *tabs, bulk_retries = map(urlsplit, urls)
        assert {each.path for each in tabs} == {"/deliveries"}
        assert [parse_qs(each.query) for each in tabs] == [
            {**beside, **({"status": [each]} if each else {})} for each in statuses
        ]
        assert bulk_retries.geturl() == "/batches"


def test_an_assets_deliveries_are_counted_by_status(app: Flask) -> None:
    for status in ("delivered", "on_hold", "failed", "queued", "failed"):
        make_delivery(status=status, asset_id=7)
    make_delivery(status="dismissed", asset_id=8)
    with app.test_request_context():
        counts = log_presenter.counts_of_asset(7)
    assert [words for words, _ in counts] == ["1 queued", "1 on hold", "1 delivered", "2 failed"]
    assert counts[-1][1] == "/deliveries?asset=7&status=failed"


def test_the_back_label_names_the_list_or_says_back(app: Flask) -> None:
    made = make_delivery(make_webhook(name="W" * 90))
    detail = find_delivery(made)
    hook = detail.webhook_id
    for query, label in (
        ("", "Deliveries"),
        (f"webhook={hook}", f"{'W' * 60}…"),
        ("asset=7", "AST-00007"),
        ("list=/find?q=x", "Search"),
        ("list=/batches/x", "Bulk retry"),
        ("list=/somewhere", "Back"),
        (f"list=/settings/webhooks/{hook}", "W" * 90),
        ("list=/assets/7/deliveries", "Deliveries for AST-00007"),
        ("code=nonsense", "Deliveries"),
    ):
        with app.test_request_context(f"/deliveries/{made}?{query}"):
            assert place_of(detail).label == label


def test_an_unreadable_filter_gives_no_next_or_previous(app: Flask) -> None:
    make_delivery()
    made = make_delivery()
    make_delivery()
    for query, leads_on in (("status=queued", True), ("code=nonsense&status=queued", False)):
        with app.test_request_context(f"/deliveries/{made}?{query}"):
            place = place_of(find_delivery(made))
            assert (bool(place.previous), bool(place.following)) == (leads_on, leads_on)
            assert (place.url == "/deliveries") is not leads_on


def test_a_delivery_url_keeps_its_list_unless_that_is_too_long(app: Flask) -> None:
    made = UUID(int=1)
    with app.test_request_context("/"):
        log = delivery_url(made, "/deliveries?status=failed&sort=when&cursor=c&retried=x&junk=1")
        assert parse_qs(urlsplit(log).query) == {
            "status": ["failed"],
            "sort": ["when"],
            "cursor": ["c"],
        }
        other = delivery_url(made, "/assets/7/deliveries?cursor=c")
        assert parse_qs(urlsplit(other).query) == {"list": ["/assets/7/deliveries?cursor=c"]}
        long = delivery_url(made, f"/assets?q={'x' * 5000}")
        assert urlsplit(long).query == ""


def test_webhook_choices_are_sorted_by_name_ignoring_case(app: Flask) -> None:
    make_webhook(name="Desk")
    make_webhook(name="cargo", deleted_at=utcnow())
    make_webhook(name="Auction", state="draft")
    with asked(app, "") as form:
        labels = [choice[1] for choice in form.webhook.choices or ()]
    assert labels == ["All webhooks", "cargo (deleted)", "Desk"]
    assert [name for _, name, _ in log_pages.webhook_names()] == ["cargo", "Desk"]
