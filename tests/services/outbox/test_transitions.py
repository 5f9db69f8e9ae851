"""The columns that a change of status writes or restores."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from portal.engine.reasons import Reason
from portal.engine.retry_policy import (
    Decision,
    Delivered,
    GiveUp,
    Restore,
    RetryAt,
    TurnOff,
)
from portal.models.deliveries import Delivery, Priority
from portal.services.core.unit_of_work import writing
from portal.services.outbox import at_rest
from portal.services.outbox.at_rest import NOT_DISMISSED, Dismissal
from portal.services.outbox.leases import OpenDelivery, columns
from tests.support.deliveries import make_delivery, stored
from tests.support.factories import make_webhook

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
EARLIER, DUE, LATER = (NOW + timedelta(minutes=each) for each in (-9, -1, 9))
SOON, NOT_SOON = (NOW + timedelta(seconds=each) for each in (5, 6))
SCHEDULED = OpenDelivery(DUE, Priority.NORMAL, None, None, None, "queued")
TAKEN = replace(SCHEDULED, status="dismissed", prior_status="queued")
ENDED = {
    "due_at": DUE,
    "priority": Priority.NORMAL,
    "prior_status": None,
    "prior_due_at": None,
    "requested_by": None,
    "finished_at": NOW,
    "failing_since": None,
}

FAILED_AGAIN, CUT_OFF = (Restore(each, LATER) for each in (Reason.SERVER, Reason.INTERRUPTED))
# A delivery left open by a manual retry. Its automatic attempt was due and doesn't follow at once.
AGAIN = {"due_at": LATER, "finished_at": None}


def retried(status: str, due_at: datetime | None = EARLIER) -> OpenDelivery:
    """Return a delivery that Ana retries, with this prior status."""
    return OpenDelivery(DUE, Priority.BULK, status, due_at, "Ana", "queued")


@pytest.mark.parametrize(
    ("decision", "before", "after"),
    [
        (Delivered(), SCHEDULED, {"status": "delivered"}),
        (Delivered(), retried("failed"), {"status": "delivered"}),
        (Delivered(), TAKEN, {"status": "delivered"} | NOT_DISMISSED),
        (
            RetryAt(LATER),
            TAKEN,
            {"status": "dismissed", "prior_status": "retrying", "due_at": LATER},
        ),
        (GiveUp(Reason.SERVER), TAKEN, {"status": "dismissed", "prior_status": "failed"}),
        (
            FAILED_AGAIN,
            TAKEN,
            {"status": "dismissed", "prior_status": "retrying", "due_at": LATER},
        ),
        (CUT_OFF, TAKEN, {"status": "dismissed", "prior_status": "queued", "due_at": LATER}),
        (
            RetryAt(LATER),
            SCHEDULED,
            {"status": "retrying", "due_at": LATER, "finished_at": None},
        ),
        (GiveUp(Reason.SERVER), SCHEDULED, {"status": "failed"}),
        (TurnOff(Reason.GONE), retried("delivered"), {"status": "failed"}),
        (
            GiveUp(Reason.SERVER),
            OpenDelivery(DUE, Priority.TEST, None, None, "Ana", "queued"),
            {"status": "failed", "priority": Priority.TEST},
        ),
        (FAILED_AGAIN, retried("failed"), {"status": "failed", "due_at": EARLIER}),
        (FAILED_AGAIN, retried("retrying"), AGAIN | {"status": "retrying"}),
        (FAILED_AGAIN, retried("retrying", SOON), AGAIN | {"status": "retrying"}),
        (
            FAILED_AGAIN,
            retried("retrying", NOT_SOON),
            {"status": "retrying", "due_at": NOT_SOON, "finished_at": None},
        ),
        (
            Restore(Reason.SERVER, NOW),
            retried("retrying", SOON),
            {"status": "retrying", "due_at": SOON, "finished_at": None},
        ),
        (FAILED_AGAIN, retried("delivered", due_at=None), {"status": "delivered"}),
        (FAILED_AGAIN, retried("queued"), AGAIN | {"status": "retrying"}),
        # An attempt that was cut off did not fail.
        (CUT_OFF, retried("queued"), AGAIN | {"status": "queued"}),
        (
            CUT_OFF,
            replace(retried("queued"), status="retrying"),
            AGAIN | {"status": "retrying"},
        ),
        # It was dismissed and restored in the meantime.
        (FAILED_AGAIN, SCHEDULED, AGAIN | {"status": "retrying"}),
        (CUT_OFF, SCHEDULED, AGAIN | {"status": "queued"}),
    ],
)
def test_each_decision_writes_its_columns(
    decision: Decision, before: OpenDelivery, after: dict[str, Any]
) -> None:
    assert columns(decision, before, NOW) == ENDED | after


AT_REST: dict[str, Any] = {
    "due_at": DUE,
    "priority": Priority.NORMAL,
    "dismissed_by": None,
    "dismissed_at": None,
    "dismissed_reason": None,
    "prior_status": None,
    "prior_due_at": None,
    "requested_by": None,
}
RETRIED: dict[str, Any] = {
    "status": "queued",
    "priority": Priority.INTERACTIVE,
    "requested_by": "Ana",
    "prior_due_at": EARLIER,
}


ON_HOLD = at_rest.on_hold(NOW)
BY_BEN = at_rest.dismissed(NOW, Dismissal("Ben", "Known"))


def rested(change: dict[str, Any], **values: Any) -> dict[str, Any]:
    """Put a delivery to rest, and return the columns that this can write."""
    delivery: UUID = make_delivery(make_webhook(), due_at=DUE, **values)
    with writing() as current:
        query = update(Delivery).where(Delivery.public_id == delivery)
        current.execute(query.values(**change))
    row = stored(delivery)
    return {name: row[name] for name in (*AT_REST, "status", "finished_at")}


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize(
    ("values", "after"),
    [
        ({"status": "queued"}, {"status": "on_hold"}),
        ({"status": "retrying"}, {"status": "on_hold"}),
        ({"status": "queued", "priority": Priority.TEST}, {"priority": Priority.TEST}),
        (RETRIED | {"prior_status": "retrying"}, {"due_at": EARLIER}),
        (RETRIED | {"prior_status": "on_hold"}, {"due_at": EARLIER}),
    ],
)
def test_open_deliveries_are_held_or_dismissed_by_name(
    values: dict[str, Any], after: dict[str, Any]
) -> None:
    held = AT_REST | {"status": "on_hold", "finished_at": None} | after
    assert rested(ON_HOLD, **values) == held
    who = {"dismissed_by": "Ben", "dismissed_at": NOW, "dismissed_reason": "Known"}
    earlier = values.get("prior_status") or values["status"]
    dismissed = who | {"status": "dismissed", "finished_at": NOW, "prior_status": earlier}
    assert rested(BY_BEN, **values) == held | dismissed


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize(
    ("change", "before"), [(ON_HOLD, "delivered"), (ON_HOLD, "failed"), (BY_BEN, "delivered")]
)
def test_a_delivery_that_had_ended_before_its_retry_is_restored(
    change: dict[str, Any], before: str
) -> None:
    after = rested(change, **RETRIED, prior_status=before, finished_at=DUE)
    was = {"status": before, "due_at": EARLIER, "finished_at": DUE}
    assert after == AT_REST | was
