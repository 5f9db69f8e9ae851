"""Times at the ends of the calendar are taken, or refused with the days that we take."""

from datetime import datetime
from io import BytesIO
from itertools import product
from uuid import uuid4

import pytest
from flask import Flask

from portal.lib.dates import FIRST_DAY, IN_CALENDAR, LAST_DAY, is_in_calendar
from portal.lib.paging import Cursor
from tests.api.client import program
from tests.services.alerts.due_things import work
from tests.support.deliveries import make_delivery
from tests.support.factories import make_asset, make_staff
from tests.web.signed_in import visit

pytestmark = pytest.mark.both_databases

OFFSETS = ("Z", "+14:00", "-12:00", "+23:59", "-23:59")
ENDS = [
    f"{at}{offset}"
    for at in (
        "0001-01-01T00:00:00",
        "1899-12-31T23:59:59",
        "1900-01-01T00:00:00",
        "1970-01-01T00:00:00",
        "2200-12-31T23:59:59",
        "2201-01-01T00:00:00",
        "9999-12-31T23:59:59.999999",
    )
    for offset in OFFSETS
]
FILTERS = ("since", "until", "failed_since", "failed_until")
ZONES = ("Pacific/Kiritimati", "Etc/GMT+12")


def is_taken(at: str) -> bool:
    return is_in_calendar(datetime.fromisoformat(at))


def test_programs_can_filter_by_every_time_that_we_take(app: Flask) -> None:
    client = program(app)
    make_delivery()
    for at, (path, name) in product(ENDS, product(("/deliveries", "/retries"), FILTERS)):
        answer = client.get(path, query_string={name: at})
        if is_taken(at):
            assert answer.status_code == 200, (path, name, at)
        else:
            expected = {"field": name, "detail": f"Write a time {IN_CALENDAR}"}
            assert (answer.status_code, answer.json["errors"]) == (422, [expected]), at


def test_cursors_with_any_time_are_read_or_refused(app: Flask) -> None:
    client, pages = program(app), visit(app)
    make_delivery()
    for at in ENDS:
        feed = Cursor((1, str(uuid4()), at)).encode()
        assert client.get("/events", query_string={"after": feed}).status_code in (200, 400, 410)
        for path in ("/deliveries", "/reservations", "/maintenance", "/alerts"):
            for key in ((at, 1), (at[:10], 1), (0, at, 1)):
                cursor = Cursor(key).encode()
                page = pages.client.get(path, query_string={"cursor": cursor})
                assert page.status_code < 500, (path, at)


@pytest.mark.parametrize("zone", ZONES)
def test_the_first_and_the_last_time_are_shown_in_every_zone(app: Flask, zone: str) -> None:
    client, pages = program(app), visit(app, time_zone=zone)
    lent, lost, planned = make_asset(), make_asset(), make_asset()
    last, first = f"{LAST_DAY}T23:59:59-23:59", f"{FIRST_DAY}T00:00:00+23:59"
    for asset, action, body in (
        (lent, "check-out", {"staff_id": make_staff(), "due_at": last}),
        (lost, "report-lost", {"description": "Gone", "lost_at": first}),
        (planned, "reserve", {"staff_id": make_staff(), "starts_at": first, "ends_at": last}),
        (planned, "schedule-maintenance", {"title": "Clean", "due_on": f"{LAST_DAY}"}),
    ):
        done = client.ask("POST", f"/assets/{asset}/actions/{action}", json=body)
        assert done.status_code in (200, 201), (action, done.text)
    days = {"purchase_date": f"{FIRST_DAY}", "warranty_expires": f"{LAST_DAY}"}
    client.done("PATCH", f"/assets/{planned}", json=days)
    for asset in (lent, lost, planned):
        for tab in ("", "/timeline", "/reservations", "/maintenance", "/edit"):
            assert pages.get(f"/assets/{asset}{tab}").status == 200, tab
    for path in ("/", "/assets", "/reservations", "/maintenance", "/assets/export.csv", "/alerts"):
        assert pages.get(path).status == 200, path


@pytest.mark.parametrize("zone", ZONES)
def test_a_typed_time_outside_is_refused_with_the_days_that_we_take(app: Flask, zone: str) -> None:
    pages, asset, staff = visit(app, time_zone=zone), make_asset(), make_staff()
    form = pages.get(f"/assets/{asset}/check-out").form()
    for typed in ("0001-01-01T00:00", "1899-12-31T23:59", "2201-01-01T00:00", "9999-12-31T23:59"):
        page = pages.submit(form, "Check out", staff_id=staff, due="other", due_at=typed)
        assert (page.status, IN_CALENDAR in page.errors[0]) == (400, True), typed
        for path in ("/deliveries", "/settings/audit"):
            page = pages.get(f"{path}?since={typed[:10]}")
            assert (page.status, IN_CALENDAR in page.errors[0]) == (400, True), typed


def test_an_import_refuses_days_outside_with_the_days_that_we_take(app: Flask) -> None:
    pages = visit(app)
    days = ("0001-01-01", "1899-12-31", "2201-01-01", "9999-12-31")
    sheet = "name,purchase_date\n" + "".join(f"Pump,{day}\n" for day in days)
    form = pages.get("/assets/import").form("/assets/import")
    pages.submit(form, file=(BytesIO(sheet.encode()), "a.csv"))
    work()
    page = pages.get(pages.page.path)
    assert page.main.count(f"Enter the purchase date as a day {IN_CALENDAR}") == len(days)
