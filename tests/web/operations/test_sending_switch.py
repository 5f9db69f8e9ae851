"""Pausing all sending on pages: confirmed first, shown to everyone, with retries refused."""

from datetime import timedelta

from flask import Flask

from portal.lib.clock import utcnow
from portal.models.deliveries import Priority
from portal.queue.names import DELIVERIES
from portal.services.core import heartbeats
from tests.support.deliveries import make_attempt, make_delivery
from tests.support.factories import make_user, make_webhook
from tests.support.heartbeats import record_own
from tests.web.signed_in import signed_in, visit

STOP = "/settings/system/stop-sending"
SINCE = "paused all sending on "


def test_paused_sending_is_shown_to_everyone_until_it_resumes(app: Flask) -> None:
    ada, sam = signed_in(app, make_user(name="Ada Admin")), visit(app, "support")
    hook = make_webhook()
    failed = make_delivery(hook, status="failed", reason="server")
    waiting = make_delivery(hook)
    before = sam.get("/deliveries").form(f"/deliveries/{failed}/retry")
    ada.get("/settings/system")
    asked = ada.follow("Pause all sending")
    assert "emails" not in asked.main  # no mail server is set up
    assert SINCE not in ada.get("/").text
    stopped = ada.submit(asked.form(STOP))
    assert stopped.path == "/settings/system"
    assert stopped.tone == "success"
    assert "Ada Admin paused all sending on " in stopped.main
    assert stopped.main.index("Resume sending") < stopped.main.index("Processes")
    assert "Pause all sending" not in stopped.main
    assert "sending, pages and database" not in ada.get("/").main
    assert ada.get(STOP).status == 200

    for path in ("/", "/deliveries", "/settings/webhooks", "/assets", "/alerts"):
        line = sam.get(path).text
        assert SINCE in line
        assert f"Ada Admin {SINCE}" in line
        assert "Resume sending under System" in ada.get(path).text
    page = sam.get(f"/deliveries/{waiting}")
    assert SINCE in page.main
    assert "data-live-url" not in page.html
    assert "taking longer than usual" not in page.main
    assert sam.submit(before).tone != "success"

    started = ada.submit(ada.get("/settings/system").form("/settings/system/start-sending"))
    assert started.path == "/settings/system"
    assert SINCE not in sam.get("/deliveries").text


def test_only_waiting_deliveries_say_that_sending_is_paused(app: Flask) -> None:
    ada, hook = visit(app), make_webhook()
    off = make_webhook(state="off")
    asked = {"prior_status": "failed", "requested_by": "Ana", "priority": Priority.INTERACTIVE}
    deliveries = [
        make_delivery(hook, status="retrying", tries=1, reason="server", code=500),
        make_delivery(hook, **asked),
        make_delivery(hook, status="failed", reason="server"),
        make_delivery(off, status="on_hold"),
    ]
    ada.submit(ada.get(STOP).form(STOP))
    pages = [ada.get(f"/deliveries/{each}").main for each in deliveries]
    assert [SINCE in each for each in pages] == [True, True, False, False]
    assert "When sending resumes" in pages[0]


def test_pages_offer_no_retry_and_promise_no_time_while_paused(app: Flask) -> None:
    sam, ada, hook = visit(app, "support"), visit(app), make_webhook(failures_in_row=3)
    make_delivery(hook, status="failed", reason="server")
    at = utcnow() + timedelta(hours=1)
    waits = make_delivery(hook, status="retrying", tries=3, reason="server", code=500, due_at=at)
    make_attempt(waits, reason="server", code=500)
    paths = ("/", "/deliveries", f"/settings/webhooks/{hook.public_id}")
    assert all("Retry" in sam.get(path).main for path in paths[:2])
    assert "The next attempt is in" in sam.get(paths[2]).main
    ada.submit(ada.get(STOP).form(STOP))
    start, log, webhook = (sam.get(path).main for path in paths)
    assert "Retry" not in start
    assert not any(label in log for label in ("Retry all", "Retry 1"))
    assert "When sending resumes" in log
    assert "When sending resumes" in start
    assert "next attempt is" not in webhook
    assert not any("Send test" in main for main in (webhook, log))
    assert "Test webhook" not in ada.get("/settings/webhooks").main
    page = sam.get(f"/deliveries/{waits}").main
    assert "Next attempt When sending resumes" in page


def test_the_start_page_reports_no_normal_operation_while_paused(app: Flask) -> None:
    ada = visit(app)
    make_delivery(status="delivered")
    record_own(heartbeats.worker_of(DELIVERIES))
    well = ("Server working normally", "No problems")
    assert all(words in ada.get("/").main for words in well)
    ada.submit(ada.get(STOP).form(STOP))
    assert not any(words in ada.get("/").main for words in well)
