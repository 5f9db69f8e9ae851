"""The filters above the log, and the errors for values that they can't read."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import time_machine
from flask import Flask

from portal.lib.clock import utcnow
from portal.lib.paging import Cursor
from portal.models.deliveries import DeliveryStatus, Priority
from portal.services.core import queries
from portal.services.core.unit_of_work import session
from portal.services.deliveries import bulk_retry, log_query
from portal.services.deliveries import log as log_pages
from portal.services.deliveries.bulk_retry_selection import Selection
from portal.services.deliveries.statuses import LogFilter, StatusFilter
from portal.web.deliveries import log_csv
from portal.web.deliveries.forms import PERIODS
from portal.web.frame.status_tags import DELIVERY
from portal.web.frame.wording import exact_day
from tests.support.deliveries import lease, make_delivery
from tests.support.factories import make_user, make_webhook
from tests.support.pages import Page, Pages
from tests.web.bulk_retry.test_bulk_retry_pages import work

UNREADABLE = [
    ("code=banana", "Enter the code as 3 digits, such as 404 or 5xx"),
    ("code=99", "Enter the code as 3 digits"),
    ("code=5x0", "Enter the code as 3 digits"),
    ("code=%D9%A5%D9%A0%D9%A0", "Enter the code as 3 digits"),
    ("since=soon", "Enter the time as a day, with or without a time, such as 2026-05-03 18:00"),
    ("since=31.02.", "Enter the time with a day that exists. There is no February 31"),
    ("since=31.02.2026", "Enter the time with a day that exists. There is no 31.02.2026"),
    ("until=2026-05-03 25:00", "Enter the time with a time of day from 00:00 to 23:59"),
    ("until=9999-12-31", "Enter the time as a day from 1900-01-01 to 2200-12-31"),
    ("since=2026-05-03&until=2026-05-02", "Enter a time later than From"),
    ("since=2026-05-03 18:00&until=2026-05-03 18:00", "Enter a time later than From"),
    ("webhook=x", "Choose “Webhook” from the list"),
    ("event=asset.nothing", "Choose “Event” from the list"),
    ("status=<script>", "Choose “Status” from the list"),
    ("reason=nobody", "Choose “Reason” from the list"),
    ("time=never", "Choose “Time” from the list"),
    ("asset=-1", "Asset “-1” isn’t known"),
    ("asset=99999999999999999999", "Asset “99999999999999999999” isn’t known"),
    ("q=" + "x" * 121, "Enter at most 120 characters"),
]


def test_a_search_text_of_the_maximum_length_is_accepted(support: Pages) -> None:
    page = support.get("/deliveries?q=" + "x" * 120)
    assert (page.status, page.errors) == (200, [])


def codes(page: Page) -> list[str]:
    """Return the codes in the rows' results, sorted."""
    return sorted(row[-3].rpartition("(")[2].rstrip(")") for row in page.rows())


def test_an_unreadable_filter_is_refused_at_its_field(support: Pages) -> None:
    for query, sentence in UNREADABLE:
        make_delivery(status="failed")
        page = support.get(f"/deliveries?{query}")
        assert page.status == 400, query
        assert page.title.startswith("Error: "), query
        assert [error.startswith(sentence) for error in page.errors] == [True], query
        assert page.rows() == [], query
        assert "We couldn’t read a filter" in page.main, query
        assert not page.links("Retry all"), query
        assert "/deliveries" in page.links("Clear filters"), query


def test_no_transaction_is_open_while_csv_lines_are_streamed(app: Flask) -> None:
    make_delivery(status="failed", reason="refused")
    with app.test_request_context():
        heading, *lines = [
            (line, session().in_transaction())
            for line in log_csv.lines_for_people(log_pages.every(LogFilter()))
        ]
    assert heading[0][1] == "Event"
    assert [is_open for _, is_open in lines] == [False]


@pytest.mark.both_databases
def test_a_filtered_list_counts_matches_and_actionable_deliveries(support: Pages) -> None:
    hook, failed = make_webhook(), {"status": "failed", "reason": "server", "code": 500}
    taken = [make_delivery(hook, **failed) for _ in range(2)]
    bulk_retry.start(make_user("support").actor, Selection(ticked=tuple(taken)))
    work()
    for _ in range(3):
        make_delivery(hook, **failed)
    sending = make_delivery(hook, **{**failed, "status": "retrying"})
    lease(sending)
    make_delivery(hook, **{**failed, "status": "retrying"}, prior_status="failed")
    make_delivery(make_webhook(state="off"), **failed)
    make_delivery(hook, **failed, priority=Priority.TEST)
    make_delivery(hook, status="delivered", code=200)
    page = support.get("/deliveries?event=asset.created")
    assert "10 matches 6 failed, 3 retrying, 1 delivered. 3 can be retried. " in page.main
    for verb, number in (("Retry", 3), ("Dismiss", 9)):
        (address,) = page.links(f"{verb} {number}")
        assert support.get(address).h1.startswith(f"{verb} {number} deliveries")
    page = support.get("/deliveries?reason=server&status=failed")
    assert (len(page.links("Dismiss all 5")), len(page.links("Retry 3"))) == (1, 1)
    make_delivery(hook)
    assert "retried one at a time" in support.get("/deliveries?status=queued").main
    page = support.get("/deliveries?status=delivered")
    assert "1 match " in page.main
    assert page.links("Resend 1")
    assert support.get("/deliveries?status=delivered&event=asset.created").links("Resend 1")
    make_delivery(make_webhook(state="off"), status="delivered")
    page = support.get("/deliveries?status=delivered")
    assert "2 matches 1 can be resent." in page.main
    (address,) = page.links("Resend 1")
    assert support.get(address).h1.startswith("Resend 1 delivery")
    assert " match" not in support.get("/deliveries").main


@pytest.mark.both_databases
def test_a_partial_search_promises_no_exact_count(
    support: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_query, "MOST_READ", 5)
    hook = make_webhook()
    for _ in range(6):
        make_delivery(hook, status="failed")
    page = support.get(f"/deliveries?webhook={hook.public_id}&event=asset.created")
    assert "5+ matches" in page.main
    assert page.links("Retry all")


@pytest.mark.both_databases
def test_above_the_count_limit_only_useful_buttons_are_shown(
    support: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (log_pages, queries):
        monkeypatch.setattr(module, "COUNT_LIMIT", 2)
    off, address = make_webhook(state="off"), "/deliveries?event=asset.created"
    for status in ("on_hold", "dismissed", "delivered"):
        make_delivery(off, status=status)
    page = support.get(address)
    assert "2+ matches" in page.main
    assert (len(page.links("Retry all")), len(page.links("Dismiss all"))) == (0, 1)
    for _ in range(3):
        make_delivery(status="failed")
    assert support.get(address).links("Retry all")


def test_only_selected_deliveries_are_exported(support: Pages) -> None:
    first, second, _ = (make_delivery(status="failed") for _ in range(3))
    chosen = f"delivery={first}&delivery={second}&delivery=x"
    answer = support.client.get(f"/deliveries/export-for-excel.csv?{chosen}", buffered=True)
    lines = answer.text.splitlines()
    assert len(lines) == 3
    assert [str(second) in lines[1], str(first) in lines[2]] == [True, True]


def test_status_values_in_urls_never_change() -> None:
    """Bookmarks and bulk retries in progress contain them."""
    known = "attention queued retrying on_hold delivered failed dismissed open undelivered"
    assert [status.value for status in StatusFilter] == known.split()


@pytest.mark.parametrize(
    ("word", "found", "shown"),
    [
        ("waiting", ["queued"], "Queued"),
        ("held", ["on_hold"], "On hold"),
        ("sending", ["queued", "retrying"], "Queued or retrying"),
        ("paused", ["queued", "retrying"], "Queued or retrying"),
        ("open", ["queued", "retrying"], "Queued or retrying"),
        ("stopped", ["dismissed"], "Dismissed"),
        ("discarded", ["dismissed"], "Dismissed"),
        ("dismissed", ["dismissed"], "Dismissed"),
    ],
)
def test_a_status_is_found_by_its_former_name(
    support: Pages, word: str, found: list[str], shown: str
) -> None:
    made = {status: make_delivery(status=status) for status in DeliveryStatus}
    page = support.get(f"/deliveries?status={word}")
    assert {made[DeliveryStatus(name)] for name in found} == {
        UUID(link.split("/")[-1].partition("?")[0])
        for link in page.links()
        if link.startswith("/deliveries/0")
    }
    assert f"Status: {shown}" in page.main


def test_the_status_field_offers_six_statuses_and_needs_attention(support: Pages) -> None:
    fields = support.get("/deliveries").root.find_all("select")
    (chosen,) = (node for node in fields if node.get("name") == "status")
    assert [node.text for node in chosen.find_all("option")] == [
        "All statuses",
        "Needs attention",
        *(DELIVERY[status].word for status in DeliveryStatus),
    ]


def test_all_unreadable_filters_are_reported_together(support: Pages) -> None:
    page = support.get("/deliveries?code=banana&since=soon&status=lost")
    assert len(page.errors) == 3


def test_an_unreadable_cursor_is_refused(support: Pages) -> None:
    for cursor in ("x", "%00", "WzAsMV0%00", "WzEsOTIyMzM3MjAzNjg1NDc3NTgwN10", "WzAsIngiXQ"):
        make_delivery()
        for path in ("/deliveries", "/assets", "/staff", "/alerts", "/categories"):
            page = support.get(f"{path}?cursor={cursor}")
            assert (page.status, page.rows()) == (400, [])
            assert page.links("Open this page again") == [path]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("500", ["500"]),
        ("50x", ["500", "503"]),
        ("5XX", ["500", "503", "599"]),
        ("4xx", ["404"]),
        ("2xx", []),
    ],
)
def test_a_code_pattern_matches_many_codes(support: Pages, typed: str, expected: list[str]) -> None:
    webhook = make_webhook()
    for code, reason in ((404, "not_found"), (500, "server"), (503, "unavailable")):
        make_delivery(webhook, status="failed", reason=reason, code=code)
    make_delivery(webhook, status="failed", reason="server", code=599)
    make_delivery(webhook, status="failed", reason="refused")
    assert codes(support.get(f"/deliveries?code={typed}")) == expected
    assert codes(support.get(f"/deliveries?code={typed}&status=failed")) == expected
    assert codes(support.get(f"/deliveries?code={typed}&webhook={webhook.public_id}")) == expected


@pytest.mark.parametrize(
    "typed",
    [
        "{}-05-03 18:00",
        "{}-05-03T18:00",
        "03.05.{} 18:00",
        "3 May {}, 18:00:00",
        "May 3, {}, 18:00:00",
        "May 3, 18:00",
    ],
)
def test_a_time_is_accepted_in_many_formats(support: Pages, typed: str) -> None:
    typed, year = typed.format(utcnow().year), utcnow().year
    evening = datetime(year, 5, 3, 16, tzinfo=UTC)  # 18:00 in Vienna, the users' time zone
    for minutes in (-1, 0, 1):
        make_delivery(created_at=evening + timedelta(minutes=minutes))
    assert len(support.get(f"/deliveries?since={typed}").rows()) == 2
    assert len(support.get(f"/deliveries?until={typed}").rows()) == 1


def test_a_day_filter_covers_the_whole_day(support: Pages) -> None:
    begin = datetime(2026, 5, 2, 22, tzinfo=UTC)
    for hours in (-1, 0, 23, 24):
        make_delivery(created_at=begin + timedelta(hours=hours))
    assert len(support.get("/deliveries?since=2026-05-03&until=2026-05-03").rows()) == 2
    make_delivery(created_at=datetime(2026, 9, 30, tzinfo=UTC))
    for month in ("Sep", "Sept", "September", "september"):
        assert len(support.get(f"/deliveries?since=30+{month}+2026").rows()) == 1, month


def test_last_night_is_the_night_that_ends_today(app: Flask) -> None:
    for now, begin, end in (
        ("2026-05-04T07:30+02:00", "2026-05-03T18:00+02:00", "2026-05-04T08:00+02:00"),
        ("2026-05-04T12:00+02:00", "2026-05-03T18:00+02:00", "2026-05-04T08:00+02:00"),
        ("2026-05-04T19:00+02:00", "2026-05-03T18:00+02:00", "2026-05-04T08:00+02:00"),
    ):
        with (
            app.test_request_context(),
            time_machine.travel(datetime.fromisoformat(now), tick=False),
        ):
            night = PERIODS["night"][1]()
        assert night == (datetime.fromisoformat(begin), datetime.fromisoformat(end)), now


def test_yesterday_lists_only_yesterdays_deliveries(support: Pages) -> None:
    make_delivery(created_at=utcnow() - timedelta(days=1))
    make_delivery()
    page = support.get("/deliveries?time=yesterday")
    assert len(page.rows()) == 1
    assert "Time: Yesterday" in page.main


def test_a_log_without_rows_says_how_far_it_reaches_back(support: Pages) -> None:
    webhook = make_webhook()
    empty = ("/deliveries?q=nothing", f"/deliveries?webhook={webhook.public_id}")
    for path in ("/deliveries", *empty):
        assert "reaches back" not in support.get(path).main, f"{path}: there is no log yet"
    with time_machine.travel(utcnow(), tick=False):
        # On hold, so retention removes neither.
        for age, reach in ((2, 2), (90, 30)):
            make_delivery(status="on_hold", created_at=utcnow() - timedelta(days=age))
            sentence = f"The log reaches back to {exact_day(utcnow() - timedelta(days=reach))}."
            for path in (*empty, f"/deliveries?cursor={Cursor((1,)).encode()}"):
                assert sentence in support.get(path).main, path
