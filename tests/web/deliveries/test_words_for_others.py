"""Texts for other people in CSV files, diagnostics, notes, and bulk retries."""

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask

from portal.lib.clock import utcnow
from portal.services.deliveries import bulk_retry
from portal.services.deliveries.bulk_retry_selection import Selection
from tests.support.deliveries import make_attempt, make_delivery
from tests.support.factories import make_asset, make_user, make_webhook
from tests.web.bulk_retry.test_bulk_retry_pages import work
from tests.web.home.test_home import troubled
from tests.web.signed_in import visit

AT = datetime(2026, 5, 4, 12, 0, 7, tzinfo=UTC)


@pytest.mark.parametrize(("language", "between"), [("de-AT", ";"), ("en-GB", ",")])
def test_the_csv_for_people_uses_their_separator_and_time_zone(
    app: Flask, language: str, between: str
) -> None:
    hook = make_webhook(name="Helpdesk")
    failed = {"reason": "server", "code": 500, "finished_at": AT.replace(minute=9, second=0)}
    made = make_delivery(hook, status="failed", created_at=AT, tries=2, **failed)
    text = "asset.tag is missing\nline 2"
    make_attempt(made, reason="server", code=500, started_at=AT, response_text=text)
    pages = visit(app, "support", time_zone="Europe/Vienna")
    (address,) = pages.get("/deliveries").links("CSV for Excel")
    answer = pages.client.get(address, headers={"Accept-Language": language}, buffered=True)
    heading, row = csv.reader(io.StringIO(answer.text.lstrip("\ufeff")), delimiter=between)
    assert heading[:3] == ["Time (Europe/Vienna)", "Event", "Asset tag"]
    assert row[:3] == ["2026-05-04 14:00:07", "Asset created", "AST-00007"]
    assert row[4:9] == ["Helpdesk", "Failed", "Server error (500)", "asset.tag is missing", "2"]
    ended = {"Delivered, failed, or dismissed (Europe/Vienna)": "2026-05-04 14:09:00"}
    assert dict(zip(heading, row, strict=True)).items() > ended.items()
    assert row[-1] == str(made)
    assert pages.client.get("/deliveries/export-for-excel.csv?code=banana").status_code == 400


def test_the_help_bundle_uses_absolute_times(app: Flask) -> None:
    due = utcnow() + timedelta(hours=1)
    hook = make_webhook(name="Helpdesk")
    made = make_delivery(hook, status="retrying", reason="server", code=500, tries=1, due_at=due)
    make_attempt(made, reason="server", code=500, started_at=AT, finished_at=AT)
    make_attempt(made, kind="manual", actor="Sam", reason="server", code=500, started_at=AT)
    pages = visit(app, "support", name="Bo")
    bundle = pages.client.get(f"/deliveries/{made}/help-bundle").text
    assert "Webhook: Helpdesk" in bundle
    assert f"Next attempt: {due:%Y-%m-%dT%H:%M:%S}" in bundle
    assert "1  2026-05-04T12:00:07.000+00:00  Attempt 1: Server error (500)" in bundle
    assert "2  2026-05-04T12:00:07.000+00:00  Retry by Sam: Server error (500)" in bundle
    for relative in (" ago", " in 1 hour", " in 59 minutes", "in 60 minutes"):
        assert relative not in bundle.split("Request")[0]


def test_the_note_about_a_closed_url_lists_all_that_is_needed(app: Flask) -> None:
    make_user("admin", name="Ada Admin")
    now = utcnow()
    hook = make_webhook(name="Old CRM", state="off", off_reason="gone", off_at=now)
    for _ in range(3):
        make_delivery(hook, status="on_hold")
    page = visit(app, "support").get(f"/settings/webhooks/{hook.public_id}")
    needed = (
        "Enter the new URL from the receiver’s team and make sure the webhook is on. If there’s "
        "none, delete the webhook."
    )
    assert f"Needed: {needed}" in page.main
    assert "On hold: 3 deliveries. Each expires after 30 days, the oldest on" in page.main


@pytest.mark.both_databases
def test_a_delivery_in_a_bulk_retry_is_offered_no_second_one(app: Flask) -> None:
    hook = make_webhook(name="Sync", backoff_until=utcnow() + timedelta(minutes=5), throttled=True)
    made = [
        make_delivery(hook, status="failed", reason="server", code=500, tries=10) for _ in range(5)
    ]
    sam = make_user("support", name="Sam Okoro")
    batch = bulk_retry.start(sam.actor, Selection(ticked=tuple(made[:2])))
    work()
    pages = visit(app, "support")
    page = pages.get("/deliveries")
    (row,) = troubled(page)
    assert "2 in Sam Okoro’s bulk retry" in row[1]
    rows = [" ".join(row) for row in page.rows()]
    assert sum("In Sam Okoro’s bulk retry" in row for row in rows) == 2
    assert page.links("Retry 3")
    assert "About" not in pages.get(f"/batches/{batch}").main  # how long it takes


def test_a_deliverys_page_names_its_bulk_retry_and_offers_no_retry(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.services.deliveries.bulk_retry.MOST_UNDER_WAY", 1)
    hook = make_webhook(name="Sync")
    made = [make_delivery(hook, status="failed", reason="server", code=500) for _ in range(2)]
    for delivery in made:
        make_attempt(delivery, reason="server", code=500)
    sam = make_user("support", name="Sam Okoro")
    bulk_retry.start(sam.actor, Selection(ticked=tuple(made)))
    work()
    pages = visit(app, "support")
    delivery_pages = [pages.get(f"/deliveries/{delivery}") for delivery in made]
    for page in delivery_pages:
        assert "In Sam Okoro’s bulk retry." in page.main
        assert "Retry" not in [button for form in page.forms for button in form.buttons]


def test_an_assets_page_counts_its_deliveries_by_status(app: Flask) -> None:
    asset = make_asset()
    for status in ("on_hold", "on_hold", "delivered"):
        make_delivery(status=status, asset_id=asset)
    page = visit(app, "support").get(f"/assets/{asset}/deliveries")
    assert page.links("2 on hold") == [f"/deliveries?asset={asset}&status=on_hold"]
    assert len(page.links("delivered")) == 1
