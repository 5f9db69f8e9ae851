"""Process clocks can be wrong by hours or weeks. Only the database's clock decides which deliveries
are due."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from portal.extensions import db
from portal.lib.clock import utcnow
from portal.models.deliveries import Attempt
from tests.faults.support.delivery_ledger import assert_ledger, settled
from tests.faults.support.durations import IS_FULL
from tests.faults.support.load import burst, has_received, within
from tests.faults.support.running_portal import WORKER, RunningPortal
from tests.support.clocks.wrong_clock import wrong_clock
from tests.support.factories import make_webhook, publish
from tests.support.receiver import Receiver

WEEKS = 40 * 24 * 3600
HOURS = {"behind": -7200}
LONG = {"ahead": 7200, "weeks_behind": -WEEKS, "weeks_ahead": WEEKS}
SHIFTS = HOURS | LONG if IS_FULL else HOURS
pytestmark = pytest.mark.parametrize("running_portal", ["sqlite"], indirect=True)


@pytest.fixture(scope="module", params=SHIFTS.values(), ids=SHIFTS.keys())
def portal_settings(request: pytest.FixtureRequest) -> dict[str, str]:
    return {"WEBHOOK_RETRY_SCHEDULE": "0,2,2,2,2", **wrong_clock(request.param)}


def test_a_retry_is_neither_early_nor_hours_late(portal: RunningPortal, receiver: Receiver) -> None:
    receiver.answer_next(500)
    make_webhook(receiver.url)
    publish()
    first, second = receiver.wait_for(2, 40)
    assert 1.7 <= second.at - first.at < 30
    assert settled(30)
    assert_ledger(receiver, 1)
    shift = timedelta(seconds=int(portal.environment["CLOCK_SHIFT"]))
    shown = db.session.scalars(select(Attempt.started_at)).first()
    assert shown is not None
    assert abs(shown - utcnow() - shift) < timedelta(minutes=2), "the clock was not wrong"


def test_a_wrong_clock_does_not_prolong_leases(portal: RunningPortal, receiver: Receiver) -> None:
    accepted = burst(receiver, 40)
    assert has_received(receiver)
    portal.kill(WORKER)
    with within(portal.settings.lease_seconds + 20):
        assert settled(40)
    assert_ledger(receiver, accepted)
