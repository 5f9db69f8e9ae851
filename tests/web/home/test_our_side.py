"""Is the system running? The start page says so to everybody, from what `/readyz` goes by."""

from flask import Flask
from sqlalchemy import update

from portal.lib.clock import utcnow
from portal.models.operations import Process
from portal.queue.names import DELIVERIES
from portal.services.core import heartbeats
from portal.services.core.unit_of_work import writing
from tests.support.deliveries import make_delivery
from tests.support.factories import make_user, make_webhook
from tests.support.heartbeats import record_own
from tests.web.signed_in import visit


def test_support_reads_on_the_start_page_whether_our_side_is_working(app: Flask) -> None:
    make_user("admin", name="Ada Admin")
    make_delivery(status="delivered")
    erp = make_webhook(name="Sync to ERP")
    make_delivery(erp, status="failed", reason="server", code=500, tries=10)
    sam, ada = visit(app, "support"), visit(app, "admin")
    page = sam.get("/")
    told = "Our side is not working: no process is sending deliveries, and what is to be sent waits"
    assert told in page.main
    # It stands before what did not arrive: nothing does until it is put right.
    assert page.main.index(told) < page.main.index("Sync to ERP")
    assert "(Ada Admin" in page.main
    assert f"What happened: {told}." in page.main
    assert sam.get("/readyz").status == 503
    assert ada.get("/").links("System")

    record_own(heartbeats.worker_of(DELIVERIES))
    page = sam.get("/")
    assert "Our side is working: sending, pages and database." in page.main
    assert "not working" not in page.main
    assert '<p class="minor">Our side' not in page.html
    assert ada.get("/").links("More under System") == ["/settings/system"]

    with writing() as current:
        row = update(Process).where(Process.kind == heartbeats.worker_of(DELIVERIES))
        current.execute(row.values(offline_since=utcnow(), offline_hosts="erp.example.com"))
    page = sam.get("/")
    assert "Our side is not working: a machine cannot connect to receivers." in page.main
    assert "cannot connect to erp.example.com since" in page.text


def test_the_search_above_every_page_finds_help_too(app: Flask) -> None:
    pages = visit(app, "support")
    page = pages.get("/find?q=system")
    assert page.h1 == "Found for “system”"
    assert page.links("Is the system running?")
    assert pages.get("/find?q=422").links("422: Content not accepted")
    page = pages.get("/find?q=zzzzqq")
    assert page.h1 == "Nothing found for “zzzzqq”"
