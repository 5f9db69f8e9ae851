"""Charts on pages: their bars, and the same values as numbers."""

import re
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from flask import Flask

from portal.lib.clock import utcnow
from portal.services.core.unit_of_work import writing
from portal.services.deliveries.trends import Span, Trend
from portal.services.outbox import rollups
from portal.services.outbox.rollups import StatusChange
from portal.web.frame import charts
from portal.web.frame.charts import Drawing
from tests.support.deliveries import make_delivery
from tests.support.factories import Hook, make_webhook
from tests.support.pages import Pages
from tests.web.signed_in import visit

HERE = ZoneInfo("Europe/Vienna")


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


def test_the_webhook_list_charts_the_last_7_days_of_each_webhook(admin: Pages) -> None:
    erp, desk = make_webhook(name="ERP"), make_webhook(name="Helpdesk")
    count(erp, 29, 11)
    count(erp, 1, 0, hours_ago=24)
    count(desk, 3, 0, hours_ago=24 * 9)
    count(make_webhook(name="All well"), 7, 0)
    page = admin.get("/settings/webhooks")
    lines = {row[0][:3]: row for row in page.rows()}
    assert lines["ERP"][3] == "100% of 30"
    assert lines["Hel"][3] == "None"
    assert lines["All"][3] == "100% of 7"
    assert (rects(page.html, "delivered"), rects(page.html, "failed")) == (3, 1)


def test_a_webhook_page_charts_24_hours_or_else_7_days_or_nothing(admin: Pages) -> None:
    erp, quiet = make_webhook(), make_webhook()
    count(erp, 5, 0, hours_ago=24 * 3)
    count(make_webhook(), 50, 50)
    page = admin.get(f"/settings/webhooks/{erp.public_id}")
    assert re.search("last 7 days 24 hours 7 days 5 delivered", " ".join(page.main.split()))
    count(erp, 2, 1, hours_ago=3)
    page = admin.get(f"/settings/webhooks/{erp.public_id}")
    assert "24 hours 7 days 2 delivered 1 failed" in " ".join(page.main.split())
    assert rects(page.html, "failed") == 2  # at two widths
    assert page.main.count("0 delivered, 0 failed") == 23
    page = admin.get(f"/settings/webhooks/{quiet.public_id}")
    assert "Delivery attempts" not in page.main
    assert '<svg class="chart ' not in page.html


def test_the_start_page_charts_24_hours_or_7_days_of_all_webhooks(admin: Pages) -> None:
    assert "Delivery attempts" not in admin.get("/").main
    make_delivery(status="delivered")
    count(make_webhook(), 4, 2)
    count(make_webhook(), 4, 2, hours_ago=5)
    count(make_webhook(), 1, 0, hours_ago=24 * 3)
    day = admin.get("/")
    assert day.links("7 days") == ["/?period=week#day"]
    for page in (day, admin.get("/?period=month")):
        assert "Delivery attempts, last 24 hours" in page.main
        assert "8 delivered 4 failed" in page.main
    week = admin.get("/?period=week")
    assert "Delivery attempts, last 7 days" in week.main
    assert "9 delivered 4 failed" in week.main
    assert "4 Failed attempts, last 24 hours" in re.sub(r"\s+", " ", week.main)
    assert "/?period=day#day" in week.links("24 hours")


def test_a_bar_links_to_the_log_of_its_time_or_to_its_failures(admin: Pages) -> None:
    make_delivery(status="delivered")
    hook, now = make_webhook(), utcnow()
    count(hook, 4, 2)
    count(hook, 1, 0, hours_ago=24 * 3)
    page = admin.get("/?period=week")
    days = [f"{(now - timedelta(days=days)).astimezone(HERE):%Y-%m-%d}" for days in (3, 2, -1, 0)]
    quiet, after, tomorrow, today = days
    bars = [node.get("href") for node in page.root.find_all("a") if " delivered, " in node.text]
    links = bars[:2]
    assert links == [
        f"/deliveries?since={quiet}+00:00&until={after}+00:00",
        f"/deliveries?time=failed&since={today}+00:00&until={tomorrow}+00:00",
    ]
    assert bars == links * 3  # at two widths, and in numbers
    assert "Newest first" in admin.get(links[0]).main


def drawn(*counts: tuple[int, int, int], small: bool = False) -> Drawing:
    """Return the widest drawing of these daily (arrived, late, failed) counts, ending today."""
    now = utcnow()
    days = [now - timedelta(days=each) for each in range(len(counts))][::-1]
    spans = tuple(Span(day, now, *each) for day, each in zip(days, counts, strict=True))
    frames = charts.SMALL if small else None
    return charts.days_chart(Trend(spans), frames).drawings[0]


def test_the_axis_shows_numbers_and_the_day_of_each_bar(app: Flask) -> None:
    with app.test_request_context():
        chart = drawn((4, 2, 3), (0, 0, 3), (1, 0, 0))
    assert [number for _, number in sorted(chart.lines)] == ["10", "5", "0"]
    assert chart.labels[-1][1] == "today"
    middles = [bar.x + bar.width / 2 for bar in chart.bars]
    assert [x for x, _ in chart.labels] == pytest.approx(middles, abs=0.02)
    lowest = max(y + height for bar in chart.bars for _, y, height in bar.parts)
    assert lowest == chart.axis == chart.frame.height - chart.frame.below


def test_axis_numbers_of_any_size_fit(app: Flask) -> None:
    for largest in (999, 1_000, 20_000, 3_000_000):
        with app.test_request_context():
            chart = drawn((largest, 0, 0), (0, 0, largest))
        widest = max(len(number) for _, number in chart.lines)
        # Letters of 12 px are at most 7 wide. The text ends 6 before the line begins.
        assert chart.frame.left - 6 >= 7 * widest, largest


def test_the_highest_bar_spans_from_the_top_edge_to_the_axis(app: Flask) -> None:
    for frames, size, edges, lines in (
        (charts.SMALL, [(84, 28)], [(4, 24)], [[]]),
        (
            None,
            [(760, 190), (330, 150)],
            [(8, 168), (8, 128)],
            [[(168, "0"), (88, "5"), (8, "10")], [(128, "0"), (68, "5"), (8, "10")]],
        ),
    ):
        now = utcnow()
        with app.test_request_context():
            drawings = charts.days_chart(Trend((Span(now, now, 10, 0, 0),)), frames).drawings
        assert [(drawing.frame.width, drawing.frame.height) for drawing in drawings] == size, frames
        assert [drawing.bars[0].parts for drawing in drawings] == [
            [("delivered", top, axis - top)] for top, axis in edges
        ], frames
        assert [drawing.axis for drawing in drawings] == [axis for _, axis in edges], frames
        assert [drawing.lines for drawing in drawings] == lines, frames
        for drawing in drawings:
            left, right, (bar,) = drawing.frame.left, drawing.right, drawing.bars
            assert (left, right) == ((34, drawing.frame.width - 4) if frames is None else (0, 84))
            assert bar.x == pytest.approx(left + 0.14 * (right - left), abs=0.01)
            assert bar.width == pytest.approx(0.72 * (right - left), abs=0.01)


def test_the_parts_of_a_bar_are_stacked_to_one_scale(app: Flask) -> None:
    with app.test_request_context():
        (bar,) = (chart := drawn((5, 2, 4))).bars
    assert [kind for kind, _, _ in bar.parts] == ["delivered", "late", "failed"]
    unit = (chart.axis - chart.frame.top) / 10
    below = chart.axis
    for (_, y, height), many in zip(bar.parts, (3, 2, 4), strict=True):
        assert height == pytest.approx(many * unit, abs=0.02)
        assert y + height == pytest.approx(below, abs=0.02)
        below = y


def test_one_attempt_among_thousands_is_visible_and_inside_the_chart(app: Flask) -> None:
    for counts in ((10_000, 1, 1), (1, 0, 50_000), (1, 1, 0), (0, 0, 1)):
        for small in (False, True):
            with app.test_request_context():
                (bar,) = (chart := drawn(counts, small=small)).bars
            assert len(bar.parts) == sum(
                map(bool, (counts[0] - counts[1], counts[1], counts[2]))
            ), (small, counts)
            for _, y, height in bar.parts:
                assert height >= 2
                assert y >= 0
                assert y + height <= chart.frame.height
            if counts[0] + counts[2] > 100:
                top = min(y for _, y, _ in bar.parts)
                whole = (counts[0] + counts[2]) / charts._end(counts[0] + counts[2])
                high = whole * (chart.axis - chart.frame.top)
                assert chart.axis - top == pytest.approx(high, abs=0.05)
            if max(counts) > 1:
                assert min(height for _, _, height in bar.parts) == 2


def test_late_deliveries_are_drawn_and_counted_separately(admin: Pages) -> None:
    hook = make_webhook()
    arrived = [StatusChange(hook.id, "delivered", 2, is_late=late) for late in (True, False, True)]
    with writing() as current:
        rollups.count(current.connection(), arrived, utcnow())
    page = admin.get(f"/settings/webhooks/{hook.public_id}")
    summary = "24 hours 7 days 3 delivered 2 of them late 0 failed"
    assert summary in page.main
    assert rects(page.html, "late") == 2


def test_a_healthy_webhook_shows_its_failures_of_the_last_24_hours(admin: Pages) -> None:
    hook = make_webhook(last_delivered_at=utcnow() - timedelta(minutes=5))
    path = f"/settings/webhooks/{hook.public_id}"
    assert "In the last 24 hours" not in admin.get(path).main
    count(hook, 1, 80, hours_ago=2)
    main = admin.get(path).main
    assert "arrived 5 minutes ago. In the last 24 hours, 80 attempts failed." in main
    with writing() as current:
        late = [StatusChange(hook.id, "delivered", 2, is_late=True)]
        rollups.count(current.connection(), late, utcnow())
    assert "80 attempts failed and 1 delivery was late." in admin.get(path).main
