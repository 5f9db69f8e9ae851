"""The start page tells everyone if the system is running, from the same checks as `/readyz`."""

from datetime import timedelta

from flask import Flask
from sqlalchemy import update

from portal.lib.clock import utcnow
from portal.models.operations import Process
from portal.queue.names import DELIVERIES
from portal.services.core import heartbeats
from portal.services.core.unit_of_work import writing
from portal.services.operations import sending
from portal.services.outbox.connectivity import NO_RECEIVER
from tests.support.deliveries import fail, make_attempt, make_delivery
from tests.support.factories import make_user, make_webhook
from tests.support.heartbeats import record_own
from tests.web.signed_in import visit

SENDING = "Server working normally"


def test_everyone_sees_if_the_portal_sends(app: Flask) -> None:
    make_user("admin", name="Ada Admin")
    make_delivery(status="delivered")
    erp = make_webhook(name="Sync to ERP")
    make_delivery(erp, status="failed", reason="server", code=500, tries=10)
    sam, ada = visit(app, "support"), visit(app, "admin")
    page = sam.get("/")
    problem = "We can’t send deliveries because no delivery worker is running."
    assert problem in page.main
    # This comes before failed deliveries, because none arrives until it is fixed.
    assert page.main.index(problem) < page.main.index("Sync to ERP")
    assert "(Ada Admin" in page.main
    assert f"What happened: {problem}" in page.main
    assert SENDING not in page.main
    assert sam.get("/readyz").status == 503
    assert ada.get("/").links("View System") == ["/settings/system"]

    record_own(heartbeats.worker_of(DELIVERIES))
    page = sam.get("/")
    assert SENDING in page.main
    assert "can’t send deliveries" not in page.main
    assert ada.get("/").links(SENDING) == ["/settings/system"]
    assert page.links(SENDING) == ["/help/running#system"]


def test_unreachable_receivers_are_named_on_overview_and_system(app: Flask) -> None:
    make_webhook("https://erp.example.com/hook")
    make_webhook("https://hr.example.com/hook")
    make_webhook("https://old.example.com/hook", state="off")
    make_delivery(make_webhook("", kind="inbox"), status="delivered")
    record_own(heartbeats.worker_of(DELIVERIES))
    ada = visit(app, "admin")
    for hosts in ("erp.example.com", "erp.example.com hr.example.com"):
        with writing() as current:
            row = update(Process).where(Process.kind == heartbeats.worker_of(DELIVERIES))
            current.execute(row.values(offline_since=utcnow(), offline_hosts=hosts))
        page = ada.get("/")
        assert SENDING not in page.main
        assert "No problems" not in page.main
        for shown in (page, ada.get("/settings/system")):
            assert (NO_RECEIVER in shown.text) is ("hr" in hosts), (shown.path, hosts)
            assert ("hasn’t been able to connect to erp.example.com since" in shown.text) is (
                "hr" not in hosts
            )
        assert "Server working normally." not in ada.get("/settings/system").main


def failing(reason: str, code: int | None = None) -> None:
    make_delivery(make_webhook(), status="failed", reason=reason, code=code, tries=3)


def test_receivers_or_this_server_are_blamed_as_far_as_checked(
    app: Flask,
) -> None:
    record_own(heartbeats.worker_of(DELIVERIES))
    record_own(heartbeats.MAINTENANCE)
    pages, system = visit(app, "support"), visit(app, "admin")
    failing("server", 500)
    for words, act in (
        (
            "1 webhook has problems because of the receiver. The receiver returned an error.",
            lambda: failing("refused"),
        ),
        (
            "1 webhook has problems because of the receiver. The receiver returned an error. "
            "1 webhook gets no response. No other receiver responded in the last hour, so the "
            "cause could be the receiver or this server.",
            lambda: make_webhook(last_delivered_at=utcnow() - timedelta(minutes=70)),
        ),
        ("so the cause could be", lambda: make_webhook(kind="inbox", last_delivered_at=utcnow())),
        (
            "so the cause could be",
            lambda: make_webhook(last_delivered_at=utcnow() - timedelta(minutes=5)),
        ),
        (
            "This server delivered to another receiver in the last hour. 2 webhooks have problems "
            "because of the receiver. 1 receiver returned an error and 1 didn’t respond.",
            lambda: failing("auth", 401),
        ),
        (
            "1 didn’t respond. 1 webhook has problems because of its settings, such as the URL or "
            "a header.",
            lambda: failing("internal"),
        ),
        (
            "or a header. 1 webhook has problems because of an error in this portal.",
            lambda: sending.stop(make_user("admin").actor),
        ),
    ):
        for page in (pages.get("/"), system.get("/settings/system")):
            assert words in page.main, page.path
        act()
    assert "because of the receiver" not in pages.get("/").main, "nothing is sent"


def test_an_error_response_proves_that_this_server_reaches_receivers(app: Flask) -> None:
    record_own(heartbeats.worker_of(DELIVERIES))
    pages = visit(app, "support")
    silent, other = make_webhook(), make_webhook()
    make_delivery(silent, status="failed", reason="refused", tries=3)
    for hook, minutes, code, is_known in (
        (other, 10, None, False),
        (other, 70, 500, False),
        (silent, 10, 500, False),
        (other, 10, 500, True),
    ):
        at = utcnow() - timedelta(minutes=minutes)
        made = make_delivery(hook, status="dismissed")
        make_attempt(made, reason="server", code=code, started_at=at, finished_at=at)
        page = pages.get("/")
        assert ("the cause could be" not in page.main) is is_known, (minutes, code)
    for _ in range(201):
        make_attempt(make_delivery(silent, status="dismissed"), reason="refused")
    page = pages.get("/")
    assert (
        "This server got responses from other receivers in the last hour. 1 webhook has "
        "problems because of the receiver. The receiver didn’t respond."
    ) in page.main


def test_failures_from_before_a_change_of_the_webhook_blame_no_one(app: Flask) -> None:
    record_own(heartbeats.worker_of(DELIVERIES))
    hook = make_webhook(changed_at=utcnow(), last_delivered_at=utcnow())
    fail(hook, failing_since=utcnow() - timedelta(hours=1))
    main = visit(app, "support").get("/").main
    assert "Settings changed at" in main
    assert "gets no response" not in main


def test_the_search_above_every_page_also_finds_help(app: Flask) -> None:
    pages = visit(app, "support")
    page = pages.get("/find?q=system")
    assert page.h1 == "Results for “system”"
    assert page.links("Is the system running?")
    assert pages.get("/find?q=422").links("422: Content not accepted")
    page = pages.get("/find?q=zzzzqq")
    assert page.h1 == "No results for “zzzzqq”"
