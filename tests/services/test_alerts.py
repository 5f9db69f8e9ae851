"""Alerts: each fires once for its key, catches up after missed runs, and commits as a whole."""


from flask import Flask

from portal.models.alerts import RunKind
from portal.services import alerts
from tests.services.alerting import (
    decided,
    fired,
    in_days,
    lent,
    with_maintenance,
    with_warranty,
)

WARRANTY, DUE, LATE = (
    "alert.warranty_expiring",
    "alert.maintenance_due",
    "alert.checkout_overdue",
)


def test_each_fires_once_and_a_missed_week_is_caught_up_with(app: Flask) -> None:
    decided()
    expected = [(LATE, lent(3)), (DUE, with_maintenance(9)), (WARRANTY, with_warranty(33))]
    assert alerts.run(RunKind.SCHEDULED) == {LATE: 1}
    # Nobody ran for a week, and the windows opened meanwhile.
    assert alerts.run(RunKind.SCHEDULED, in_days(7)) == {DUE: 1, WARRANTY: 1}
    assert alerts.run(RunKind.SCHEDULED, in_days(8)) == {}
    assert fired() == expected
