"""The explanation of a failed delivery, with the details of its last attempt."""

from datetime import timedelta
from typing import Any

import pytest

from portal.lib.clock import utcnow
from portal.services.deliveries.detail import find_delivery
from portal.web.deliveries.presenter import page_of
from portal.web.frame.wording import to_the_second
from tests.support.deliveries import make_attempt, make_delivery
from tests.support.factories import make_webhook

pytestmark = pytest.mark.usefixtures("in_a_request")


def explained(attempt: dict[str, Any], **columns: Any) -> tuple[str, str, str]:
    """Return the title, the cause, and the next step for a delivery with this last attempt."""
    made = make_delivery(**{"status": "failed", **columns})
    make_attempt(made, **attempt)
    explanation = page_of(find_delivery(made)).explanation
    assert explanation is not None
    return explanation.title, explanation.what_happened, explanation.next_step


def test_the_explanation_has_the_attempts_details() -> None:
    hook = make_webhook(name="Sync")
    for attempt, title, happened in (
        (
            {"reason": "connect_timeout", "phases": {"total": 2040.0}},
            "Timeout: no connection",
            "We couldn’t reach Sync within 2 s.",
        ),
        (
            {"reason": "connect_timeout"},
            "Timeout: no connection",
            "We couldn’t reach Sync in time.",
        ),
        (
            {"reason": "redirect", "code": 308, "location": "https://b.example.com/"},
            "Redirected (308)",
            "Sync redirected us to https://b.example.com/.",
        ),
    ):
        assert explained(attempt, webhook=hook)[:2] == (title, happened), attempt


def test_the_next_step_names_a_time_or_a_delivery_reference() -> None:
    at = utcnow() - timedelta(minutes=3)
    next_step = explained({"reason": "server", "code": 500, "started_at": at})[2]
    assert next_step.endswith(f"to check their logs at {to_the_second(at)}.")
    made = make_delivery(status="failed")
    make_attempt(made, reason="internal")
    explanation = page_of(find_delivery(made)).explanation
    assert explanation is not None
    assert explanation.next_step == f"Contact your administrator (reference {made})."
