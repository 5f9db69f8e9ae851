"""Bulk retry through its pages, from the selection to the report."""

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from portal.lib.clock import utcnow
from portal.models.tasks import Task, TaskState
from portal.services.core.unit_of_work import session, writing
from portal.services.deliveries import bulk_retry
from portal.services.deliveries.bulk_retry_selection import Selection
from tests.services.bulk_retry.test_bulk_retry import finish, some, work
from tests.support.deliveries import lease, make_attempt, make_delivery, stored
from tests.support.factories import make_user, make_webhook
from tests.support.pages import Page, Pages
from tests.web.signed_in import signed_in, visit


def confirm(pages: Pages, query: str, **values: Any) -> Page:
    """Open the question and confirm it."""
    page = pages.get(f"/deliveries/retry?{query}")
    return pages.submit(page.form(), **values)


def report(pages: Pages, path: str) -> list[list[str]]:
    text = pages.client.get(f"{path}/report.csv", buffered=True).text
    return list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))


def test_the_log_offers_selection_and_retry_of_all_matches(support: Pages) -> None:
    made = make_delivery(status="failed")
    page = support.get("/deliveries?status=failed")
    buttons = page.form("/deliveries/retry").buttons
    assert buttons == ["Retry", "Dismiss", "Export", "Clear selection"]
    assert f'form="selected" name="delivery" value="{made}"' in page.html
    assert page.links("Retry 1") == ["/deliveries/retry?status=failed&all=1"]
    hook = make_webhook(name="Helpdesk")
    make_delivery(hook, status="failed")
    asked = f"/deliveries/retry?status=failed&webhook={hook.public_id}&all=1"
    (back,) = support.get(asked).links("Helpdesk")
    assert support.get(back).h1 == "Helpdesk"
    # A bulk retry doesn't send queued deliveries.
    make_delivery()
    buttons = support.get("/deliveries?status=queued").form("/deliveries/retry").buttons
    assert buttons == ["Dismiss", "Export", "Clear selection"]


def test_a_role_without_permission_to_retry_is_offered_none(app: Flask) -> None:
    make_delivery(status="failed")
    pages = visit(app, "manager")
    page = pages.get("/deliveries?status=failed")
    assert page.form("/deliveries/retry").buttons == ["Export", "Clear selection"]
    assert page.links("Retry all") == []
    assert pages.client.get("/deliveries/retry?all=1").status_code == 403


def test_an_empty_selection_leads_back_and_says_so(support: Pages) -> None:
    page = support.get("/deliveries/retry")
    assert (page.path, [tone for tone, _ in page.flashes]) == ("/deliveries", ["info"])


def test_the_question_counts_deliveries_and_names_excluded_ones(support: Pages) -> None:
    erp, off = make_webhook(name="Sync to ERP"), make_webhook(state="off")
    some(2, erp, reason="server", code=500)
    make_delivery(erp, status="delivered")
    make_delivery(off, status="failed")
    page = support.get("/deliveries/retry?all=1")
    assert page.h1 == "Retry 2 deliveries to Sync to ERP?"
    assert [row[0] for row in page.rows()] == ["Server error (500)"]
    assert "1 already delivered" in page.main
    assert "1 for a deleted or turned-off webhook" in page.main
    some(1, make_webhook(name="Door"), reason="dns")
    page = support.get("/deliveries/retry?all=1")
    assert page.h1 == "Retry 3 deliveries to 2 webhooks?"
    assert page.rows()[:2] == [["Sync to ERP", "2"], ["Door", "1"]]


def test_the_page_names_deliveries_excluded_at_the_start(support: Pages) -> None:
    made = some(3, make_webhook(name="Sync to ERP"), status="retrying")
    page = support.get("/deliveries/retry?all=1")
    lease(made[0])
    page = support.submit(page.form())
    assert page.h1 == "Bulk retry of 2 deliveries to Sync to ERP"
    assert "Not included: 1 being sent now." in page.main


def test_the_question_warns_about_in_order_webhooks(support: Pages) -> None:
    some(1, make_webhook(name="Sync to ERP", in_order=True))
    some(1, make_webhook(name="Helpdesk"))
    words = "retried deliveries can arrive out of order: Sync to ERP"
    assert words in support.get("/deliveries/retry?all=1").main
    unordered = make_delivery(make_webhook(), status="failed")
    assert "out of order" not in support.get(f"/deliveries/retry?delivery={unordered}").main


def test_a_form_submitted_twice_starts_one_bulk_retry(support: Pages) -> None:
    made = make_delivery(status="failed")
    form = support.get(f"/deliveries/retry?delivery={made}").form()
    first, second = support.submit(form), support.submit(form)
    assert first.path == second.path
    assert first.path.startswith("/batches/")
    assert session().execute(select(func.count(Task.id))).scalar_one() == 1


def test_delivered_ones_are_resent_among_others_only_on_request(support: Pages) -> None:
    made = make_delivery(status="delivered")
    make_attempt(made, outcome="delivered")
    (failed,) = some(1, make_webhook())
    confirm(support, f"delivery={made}&delivery={failed}")
    work()
    assert (stored(made)["prior_status"], stored(failed)["prior_status"]) == (None, "failed")
    (failed,) = some(1, make_webhook())
    confirm(support, f"delivery={made}&delivery={failed}", again="y")
    work()
    assert stored(made)["prior_status"] == "delivered"


def test_the_page_shows_progress_undelivered_ones_and_the_report(support: Pages) -> None:
    made = some(3, make_webhook(name="=ERP"), reason="server", code=500)
    page = confirm(support, "all=1")
    assert page.h1 == "Bulk retry of 3 deliveries to =ERP"
    assert page.here == ["Deliveries 3 undelivered"]
    work()
    finish(made[0], "delivered")
    finish(made[1], "failed")
    work()
    page = support.get(page.path)
    assert "1 delivered, 1 failed, 1 left" in page.main
    bar = [node.get("width") for node in page.root.find_all("rect")]
    assert bar == ["100", "33.33", "33.33"]
    assert [row[2:] for row in page.rows()] == [["Attempt failed", "Server error (500)"]]
    stop = page.form(f"{page.path}/stop")
    page = support.submit(stop)
    assert page.flashes == [("success", "Stopped.")]
    assert "1 delivered, 1 failed, 1 not sent" in page.main
    lines = report(support, page.path)
    assert [line[1] for line in lines] == [
        "outcome",
        "Delivered",
        "Attempt failed",
        "Not sent",
    ]
    assert lines[1][8] == "'=ERP"
    news = support.client.get(f"{page.path}/live").get_json()
    assert (news["stop"], news["announce"].startswith("Stopped. 1 delivered")) == (True, True)
    ((tone, words),) = support.submit(stop).flashes
    assert (tone, "already ended" in words) == ("info", True)


def test_a_bulk_retry_with_failures_has_a_warning_tag(support: Pages) -> None:
    made = some(2, make_webhook(), reason="server", code=500)
    page = confirm(support, "all=1")
    work()
    finish(made[0], "delivered")
    finish(made[1], "failed")
    work()
    page = support.get(page.path)
    assert "1 delivered, 1 failed" in page.main
    assert ("tag-warning" in page.html, "tag-success" in page.html) == (True, False)


def test_ten_failures_in_a_row_pause_a_webhook_until_someone_resumes(
    app: Flask, support: Pages
) -> None:
    made = some(12, make_webhook(name="Sync to ERP"))
    path = confirm(support, "status=failed&all=1").path
    work()
    for delivery in made[:10]:
        finish(delivery, "failed")
    work()
    page = support.get(path)
    assert "10 deliveries to Sync to ERP failed in a row." in page.main
    assert "The other 2 won’t be sent until someone selects Resume." in page.main
    ana = signed_in(app, make_user(name="Ana Gruber"))
    go_on = ana.get(f"{path}/go-on").form(f"{path}/go-on")
    page = ana.submit(go_on)
    assert page.flashes == [("success", "Bulk retry resumed.")]
    work()
    assert stored(made[11])["prior_status"] == "failed"
    # The person who resumes it becomes its owner.
    assert stored(made[11])["requested_by"] == "Ana Gruber"
    assert "Resumed by Ana Gruber" in page.main
    assert "In Ana Gruber’s bulk retry" in support.get(f"/deliveries/{made[11]}").main
    assert "In your bulk retry" in ana.get("/deliveries").main


@pytest.mark.parametrize(
    ("pace", "left"), [("ten_seconds", "About 20 seconds left."), ("fast", "")]
)
def test_the_time_left_follows_the_pace_and_ignores_pauses(
    support: Pages, pace: str, left: str
) -> None:
    some(3, make_webhook())
    path = confirm(support, "all=1", pace=pace).path
    with writing() as current:
        task = current.scalars(select(Task)).one()
        task.state, task.done = TaskState.RUNNING, 1
        task.started_at = utcnow() - timedelta(hours=1)
        task.cursor = {**task.cursor, "sender": 1}
    page = support.get(path).main
    assert left in page
    assert (" left." in page) is bool(left)


def test_the_page_explains_the_pause_of_a_receiver(support: Pages) -> None:
    for minutes, explanation in (
        (90, "asked us to wait until"),
        (4, " failed 3 times in a row. We’ll try one delivery at a time"),
    ):
        until = utcnow() + timedelta(minutes=minutes)
        hook = make_webhook(throttled=True, backoff_until=until, failures_in_row=3)
        made = make_delivery(hook, status="failed", reason="unavailable", code=503)
        batch = bulk_retry.start(make_user("support").actor, Selection(ticked=(made,)))
        work()
        page = support.get(f"/batches/{batch}")
        assert explanation in page.main
        assert "responding" not in page.main  # the receiver did respond
        assert page.links(hook.name) == [f"/settings/webhooks/{hook.public_id}"]


def test_stop_shows_stopping_while_requests_are_in_progress(support: Pages) -> None:
    made = some(2, make_webhook(), reason="server", code=500)
    page = confirm(support, "all=1")
    work()
    for delivery in made:
        lease(delivery, kind="manual")
    page = support.submit(support.get(page.path).form(f"{page.path}/stop"))
    assert page.flashes == [("success", "Stopping. Requests in progress will finish.")]
    assert ("Stopping" in page.main, "Stopped" in page.main) == (True, False)
