"""Monitoring figures count only the newest rows and the last minutes."""

from datetime import timedelta

import pytest

from portal.lib.clock import utcnow
from portal.services.core.unit_of_work import database_time, session
from portal.services.operations import metrics
from tests.support.deliveries import make_attempt, make_delivery
from tests.support.factories import make_webhook

pytestmark = [pytest.mark.usefixtures("app"), pytest.mark.both_databases]


def test_attempts_of_the_last_five_minutes_are_counted() -> None:
    delivery = make_delivery(make_webhook(), status="delivered")
    now = database_time(session())
    for minutes, outcome in (
        (6, "failed"),
        (2, "delivered"),
        (4, "delivered"),
    ):
        ended = now - timedelta(minutes=minutes)
        times = {"started_at": ended - timedelta(seconds=minutes), "finished_at": ended}
        make_attempt(delivery, outcome=outcome, **times)
    recent = metrics.read_recent()
    assert (recent.attempts, list(recent.seconds)) == ({("delivered", ""): 2}, [2.0, 4.0])


def test_only_the_newest_rows_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "RECENT_ATTEMPTS", 2)
    monkeypatch.setattr(metrics, "COUNTED", 2)
    hook = make_webhook()
    made = [
        make_delivery(hook, status="failed", reason=reason) for reason in ("dns", "server", "auth")
    ]
    for reason in ("dns", "server", "auth"):
        make_attempt(made[0], reason=reason, started_at=utcnow())
    counts = {key: count for key, count in metrics.read_deliveries().items() if count}
    assert counts == {("failed", "server"): 1, ("failed", "auth"): 1}
    assert metrics.read_recent().attempts == {("failed", "server"): 1, ("failed", "auth"): 1}
