"""The start page: what needs attention comes first, then how the last day went."""

import pytest
from flask import Flask

from portal.lib.clock import utcnow
from portal.models.alerts import RunKind
from portal.models.deliveries import Priority
from portal.models.people import Role
from portal.services.alerts import ledger as alert_ledger
from portal.services.alerts import runs
from portal.services.core.permissions import SYSTEM
from tests.services.alerts.due_things import (
    a_run_is_missing,
    decided,
    ledger,
    lent,
    with_maintenance,
)
from tests.support.deliveries import make_delivery
from tests.support.factories import make_asset, make_webhook
from tests.support.pages import Page
from tests.web.signed_in import visit


def needs(page: Page) -> list[str]:
    """The titles of what needs attention."""
    items = [node for node in page.root.find_all("li") if "need" in node.get("class").split()]
    return [title.text for item in items for title in item.find_all("h3")]


def troubled(page: Page) -> list[list[str]]:
    """Name and cause, number, since, next attempt: of each webhook in trouble."""
    tables = [node for node in page.root.find_all("table") if "ptable" in node.get("class")]
    rows = [row for table in tables for row in table.find_all("tr")[1:]]
    return [[cell.text for cell in row.find_all("th", "td")] for row in rows]


def test_it_says_so_when_nothing_wants_a_look(app: Flask) -> None:
    make_delivery(status="delivered")
    page = visit(app).get("/")
    assert "All clear." in page.main
    assert "What arrived in the last 24 hours" in page.main


def test_what_failed_and_what_is_held_comes_first_each_with_the_way_there(app: Flask) -> None:
    desk = make_webhook(name="Helpdesk")
    for _ in range(2):
        make_delivery(desk, status="failed", reason="refused")
    make_delivery(make_webhook(name="Payroll", state="off"), status="on_hold")
    page = visit(app).get("/")
    ((name, number, *_),) = troubled(page)
    assert name.endswith("Helpdesk Connection refused")
    assert number == "2 2 failed"
    assert needs(page) == ["1 delivery is held"]
    assert page.links("View 2") == [f"/deliveries?status=undelivered&webhook={desk.public_id}"]
    assert page.links("See what is held") == ["/deliveries?status=on_hold"]
    assert page.main.index("Helpdesk") < page.main.index("What arrived in the last 24 hours")


def test_each_figure_leads_to_a_page_with_the_same_number(app: Flask) -> None:
    hook = make_webhook(name="Helpdesk")
    make_webhook(name="Payroll", state="off")
    for tries in (1, 3, 4):
        make_delivery(hook, status="retrying", reason="server", code=500, tries=tries)
    make_delivery(hook, status="failed", reason="server", code=500)
    make_delivery(hook, status="failed", reason="server", code=500, priority=Priority.TEST)
    make_asset()
    pages = visit(app)
    page = pages.get("/")
    figures = {
        node.text: node.get("href")
        for part in page.root.find_all("ul")
        if part.get("class") == "kpis"
        for node in part.find_all("a")
    }
    assert figures == {
        "4 retrying or queued": "/deliveries?status=open",
        "1 webhook is on, 1 off": "/settings/webhooks",
        "1 asset": "/assets",
        "0 out": "/assets?show=out",
        "0 lost": "/assets?show=lost",
    }
    assert needs(page) == ["1 delivery is held"]
    assert [row[1] for row in troubled(page)] == ["5 3 retrying, 1 queued, 1 failed"]
    assert len(pages.get("/deliveries?status=retrying").rows()) == 3
    page = pages.get("/deliveries?status=attention")
    assert "Needs attention 5" in page.main
    assert len(page.rows()) == 5
    assert "1 webhook is on, 1 is off." in pages.get("/settings/webhooks").main
    assert "All 1" in pages.get("/assets").main


@pytest.mark.parametrize("role", [Role.ADMIN, Role.MANAGER, Role.SUPPORT])
def test_a_webhook_that_we_turned_off_and_one_that_fails_are_a_row_each(
    app: Flask, role: Role
) -> None:
    gone = make_webhook(name="Payroll", state="off", off_reason="gone", off_at=utcnow())
    make_delivery(gone, status="on_hold")
    make_delivery(make_webhook(name="Door"), status="retrying", reason="refused", tries=1)
    hook = make_webhook(name="Desk")
    for tries in (2, 3):
        make_delivery(hook, status="retrying", reason="server", code=500, tries=tries)
    page = visit(app, role).get("/")
    fails, off = troubled(page)
    assert fails[0].endswith("Desk Server error (500)")
    assert off[0] == "Payroll Off Turned off automatically: URL permanently closed (410)"
    assert [row[1] for row in (fails, off)] == ["2 2 retrying", "1 1 on hold"]
    assert "3 undelivered in 2 webhooks, the oldest since" in page.main
    assert off[3] == "When turned on"
    retry = f"/deliveries/retry?status=undelivered&webhook={hook.public_id}&all=1"
    assert page.links("Retry 2") == ([] if role is Role.MANAGER else [retry])


def test_of_many_the_rest_is_folded_away_with_its_names(app: Flask) -> None:
    for number in range(8):
        make_delivery(make_webhook(name=f"Helpdesk {number}"), status="failed", reason="dns")
    page = visit(app, Role.SUPPORT).get("/")
    assert len(troubled(page)) == 8
    assert "3 more webhooks: Helpdesk 5 1, Helpdesk 6 1, Helpdesk 7 1" in page.main


def test_it_says_what_is_late_due_and_low_in_the_register(app: Flask) -> None:
    lent(3)
    with_maintenance(-2)
    with_maintenance(30)
    make_asset("Toner", kind="stock", quantity=1, min_quantity=5)
    page = visit(app, Role.MANAGER).get("/")
    assert needs(page) == [
        "1 asset is overdue",
        "1 maintenance job is due",
        "1 consumable is low",
    ]
    assert page.links("See what is late") == ["/assets?show=overdue"]
    assert page.links("See what is due") == ["/maintenance?show=due"]
    assert page.links("See what is low") == ["/assets?show=low"]


def test_open_alerts_lead_to_their_list_until_they_are_acknowledged(app: Flask) -> None:
    decided()
    lent(3)
    runs.run(RunKind.MANUAL)
    pages = visit(app, Role.MANAGER)
    assert needs(pages.get("/")) == ["1 asset is overdue", "1 alert is open"]
    assert pages.page
    assert pages.page.links("See the alerts") == ["/alerts"]
    alert_ledger.acknowledge(SYSTEM, ledger()[0].public_id)
    assert needs(pages.get("/")) == ["1 asset is overdue"]


def test_administrators_alone_hear_of_late_and_undecided_alerts(app: Flask) -> None:
    with_maintenance(3)
    a_run_is_missing()
    admin, manager = visit(app).get("/"), visit(app, Role.MANAGER).get("/")
    assert needs(admin)[:2] == ["Alerts are late", "1 alert waits for your decision"]
    assert admin.links("Decide") == ["/settings/alerts"]
    assert needs(manager) == ["1 maintenance job is due"]
