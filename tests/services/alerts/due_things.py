"""What the tests of alerts share: a register in which things are due, and what was told of it."""

import json
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update

from jobs import tasks as job
from portal.lib.clock import utcnow
from portal.models.alerts import Alert, FirstAnswer
from portal.models.assets import Asset
from portal.models.assignments import Assignment
from portal.models.deliveries import Event
from portal.services.actions import assignments
from portal.services.alerts import settings as alert_settings
from portal.services.alerts.rules import AlertRules
from portal.services.core.permissions import SYSTEM
from portal.services.core.time_zones import today
from portal.services.core.unit_of_work import session, writing
from portal.services.task_kinds import KINDS
from tests.services.actions.plan_examples import make_maintenance
from tests.support.factories import make_asset, make_staff


def decided() -> None:
    """The first question is out of the way."""
    with writing() as current:
        alert_settings.answer(current, SYSTEM, FirstAnswer.NOTHING)


def it_is_just_after_the_run(now: datetime) -> None:
    """The daily run is due since a minute or two, so that none falls into the test by itself."""
    local = (now - timedelta(minutes=2)).astimezone(alert_settings.zone())
    rules = AlertRules(at=local.time().replace(second=0, microsecond=0))
    alert_settings.save(SYSTEM, alert_settings.read().version, rules)


def a_run_is_missing() -> None:
    """Alerts are looked for two hours ago, every day, and the register is older than that."""
    earlier = (utcnow() - timedelta(hours=2)).astimezone(alert_settings.zone())
    alert_settings.save(SYSTEM, 0, AlertRules(at=earlier.time()))
    with writing() as current:
        current.execute(update(Asset).values(created_at=utcnow() - timedelta(days=9)))


def with_warranty(days: int, **values: Any) -> int:
    """An asset whose warranty ends in so many days."""
    return make_asset(warranty_expires=today() + timedelta(days=days), **values)


def with_maintenance(days: int) -> int:
    """An asset with work that is due in so many days."""
    asset_id = make_asset()
    make_maintenance(asset_id, due_on=today() + timedelta(days=days))
    return asset_id


def lent(hours_late: float) -> int:
    """An asset that should have come back so many hours ago."""
    asset_id = make_asset()
    due_at = utcnow() + timedelta(hours=1)
    assignments.check_out(SYSTEM, asset_id, staff_id=make_staff(), due_at=due_at)
    late = utcnow() - timedelta(hours=hours_late)
    with writing() as current:
        times = {"due_at": late, "started_at": late - timedelta(days=2)}
        current.execute(update(Assignment).where(Assignment.asset_id == asset_id).values(times))
    return asset_id


def work(seconds: float = 20.0) -> None:
    """What the background worker does."""
    job.work(KINDS, seconds)


def fired() -> list[tuple[str, int]]:
    """Every alert event so far: its name, and its asset."""
    return [(body["event"], body["asset_id"]) for body in bodies()]


def bodies() -> list[dict[str, Any]]:
    """What receivers were told by alerts, the oldest first."""
    session().rollback()
    wanted = select(Event.body).where(Event.event.startswith("alert.")).order_by(Event.id)
    return [json.loads(body) for body in session().scalars(wanted)]


def ledger() -> list[Alert]:
    """All lines, the oldest first."""
    session().rollback()
    return list(session().scalars(select(Alert).order_by(Alert.id)))


def in_days(days: float) -> datetime:
    """The clock, moved on."""
    return utcnow() + timedelta(days=days)
