"""The start page: what needs attention comes first, then how the last day went."""

from datetime import timedelta

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


def problems(page: Page) -> list[str]:
    """What each problem says."""
    found = [node for node in page.root.find_all("p") if node.get("class") == "problem-words"]
    return [node.text for node in found]


def test_a_new_portal_shows_the_first_steps_alone(app: Flask) -> None:
    page = visit(app).get("/")
    assert "First steps" in page.main
    assert [node.text for node in page.root.find_all("h2")] == ["First steps"]
    assert page.links("try it without a receiver") == ["/inbox"]


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
    (problem,) = problems(page)
    assert problem.startswith("Helpdesk · Connection refused · 2 deliveries · ")
    assert needs(page) == ["1 delivery is held"]
    opened = f"/deliveries?status=attention&webhook={desk.public_id}&reason=refused"
    assert page.links("Open") == [opened]
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
    assert [line.split(" · ")[2] for line in problems(page)] == ["3 deliveries"]
    assert len(pages.get("/deliveries?status=retrying").rows()) == 3
    page = pages.get("/deliveries?status=attention")
    assert "Needs attention 3" in page.main
    assert len(page.rows()) == 3
    assert "1 webhook is on, 1 is off." in pages.get("/settings/webhooks").main
    assert "All 1" in pages.get("/assets").main


def test_what_keeps_failing_is_a_problem_before_it_has_failed_for_good(app: Flask) -> None:
    make_delivery(make_webhook(name="Desk"), status="retrying", reason="server", code=500, tries=5)
    page = visit(app).get("/")
    assert [each.split(" · ")[:3] for each in problems(page)] == [
        ["Desk", "Server error (500)", "1 delivery"]
    ]


@pytest.mark.parametrize("role", [Role.ADMIN, Role.MANAGER, Role.SUPPORT])
def test_webhooks_in_trouble_are_problems_too_and_stand_there_once(app: Flask, role: Role) -> None:
    failing = {"failures_in_row": 6, "failing_since": utcnow() - timedelta(minutes=9)}
    hook = make_webhook(name="Helpdesk", **failing)
    make_webhook(name="Door", failures_in_row=1)  # which may pass
    make_webhook(name="Payroll", state="off", off_reason="gone", off_at=utcnow())
    make_delivery(hook, status="retrying", reason="refused", tries=1)
    make_delivery(hook, status="on_hold")
    page = visit(app, role).get("/")
    off, fails = problems(page)
    assert off.startswith("Payroll · off since ")
    assert off.endswith(" · address closed for good (410)")
    assert fails.startswith("Helpdesk · failing since ")
    assert needs(page) == ["1 delivery is held"]
    assert f"/settings/webhooks/{hook.public_id}" in page.links("Open")
    assert bool(page.links("Fix")) is (role is Role.ADMIN)
    assert page.text.count("Payroll") == page.text.count("Payroll, off since") + 1


def test_of_many_problems_the_rest_is_folded_away_with_its_names(app: Flask) -> None:
    failing = {"failures_in_row": 6, "failing_since": utcnow() - timedelta(minutes=9)}
    for number in range(8):
        make_webhook(name=f"Helpdesk {number}", **failing)
    page = visit(app, Role.SUPPORT).get("/")
    assert len(problems(page)) == 8
    assert "3 more problems: Helpdesk 5, Helpdesk 6, Helpdesk 7" in page.main


def test_ten_that_are_off_and_ten_that_fail_are_listed_by_themselves(app: Flask) -> None:
    failing = {"failures_in_row": 6, "failing_since": utcnow() - timedelta(minutes=9)}
    for _ in range(11):
        make_webhook(state="off", off_reason="gone", off_at=utcnow())
        make_webhook(**failing)
    found = problems(visit(app, Role.SUPPORT).get("/"))
    assert [" · off since " in each for each in found] == [True] * 10 + [False] * 10


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
