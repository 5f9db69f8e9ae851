"""Whoever joins says in which time zone they are; a script offers the browser's."""

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


def test_the_first_administrator_says_it_at_set_up(app: Flask, setup_path: str) -> None:
    page = join(app, setup_path, email="ana@example.com", time_zone="Europe/Vienna")
    assert "All times are Europe/Vienna" in page.text
    assert zone_of("ana@example.com") == "Europe/Vienna"


def test_whoever_is_invited_says_it_too_and_may_leave_it(app: Flask) -> None:
    join(app, invitation_path(), time_zone="America/Lima")
    assert zone_of("ben@example.com") == "America/Lima"


def test_a_zone_that_nobody_knows_is_refused_and_nobody_joins(app: Flask, setup_path: str) -> None:
    for zone in ("Mars/Base", "../etc/passwd", "x" * 5000):
        page = join(app, setup_path, email="ana@example.com", time_zone=zone)
        assert (page.status >= 400, page.wrong) == (True, ["time_zone"])
    assert zone_of("ana@example.com") is None
    assert Pages(app).get(setup_path).status == 200  # the link is good still


def test_each_region_lists_its_zones_by_their_cities() -> None:
    found = zone_choices("Europe/Vienna")
    regions = "Africa America Antarctica Arctic Asia Atlantic Australia Europe Indian Pacific"
    assert list(found) == ["This portal", "UTC", *regions.split()]
    assert list(found["This portal"].values()) == ["Same as the portal (Europe/Vienna)"]
    assert found["UTC"] == {"UTC": "UTC"}
    for zones in found.values():
        assert list(zones.values()) == sorted(zones.values())
    cities = list(found["America"].values())
    salta, new_york = cities.index("Salta, Argentina"), cities.index("New York")
    assert new_york < salta  # though “Argentina/Salta” comes before “New_York”
