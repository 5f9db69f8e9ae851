"""New people choose their time zone. A script suggests that of the browser."""

import pytest
from flask import Flask
from sqlalchemy import select

from portal.models.people import Role, User
from portal.services.core.unit_of_work import session
from portal.services.people import invitations, one_time_links
from portal.web.people.forms import zone_choices
from tests.support.factories import make_user
from tests.support.pages import Page, Pages

HERE = "http://127.0.0.1:9"


@pytest.fixture
def setup_path(app: Flask) -> str:
    return (one_time_links.setup_link() or "").removeprefix(HERE)


def invitation_path() -> str:
    ana = make_user(name="Ana")
    link = invitations.invitation_link(ana.actor, "ben@example.com", Role.SUPPORT)
    return link.removeprefix(HERE)


def join(app: Flask, path: str, **typed: str) -> Page:
    pages = Pages(app)
    form = pages.get(path).form()
    values = {"name": "Ben", "password": "three plain words and one more", **typed}
    return pages.submit(form, **values)


def zone_of(email: str) -> str | None:
    session().rollback()
    return session().scalar(select(User.time_zone).where(User.email == email))


def test_the_first_administrator_chooses_a_time_zone_at_setup(app: Flask, setup_path: str) -> None:
    page = join(app, setup_path, email="ana@example.com", time_zone="Europe/Vienna")
    assert "All times are Europe/Vienna" in page.text
    assert zone_of("ana@example.com") == "Europe/Vienna"


def test_an_invited_person_chooses_a_time_zone(app: Flask) -> None:
    join(app, invitation_path(), time_zone="America/Lima")
    assert zone_of("ben@example.com") == "America/Lima"


def test_an_unknown_time_zone_is_refused_and_no_one_joins(app: Flask, setup_path: str) -> None:
    for zone in ("Mars/Base", "../etc/passwd", "x" * 5000):
        page = join(app, setup_path, email="ana@example.com", time_zone=zone)
        assert (page.status >= 400, page.wrong) == (True, ["time_zone"])
    assert zone_of("ana@example.com") is None
    assert Pages(app).get(setup_path).status == 200  # the link still works


def test_each_region_lists_its_time_zones_sorted_by_city() -> None:
    choices = zone_choices("Europe/Vienna")
    regions = "Africa America Antarctica Arctic Asia Atlantic Australia Europe Indian Pacific"
    assert list(choices) == ["This portal", "UTC", *regions.split()]
    assert list(choices["This portal"].values()) == ["Same as the portal (Europe/Vienna)"]
    assert choices["UTC"] == {"UTC": "UTC"}
    for zones in choices.values():
        assert list(zones.values()) == sorted(zones.values())
    cities = list(choices["America"].values())
    salta, new_york = cities.index("Salta, Argentina"), cities.index("New York")
    assert new_york < salta  # though “Argentina/Salta” comes before “New_York”
