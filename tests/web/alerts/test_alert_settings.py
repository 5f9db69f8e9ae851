"""Settings → Alerts: what is wanted, the first question, looking by hand, and being late."""

from datetime import time, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal.lib.clock import utcnow
from portal.models.alerts import AlertRun, RunKind
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


def test_what_is_saved_is_what_the_runs_go_by(app: Flask) -> None:
    pages = visit(app)
    page = pages.get(PATH)
    assert page.h1 == "Alert settings"
    assert "in the time zone of the organisation: Europe/Vienna" in page.main
    # The most and the fewest days that there can be.
    days: dict[str, Any] = {"warranty_days": 365, "maintenance_days": 0, "repeat_every_days": 1}
    page = save(pages, page, maintenance_on=None, time_of_day="18:30:59", **days)
    assert "Saved." in page.main
    rules = AlertRules(maintenance_on=False, at=time(18, 30), **days)
    assert alert_settings.read().rules == rules
    assert "Nothing was changed." in save(pages, page).main
    assert "Alert settings" in pages.get("/settings/audit").main


@pytest.mark.parametrize(
    ("field", "text", "sentence"),
    [
        ("warranty_days", "", "Enter the days before a warranty ends in digits, from 0 to 365"),
        ("warranty_days", "-1", "Enter the days before a warranty ends in digits, from 0 to 365"),
        ("maintenance_days", "366", "Enter the days before maintenance in digits, from 0 to 365"),
        ("repeat_every_days", "0", "Enter the number of days between reminders in digits"),
        ("time_of_day", " ", "Enter the time of day as hours and minutes, such as 07:00"),
        ("time_of_day", "25:00", "Enter the time of day as hours and minutes, such as 07:00"),
    ],
)
def test_what_does_not_fit_comes_back_with_a_sentence(
    app: Flask, field: str, text: str, sentence: str
) -> None:
    pages = visit(app)
    page = save(pages, pages.get(PATH), **{field: text})
    assert page.status == 400
    assert len(page.errors) == 1
    assert sentence in page.errors[0]
    assert page.form(PATH).fields[field] == [text.strip()]


def test_of_two_who_change_it_the_second_sees_both(app: Flask) -> None:
    first, second = visit(app, name="Ana Gruber"), visit(app)
    seen = second.get(PATH)
    save(first, first.get(PATH), warranty_days=60)
    page = save(second, seen, warranty_days=45)
    assert page.status == 409
    assert "Ana Gruber" in page.main
    assert "60" in page.main
    assert "45" in page.main
    edited = second.submit(page.form(PATH), "Continue editing mine").form(PATH)
    assert (edited.fields["warranty_days"], edited.fields["version"]) == (["45"], ["1"])
    assert alert_settings.read().rules.warranty_days == 60
    page = second.submit(page.form(PATH))
    assert "Saved." in page.main
    assert alert_settings.read().rules.warranty_days == 45


def test_before_the_first_run_it_asks_and_sends_what_it_is_told_to(app: Flask) -> None:
    lent(3)
    with_warranty(10)
    pages = visit(app)
    page = pages.get(PATH)
    assert "2 alerts are due already" in page.main
    assert [form for form in page.forms if form.buttons == ["Run now"]] == []
    page = press(pages, page, "Send 2 alerts")
    assert "Queued: the alerts are being sent." in page.main
    work()
    assert len(fired()) == 2
    page = pages.get(PATH)
    assert "due already" not in page.main
    assert "Nobody asked for it: 1 overdue, 1 warranty ends soon" in page.main


def test_or_it_marks_them_as_sent_and_tells_nobody(app: Flask) -> None:
    lent(3)
    pages = visit(app)
    page = pages.get(PATH)
    press(pages, page, "Mark them as already sent")
    work()
    assert fired() == []
    assert [alert.is_sent for alert in ledger()] == [False]
    assert "Marked as already sent: 1 overdue" in pages.get(PATH).main
    (form,) = [form for form in page.forms if form.buttons == ["Send 1 alert"]]
    assert pages.submit(form).flashes == [("danger", "This has been decided already.")]
    work()
    assert fired() == []


def test_without_an_answer_nothing_is_decided(app: Flask) -> None:
    lent(3)
    pages = visit(app)
    pages.get(PATH)
    page = pages.post(f"{PATH}/first", {"answer": "maybe"})
    assert "Choose what becomes of" in page.main
    assert "notice-danger" in page.html
    assert not alert_settings.read().is_answered


def test_what_the_preview_shows_before_the_first_answer_is_sent_by_one(app: Flask) -> None:
    lent(3)
    pages = visit(app)
    forms = pages.get(f"{PATH}/preview").forms
    (form,) = [form for form in forms if form.buttons == ["Send them"]]
    page = pages.submit(form, follow=False)
    assert page.response.headers["Location"] == f"{PATH}#looking"
    assert alert_settings.read().first_answer == "send"


def test_run_now_queues_a_run_that_the_page_follows(app: Flask) -> None:
    decided()
    lent(3)
    pages = visit(app)
    page = press(pages, pages.get(PATH), "Run now")
    assert "Queued: the check begins now." in page.main
    assert "notice-success" in page.html
    assert "Queued A run begins in a moment." in page.main
    assert "This is taking longer than usual." not in page.main
    region = next(node for node in page.root.walk() if node.get("data-live-url"))
    news = pages.client.get(region.get("data-live-url")).get_json()
    assert news["stop"] is False
    work()
    news = pages.client.get(region.get("data-live-url")).get_json()
    assert news["stop"] is True
    assert news["announce"] == "Finished. Nobody asked for it: 1 overdue."
    assert "Nobody asked for it: 1 overdue" in news["html"]


def test_a_queued_run_that_nobody_begins_leads_to_system(app: Flask) -> None:
    decided()
    pages = visit(app)
    press(pages, pages.get(PATH), "Run now")
    with writing() as current:
        current.execute(update(Task).values(created_at=utcnow() - timedelta(minutes=1)))
    page = pages.get(PATH)
    assert "This is taking longer than usual." in page.main
    assert "/settings/system" in page.links("see under System")


def test_the_run_has_a_page_of_its_own_as_all_long_work(app: Flask) -> None:
    decided()
    lent(3)
    pages = visit(app)
    press(pages, pages.get(PATH), "Run now")
    work()
    task = session().scalars(select(Task)).one()
    page = pages.get(f"/tasks/{task.public_id}")
    assert page.h1 == "Check for alerts"
    assert "1 entered." in page.main
    assert page.links("See the alerts") == ["/alerts"]


def test_the_preview_shows_what_would_fire_and_sends_nothing(app: Flask) -> None:
    decided()
    lent(3)
    with_warranty(10, name="Drill <b>")
    pages = visit(app)
    page = pages.get(f"{PATH}/preview")
    assert "2 alerts: 1 overdue, 1 warranty ends soon." in page.main
    assert "Nobody asks for it: 1 overdue, 1 warranty ends soon." in page.main
    assert "Drill <b>" in page.rows()[1][0]
    assert "Its warranty ends on" in page.rows()[1][2]
    work()
    assert (fired(), ledger()) == ([], [])
    press(pages, page, "Run now, and send them")
    work()
    assert len(fired()) == 2
    assert "Nothing would fire now" in pages.get(f"{PATH}/preview").main


def test_what_the_preview_shows_can_be_marked_instead(app: Flask) -> None:
    decided()
    lent(3)
    pages = visit(app)
    press(pages, pages.get(f"{PATH}/preview"), "Mark them as already sent")
    work()
    assert fired() == []
    assert "Nothing would fire now" in pages.get(f"{PATH}/preview").main


def test_a_run_that_is_late_shows_in_red(app: Flask) -> None:
    make_asset()
    a_run_is_missing()
    decided()
    pages = visit(app)
    assert "Alerts are late" in pages.get(PATH).main
    runs.start_due(utcnow())
    work()
    page = pages.get(PATH)
    assert "Alerts are late" not in page.main
    assert "On schedule" in page.rows()[0][0]
    assert "Nothing had become due" in page.rows()[0][2]


def test_by_the_clock_it_waits_for_the_answer_and_says_so(app: Flask) -> None:
    lent(3)
    runs.start_due(utcnow())
    page = visit(app).get(PATH)
    assert "Waits for you" in page.rows()[0][1]
    assert "Nothing was sent: 1 alert waited for a decision" in page.rows()[0][2]
    assert "1 alert is due already, and it was not sent so far." in page.main
    assert "ever looked for" not in page.main


def test_run_now_stays_where_it_is_and_says_what_it_waits_for(app: Flask) -> None:
    lent(3)
    page = visit(app).get(PATH)
    (button,) = [node for node in page.root.find_all("button") if node.text == "Run now"]
    assert button.get("disabled") is not None
    assert "Run now works once you have decided what happens to the 1 alert" in page.main


@pytest.mark.parametrize(
    ("webhooks", "before", "after"),
    [
        ([], "Nobody asks for it: 1 overdue", "Nobody asked for it: 1 overdue"),
        (["active"], "Goes to 1 webhook: 1 overdue", "Sent to 1 webhook: 1 overdue"),
        (["active"] * 2, "Goes to 2 webhooks: 1 overdue", "Sent to 2 webhooks: 1 overdue"),
        (["off"], "Held for 1 webhook that is off: 1", "Held for 1 webhook that is off: 1"),
        (
            ["active", "off", "off"],
            "Goes to 1 webhook, held for 2 that are off: 1 overdue",
            "Sent to 1 webhook, held for 2 that are off: 1 overdue",
        ),
    ],
)
def test_a_run_says_who_heard_and_its_preview_who_would(
    app: Flask, webhooks: list[str], before: str, after: str
) -> None:
    decided()
    lent(3)
    for state in webhooks:
        make_webhook(events=["alert.checkout_overdue"], state=state)
    pages = visit(app)
    assert before in pages.get(f"{PATH}/preview").main
    runs.run(RunKind.MANUAL)
    assert after in pages.get(PATH).rows()[0][2]


def test_a_run_of_an_earlier_version_claims_nothing(app: Flask) -> None:
    decided()
    lent(3)
    runs.run(RunKind.MANUAL)
    with writing() as current:
        current.execute(update(AlertRun).values(audiences={}))
    assert visit(app).get(PATH).rows()[0][2] == "1 overdue"


@pytest.mark.parametrize("role", ["manager", "support"])
def test_it_is_for_administrators(app: Flask, role: str) -> None:
    pages = visit(app, role)
    assert pages.get(PATH).status == 403
    assert pages.get("/alerts").links("Alert settings") == []


def test_a_run_that_failed_or_was_stopped_says_so(app: Flask) -> None:
    decided()
    runs.run(RunKind.MANUAL)
    for outcome, word in (("failed", "Failed"), ("stopped", "Stopped")):
        with writing() as current:
            current.execute(update(AlertRun).values(outcome=outcome))
        assert word in visit(app).get(PATH).rows()[0][1]
