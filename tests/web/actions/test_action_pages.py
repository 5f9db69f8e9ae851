"""The pages of actions: guards, refusals with the way out, what was typed, double submits."""

import re
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from portal.lib.clock import utcnow
from portal.models.deliveries import Event
from portal.services.actions import assignments, lifecycle
from portal.services.core.permissions import SYSTEM
from portal.services.core.unit_of_work import session
from tests.services.actions.every_action import in_days
from tests.services.actions.plan_examples import make_maintenance, make_reservation
from tests.support.factories import make_asset, make_location, make_staff, make_webhook
from tests.support.pages import Pages
from tests.web.signed_in import visit


@pytest.fixture
def pages(app: Flask) -> Pages:
    """A manager at the browser."""
    return visit(app, "manager")


def told() -> list[str]:
    """The events stored, the first apart, which told of the asset itself."""
    session().rollback()
    return list(session().scalars(select(Event.event).order_by(Event.id)).all())[1:]


def test_it_allocates_and_says_who_has_it(pages: Pages) -> None:
    asset_id, maria = make_asset(), make_staff("Maria Lopez")
    make_webhook(events=["asset.allocated"])
    page = pages.get(f"/assets/{asset_id}/allocate")
    assert "This will notify 1 webhook." in page.main
    page = pages.submit(page.form(), staff_id=maria, note="With charger")
    assert page.path == f"/assets/{asset_id}"
    assert "AST-00001 is now with Maria Lopez." in page.text
    assert told() == ["asset.allocated"]


@pytest.mark.parametrize("action", ["liquidate", "report-lost"])
def test_it_names_what_is_cancelled_with_it_before_and_afterwards(
    pages: Pages, action: str
) -> None:
    asset_id, maria = make_asset(), make_staff("Maria Lopez")
    path = f"/assets/{asset_id}/{action}"
    assert "This cancels" not in pages.get(path).main
    make_reservation(asset_id, maria, 24, 48)
    make_maintenance(asset_id, title="Yearly test")
    page = pages.get(path)
    assert "This cancels the reservation of Maria Lopez, " in page.main
    assert "the maintenance “Yearly test”, due on " in page.main
    filled = {"method": "scrapped"} if action == "liquidate" else {"description": "Gone"}
    pages.submit(page.form(path), **filled)
    main = pages.get(f"/assets/{asset_id}/timeline").main
    assert "Cancelled with it: 1 reservation, 1 maintenance job" in main
    main = pages.get(f"/assets/{asset_id}/reservations").main
    assert "Ended, rejected and cancelled reservations" in main
    assert "Cancelled" in main


def test_a_form_sent_twice_acts_once(pages: Pages) -> None:
    asset_id, maria = make_asset(), make_staff()
    form = pages.get(f"/assets/{asset_id}/allocate").form()
    for _ in range(2):
        page = pages.submit(form, staff_id=maria)
        assert (page.status, page.path) == (200, f"/assets/{asset_id}")
    assert told() == ["asset.allocated"]


def test_it_asks_for_what_is_missing_and_keeps_what_was_typed(pages: Pages) -> None:
    asset_id = make_asset()
    page = pages.get(f"/assets/{asset_id}/check-out")
    page = pages.submit(page.form(), purpose="Trade fair", due="other")
    assert page.status == 400
    assert page.errors == ["Choose who borrows it", "Enter when it is due back"]
    assert page.form().fields["purpose"] == ["Trade fair"]


def test_a_time_that_is_over_is_refused_at_its_field(pages: Pages) -> None:
    asset_id, maria = make_asset(), make_staff()
    page = pages.get(f"/assets/{asset_id}/check-out")
    page = pages.submit(page.form(), staff_id=maria, due="other", due_at=in_days(-1))
    assert (page.status, page.errors) == (400, ["Choose a return time in the future"])
    assert told() == []


def test_a_page_for_what_is_not_legal_says_why_and_what_to_do(pages: Pages) -> None:
    asset_id, maria = make_asset(), make_staff("Maria")
    assignments.allocate(SYSTEM, asset_id, staff_id=maria)
    page = pages.get(f"/assets/{asset_id}/check-in")
    assert page.status == 409
    assert "AST-00001 is given to Maria. Take it back instead." in page.text


def test_whoever_comes_second_reads_why(pages: Pages) -> None:
    asset_id, maria, ben = make_asset(), make_staff("Maria Lopez"), make_staff("Ben")
    form = pages.get(f"/assets/{asset_id}/allocate").form()
    assignments.allocate(SYSTEM, asset_id, staff_id=maria)
    page = pages.submit(form, staff_id=ben)
    way_out = "AST-00001 is given to Maria Lopez. Take it back first, or pass it on"
    assert (page.status, page.errors) == (409, [way_out])
    assert told() == ["asset.allocated"]


def test_a_due_date_saved_as_it_was_notifies_nobody(pages: Pages) -> None:
    asset_id, maria = make_asset(), make_staff()
    due_at = (utcnow() + timedelta(days=3)).replace(second=0, microsecond=0)
    assignments.check_out(SYSTEM, asset_id, staff_id=maria, due_at=due_at)
    page = pages.get(f"/assets/{asset_id}/change-due-date")
    page = pages.submit(page.form())
    assert "Nothing was changed, so nobody was notified." in page.text
    assert told() == ["asset.checked_out"]
    assert lifecycle.find_asset(asset_id).version == 2


@pytest.mark.parametrize(
    ("typed", "error"),
    [
        ("2030-02-31T09:00", "as a date that exists: there is no 31 February 2030"),
        ("31.02.2030 09:00", "as a date that exists: there is no 31 February 2030"),
        ("31.02.", "as a date that exists: there is no 31 February"),
        ("tomorrow", "as date and time, such as 2026-05-03 09:00"),
        ("03.05.2030 25:00", "as date and time, such as 2026-05-03 09:00"),
    ],
)
def test_a_day_that_no_calendar_has_is_told_from_what_is_no_time(
    pages: Pages, typed: str, error: str
) -> None:
    page = pages.get(f"/assets/{make_asset()}/check-out")
    page = pages.submit(page.form(), staff_id=make_staff(), due="other", due_at=typed)
    assert len(page.errors) == 1
    assert page.errors[0].endswith(error)


def test_a_time_may_be_typed_with_the_day_first(pages: Pages) -> None:
    asset_id = make_asset()
    page = pages.get(f"/assets/{asset_id}/check-out")
    values = {"due": "other", "due_at": "03.05.2030 09:00"}
    page = pages.submit(page.form(), staff_id=make_staff(), **values)
    since = r"With Maria Lopez since \d+ \w+ \d\d:\d\d, until 3 May 2030 09:00\."
    assert re.search(since, page.main)
    assert page.html.count("<time", 0, page.html.index("3 May 2030 09:00")) >= 2


def test_with_one_location_there_is_nowhere_to_move_to_and_it_says_who_adds_one(
    pages: Pages,
) -> None:
    here = make_location("Store")
    asset_id, loose = make_asset(location_id=here), make_asset()
    page = pages.get(f"/assets/{asset_id}")
    assert page.links("Transfer") == []
    assert "It is at the only location that there is." in page.main
    page = pages.get(f"/assets/{asset_id}/transfer")
    assert page.status == 409
    assert page.links("Add a location") == ["/locations/new"]
    assert pages.get(f"/assets/{loose}/transfer").status == 200
    make_location("Studio")
    assert pages.get(f"/assets/{asset_id}").links("Transfer") == [f"/assets/{asset_id}/transfer"]


def test_without_any_location_there_is_nowhere_to_move_to(pages: Pages) -> None:
    page = pages.get(f"/assets/{make_asset()}")
    assert "It has no location to go to." in page.main
