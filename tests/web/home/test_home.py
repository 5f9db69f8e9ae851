"""The start page: problems come first, then the results of the last 24 hours."""

from datetime import timedelta

import pytest
from flask import Flask

from portal.lib.clock import utcnow
from portal.models.alerts import RunKind
from portal.models.deliveries import Priority
from portal.models.people import Role
from portal.queue.names import DELIVERIES
from portal.services.alerts import ledger as alert_ledger
from portal.services.alerts import runs
from portal.services.core import heartbeats
from portal.services.core.permissions import SYSTEM
from portal.services.core.unit_of_work import writing
from portal.services.outbox import rollups
from portal.services.outbox.rollups import StatusChange
from portal.services.webhooks import takes
from portal.web.frame.wording import near_time
from tests.services.alerts.due_things import (
    a_run_is_missing,
    decided,
    ledger,
    lent,
    with_maintenance,
)
from tests.support.deliveries import change, make_attempt, make_delivery
from tests.support.factories import make_asset, make_user, make_webhook
from tests.support.heartbeats import record_own
from tests.support.pages import Page
from tests.web.signed_in import visit


def todo(page: Page) -> dict[str, str]:
    """Return the nonzero counts of asset and alert tasks, by label."""
    items = [node.text for part in page.root.find_all("ul") for node in part.find_all("li")]
    words = (
        "Overdue",
        "Maintenance due",
        "Low stock",
        "Open alerts",
        "Late alert check",
        "Alerts wait",
    )
    parts = [text.rpartition(" ") for text in items if text.startswith(words)]
    return {label: count for label, _, count in parts if count != "None"}


def figures(page: Page) -> dict[str, str]:
    """Return the text of each figure, with its link."""
    lists = [node for node in page.root.find_all("ul", "dl") if node.get("class") != "todo"]
    parts = [node for node in lists if {"kpis", "trio"} & set((node.get("class") or "").split())]
    return {node.text: node.get("href") for part in parts for node in part.find_all("a")}


def troubled(page: Page) -> list[list[str]]:
    """Return name and cause, number, since, and next attempt of each webhook with problems."""
    tables = [node for node in page.root.find_all("table") if "ptable" in node.get("class")]
    rows = [row for table in tables for row in table.find_all("tr")[1:]]
    return [[cell.text for cell in row.find_all("th", "td")] for row in rows]


def test_the_page_says_that_there_are_no_problems(app: Flask) -> None:
    make_delivery(status="delivered")
    pages = visit(app)
    assert "No problems" not in pages.get("/").main, "nobody sends"
    record_own(heartbeats.worker_of(DELIVERIES))
    page = pages.get("/")
    assert "No problems" in page.main
    assert "Delivery attempts, last 24 hours" in page.main
    assert todo(page) == {}


def test_webhooks_with_problems_come_first_and_on_hold_is_a_figure(app: Flask) -> None:
    desk = make_webhook(name="Helpdesk")
    for _ in range(2):
        make_delivery(desk, status="failed", reason="refused")
    make_delivery(make_webhook(name="Payroll", state="off"), status="on_hold")
    page = visit(app).get("/")
    ((name, number, *_),) = troubled(page)
    assert name.endswith("Helpdesk Failing Connection refused")
    assert number == "2 2 failed"
    assert page.links("View 2") == [f"/deliveries?status=undelivered&webhook={desk.public_id}"]
    held = figures(page)["1 On hold 0 in webhooks with problems"]
    assert held == "/deliveries?status=on_hold"
    assert page.main.index("Helpdesk") < page.main.index("Delivery attempts")


def test_each_figure_links_to_a_page_with_the_same_number(app: Flask) -> None:
    hook = make_webhook(name="Helpdesk")
    for _ in range(2):
        make_delivery(make_webhook(state="off"), status="on_hold")
    make_delivery(make_webhook(name="All well"))
    for tries in (1, 3, 4):
        make_delivery(hook, status="retrying", reason="server", code=500, tries=tries)
    make_delivery(hook, status="failed", reason="server", code=500)
    make_delivery(hook, status="failed", reason="server", code=500, priority=Priority.TEST)
    make_asset()
    with writing() as current:
        failed = StatusChange(hook.id, "retrying", 2, has_failed=True)
        entries = [failed] * 3 + [StatusChange(hook.id, "delivered", 2)]
        rollups.count(current.connection(), entries, utcnow())
    pages = visit(app)
    page = pages.get("/")
    links = figures(page)
    failures = links.pop("3 Failed attempts, last 24 hours 75% of 4")
    assert failures.startswith("/deliveries?time=failed&since=")
    assert links == {
        "1 Webhooks with problems 1 failing": "#needs",
        "1 Delivered, last 24 hours": "/deliveries?status=delivered&time=day",
        "6 Queued or retrying 4 in webhooks with problems": "/deliveries?status=open",
        "4 On hold 0 in webhooks with problems": "/deliveries?status=on_hold",
        "1 total": "/assets",
        "0 in use": "/assets?show=out",
        "0 lost": "/assets?show=lost",
    }
    assert [row[1] for row in troubled(page)] == ["5 3 retrying, 1 queued, 1 failed"]
    assert len(pages.get("/deliveries?status=retrying").rows()) == 3
    page = pages.get("/deliveries?status=attention")
    assert "Needs attention 5" in page.main
    assert len(page.rows()) == 5
    assert "All 1" in pages.get("/assets").main


@pytest.mark.parametrize("role", [Role.ADMIN, Role.MANAGER, Role.SUPPORT])
def test_a_failing_webhook_and_one_turned_off_have_a_row_each(app: Flask, role: Role) -> None:
    gone = make_webhook(name="Payroll", state="off", off_reason="gone", off_at=utcnow())
    make_delivery(gone, status="on_hold")
    make_delivery(make_webhook(name="Door"), status="retrying", reason="refused", tries=1)
    hook = make_webhook(name="Desk")
    for tries in (2, 3):
        make_delivery(hook, status="retrying", reason="server", code=500, tries=tries)
    page = visit(app, role).get("/")
    fails, off = troubled(page)
    assert fails[0].endswith("Desk Failing Server error (500)")
    assert off[0] == "Payroll Off Turned off automatically: URL permanently closed"
    assert [row[1] for row in (fails, off)] == ["2 2 retrying", "1 1 on hold"]
    assert "3 undelivered in 2 webhooks, the oldest failing since" in page.main
    assert off[3] == "When turned on"
    retry = f"/deliveries/retry?status=undelivered&webhook={hook.public_id}&all=1"
    assert page.links("Retry 2") == ([] if role is Role.MANAGER else [retry])
    edit = f"/settings/webhooks/{gone.public_id}/edit#url"
    assert page.links("Edit URL") == ([edit] if role is Role.ADMIN else [])


def test_the_button_of_a_row_fits_its_reason_and_the_role(app: Flask) -> None:
    until = utcnow() + timedelta(minutes=20)
    for reason, columns, main, for_support in (
        ("auth", {}, "Edit security", "View next step"),
        ("bad_headers", {}, "Edit headers", "View next step"),
        ("not_found", {}, "Edit URL", "View next step"),
        ("server", {}, "Retry 1", "Retry 1"),
        ("rate", {"backoff_until": until, "throttled": True}, "View 1", "View 1"),
    ):
        hook = make_webhook(**columns)
        made = make_delivery(hook, status="failed", reason=reason)
        for role, label in ((Role.ADMIN, main), (Role.SUPPORT, for_support)):
            ((*_, acts),) = troubled(visit(app, role).get("/"))
            assert acts.startswith(f"{label} for"), (reason, role)
            assert acts.endswith(f"Dismiss 1… for {hook.name}")
        change(made, status="delivered", failing_since=None)


def test_rejections_are_shown_with_the_words_of_each_receiver(app: Flask) -> None:
    for response in ("token expired", "signature does not match"):
        delivery = make_delivery(make_webhook(), status="failed", reason="auth", code=401, tries=1)
        make_attempt(delivery, reason="auth", code=401, response_text=response)
    responses = [
        row[0].partition(" Authentication rejected (401) ")[2]
        for row in troubled(visit(app).get("/"))
    ]
    assert sorted(responses) == ["“signature does not match”", "“token expired”"]


def test_only_the_first_webhooks_are_shown_with_a_link_to_all(app: Flask) -> None:
    make_webhook(name="All well")
    for number in range(7):
        make_delivery(make_webhook(name=f"Helpdesk {number}"), status="failed", reason="dns")
    make_delivery(make_webhook(deleted_at=utcnow(), state="off"), status="failed", reason="dns")
    pages = visit(app, Role.SUPPORT)
    page = pages.get("/")
    assert [
        len(troubled(page)),
        figures(page)["8 Webhooks with problems 7 failing, 1 deleted"],
    ] == [
        5,
        "#needs",
    ]
    page = pages.follow("View all 7 webhooks with problems")
    assert [row[0][:10] for row in page.rows()] == [f"Helpdesk {number}" for number in range(7)]
    assert "With problems" in page.main
    assert len(pages.follow("Clear filters").rows()) == 8


def test_the_webhook_that_has_failed_longest_is_always_shown(app: Flask) -> None:
    for number in range(6):
        make_delivery(make_webhook(name=f"Helpdesk {number}"), status="failed", reason="dns")
    old = make_webhook(name="Payroll", last_delivered_at=utcnow())
    for days in (20, 1):
        make_delivery(old, status="failed", failing_since=utcnow() - timedelta(days=days))
    page = visit(app).get("/")
    rows = troubled(page)
    began = near_time(utcnow() - timedelta(days=20))
    assert f"8 undelivered in 7 webhooks, the oldest failing since {began}" in page.main
    assert [row[0][:10] for row in rows[:4]] == [f"Helpdesk {number}" for number in range(4)]
    assert "Payroll" in rows[4][0]
    assert rows[4][2].startswith(f"{began} Last delivered ")
    (line,) = (row for row in visit(app).get("/settings/webhooks").rows() if "Payroll" in row[0])
    assert f"2 undelivered, the oldest failing since {began} · Last delivered " in line[2]


def test_the_parts_of_each_total_are_shown_and_add_up(app: Flask) -> None:
    """Keep undelivered, queued or retrying, and on hold apart as three totals."""
    gone = make_webhook(state="off", off_reason="gone", off_at=utcnow())
    hook = make_webhook()
    for status, many in (("retrying", 3), ("queued", 2), ("failed", 1)):
        for _ in range(many):
            make_delivery(hook, status=status, reason="server", code=500, tries=3)
    make_delivery(gone, status="on_hold")
    make_delivery(make_webhook(state="off"), status="on_hold")
    page = visit(app).get("/")
    assert "7 undelivered in 2 webhooks" in page.main
    assert "3 retrying, 2 queued, 1 on hold, 1 failed" in page.main
    totals = figures(page)
    assert "2 Webhooks with problems 1 failing, 1 off automatically" in totals
    assert "5 Queued or retrying 5 in webhooks with problems" in totals
    assert "2 On hold 1 in webhooks with problems" in totals


def test_overdue_due_and_low_assets_are_counted(app: Flask) -> None:
    lent(3)
    with_maintenance(-2)
    with_maintenance(30)
    make_asset("Toner", kind="stock", quantity=1, min_quantity=5)
    page = visit(app, Role.MANAGER).get("/")
    assert todo(page) == {"Overdue assets": "1", "Maintenance due": "1", "Low stock": "1"}
    assert page.links("Overdue assets") == ["/assets?show=overdue"]
    assert page.links("Maintenance due") == ["/maintenance?show=due"]
    assert page.links("Low stock") == ["/assets?show=low"]


def test_open_alerts_are_linked_until_they_are_acknowledged(app: Flask) -> None:
    decided()
    lent(3)
    runs.run(RunKind.MANUAL)
    pages = visit(app, Role.MANAGER)
    page = pages.get("/")
    assert todo(page) == {"Overdue assets": "1", "Open alerts": "1"}
    assert page.links("Open alerts") == ["/alerts"]
    alert_ledger.acknowledge(SYSTEM, ledger()[0].public_id)
    assert todo(pages.get("/")) == {"Overdue assets": "1"}


def test_only_administrators_see_late_and_undecided_alerts(app: Flask) -> None:
    with_maintenance(3)
    a_run_is_missing()
    admin, manager = visit(app).get("/"), visit(app, Role.MANAGER).get("/")
    due = {"Maintenance due": "1"}
    late = {"Late alert check": "1", "Alerts waiting for your decision": "1"}
    assert todo(admin) == {**late, **due}
    assert admin.links("Alerts waiting for your decision") == ["/settings/alerts"]
    assert todo(manager) == due


def test_taken_by_is_a_column_only_where_it_can_have_content(app: Flask) -> None:
    make_delivery(hook := make_webhook(), status="failed", reason="server")
    heads = {role: "Taken by" in visit(app, role).get("/").main for role in Role}
    assert {role for role in Role if heads[role]} == {Role.ADMIN, Role.SUPPORT}
    takes.take(make_user("support").actor, hook.public_id)
    assert "Taken by" in visit(app, Role.VIEWER).get("/").main
