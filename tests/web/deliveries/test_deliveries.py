"""The delivery log's pages with their filters, paging, Retry, and Resend."""

import csv
import io
from datetime import timedelta
from uuid import uuid4

import pytest
from flask import Flask

from portal.lib.clock import utcnow
from portal.models.deliveries import DeliveryStatus, Priority
from portal.services.deliveries import log as log_pages
from portal.services.deliveries import log_query
from portal.web.frame.wording import near_time
from tests.support.deliveries import change, lease, make_attempt, make_delivery, stored
from tests.support.factories import make_webhook
from tests.support.pages import Page, Pages
from tests.web.signed_in import visit


def rows(page: Page) -> int:
    return len(page.rows())


@pytest.mark.parametrize(("role", "links"), [("admin", ["/settings/webhooks"]), ("support", [])])
def test_the_empty_log_links_only_administrators_to_webhooks(
    app: Flask, role: str, links: list[str]
) -> None:
    page = visit(app, role).get("/deliveries")
    assert "No deliveries yet" in page.main
    assert page.links("View webhooks") == links


def test_a_row_shows_event_webhook_status_result_and_next_attempt(support: Pages) -> None:
    erp, due = make_webhook(name="Sync to ERP"), utcnow() + timedelta(minutes=4)
    make_delivery(
        erp,
        status="retrying",
        tries=2,
        reason="server",
        code=500,
        took_ms=143,
        due_at=due,
    )
    make_delivery(erp, status="delivered", tries=1, code=200, took_ms=143)
    arrived, line = support.get("/deliveries").rows()
    assert arrived[4:7] == ["Delivered", "200 in 143 ms", ""]
    assert line[0] == ""
    assert line[2:7] == [
        "Asset created AST-00007 Projector",
        "Asset created, AST-00007, to Sync to ERP",
        "Retrying",
        "Server error (500)Attempt 2 of 10",
        near_time(due),
    ]


def test_deliveries_of_one_event_are_grouped(support: Pages) -> None:
    hooks = [make_webhook(name=name) for name in ("Finance", "Helpdesk", "Payroll")]
    make_delivery(asset_tag="AST-1")
    first = make_delivery(hooks[0], asset_tag="AST-2")
    for hook in hooks[1:]:
        change(make_delivery(hook), event_id=stored(first)["event_id"])
    page = support.get("/deliveries")
    spans = [cell.get("rowspan") for cell in page.root.find_all("th") if cell.has("rowspan")]
    assert spans == ["3", "1"]
    names = [row[-5].rpartition(" to ")[2] for row in page.rows()]
    assert names[:3] == ["Payroll", "Helpdesk", "Finance"]
    live = f"/deliveries/{first}/row?span=3"
    assert 'rowspan="3"' in support.client.get(live).get_json()["html"]


def test_test_deliveries_are_listed_and_marked(support: Pages) -> None:
    make_delivery(priority=Priority.TEST, status="failed")
    page = support.get("/deliveries")
    assert "Test" in page.rows()[0][2]
    assert page.rows()[0][-1] == ""


def test_tabs_and_filters_are_kept_in_the_url(support: Pages) -> None:
    erp, desk = make_webhook(name="Sync to ERP"), make_webhook(name="Helpdesk")
    make_delivery(erp, status="failed")
    make_delivery(desk, status="failed", event="asset.updated")
    make_delivery(desk, status="delivered")
    page = support.get("/deliveries")
    assert page.links("Needs attention 2")
    page = support.follow("Needs attention")
    assert rows(page) == 2
    page = support.submit(page.form("/deliveries"), webhook=str(desk.public_id))
    assert rows(page) == 1
    assert page.h1 == "Helpdesk"
    assert "Status: Needs attention" in page.main
    page = support.submit(page.form("/deliveries"), event="asset.created")
    assert "No matching deliveries" in page.main
    page = support.get(page.links("Clear filters")[0])
    assert rows(page) == 2
    assert rows(support.submit(page.form("/deliveries"), webhook="")) == 3


def test_each_result_links_to_its_delivery(support: Pages) -> None:
    hook = make_webhook(throttled=True, backoff_until=utcnow() + timedelta(minutes=4))
    for columns in (
        {"status": "delivered", "code": 200, "took_ms": 7},
        {"status": "failed", "reason": "server"},
        {"status": "queued"},
    ):
        made = make_delivery(hook, asset_id=7, **columns)
        cells = support.get("/deliveries").root.find_all("td")
        result = next(cell for cell in cells if "l-what" in cell.get("class").split())
        (link,) = result.find_all("a")
        assert link.get("href") == f"/deliveries/{made}"


def test_the_action_bar_says_resend_for_delivered_deliveries(support: Pages) -> None:
    make_delivery(status="delivered")
    bar = support.get("/deliveries").form("/deliveries/retry")
    assert bar.buttons == ["Resend", "Export", "Clear selection"]


def test_a_paused_webhook_can_be_resumed_from_its_delivery_list(support: Pages) -> None:
    pause = {"throttled": True, "backoff_until": utcnow() + timedelta(hours=2)}
    hook = make_webhook(name="Payroll", failures_in_row=2, **pause)
    failed = {"tries": 2, "reason": "server", "code": 500}
    made = make_delivery(hook, status="retrying", **failed)
    make_delivery(hook)
    page = support.get("/deliveries?status=queued")
    assert "2 undelivered in 1 webhook" in page.main
    of_it = f"/deliveries?webhook={hook.public_id}"
    resume = f"/settings/webhooks/{hook.public_id}/resume"
    assert resume not in support.get(f"{of_it}&status=delivered").html
    page = support.submit(support.get(f"{of_it}&status=queued").form(resume))
    assert "We’re sending 1 of 2 deliveries first." in page.flashes[0][1]
    nav = 'aria-current="page">Needs attention'
    assert nav in support.get(f"{of_it}&status=undelivered").html
    change(made, status="delivered", failing_since=None)
    assert nav not in support.get(f"{of_it}&status=undelivered").html


def tabs(page: Page) -> dict[str, str]:
    """Return the URLs of the tabs that show a count, by their text."""
    (nav,) = [node for node in page.root.find_all("nav") if "by status" in node.get("aria-label")]
    return {a.text: a.get("href") for a in nav.find_all("a") if a.find_all("span")}


@pytest.mark.both_databases
def test_tab_counts_respect_the_other_filters(
    support: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    erp, desk = make_webhook(name="Sync to ERP"), make_webhook(name="Helpdesk")
    for event, reason in (("asset.created", "server"), ("asset.updated", "dns")):
        for status in DeliveryStatus:
            for hook in (erp, desk)[: 1 + (status is DeliveryStatus.QUEUED)]:
                failing = {"tries": 2, "failing_since": utcnow()} if status == "retrying" else {}
                make_delivery(hook, status=status, event=event, reason=reason, **failing)
        make_delivery(erp, status="failed", event=event, priority=Priority.TEST)
    for query in ("", "&status=failed", "&status=on_hold&code=599", "&reason=server"):
        page = support.get(f"/deliveries?event=asset.created{query}")
        links = tabs(page)
        assert bool(links) is ("code" not in query), query
        for words, address in links.items():
            assert words.endswith(f" {rows(support.get(address))}"), (query, words)
    assert list(links) == ["Needs attention 4", "Queued 2", "Retrying 1", "On hold 1", "Failed 1"]
    monkeypatch.setattr(log_query, "MOST_READ", 3)
    assert tabs(support.get("/deliveries?event=asset.created&reason=server")) == {}


def test_a_delivery_that_may_have_arrived_twice_says_so(support: Pages) -> None:
    made = make_delivery(status="delivered", tries=3)
    make_attempt(made, reason="refused")
    make_attempt(made, reason="read_timeout")
    assert "Sent 2" not in support.get("/deliveries").main
    make_attempt(made, outcome="delivered", code=200)
    page = support.get("/deliveries")
    assert page.rows()[0][5].endswith("Sent 2 times")
    assert "might process a delivery each time we send it" in page.main


def test_a_delivery_is_found_by_its_id(support: Pages) -> None:
    made = make_delivery()
    make_delivery()
    page = support.get("/deliveries", query_string={"q": f" {made} "})
    assert page.rows()[0][2].startswith("Asset created")
    assert rows(page) == 1
    assert "No matching deliveries" in support.get("/deliveries?q=AST-00007").main
    assert "No matching deliveries" in support.get(f"/deliveries?q={uuid4()}").main


def test_the_log_filters_by_reason_reason_group_and_code(support: Pages) -> None:
    make_delivery(status="failed", reason="server", code=500)
    make_delivery(status="failed", reason="server", code=507)
    make_delivery(status="failed", reason="unavailable", code=503)
    make_delivery(status="failed", reason="reset")
    make_delivery(status="failed", reason="no_reply")
    make_delivery(status="failed", reason="dns")
    make_delivery(status="delivered", code=200)
    page = support.get("/deliveries")
    counts = {
        reason: rows(support.submit(page.form("/deliveries"), reason=reason))
        for reason in ("server", "reset", "receiver_problem", "connect", "certificate")
    }
    assert counts == {
        "server": 2,
        "reset": 2,  # the filter takes `no_reply` too, which has the same words
        "receiver_problem": 5,
        "connect": 1,
        "certificate": 0,
    }
    assert "Reason: All of “Security certificate”" in str(support.page and support.page.main)
    assert rows(support.get("/deliveries?code=503")) == 1
    assert rows(support.get("/deliveries?reason=server&code=507&status=failed")) == 1


def test_the_filtered_log_can_be_exported_as_csv(
    support: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_pages, "EXPORT_CHUNK", 2)
    erp = make_webhook(name="=Sync")
    made = [make_delivery(erp, status="failed") for _ in range(5)]
    make_delivery(status="delivered")
    support.get("/deliveries?status=failed")
    (address,) = set(support.page.links("CSV All pages")) if support.page else set()
    answer = support.client.get(address, buffered=True)
    assert answer.mimetype == "text/csv"
    assert "attachment" in answer.headers["Content-Disposition"]
    lines = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert [line["delivery_id"] for line in lines] == [str(delivery) for delivery in reversed(made)]
    assert lines[0]["webhook"] == "'=Sync"


def test_day_and_time_filters_select_deliveries(support: Pages) -> None:
    webhook = make_webhook()
    make_delivery(webhook, created_at=utcnow() - timedelta(days=3))
    make_delivery(webhook)
    yesterday = (utcnow() - timedelta(days=1)).date()
    assert rows(support.get(f"/deliveries?until={yesterday}")) == 1
    assert rows(support.get(f"/deliveries?since={yesterday}")) == 1
    assert rows(support.get("/deliveries?time=week")) == 2
    assert rows(support.get("/deliveries?time=hour")) == 1


def test_a_long_search_can_be_continued(support: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_query, "MOST_READ", 5)
    webhook = make_webhook()
    make_delivery(webhook, event="asset.lost")
    for _ in range(6):
        make_delivery(webhook)
    page = support.get(f"/deliveries?webhook={webhook.public_id}&event=asset.lost")
    assert "There might be matches further back" in page.main
    assert rows(support.follow("Search further back")) == 1


def test_large_counts_are_capped(support: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    webhook = make_webhook()
    for _ in range(4):
        make_delivery(webhook, status="failed")
    monkeypatch.setattr("portal.services.core.queries.COUNT_LIMIT", 2)
    assert support.get("/deliveries").links("Needs attention 2+")


def test_resending_a_delivered_delivery_asks_first(support: Pages) -> None:
    made = make_delivery(status="delivered")
    support.get(f"/deliveries/{made}")
    page = support.follow("Resend")
    assert "might process it twice" in page.main
    page = support.submit(page.form(f"/deliveries/{made}/retry"), "Resend")
    assert "Queued to be sent" in page.main
    assert stored(made)["prior_status"] == "delivered"


def test_retrying_a_delivery_that_has_since_arrived_asks_first(support: Pages) -> None:
    made = make_delivery(status="failed")
    form = support.get(f"/deliveries/{made}").form(f"/deliveries/{made}/retry")
    change(made, status="delivered")
    assert support.submit(form).h1 == "Resend this delivery?"
    assert stored(made)["status"] == "delivered"


def test_the_resend_question_is_skipped_for_a_delivery_being_sent(support: Pages) -> None:
    made = make_delivery()
    lease(made)
    page = support.get(f"/deliveries/{made}/retry")
    assert page.path == f"/deliveries/{made}"
    assert page.flashes == [
        ("warning", "We’re sending this delivery now. Its result will appear here.")
    ]
