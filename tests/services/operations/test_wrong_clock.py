"""A machine whose clock is weeks off removes and ends nothing early, and stores no wrong time.

The clock of the database is right.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from sqlalchemy import func, select

from portal.extensions import Base, db
from portal.lib import clock
from portal.lib.clock import utcnow
from portal.models.alerts import AlertRun
from portal.models.assets import Asset
from portal.models.deliveries import Delivery, Event
from portal.models.operations import Process as SignOfLife
from portal.models.operations import Submission
from portal.models.people import UserSession
from portal.models.planning import Reservation
from portal.models.webhooks import Webhook
from portal.services.alerts import runs
from portal.services.core import heartbeats
from portal.services.core.time_zones import today
from portal.services.core.unit_of_work import NOW, database_time, session
from portal.services.operations import health, retention
from tests.conftest import ENVIRONMENT
from tests.services.actions.plan_examples import make_reservation
from tests.services.alerts.due_things import decided, it_is_just_after_the_run, with_warranty, work
from tests.services.operations.test_retention import DAY, KINDS, MINUTE, MONTH, add
from tests.support.clocks.wrong_clock import wrong_clock
from tests.support.deliveries import make_delivery
from tests.support.factories import make_asset, make_staff, make_user, make_webhook
from tests.support.processes import Process

pytestmark = pytest.mark.both_databases

Elsewhere = Callable[..., str]

MADE_THERE = {"processes", "assets", "activities", "audit_entries", "events", "feed", "deliveries"}
FORTY_DAYS = 40 * 24 * 3600


@pytest.fixture
def elsewhere(app: Flask, tmp_path: Path) -> Elsewhere:
    """Return a function that runs the periodic tasks with a shifted clock and returns their log."""
    settings = app.extensions["settings"]
    environ = {
        **ENVIRONMENT,
        "INSTANCE_DIR": str(settings.instance_dir),
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
    }

    def run(shift: int, *words: str) -> str:
        arguments = ["-m", "tests.support.clocks.clock_tasks", *words]
        done = Process(tmp_path / "output.txt", arguments, environ | wrong_clock(shift))
        code, said = done.wait(60), done.output.read_text()
        assert code == 0, said
        return said

    return run


def everything_is_young() -> None:
    """Store one row of each kind that is due for removal in an hour."""
    now, hour = utcnow(), timedelta(hours=1)
    for kind in KINDS.values():
        kind.make(now - kind.kept + hour)
    make_delivery(status="on_hold", created_at=now - MONTH + hour)
    make_webhook(old_secret_enc=b"sealed", old_until=now + hour)
    off = {"state": "off", "off_reason": "person", "off_at": now, "off_until": now + hour}
    make_webhook(events=["asset.deleted"], **off)
    add(Submission(owner="user:1", once=uuid4(), created_at=now - DAY + hour))
    columns = {"way": "password", "device": "Firefox", "created_at": now, "confirmed_at": now}
    add(UserSession(id=uuid4(), user_id=make_user().id, last_seen_on=today(), **columns))
    make_reservation(make_asset(), make_staff())  # ends in the next days
    with_warranty(days=50)


def alerts_were_looked_for() -> None:
    now = utcnow()
    decided()
    it_is_just_after_the_run(now)
    runs.start_due(now)
    work()


def counts() -> dict[str, Any]:
    db.session.rollback()
    totals: dict[str, Any] = {
        name: db.session.execute(select(func.count()).select_from(table)).scalar_one()
        for name, table in Base.metadata.tables.items()
        if name not in MADE_THERE
    }
    ended = select(func.count()).where(Delivery.status != "queued")
    states = select(Reservation.state).order_by(Reservation.id)
    off = select(func.count()).where(Webhook.state == "off")
    return {
        **totals,
        "deliveries": db.session.execute(ended).scalar_one(),
        "states": list(db.session.scalars(states)),
        "off": db.session.execute(off).scalar_one(),
    }


@pytest.mark.parametrize("shift", [FORTY_DAYS, -FORTY_DAYS], ids=["ahead", "behind"])
def test_nothing_is_removed_before_its_time(elsewhere: Elsewhere, shift: int) -> None:
    everything_is_young()
    alerts_were_looked_for()
    before = counts()
    log = elsewhere(shift, "trusting")
    assert counts() == before
    assert db.session.query(AlertRun).count() == 1
    made = db.session.query(Asset).filter_by(name="Made there").one()
    sent = db.session.query(Delivery).filter_by(status="queued").first()
    assert sent is not None
    event = db.session.get(Event, sent.event_id)
    assert event is not None
    told_at, told_skew = next(line for line in log.splitlines() if "Facts:" in line).split()[-2:]
    for time in (
        *(made.created_at, sent.created_at, event.occurred_at),
        datetime.fromisoformat(told_at),
    ):
        assert abs(time - utcnow()) < MINUTE
    assert abs(float(told_skew) + shift) < 60
    row = db.session.query(SignOfLife).filter_by(kind=heartbeats.WEB).one()
    assert abs(row.skew + shift) < 60


@pytest.mark.parametrize(
    ("shift", "words"),
    [(FORTY_DAYS, "40 days ahead of"), (-400, "6 minutes behind")],
    ids=["ahead", "behind"],
)
def test_a_machine_whose_clock_is_off_removes_nothing_and_says_so(
    elsewhere: Elsewhere, shift: int, words: str
) -> None:
    KINDS["delivered"].make(utcnow() - MONTH - MINUTE)
    before = counts()["deliveries"]
    log = elsewhere(shift)
    assert f"This machine’s clock is {words} the database’s. It removes nothing" in log
    assert counts()["deliveries"] == before


def test_a_long_open_transaction_is_not_mistaken_for_a_slow_clock(app: Flask) -> None:
    del app
    began = database_time(session()) - timedelta(minutes=10)
    session().info[NOW] = session().get_transaction(), began
    facts = health.read_facts().database
    assert facts is not None
    assert abs(facts.skew) < 2
    retention.trust()
    assert database_time(session()) > began + timedelta(minutes=9)


def test_the_time_that_an_answer_took_is_not_clock_skew(app: Flask) -> None:
    del app
    asked_at, second = utcnow() - timedelta(seconds=12), timedelta(seconds=1)
    for seconds_ago, ahead in ((11, 0), (1, 0), (15, -3), (-4, 4)):
        skew = clock.note_skew(utcnow() - seconds_ago * second, asked_at)
        assert abs(skew - ahead * second) < second / 2
