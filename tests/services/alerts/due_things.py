"""Shared helpers for alert tests: due assets and the alerts about them."""

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
    """Answer the first question, so that scheduled runs send alerts."""
    with writing() as current:
        alert_settings.answer(current, SYSTEM, FirstAnswer.NOTHING)


def it_is_just_after_the_run(now: datetime) -> None:
    """Set the daily run to just before now, so that none comes due during the test."""
    local = (now - timedelta(minutes=2)).astimezone(alert_settings.zone())
    rules = AlertRules(at=local.time().replace(second=0, microsecond=0))
    alert_settings.save(SYSTEM, alert_settings.read().version, rules)


def a_run_is_missing() -> None:
    """Set the daily run to two hours ago, on a register that is older than that."""
    earlier = (utcnow() - timedelta(hours=2)).astimezone(alert_settings.zone())
    alert_settings.save(SYSTEM, 0, AlertRules(at=earlier.time()))
    with writing() as current:
        current.execute(update(Asset).values(created_at=utcnow() - timedelta(days=9)))


def with_warranty(days: int, **values: Any) -> int:
    """Make an asset whose warranty ends in this many days."""
    return make_asset(warranty_expires=today() + timedelta(days=days), **values)


def with_maintenance(days: int) -> int:
    """Make an asset with maintenance due in this many days."""
    asset_id = make_asset()
    make_maintenance(asset_id, due_on=today() + timedelta(days=days))
    return asset_id


def lent(hours_late: float) -> int:
    """Make an asset whose check-out was due this many hours ago."""
    asset_id = make_asset()
    due_at = utcnow() + timedelta(hours=1)
    assignments.check_out(SYSTEM, asset_id, staff_id=make_staff(), due_at=due_at)
    late = utcnow() - timedelta(hours=hours_late)
    with writing() as current:
        times = {"due_at": late, "started_at": late - timedelta(days=2)}
        current.execute(update(Assignment).where(Assignment.asset_id == asset_id).values(times))
    return asset_id


def work(seconds: float = 20.0) -> None:
    """Run the background worker."""
    job.work(KINDS, seconds)


def fired() -> list[tuple[str, int]]:
    """Return the event name and the asset id of each alert event."""
    return [(body["event"], body["asset_id"]) for body in bodies()]


def bodies() -> list[dict[str, Any]]:
    """Return the bodies of all alert events, oldest first."""
    session().rollback()
    query = select(Event.body).where(Event.event.startswith("alert.")).order_by(Event.id)
    return [json.loads(body) for body in session().scalars(query)]


def ledger() -> list[Alert]:
    """Return all alerts, oldest first."""
    session().rollback()
    return list(session().scalars(select(Alert).order_by(Alert.id)))


def in_days(days: float) -> datetime:
    """Return the time this many days from now."""
    return utcnow() + timedelta(days=days)
