"""When a run begins, and which one it is that another finds at work."""

from flask import Flask

from portal.lib.clock import utcnow
from portal.services.alerts import control
from portal.services.core.permissions import SYSTEM
from tests.services.alerts.due_things import decided, work
from tests.services.alerts.test_alerts import runs


def test_the_daily_run_waits_for_one_that_a_person_has_begun(app: Flask) -> None:
    decided()
    now = utcnow()
    control.request_run(SYSTEM)
    assert not control.start_due(now)
    work()
    assert control.start_due(now)
    assert [run.kind for run in runs()] == ["manual", "scheduled"]
