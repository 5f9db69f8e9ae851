"""An alert follows the state at the time it fires, and only one person acknowledges it."""

from datetime import timedelta
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.lib.clock import common_now
from portal.models.alerts import Alert, RunKind
from portal.models.assets import Asset
from portal.models.tasks import Task
from portal.services.alerts import ledger
from portal.services.alerts import runs as alert_runs
from portal.services.alerts import settings as alert_settings
from portal.services.core.permissions import SYSTEM
from portal.services.core.time_zones import today
from portal.services.core.unit_of_work import session
from tests.services.alerts.due_things import decided, with_warranty
from tests.support.database.rivals import meanwhile
from tests.support.factories import make_user

pytestmark = pytest.mark.both_databases


def run() -> None:
    alert_runs.run(RunKind.SCHEDULED)


def test_a_concurrently_extended_warranty_fires_no_alert(app: Flask) -> None:
    decided()
    asset_id = with_warranty(3)

    def prolong(current: Session) -> None:
        asset = current.get_one(Asset, asset_id, with_for_update=True)
        asset.warranty_expires = today() + timedelta(days=900)

    meanwhile(app, run, prolong)
    assert session().scalars(select(Alert)).all() == []


def test_the_first_of_two_concurrent_acknowledgments_counts(app: Flask) -> None:
    decided()
    with_warranty(3)
    run()
    alert_id, public_id = session().execute(select(Alert.id, Alert.public_id)).one()
    ana = make_user("manager")

    def take(current: Session) -> None:
        alert = current.get_one(Alert, alert_id, with_for_update=True)
        alert.acknowledged_at, alert.acknowledged_by = common_now(), "Ben"

    assert meanwhile(app, lambda: ledger.acknowledge(ana.actor, public_id), take) is False
    assert session().get_one(Alert, alert_id).acknowledged_by == "Ben"


def test_the_second_of_two_concurrent_runs_gets_the_task_of_the_first(app: Flask) -> None:
    decided()
    begun: list[UUID] = []

    def begin(current: Session) -> None:
        alert_settings.locked(current)
        entered = alert_runs.enter(current, SYSTEM, RunKind.MANUAL)
        assert entered is not None
        begun.append(alert_runs.have_done(current, SYSTEM, entered))

    assert meanwhile(app, lambda: alert_runs.request_run(SYSTEM), begin) == begun[0]
    assert session().scalars(select(Task.public_id)).all() == begun
