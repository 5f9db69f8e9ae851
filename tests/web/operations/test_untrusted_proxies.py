"""System and the doctor report a reverse proxy that the portal isn't set up to trust."""

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
    """Discard notes before and after, because other tests share this process."""
    heartbeats.take_notes()
    yield
    heartbeats.take_notes()


def ask(app: Flask, **headers: str) -> None:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    app.test_client().get("/healthz", headers=sent).close()


def a_beat(app: Flask) -> None:
    """Record a heartbeat, as a web process does every 5 seconds."""
    beats = Heartbeat(app, heartbeats.WEB).begin()
    assert until(lambda: rows() == [heartbeats.PROXY], 10)
    beats.end(5)


def rows() -> list[str]:
    session().rollback()
    return sorted(session().scalars(select(Process.name).where(Process.kind == heartbeats.PROXY)))


def test_an_untrusted_proxy_is_reported_with_the_setting_to_change(app: Flask) -> None:
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


def test_many_requests_make_one_row_that_is_ignored_after_a_day(app: Flask) -> None:
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


def test_without_proxy_headers_or_with_trusted_proxies_none_is_reported(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    everybody_signs()
    ask(app, User_Agent="curl")
    assert heartbeats.take_notes() == ()
    trusting = replace(settings(), trusted_proxies=1)
    monkeypatch.setitem(app.extensions, "settings", trusting)
    ask(app, X_Forwarded_For="203.0.113.5")
    assert heartbeats.take_notes() == ()
    # A note from before the setting was changed is ignored.
    begin_periodic_task(heartbeats.PROXY, 0)
    assert TITLE not in visit(app).get("/settings/system").main
