"""The demo: 200 believable assets, consistent with every rule of the register."""

from dataclasses import replace

import pytest
from flask import Flask
from sqlalchemy import func, select

from jobs import tasks as job
from portal.engine.events.catalogue import EventName
from portal.extensions import settings
from portal.lib.clock import utcnow
from portal.models.assets import Activity, Asset, AssetStatus, StockMove
from portal.models.assignments import Assignment
from portal.models.planning import Maintenance, Reservation
from portal.models.tasks import TaskState
from portal.services import tasks
from portal.services.alerts import queries as alert_queries
from portal.services.alerts import runs
from portal.services.alerts.queries import AlertFilter
from portal.services.assets.queries import AssetFilter, Shown, counts
from portal.services.core.permissions import SYSTEM
from portal.services.core.refusals import Refusal
from portal.services.core.time_zones import today
from portal.services.core.unit_of_work import session
from portal.services.demo import load, seed
from portal.services.operations import retention
from portal.services.task_kinds import KINDS
from tests.services.demo.delivery_checks import check_deliveries
from tests.services.demo.page_checks import check_pages
from tests.support.factories import make_user

pytestmark = pytest.mark.timeout(600)  # two years take a while on a busy machine


def test_the_demo_is_consistent_and_fills_every_list(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.extensions, "settings", replace(settings(), local_trial=True))
    loading = load.start(make_user().actor)
    job.work(KINDS, seconds=600)
    made = tasks.find(loading)
    assert made.state == TaskState.DONE
    assert (made.counts["assets"], made.counts["webhooks"]) == (200, 8)
    assert made.counts["deliveries"] > 500
    totals = counts(AssetFilter())
    assert totals[None] == 200
    assert set(session().scalars(select(Activity.origin))) == {"command", "cron", "import"}
    for shown in Shown:
        assert totals[shown] > 0, shown
    current = session()
    held = select(Asset.id).where(
        Asset.status.in_([AssetStatus.ALLOCATED, AssetStatus.CHECKED_OUT])
    )
    open_ones = select(Assignment.asset_id).where(Assignment.ended_at.is_(None))
    assert set(current.scalars(held)) == set(current.scalars(open_ones))
    now = utcnow()
    for row in current.scalars(select(Assignment)):
        assert row.started_at <= now
        assert row.ended_at is None or row.started_at < row.ended_at <= now
        assert row.due_at is None or row.started_at < row.due_at
    for asset in current.scalars(select(Asset)):
        assert asset.created_at <= asset.updated_at
    sums = select(StockMove.asset_id, func.sum(StockMove.delta)).group_by(StockMove.asset_id)
    numbers = select(Asset.id, Asset.quantity).where(Asset.kind == "stock")
    assert dict(current.execute(sums).all()) == dict(current.execute(numbers).all())
    for asset_id in current.scalars(select(Asset.id)):
        lines = select(Activity.at).where(Activity.asset_id == asset_id).order_by(Activity.id)
        times = current.scalars(lines).all()
        assert times == sorted(times)
    assert all(at < now for at in current.scalars(select(StockMove.at)))
    for work in current.scalars(select(Maintenance).where(Maintenance.state == "scheduled")):
        assert work.due_on >= today()
    states = set(current.scalars(select(Maintenance.state)))
    assert states >= {"scheduled", "in_progress", "completed"}
    for wish in current.scalars(select(Reservation)):
        assert (wish.starts_at.minute, wish.ends_at.minute) == (0, 0)
        assert wish.purpose
    # A few alerts fire. The number of warranties that end soon depends on the day.
    for event in (EventName.CHECKOUT_OVERDUE, EventName.LOW_STOCK, EventName.MAINTENANCE_DUE):
        assert alert_queries.count_alerts(AlertFilter(event=event))
    assert alert_queries.count_alerts(AlertFilter()) <= 60
    status = alert_queries.run_status(now)
    assert status.last is not None
    assert not status.needs_first_answer
    assert not runs.start_due(now)  # today's run is done
    retention.prune()  # as the hourly job does
    check_deliveries()
    if session().get_bind().dialect.name == "sqlite":  # like other page tests
        check_pages(app)
    with pytest.raises(Refusal, match="already has assets"):
        seed.seed(SYSTEM)
