"""A proxy in front that nobody told the portal of: System and the doctor name it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update

from jobs.heartbeat import Heartbeat
from portal.extensions import settings
from portal.lib.clock import utcnow
from portal.models.operations import Process
from portal.services.core import heartbeats
from portal.services.core.unit_of_work import session, writing
from tests.support.database.periodic_tasks import begin_periodic_task
from tests.support.heartbeats import record_own
from tests.support.processes import until
from tests.web.operations.test_system import everybody_signs
from tests.web.signed_in import visit

TITLE = "Requests come through a reverse proxy that the portal doesn’t trust"
TODO = "set TRUSTED_PROXIES to the number of proxies"


@pytest.fixture(autouse=True)
def nothing_noted() -> Iterator[None]:
    """Other tests share this process."""
    heartbeats.take_notes()
    yield
    heartbeats.take_notes()


def ask(app: Flask, **headers: str) -> None:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    app.test_client().get("/healthz", headers=given).close()


def a_beat(app: Flask) -> None:
    """What a web process does every 5 seconds."""
    beats = Heartbeat(app, heartbeats.WEB).begin()
    assert until(lambda: rows() == [heartbeats.PROXY], 10)
    beats.end(5)


def rows() -> list[str]:
    session().rollback()
    return sorted(session().scalars(select(Process.name).where(Process.kind == heartbeats.PROXY)))


def test_a_proxy_that_is_not_trusted_is_named_with_what_to_set(app: Flask) -> None:
    everybody_signs()
    ask(app, Forwarded="<b>203.0.113.5</b>")
    assert rows() == [], "a request writes nothing"
    a_beat(app)
    page = visit(app).get("/settings/system")
    assert TITLE in page.main
    assert TODO in page.main
    assert "203.0.113.5" not in page.html
    result = app.test_cli_runner().invoke(args=["doctor"])
    assert (result.exit_code, TITLE in result.output) == (1, True)


def test_many_requests_are_one_row_and_what_is_not_seen_again_is_forgotten(app: Flask) -> None:
    everybody_signs()
    for number in range(30):
        ask(app, X_Forwarded_For=f"203.0.113.{number}")
    record_own(heartbeats.WEB, *heartbeats.take_notes())
    record_own(heartbeats.WEB, *heartbeats.take_notes())
    assert rows() == [heartbeats.PROXY]
    pages = visit(app)
    for age, is_told in ((timedelta(hours=23), True), (timedelta(hours=25), False)):
        with writing() as current:
            of_proxy = update(Process).where(Process.kind == heartbeats.PROXY)
            current.execute(of_proxy.values(seen_at=utcnow() - age))
        assert (TITLE in pages.get("/settings/system").main) is is_told


def test_nothing_is_said_without_such_a_header_or_with_proxies_that_are_trusted(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    everybody_signs()
    ask(app, User_Agent="curl")
    assert heartbeats.take_notes() == ()
    trusting = replace(settings(), trusted_proxies=1)
    monkeypatch.setitem(app.extensions, "settings", trusting)
    ask(app, X_Forwarded_For="203.0.113.5")
    assert heartbeats.take_notes() == ()
    # Noted before the setting was made.
    begin_periodic_task(heartbeats.PROXY, 0)
    assert TITLE not in visit(app).get("/settings/system").main
