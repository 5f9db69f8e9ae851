"""The log as CSV files for programs and for people."""

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest

from portal.lib.clock import utcnow
from portal.models.deliveries import DeliveryStatus
from portal.services.deliveries import log as log_pages
from portal.services.deliveries import log_query
from portal.web.frame.status_tags import DELIVERY
from tests.support.deliveries import make_attempt, make_delivery, make_many
from tests.support.factories import make_webhook
from tests.support.pages import Pages


def file_of(support: Pages, name: str) -> list[list[str]]:
    answer = support.client.get(f"/deliveries/{name}", buffered=True)
    return list(csv.reader(io.StringIO(answer.data.decode("utf-8-sig"))))


def lines_of(support: Pages, query: str) -> int:
    answer = support.client.get(f"/deliveries/export.csv?{query}", buffered=True)
    return answer.text.count("\n") - 1


def test_an_export_stops_at_its_limit_and_continues_a_long_search(
    support: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhook = make_webhook()
    make_many([webhook], 60, utcnow() - timedelta(seconds=60))
    monkeypatch.setattr(log_pages, "EXPORT_LIMIT", 7)
    assert lines_of(support, "") == 7
    monkeypatch.setattr(log_pages, "EXPORT_LIMIT", 1000)
    monkeypatch.setattr(log_query, "MOST_READ", 5)
    search = f"webhook={webhook.public_id}&event=asset.created"
    assert lines_of(support, search) == 20


def test_an_export_has_every_column_of_a_delivery(support: Pages) -> None:
    at, hook = datetime(2026, 5, 3, 16, 0, 12, tzinfo=UTC), make_webhook(name="ERP")
    ended = {"status": "failed", "reason": "server", "code": 503}
    sent = make_delivery(hook, created_at=at, **ended, took_ms=1230, tries=1)
    for kind, outcome in (("scheduled", "failed"), ("manual", "failed")):
        make_attempt(sent, kind=kind, outcome=outcome)
    asset = ["AST-00007", "Projector", "ERP", "Failed"]
    headings, line = file_of(support, "export.csv")
    iso, why = "2026-05-03T16:00:12+00:00", "Server error (503)"
    begin = [iso, str(sent), "asset.created", "Asset created", *asset, "", "no"]
    values = [*begin, "server", why, "503", "1", "2", "2", "", "1230", iso, iso, "", "", ""]
    names = (
        "stored_at delivery_id event event_name asset_tag asset_name webhook status status_note"
        " is_test reason result code tries attempts times_sent next_try_at took_ms ended_at"
        " failing_since dismissed_by dismissed_at dismissed_reason"
    )
    assert (headings, line) == (names.split(), values)
    headings, line = file_of(support, "export-for-excel.csv")
    assert headings == [
        "Time (Europe/Vienna)",
        *("Event", "Asset tag", "Asset", "Webhook", "Status", "Result"),
        *("Response or earlier failure", "Attempts", "Times sent"),
        *("Next attempt (Europe/Vienna)", "Delivered, failed, or dismissed (Europe/Vienna)"),
        *(
            "Failing since (Europe/Vienna)",
            "Duration (seconds)",
            "Dismissed by",
            "Dismiss reason",
            "Test",
            "Delivery ID",
        ),
    ]
    local = "2026-05-03 18:00:12"
    rest = ["", local, local, "1.23", "", "", "No", str(sent)]
    assert line == [local, "Asset created", *asset, why, "", "1", "2", *rest]


@pytest.mark.parametrize("status", DeliveryStatus)
def test_a_status_has_the_same_name_everywhere(support: Pages, status: DeliveryStatus) -> None:
    word = DELIVERY[status].word
    made = make_delivery(status=status)
    assert support.get(f"/deliveries?status={status}").rows()[0][4] == word
    assert f"{word}" in support.get(f"/deliveries/{made}").main
    for name, heading in (("export.csv", "status"), ("export-for-excel.csv", "Status")):
        headings, line = file_of(support, name)
        assert line[headings.index(heading)] == word
    bundle = support.client.get(f"/deliveries/{made}/help-bundle").text
    assert f"Status: {word}\n" in bundle
