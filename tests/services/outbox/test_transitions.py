"""Which columns of a delivery a change of its status writes, and which come back as they were."""

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
from portal.services.outbox.leases import OpenDelivery, columns, hold_values
from tests.support.deliveries import make_delivery, stored
from tests.support.factories import make_webhook

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
EARLIER, DUE, LATER = (NOW + timedelta(minutes=each) for each in (-9, -1, 9))
SCHEDULED = OpenDelivery(DUE, Priority.NORMAL, None, None, None, None)
ENDED = {
    "due_at": DUE,
    "priority": Priority.NORMAL,
    "prior_status": None,
    "prior_due_at": None,
    "requested_by": None,
    "stopped_by": None,
    "finished_at": NOW,
    "failing_since": None,
}


def retried(status: str, due_at: datetime | None = EARLIER, by: str | None = None) -> OpenDelivery:
    """One that Ana sends again, which was in this status."""
    return OpenDelivery(DUE, Priority.BULK, status, due_at, "Ana", by)


@pytest.mark.parametrize(
    ("decision", "before", "after"),
    [
        (Delivered(), SCHEDULED, {"status": "delivered"}),
        (Delivered(), retried("dismissed", by="Ben"), {"status": "delivered"}),
        (
            RetryAt(LATER),
            SCHEDULED,
            {"status": "retrying", "due_at": LATER, "finished_at": None},
        ),
        (GiveUp(Reason.SERVER), SCHEDULED, {"status": "failed"}),
        (TurnOff(Reason.GONE), retried("delivered"), {"status": "failed"}),
        (
            GiveUp(Reason.SERVER),
            OpenDelivery(DUE, Priority.TEST, None, None, "Ana", None),
            {"status": "failed", "priority": Priority.TEST},
        ),
        (Restore(Reason.SERVER), retried("failed"), {"status": "failed", "due_at": EARLIER}),
        (
            Restore(Reason.SERVER),
            retried("dismissed", by="Ben"),
            {"status": "dismissed", "due_at": EARLIER, "stopped_by": "Ben"},
        ),
        (
            Restore(Reason.SERVER),
            retried("retrying"),
            {"status": "retrying", "due_at": EARLIER, "finished_at": None},
        ),
        (Restore(Reason.SERVER), retried("delivered", due_at=None), {"status": "delivered"}),
    ],
)
def test_what_a_decision_makes_of_a_delivery(
    decision: Decision, before: OpenDelivery, after: dict[str, Any]
) -> None:
    assert columns(decision, before, NOW) == ENDED | after


AT_REST: dict[str, Any] = {
    "due_at": DUE,
    "priority": Priority.NORMAL,
    "stopped_by": None,
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


def rested(by: str | None, **values: Any) -> dict[str, Any]:
    """The delivery after it was put to rest, in the columns that this may write."""
    delivery: UUID = make_delivery(make_webhook(), due_at=DUE, **values)
    with writing() as current:
        some = update(Delivery).where(Delivery.public_id == delivery)
        current.execute(some.values(**hold_values(NOW, by)))
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
def test_what_was_open_is_held_or_stopped_by_name(
    values: dict[str, Any], after: dict[str, Any]
) -> None:
    held = AT_REST | {"status": "on_hold", "finished_at": None} | after
    assert rested(None, **values) == held
    stopped = {"status": "dismissed", "stopped_by": "Ben", "finished_at": NOW}
    assert rested("Ben", **values) == held | stopped


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("by", [None, "Ben"])
@pytest.mark.parametrize(
    ("status", "stopped_by"), [("failed", None), ("delivered", None), ("dismissed", "Cleo")]
)
def test_what_had_ended_before_a_retry_has_ended_as_it_had(
    by: str | None, status: str, stopped_by: str | None
) -> None:
    found = rested(by, **RETRIED, prior_status=status, stopped_by=stopped_by)
    was = {"status": status, "stopped_by": stopped_by, "due_at": EARLIER, "finished_at": NOW}
    assert found == AT_REST | was
