"""Two machines on one database, whose clocks differ: a browser may come to either."""

import re
import urllib.request
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlencode

import pytest

from portal.base_app import create_base_app
from portal.config.settings import load_settings
from portal.extensions import db
from tests.conftest import ENVIRONMENT
from tests.support.clocks.wrong_clock import wrong_clock
from tests.support.factories import PASSWORD, Person, make_user
from tests.support.web_server import web_server

Machines = tuple[str, str]


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[tuple[Person, Machines]]:
    """Somebody who may sign in, and the addresses of both machines: the second is a minute
    ahead."""
    places = [tmp_path / name for name in ("right", "ahead")]
    for place in places:
        place.mkdir()
    shared = {"DATABASE_URL": f"sqlite:///{places[0]}/portal.sqlite"}
    with (
        web_server(places[0]) as right,
        web_server(places[1], **shared, **wrong_clock(60)) as ahead,
    ):
        app = create_base_app(
            load_settings({**ENVIRONMENT, **shared, "INSTANCE_DIR": str(places[0])})
        )
        with app.app_context():
            yield make_user(), tuple(f"http://127.0.0.1:{each.port}" for each in (right, ahead))  # type: ignore[misc]  # two
            db.session.remove()
            db.engine.dispose()


@pytest.mark.parametrize("first", [0, 1], ids=["right", "ahead"])
def test_a_minute_between_clocks_signs_nobody_out_and_refuses_no_form(
    machines: tuple[Person, Machines], first: int
) -> None:
    ana, addresses = machines
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))

    def send(machine: int, path: str, page: str, **typed: str) -> str:
        """Send the form of a page that the other machine may have made."""
        token = re.search(r'name="csrf_token" value="([^"]+)"', page)
        assert token, page
        form = urlencode({"csrf_token": token[1], **typed}).encode()
        with browser.open(addresses[machine] + path, form, timeout=20) as answer:
            return str(answer.read().decode())

    def look(machine: int) -> str:
        with browser.open(addresses[machine] + "/account", timeout=20) as answer:
            return str(answer.read().decode())

    page = look(first)
    send(1 - first, "/sign-in", page, email=ana.email, password=PASSWORD)
    for machine in (first, 1 - first) * 3:
        page = look(machine)
        assert "Your account" in page
        page = send(1 - machine, "/account/sessions/end-others", page)
        assert "Your account" in page
