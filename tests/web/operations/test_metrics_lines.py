"""Single metrics for Prometheus, and the headers that reveal a proxy."""

from datetime import timedelta

import pytest
from flask import Flask

from portal.models.operations import Process
from portal.queue.names import DELIVERIES
from portal.services.core import heartbeats
from portal.services.core.unit_of_work import database_time, session, writing
from portal.web.operations.metrics import exposition
from portal.web.operations.probe_views import is_passed_on
from tests.support.database.periodic_tasks import begin_periodic_task
from tests.support.deliveries import make_delivery
from tests.support.pages import Pages
from tests.web.signed_in import visit

pytestmark = pytest.mark.usefixtures("app")


def figures(beginning: str) -> dict[str, float]:
    """Return the metrics that start with `beginning`, without the portal's own prefix."""
    session().rollback()
    lines = [line for line in exposition().decode().splitlines() if not line.startswith("#")]
    pairs = (line.removeprefix("asset_webhooks_").rpartition(" ") for line in lines)
    return {name: float(value) for name, _, value in pairs if name.startswith(beginning)}


def sender(host: str, *, silent: float = 0.0, is_offline: bool = False) -> None:
    """Record a sender process on its own machine."""
    kind = heartbeats.worker_of(DELIVERIES)
    with writing() as current:
        now = database_time(current)
        process = Process(name=f"{kind} {host}:1", kind=kind, host=host, pid=1, started_at=now)
        process.seen_at = now - timedelta(seconds=silent)
        process.offline_since = now if is_offline else None
        current.add(process)


def test_each_sending_machine_is_reported_as_online_or_offline() -> None:
    for host in ("m6", "m2", "m5", "m4"):
        sender(host)
    sender("m1", is_offline=True)
    sender("m3", silent=60, is_offline=True)
    assert list(figures("offline").items()) == [
        ('offline{machine="m1"}', 1.0),
        *((f'offline{{machine="m{number}"}}', 0.0) for number in (2, 4, 5, 6)),
    ]


@pytest.mark.parametrize(("seconds_ago", "age"), [(90, 90), (-90, 0)])
def test_the_age_of_the_last_maintenance_is_reported(seconds_ago: int, age: int) -> None:
    assert figures("maintenance_age") == {}
    begin_periodic_task(heartbeats.MAINTENANCE, seconds_ago)
    assert figures("maintenance_age") == {"maintenance_age_seconds": pytest.approx(age, abs=5)}


def test_the_longest_wait_is_reported_and_0_if_nothing_is_due() -> None:
    assert figures("oldest_due") == {"oldest_due_seconds": 0.0}
    now = database_time(session())
    make_delivery(due_at=now - timedelta(minutes=2))
    make_delivery(due_at=now - timedelta(minutes=1))
    assert figures("oldest_due") == {"oldest_due_seconds": pytest.approx(120, abs=5)}


def test_a_kind_of_process_that_never_started_is_reported_as_0() -> None:
    sender("m1"), sender("m2"), sender("m3", silent=60)
    assert figures("processes") == {
        'processes{kind="dispatcher"}': 0.0,
        'processes{kind="scheduler"}': 0.0,
        'processes{kind="web"}': 0.0,
        'processes{kind="worker background"}': 0.0,
        'processes{kind="worker deliveries"}': 2.0,
    }


def test_a_proxy_is_recognized_by_its_headers(app: Flask) -> None:
    for header, is_a_proxys in (
        ("Forwarded", True),
        ("Via", True),
        ("X-Forwarded-Host", True),
        ("X-Real-IP", True),
        ("X-Client-IP", True),
        ("CF-Connecting-IP", True),
        ("True-Client-IP", True),
        ("X-Requested-With", False),
        ("Referer", False),
    ):
        with app.test_request_context("/", headers={header: "1"}):
            assert is_passed_on() is is_a_proxys


def test_system_lists_processes_and_no_periodic_tasks(app: Flask) -> None:
    pages: Pages = visit(app)
    sender("m1")
    begin_periodic_task(heartbeats.MAINTENANCE, 0)
    begin_periodic_task("a periodic task", 0)
    text = pages.get("/settings/system").main
    assert "m1" in text
    assert "a periodic task" not in text.lower()
