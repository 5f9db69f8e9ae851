"""Due dates of loans: a few times as chips in the person's time zone, or any other time."""

from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal.models.assignments import Assignment
from portal.services.actions import assignments
from portal.services.core.permissions import SYSTEM
from portal.services.core.unit_of_work import session, writing
from portal.web.actions import assignment_pages
from tests.support.factories import make_asset, make_staff
from tests.support.pages import Page
from tests.web.signed_in import visit

VIENNA = "Europe/Vienna"


@pytest.fixture
def noon(monkeypatch: pytest.MonkeyPatch) -> datetime:
    """Stop the clock at noon on the Friday before the clocks in Vienna go forward."""
    now = datetime(2030, 3, 29, 11, 0, tzinfo=UTC)
    monkeypatch.setattr(assignment_pages, "utcnow", lambda: now)
    return now


def radios(page: Page) -> dict[str, tuple[str, bool]]:
    """Return each chip's label, with its value and whether it is selected."""
    pills = [node for node in page.root.find_all("label") if "pill" in node.get("class").split()]
    boxes = [(node.text, node.find_all("input")[0]) for node in pills]
    return {words: (box.get("value"), box.has("checked")) for words, box in boxes}


def due(asset_id: int) -> datetime | None:
    session().rollback()
    query = select(Assignment.due_at).where(Assignment.asset_id == asset_id)
    return session().scalar(query)


def test_chips_are_times_in_the_persons_time_zone(app: Flask, noon: datetime) -> None:
    pages = visit(app, time_zone=VIENNA)
    page = pages.get(f"/assets/{make_asset()}/check-out")
    assert radios(page) == {
        "Today 17:00": ("2030-03-29T17:00", False),
        "Tomorrow Sat, Mar 30, 17:00": ("2030-03-30T17:00", False),
        "1 week Fri, Apr 5, 17:00": ("2030-04-05T17:00", True),
        "On a date…": ("other", False),
    }


def test_today_is_the_day_in_the_persons_time_zone(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime(2030, 3, 28, 23, 30, tzinfo=UTC)
    monkeypatch.setattr(assignment_pages, "utcnow", lambda: now)
    page = visit(app, time_zone=VIENNA).get(f"/assets/{make_asset()}/check-out")
    assert radios(page)["Today 17:00"][0] == "2030-03-29T17:00"


def test_a_chip_or_another_time_sets_the_due_date(app: Flask, noon: datetime) -> None:
    pages, maria = visit(app, time_zone=VIENNA), make_staff()
    for typed, at in (
        ({"due": "2030-03-29T17:00"}, datetime(2030, 3, 29, 16, 0, tzinfo=UTC)),
        ({"due": "2030-04-05T17:00"}, datetime(2030, 4, 5, 15, 0, tzinfo=UTC)),
        # Some people write the day first.
        ({"due": "other", "due_at": "03.05.2030 09:00"}, datetime(2030, 5, 3, 7, 0, tzinfo=UTC)),
    ):
        asset_id = make_asset()
        form = pages.get(f"/assets/{asset_id}/check-out").form()
        page = pages.submit(form, "Check out", staff_id=maria, **typed)
        assert (page.path, due(asset_id)) == (f"/assets/{asset_id}", at)
    assert page.flashes == [
        ("success", "Checked out AST-00003 to Maria Lopez, due Fri, May 3, 2030, 09:00.")
    ]


def test_from_16_31_the_chip_for_today_means_the_end_of_the_day(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages, asset_id = visit(app, time_zone=VIENNA), make_asset()
    for hour, minute, first in (
        (15, 30, "Today 17:00"),
        (15, 31, "Today 23:59"),
        (22, 58, "Today 23:59"),
        (22, 59, "Tomorrow Fri, Jan 11, 17:00"),
    ):
        now = datetime(2030, 1, 10, hour, minute, tzinfo=UTC)
        monkeypatch.setattr(assignment_pages, "utcnow", lambda now=now: now)
        assert next(iter(radios(pages.get(f"/assets/{asset_id}/check-out")))) == first


def test_a_missing_unknown_or_past_due_date_is_refused(app: Flask) -> None:
    asset_id, maria = make_asset(), make_staff()
    pages = visit(app, time_zone=VIENNA)
    form = pages.get(f"/assets/{asset_id}/check-out").form()
    for values in (
        {"due": "other"},
        {"due": None},
        {"due": "soon"},
        {"due": "other", "due_at": "31.02.2030 09:00"},
        {"due": "other", "due_at": "0001-01-01T00:00"},
        {"due_at": "2031-01-01T09:00"},
        {"due": "2020-01-01T17:00"},  # from a page that stayed open overnight
    ):
        page = pages.submit(form, "Check out", staff_id=maria, **values)
        assert (page.status, page.wrong) == (400, ["due_at"]), values
    assert due(asset_id) is None


def test_the_due_date_form_starts_with_the_current_one(app: Flask, noon: datetime) -> None:
    asset_id, maria = make_asset(), make_staff()
    pages = visit(app, time_zone=VIENNA)
    form = pages.get(f"/assets/{asset_id}/check-out").form()
    pages.submit(form, "Check out", staff_id=maria, due="other", due_at="2031-01-01T09:00")
    page = pages.get(f"/assets/{asset_id}/change-due-date")
    assert radios(page)["On a date…"] == ("other", True)
    assert page.form().fields["due_at"] == ["2031-01-01T09:00"]
    # A browser without scripts also sends the current due date.
    page = pages.submit(page.form(), "Save due date", due="2030-03-30T17:00")
    assert due(asset_id) == datetime(2030, 3, 30, 16, 0, tzinfo=UTC)
    words = "AST-00001 is now due Sat, Mar 30, 2030, 17:00. It was due Wed, Jan 1, 2031, 09:00."
    assert page.flashes == [("success", words)]


def test_chips_extend_a_loan_from_its_current_due_date(app: Flask, noon: datetime) -> None:
    asset_id = make_asset()
    lend(asset_id, datetime(2030, 4, 9, 7, 0, tzinfo=UTC))
    page = visit(app, time_zone=VIENNA).get(f"/assets/{asset_id}/change-due-date")
    assert "due Tue, Apr 9, 2030, 09:00" in page.main
    assert list(radios(page).items())[:-1] == [
        ("1 day more Wed, Apr 10, 09:00", ("2030-04-10T09:00", False)),
        ("1 week more Tue, Apr 16, 09:00", ("2030-04-16T09:00", False)),
        ("4 weeks more Tue, May 7, 09:00", ("2030-05-07T09:00", False)),
    ]


def test_chips_extend_an_overdue_loan_from_today(app: Flask, noon: datetime) -> None:
    asset_id = make_asset()
    lend(asset_id, datetime(2030, 4, 9, 7, 0, tzinfo=UTC))
    with writing() as current:
        current.execute(update(Assignment).values(due_at=noon - timedelta(days=3)))
    page = visit(app, time_zone=VIENNA).get(f"/assets/{asset_id}/change-due-date")
    assert radios(page)["1 week Fri, Apr 5, 17:00"] == ("2030-04-05T17:00", False)


def lend(asset_id: int, due_at: datetime) -> None:
    assignments.check_out(SYSTEM, asset_id, staff_id=make_staff(), due_at=due_at)
