"""Charts on the pages: bars, and the same in numbers."""

import re
from datetime import timedelta

import pytest
from flask import Flask

from portal.lib.clock import utcnow
from portal.services.core.unit_of_work import writing
from portal.services.deliveries.trends import Span, Trend
from portal.services.outbox import rollups
from portal.services.outbox.rollups import StatusChange
from portal.web.frame import charts
from tests.support.deliveries import make_delivery
from tests.support.factories import Hook, make_webhook
from tests.support.pages import Pages
from tests.web.signed_in import visit


def count(hook: Hook, delivered: int, failed: int, hours_ago: int = 0) -> None:
    entries = [StatusChange(hook.id, "delivered", 2)] * delivered + [
        StatusChange(hook.id, "retrying", 2, has_failed=True)
    ] * failed
    with writing() as current:
        now = utcnow() - timedelta(hours=hours_ago)
        rollups.count(current.connection(), entries, now)


@pytest.fixture
def admin(app: Flask) -> Pages:
    return visit(app, "admin")


def rects(html: str, kind: str) -> int:
    return len(re.findall(rf'<rect class="chart-{kind}"', html))


def test_the_list_shows_the_week_of_each_webhook(admin: Pages) -> None:
    erp, desk = make_webhook(name="ERP"), make_webhook(name="Helpdesk")
    count(erp, 29, 11)
    count(erp, 1, 0, hours_ago=24)
    count(desk, 3, 0, hours_ago=24 * 9)
    page = admin.get("/settings/webhooks")
    lines = {row[0][:3]: row for row in page.rows()}
    assert "30 delivered, 11 failed attempts" in lines["ERP"][3]
    assert lines["Hel"][3] == "None"
    assert (rects(page.html, "delivered"), rects(page.html, "failed")) == (2, 1)


def test_the_webhooks_page_shows_the_day_and_the_week(admin: Pages) -> None:
    erp = make_webhook()
    count(erp, 2, 1, hours_ago=3)
    count(erp, 5, 0, hours_ago=24 * 3)
    count(make_webhook(), 50, 50)
    page = admin.get(f"/settings/webhooks/{erp.public_id}")
    assert "Last 24 hours 2 delivered, 1 failed attempt" in page.main
    assert "7 delivered, 1 failed attempt" in page.main
    assert rects(page.html, "failed") == 2
    # Each span in its bar's title and in the list.
    assert page.main.count("0 delivered, 0 failed attempts") == 2 * (23 + 5)


def test_a_webhook_without_deliveries_says_so(admin: Pages) -> None:
    page = admin.get(f"/settings/webhooks/{make_webhook().public_id}")
    assert page.main.count("Nothing arrived, and no attempt failed.") == 2
    assert rects(page.html, "base") == 0


def test_the_start_page_shows_the_day_of_all_webhooks(admin: Pages) -> None:
    assert "Last 24 hours" not in admin.get("/").main
    make_delivery(status="delivered")
    count(make_webhook(), 4, 2)
    count(make_webhook(), 4, 2, hours_ago=5)
    assert "8 delivered, 4 failed attempts" in admin.get("/").main


def test_its_ends_say_which_day_they_are_of(app: Flask) -> None:
    now = utcnow()
    spans = tuple(Span(now - timedelta(hours=each), now, 1, 0, 0) for each in (24, 1))
    with app.test_request_context():
        first, last = charts.hours_chart(Trend(spans)).ends
        assert first.startswith("Yesterday ")
        assert last == "Now"
        assert charts.days_chart(Trend(spans)).ends[1] == "Today"


def test_one_that_failed_among_thousands_is_still_seen(app: Flask) -> None:
    now = utcnow()
    span = Span(now, now + timedelta(hours=1), 10_000, 1, 1)
    with app.test_request_context():
        (bar,) = charts.hours_chart(Trend((span,))).bars
    kinds, tops, heights = zip(*bar.parts, strict=True)
    assert kinds == ("failed", "late", "delivered")
    assert min(heights) >= charts.LEAST
    assert tops[0] >= 0
    assert [tops[1], tops[2], charts.LARGE.height] == [
        top + height for top, height in zip(tops, heights, strict=True)
    ]


def test_what_arrived_late_is_drawn_and_told_apart(admin: Pages) -> None:
    hook = make_webhook()
    arrived = [StatusChange(hook.id, "delivered", 2, is_late=late) for late in (True, False, True)]
    with writing() as current:
        rollups.count(current.connection(), arrived, utcnow())
    page = admin.get(f"/settings/webhooks/{hook.public_id}")
    assert "Last 24 hours 3 delivered, 2 of them late, 0 failed attempts" in page.main
    assert rects(page.html, "late") == 2


def test_one_that_is_well_says_what_went_wrong_in_the_last_day(admin: Pages) -> None:
    hook = make_webhook(last_delivered_at=utcnow() - timedelta(minutes=5))
    path = f"/settings/webhooks/{hook.public_id}"
    assert "In the last 24 hours" not in admin.get(path).main
    count(hook, 1, 80, hours_ago=2)
    main = admin.get(path).main
    assert (
        "The last delivery arrived 5 minutes ago. In the last 24 hours 80 attempts failed." in main
    )
    with writing() as current:
        late = [StatusChange(hook.id, "delivered", 2, is_late=True)]
        rollups.count(current.connection(), late, utcnow())
    assert "80 attempts failed and 1 delivery arrived late." in admin.get(path).main
