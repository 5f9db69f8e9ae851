"""Alert settings: rules, the first decision, checks by hand, and late checks."""

import re
from datetime import time, timedelta
from typing import Any

from flask import Flask
from sqlalchemy import select, update

from portal.lib.clock import utcnow
from portal.models.alerts import RunKind
from portal.models.tasks import Task
from portal.services.alerts import runs
from portal.services.alerts import settings as alert_settings
from portal.services.alerts.rules import AlertRules
from portal.services.core.unit_of_work import session, writing
from tests.services.alerts.due_things import (
    a_run_is_missing,
    decided,
    fired,
    ledger,
    lent,
    with_warranty,
    work,
)
from tests.support.factories import make_asset, make_webhook
from tests.support.pages import Page, Pages
from tests.web.signed_in import visit

PATH = "/settings/alerts"


def save(pages: Pages, page: Page, **values: object) -> Page:
    return pages.submit(page.form(PATH), **values)


def press(pages: Pages, page: Page, words: str) -> Page:
    (form,) = [form for form in page.forms if form.buttons == [words]]
    return pages.submit(form)


def test_saved_rules_are_stored_and_audited(app: Flask) -> None:
    pages = visit(app)
    page = pages.get(PATH)
    assert page.h1 == "Alert settings"
    # The largest and the smallest numbers of days that are valid.
    days: dict[str, Any] = {"warranty_days": 365, "maintenance_days": 0, "repeat_every_days": 1}
    page = save(pages, page, maintenance_on=None, time_of_day="18:30:59", **days)
    rules = AlertRules(maintenance_on=False, at=time(18, 30), **days)
    assert alert_settings.read().rules == rules
    assert "We repeat overdue alerts every day" in page.main
    assert save(pages, page).tone == "info"
    assert "Alert: settings changed" in pages.get("/settings/audit").main


def test_the_time_of_day_is_also_shown_in_the_readers_time_zone(app: Flask) -> None:
    theirs, ours = (
        visit(app, time_zone=zone).get(PATH).main for zone in ("Asia/Kolkata", "Europe/Berlin")
    )
    hint = "In the organization’s time zone, Europe/Vienna"
    assert re.search(rf"{hint} \(1[01]:30 in yours\)", theirs)
    assert hint in ours
    assert "in yours" not in ours


def test_an_invalid_value_is_refused_at_its_field(app: Flask) -> None:
    pages = visit(app)
    for field, text in (
        ("warranty_days", ""),
        ("warranty_days", "-1"),
        ("maintenance_days", "366"),
        ("repeat_every_days", "0"),
        ("time_of_day", " "),
        ("time_of_day", "25:00"),
    ):
        page = save(pages, pages.get(PATH), **{field: text})
        assert (page.status, page.wrong) == (400, [field]), (field, text)
        assert page.form(PATH).fields[field] == [text.strip()]


def test_a_late_save_shows_both_versions(app: Flask) -> None:
    first, second = visit(app, name="Ana Gruber"), visit(app)
    seen = second.get(PATH)
    save(first, first.get(PATH), warranty_days=60)
    page = save(second, seen, warranty_days=45)
    assert page.status == 409
    assert "Ana Gruber" in page.main
    assert "60" in page.main
    assert "45" in page.main
    edited = second.submit(page.form(PATH), "Keep editing my version").form(PATH)
    assert (edited.fields["warranty_days"], edited.fields["version"]) == (["45"], ["1"])
    assert alert_settings.read().rules.warranty_days == 60
    page = second.submit(page.form(PATH))
    assert alert_settings.read().rules.warranty_days == 45


def test_before_the_first_run_due_alerts_can_be_sent(app: Flask) -> None:
    lent(3)
    with_warranty(10)
    pages = visit(app)
    page = pages.get(PATH)
    assert [form for form in page.forms if form.buttons == ["Check now"]] == []
    press(pages, page, "Send 2 alerts")
    work()
    assert len(fired()) == 2
    assert len(pages.get(PATH).rows()) == 1


def test_before_the_first_run_due_alerts_can_be_marked_as_sent(app: Flask) -> None:
    lent(3)
    pages = visit(app)
    page = pages.get(PATH)
    press(pages, page, "Mark as sent")
    work()
    assert fired() == []
    assert [alert.is_sent for alert in ledger()] == [False]
    (form,) = [form for form in page.forms if form.buttons == ["Send 1 alert"]]
    page = pages.submit(form)
    assert (page.tone, "#" in page.path) == ("danger", False)
    work()
    assert fired() == []


def test_send_now_in_the_preview_is_the_first_decision(app: Flask) -> None:
    lent(3)
    pages = visit(app)
    forms = pages.get(f"{PATH}/preview").forms
    (form,) = [form for form in forms if form.buttons == ["Send now"]]
    page = pages.submit(form, follow=False)
    assert page.response.headers["Location"] == f"{PATH}#looking"
    assert alert_settings.read().first_answer == "send"


def test_check_now_queues_a_run_that_the_page_follows(app: Flask) -> None:
    decided()
    lent(3)
    pages = visit(app)
    page = press(pages, pages.get(PATH), "Check now")
    # The page scrolls to the live check. A flash above would be out of sight and grow stale.
    assert page.flashes == []
    assert "Starting soon." in page.main
    assert not page.links("View System")
    region = next(node for node in page.root.walk() if node.get("data-live-url"))
    news = pages.client.get(region.get("data-live-url")).get_json()
    assert news["stop"] is False
    work()
    news = pages.client.get(region.get("data-live-url")).get_json()
    assert news["stop"] is True
    assert news["announce"]
    assert "1 overdue" in news["html"]


def test_a_queued_run_that_does_not_start_links_to_system(app: Flask) -> None:
    decided()
    pages = visit(app)
    press(pages, pages.get(PATH), "Check now")
    with writing() as current:
        current.execute(update(Task).values(created_at=utcnow() - timedelta(minutes=1)))
    page = pages.get(PATH)
    assert "/settings/system" in page.links("View System")


def test_a_run_has_a_task_page(app: Flask) -> None:
    decided()
    lent(3)
    pages = visit(app)
    press(pages, pages.get(PATH), "Check now")
    work()
    task = session().scalars(select(Task)).one()
    page = pages.get(f"/tasks/{task.public_id}")
    assert page.links("View alerts") == ["/alerts"]


def test_the_preview_shows_due_alerts_and_sends_nothing(app: Flask) -> None:
    decided()
    lent(3)
    with_warranty(10, name="Drill <b>")
    pages = visit(app)
    page = pages.get(f"{PATH}/preview")
    assert "Drill <b>" in page.rows()[1][0]
    work()
    assert (fired(), ledger()) == ([], [])
    press(pages, page, "Send now")
    work()
    assert len(fired()) == 2
    page = pages.get(f"{PATH}/preview")
    assert (page.rows(), "Send now" in page.main) == ([], False)


def test_a_late_run_is_shown_until_it_has_run(app: Flask) -> None:
    make_asset()
    a_run_is_missing()
    decided()
    pages = visit(app)
    assert "Alerts are late" in pages.get(PATH).main
    runs.start_due(utcnow())
    work()
    page = pages.get(PATH)
    assert "Alerts are late" not in page.main


def test_a_scheduled_run_waits_for_the_first_decision(app: Flask) -> None:
    lent(3)
    runs.start_due(utcnow())
    page = visit(app).get(PATH)
    assert "Needs your answer" in page.rows()[0][1]


def test_check_now_is_disabled_before_the_first_decision(app: Flask) -> None:
    lent(3)
    page = visit(app).get(PATH)
    (button,) = [node for node in page.root.find_all("button") if node.text == "Check now"]
    assert button.get("disabled") is not None


def test_a_run_and_its_preview_count_their_webhooks(app: Flask) -> None:
    decided()
    lent(3)
    for state in ("active", "off", "off"):
        make_webhook(events=["alert.checkout_overdue"], state=state)
    pages = visit(app)
    words = "to 1 webhook, on hold for 2 that are off: 1 overdue"
    coming = "1 webhook will get 1 overdue, and they’ll be on hold for 2 that are off."
    assert coming in pages.get(f"{PATH}/preview").main
    runs.run(RunKind.MANUAL)
    assert words in pages.get(PATH).rows()[0][2]
