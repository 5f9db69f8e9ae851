"""The filter by time of failure, such as “Failed last night”, and the chart links to it."""

import csv
import io
from datetime import UTC, datetime, timedelta

import time_machine
from flask import Flask

from portal.models.deliveries import Rollup
from portal.services.core.unit_of_work import writing
from tests.support.deliveries import make_attempt, make_delivery
from tests.support.factories import Hook, make_webhook
from tests.support.pages import Page
from tests.web.signed_in import visit

SAID = "asset.serial_number is missing\nat line 7"
MORNING = datetime(2026, 5, 4, 7, 30, tzinfo=UTC)
ONE = datetime(2026, 5, 3, 23, 0, tzinfo=UTC)  # 01:00 in Berlin


def failed_in_the_night() -> Hook:
    """Make a delivery stored in the afternoon that failed once at 01:00 and then arrived."""
    hook = make_webhook(name="Helpdesk")
    made = make_delivery(
        hook, status="delivered", code=200, took_ms=22, created_at=ONE - timedelta(hours=9)
    )
    make_attempt(
        made, started_at=ONE, finished_at=ONE, reason="server", code=500, response_text=SAID
    )
    arrived = {"outcome": "delivered", "code": 200, "response_text": "Import failed"}
    make_attempt(made, started_at=ONE, finished_at=ONE, **arrived)
    make_delivery(hook, status="failed", created_at=ONE - timedelta(days=3))
    with writing() as current:
        current.add(Rollup(hour=ONE, webhook_id=hook.id, delivered=1, failed_attempts=1))
    return hook


def listed(page: Page) -> list[str]:
    """Return the status of each row."""
    return [row[-4] for row in page.rows()]


@time_machine.travel(MORNING, tick=False)
def test_the_event_time_filter_links_to_last_nights_failures(app: Flask) -> None:
    failed_in_the_night()
    pages = visit(app, "support", time_zone="Europe/Berlin")
    page = pages.get("/deliveries?status=failed&time=night")
    assert (listed(page), "This filters by event time" in page.main) == (
        [],
        True,
    )
    assert page.links("CSV") == []
    page = pages.get(page.links("View attempts that failed in that time")[0])
    assert listed(page) == ["Delivered"]
    # Ordered by event time like every list, and it also shows the time of failure.
    assert page.rows()[0][1] == "May 3, 16:00"
    # The failure isn't its result, because it was delivered since.
    failed = "Server error (500): asset.serial_number is missing"
    assert page.rows()[0][5] == f"200 in 22 msFailed 01:00 · {failed} · Sent 2 times"
    (address,) = page.links("CSV for Excel")
    text = pages.client.get(address, buffered=True).text.lstrip("\ufeff")
    (line,) = csv.DictReader(io.StringIO(text))
    assert line["Failed (Europe/Berlin)"] == "2026-05-04 01:00:00"
    assert line["Time (Europe/Berlin)"] == "2026-05-03 16:00:00"
    assert (line["Status"], line["Result"]) == ("Delivered", "200 in 22 ms")
    assert line["Response or earlier failure"] == failed
    assert "Time: Failed last night (May 3, 18:00 to May 4, 08:00)" in page.main
    for query in ("q=nothing", "q=nothing&time=failed-night", "code=599"):
        empty = pages.get(f"/deliveries?{query}")
        assert (listed(empty), empty.links("View attempts that failed in that time")) == ([], []), (
            query
        )
    for query in ("since=2026-01-01&until=2026-01-02", "until=2026-01-02", "code=599&time=day"):
        assert pages.get(f"/deliveries?{query}").links("View attempts that failed in that time"), (
            query
        )
    asked = f"{page.path.replace('/deliveries', '/deliveries/retry')}&all=1"
    assert "an attempt failed from" in pages.get(asked).main.lower()


@time_machine.travel(MORNING, tick=False)
def test_the_time_filter_names_the_dates_it_covers(app: Flask) -> None:
    failed_in_the_night()
    pages = visit(app, "support", time_zone="Europe/Berlin")
    for time, words in (
        ("night", "Last night (May 3, 18:00 to May 4, 08:00)"),
        ("yesterday", "Yesterday (May 3)"),
        ("failed-yesterday", "Failed yesterday (May 3)"),
        ("failed-day", "Failed in the last 24 hours"),
        ("week", "Last 7 days"),
    ):
        assert f"Remove filter Time: {words} Clear" in pages.get(f"/deliveries?time={time}").main
    page = pages.get("/deliveries?time=yesterday")
    assert "aria-sort" in page.html
    assert "Newest first. We keep" in page.main


@time_machine.travel(MORNING, tick=False)
def test_a_chart_bar_links_to_the_failures_of_its_hour(app: Flask) -> None:
    hook = failed_in_the_night()
    pages = visit(app, "support", time_zone="Europe/Berlin")
    for path in ("/", f"/settings/webhooks/{hook.public_id}"):
        (address,) = set(pages.get(path).links("01:00: 1 delivered, 1 failed"))
        page = pages.get(address)
        assert "Time: Failed between two times" in page.main
        assert "From: 2026-05-04 01:00" in page.main
        assert listed(page) == ["Delivered"]


@time_machine.travel(MORNING, tick=False)
def test_a_row_shows_the_response_of_the_filtered_time_not_a_later_one(app: Flask) -> None:
    made = make_delivery(status="failed", created_at=ONE, attempts=2, reason="server", code=500)
    for at, response in ((ONE, "one is missing"), (MORNING, "two is missing")):
        times = {"started_at": at, "finished_at": at}
        make_attempt(made, **times, reason="server", code=500, response_text=response)
    pages = visit(app, "support", time_zone="Europe/Berlin")
    (line,) = pages.get("/deliveries?time=failed-night&answer=is+missing").rows()
    assert line[5].endswith("Earlier: one is missing")
    (line,) = pages.get("/deliveries?answer=is+missing").rows()
    assert line[5].endswith("two is missing")
