"""The list of alerts: their causes, next steps, acknowledgments, and deliveries."""

import pytest
from flask import Flask
from sqlalchemy import insert, update

from portal.engine.events.catalogue import EventName
from portal.lib.clock import utcnow
from portal.models.alerts import Alert, RunKind
from portal.models.deliveries import Delivery
from portal.services.actions import assignments
from portal.services.alerts import runs
from portal.services.alerts import settings as alert_settings
from portal.services.alerts.rules import AlertRules
from portal.services.core.permissions import SYSTEM
from portal.services.core.unit_of_work import writing
from tests.services.alerts.due_things import decided, ledger, lent, with_maintenance, with_warranty
from tests.support.factories import make_asset, make_webhook
from tests.support.pages import Page, Pages
from tests.web.signed_in import visit

LATE = EventName.CHECKOUT_OVERDUE


def everything() -> tuple[int, int, int, int]:
    """Fire an alert of each kind: late, maintenance, warranty, low stock. Return their assets."""
    decided()
    stock = make_asset("Toner", kind="stock", quantity=2, min_quantity=5, unit="boxes")
    asset_ids = lent(3), with_maintenance(3), with_warranty(10), stock
    runs.run(RunKind.MANUAL)
    return asset_ids


def row_of(page: Page, kind: str) -> str:
    (text,) = [" | ".join(row) for row in page.rows() if kind in row[1]]
    return text


def acknowledge(pages: Pages, page: Page) -> Page:
    form = next(form for form in page.forms if form.action.endswith("/acknowledge"))
    return pages.submit(form)


def test_each_kind_of_alert_shows_its_cause_and_next_step(app: Flask) -> None:
    late, work, warranty, stock = everything()
    page = visit(app, "manager").get("/alerts")
    assert page.h1 == "Alerts"
    assert len(page.rows()) == 4
    row = row_of(page, "Overdue")
    assert "Maria Lopez" in row
    assert "2 boxes left" in row_of(page, "Low stock")
    assert page.links("Check in") == [f"/assets/{late}/check-in"]
    assert page.links("View maintenance") == [f"/maintenance?asset={work}"]
    assert page.links("Send for warranty repair") == [f"/assets/{warranty}/send-to-warranty"]
    assert page.links("Receive") == [f"/assets/{stock}/receive"]


def test_kinds_are_counted_and_filter_the_list(app: Flask) -> None:
    everything()
    pages = visit(app)
    page = pages.get("/alerts")
    assert "All kinds 4" in page.main
    assert "is-bad" not in page.html
    page = pages.follow("Low-stock alerts")
    assert page.path == "/alerts?event=alert.low_stock"
    assert len(page.rows()) == 1
    page = pages.get("/alerts?event=alert.low_stock&asset=1&show=acknowledged")
    assert page.rows() == []
    assert page.links("Clear filters") == ["/alerts"] * 2
    assert pages.get("/alerts").form("/alerts").fields["show"] == ["open"]
    assert "Asset: 999" in pages.get("/alerts?asset=999").main
    assert pages.get("/alerts?show=acknowledged").links("Show open alerts") == ["/alerts"]


def test_an_acknowledged_alert_leaves_the_list_and_names_the_person(app: Flask) -> None:
    everything()
    pages = visit(app, "manager", name="Ana Gruber")
    page = acknowledge(pages, pages.get("/alerts?event=alert.low_stock"))
    assert page.path == "/alerts?event=alert.low_stock"
    assert page.rows() == []
    page = pages.get("/alerts?show=acknowledged")
    assert "Ana Gruber" in row_of(page, "Low stock")
    assert "All kinds 1 Overdue alerts 0" in page.main
    page = pages.get("/alerts?show=all")
    assert (len(page.rows()), "All kinds 4 Overdue alerts 1" in page.main) == (4, True)
    for back, leads_to in (("", "/alerts"), ("https://evil.example.com/alerts", "/")):
        path = f"/alerts/{ledger()[-1].public_id}/acknowledge"
        assert pages.post(path, {"back": back}, follow=False).location == leads_to


def test_a_late_acknowledgment_names_the_first_person(app: Flask) -> None:
    everything()
    first, second = visit(app, name="Ana Gruber"), visit(app, "manager")
    seen = second.get("/alerts")
    acknowledge(first, first.get("/alerts"))
    assert "Ana Gruber" in acknowledge(second, seen).main


def test_the_page_of_an_asset_says_why_no_alert_fired(app: Flask) -> None:
    asset_id = with_warranty(41)
    pages = visit(app, "support")
    page = pages.get(f"/assets/{asset_id}")
    assert "Not checked yet" in page.main
    assert "Alerts start 30 days before." in page.main
    everything()
    assert "Last checked" in pages.get(f"/assets/{asset_id}").main
    # This asset is newer than the last check.
    assert "Not checked yet" in pages.get(f"/assets/{make_asset()}").main
    assert "Coming up: ThinkPad T14" in visit(app).get("/settings/alerts").main


def test_a_repeated_alert_shows_its_due_time_and_not_its_latest_repeat(
    app: Flask,
) -> None:
    decided()
    lent(75)
    version = alert_settings.read().version
    alert_settings.save(SYSTEM, version, AlertRules(repeat_every_days=1))
    runs.run(RunKind.MANUAL)
    (row,) = visit(app).get("/alerts").rows()
    assert f"was due to return it by {row[2]}." in row[1]


def test_a_resolved_alert_offers_no_next_step(app: Flask) -> None:
    late, *_ = everything()
    assignments.check_in(SYSTEM, late)
    pages = visit(app)
    pages.get(f"/assets/{late}/timeline")
    page = pages.follow("View alerts")
    assert page.path == f"/alerts?asset={late}"
    assert page.form("/alerts").fields["show"] == ["all"]
    assert "Resolved" in row_of(page, "Overdue")
    assert page.links("Check in") == []
    assert page.links("Remove filter Asset") == ["/alerts"]


def test_an_alert_links_to_its_deliveries(app: Flask) -> None:
    make_webhook(events=[LATE])
    late, *_ = everything()
    pages = visit(app)
    page = pages.get("/alerts")
    (path,) = page.links("overdue alert for")
    assert "Queued" in row_of(page, "Overdue")
    assert pages.get(path).h1 == "Check-out overdue"
    make_second_delivery()
    page = pages.get("/alerts")
    assert "1 queued, 1 failed" in row_of(page, "Overdue") or "1 failed, 1 queued" in row_of(
        page, "Overdue"
    )
    assert page.links("overdue alert for") == [f"/deliveries?event={LATE}&asset={late}"]


def make_second_delivery() -> None:
    other = make_webhook()
    with writing() as current:
        event_id = next(alert.event_id for alert in current.query(Alert) if alert.event == LATE)
        values = {"event_id": event_id, "webhook_id": other.id, "event": LATE, "status": "failed"}
        current.execute(insert(Delivery).values(**values, asset_id=1, due_at=utcnow()))


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"event_id": None, "is_sent": False}, "Marked as sent"),
        ({"event_id": None}, "No longer kept"),
    ],
)
def test_an_alert_without_deliveries_says_why(
    app: Flask, columns: dict[str, object], words: str
) -> None:
    everything()
    with writing() as current:
        current.execute(update(Alert).values(**columns))
    assert words in row_of(visit(app).get("/alerts"), "Low stock")


def test_both_empty_states_have_a_next_step(app: Flask) -> None:
    admin, helper = visit(app), visit(app, "support")
    assert admin.get("/alerts").links("View alert settings") == ["/settings/alerts"]
    page = helper.get("/alerts")
    assert page.links("View alert settings") == []
    everything()
    with writing() as current:
        current.execute(update(Alert).values(resolved_at=utcnow()))
    page = admin.get("/alerts")
    assert len(admin.follow("Show all alerts").rows()) == 4
