"""What an attempt's end does to the columns of its delivery and of its webhook. Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from portal.database import AnyRow
from portal.delivery.policy import Decision, Delivered, Repeat, Restore, RetryAt
from portal.models.deliveries import OPEN, DeliveryStatus, Priority
from portal.models.webhooks import WebhookState


@dataclass(frozen=True, slots=True)
class Standing:
    """What a decision needs to know: the delivery's columns, and its webhook as it is now."""

    due_at: datetime
    priority: int
    prior_status: str | None
    prior_due_at: datetime | None
    requested_by: str | None
    webhook_state: str = WebhookState.ACTIVE
    webhook_name: str = ""
    is_deleted: bool = False


def standing_of(row: AnyRow, webhook: AnyRow | None = None) -> Standing:
    """From a delivery's row and its webhook's; without one, an active webhook is taken for it."""
    parts = (row.due_at, row.priority, row.prior_status, row.prior_due_at, row.requested_by)
    if webhook is None:
        return Standing(*parts)
    return Standing(*parts, webhook.state, webhook.name, webhook.deleted_at is not None)


def columns(decision: Decision, standing: Standing, now: datetime) -> dict[str, Any]:
    """The new values of status, due time and what belongs to a person's extra attempt.

    Always the same keys, so that many rows go into one statement. The lease is freed by whoever
    writes them.
    """
    values: dict[str, Any] = {
        "status": DeliveryStatus.FAILED,
        "due_at": standing.due_at,
        "priority": Priority.NORMAL if standing.priority != Priority.TEST else Priority.TEST,
        "prior_status": None,
        "prior_due_at": None,
        "requested_by": None,
        "stopped_by": None,
        "finished_at": now,
    }
    match decision:
        case Delivered():
            values |= {"status": DeliveryStatus.DELIVERED}
        case RetryAt(at):
            values |= _if_open(DeliveryStatus.RETRYING, at, standing, now)
        case Restore() if standing.prior_status in OPEN:
            due_at = standing.prior_due_at or now
            values |= _if_open(DeliveryStatus(standing.prior_status), due_at, standing, now)
        case Restore() if standing.prior_status:
            values |= {"status": standing.prior_status}
            values |= {"due_at": standing.prior_due_at or standing.due_at}
        case Repeat():
            values |= {
                "status": DeliveryStatus.WAITING,
                "due_at": now,
                "priority": standing.priority,
                "prior_status": standing.prior_status,
                "prior_due_at": standing.prior_due_at,
                "requested_by": standing.requested_by,
                "finished_at": None,
            }
    return values


def _if_open(
    status: DeliveryStatus, due_at: datetime, standing: Standing, now: datetime
) -> dict[str, Any]:
    """An open delivery, unless its webhook was turned off or deleted while it was being sent."""
    if standing.is_deleted:
        return {
            "status": DeliveryStatus.STOPPED,
            "stopped_by": standing.webhook_name,
            "finished_at": now,
        }
    if standing.webhook_state != WebhookState.ACTIVE:
        return {"status": DeliveryStatus.HELD, "due_at": due_at, "finished_at": None}
    return {"status": status, "due_at": due_at, "finished_at": None}


def health_after(webhook: AnyRow, successes: list[bool], now: datetime) -> dict[str, Any]:
    """A webhook's failures in a row and its last success, after attempts that ended in this order.

    `webhook` has `failures_in_row` and `failing_since` from before them.
    """
    if True not in successes:
        return {
            "failures_in_row": webhook.failures_in_row + len(successes),
            "failing_since": webhook.failing_since or now,
        }
    failures = successes[::-1].index(True)
    return {
        "failures_in_row": failures,
        "failing_since": now if failures else None,
        "last_delivered_at": now,
    }
