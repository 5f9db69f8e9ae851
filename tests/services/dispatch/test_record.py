"""Recording: whoever holds the lease decides what becomes of a delivery, whatever comes with it."""

import pytest

from portal.engine.reasons import Reason
from portal.extensions import db
from portal.models.rollups import Rollup
from tests.jobs.pump.delivery_clock import (
    attempts,
    claim,
    ended,
    make_due,
    only_delivery,
    write_down,
)
from tests.support.factories import make_webhook, publish

pytestmark = pytest.mark.usefixtures("app")


@pytest.mark.parametrize("is_late_one_first", [True, False])
def test_a_late_attempt_beside_the_next_one_changes_nothing(is_late_one_first: bool) -> None:
    """A machine that was asleep brings both: the lease ran out, and it has claimed it again."""
    make_webhook()
    publish()
    (late,) = claim()
    make_due()
    (newer,) = claim()
    both = [ended(late, Reason.SERVER), ended(newer)]
    write_down(*(both if is_late_one_first else reversed(both)))
    delivery = only_delivery()
    assert (delivery.status, delivery.code, delivery.reason) == ("delivered", 200, None)
    assert [each.outcome for each in attempts()] == ["failed", "delivered"]
    counted = db.session.query(Rollup).one()
    assert (counted.delivered, counted.failed) == (1, 0)


def test_a_late_success_leaves_the_failure_of_the_next_one_alone() -> None:
    make_webhook()
    publish()
    (late,) = claim()
    make_due()
    (newer,) = claim()
    write_down(ended(newer, Reason.SERVER), ended(late))
    delivery = only_delivery()
    assert (delivery.status, delivery.reason, delivery.tries) == ("retrying", "server", 2)
    assert db.session.query(Rollup).count() == 0
