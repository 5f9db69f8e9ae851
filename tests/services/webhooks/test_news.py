"""What there is to tell of a webhook by e-mail, as a pure decision."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from portal.models.webhooks import Notice, Webhook
from portal.services.webhooks import notices

NOW = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)
ILL: dict[str, Any] = {"failures_in_row": 6, "failing_since": NOW - timedelta(minutes=10)}
GONE: dict[str, Any] = {"state": "off", "off_reason": "gone"}
BY_ANA: dict[str, Any] = {"state": "off", "off_reason": "person"}
BEFORE = NOW - notices.QUIET


@pytest.mark.parametrize(
    ("columns", "told", "news"),
    [
        (ILL, None, "attention"),
        (ILL, "well", "attention"),
        (ILL, "off", "attention"),
        (ILL, "attention", None),
        (GONE, None, "off"),
        (GONE, "attention", "off"),
        (GONE, "off", None),
        ({**GONE, **ILL}, None, "off"),
        (BY_ANA, "attention", None),
        ({**BY_ANA, **ILL}, None, None),
        ({"last_delivered_at": NOW}, "attention", "well"),
        ({"last_delivered_at": NOW}, "off", "well"),
        ({"last_delivered_at": NOW}, "well", None),
        ({"last_delivered_at": NOW}, None, None),
        ({"last_delivered_at": BEFORE}, "attention", None),
        ({}, "attention", None),
    ],
)
def test_what_there_is_to_tell_follows_from_what_was_told_last(
    columns: dict[str, Any], told: str | None, news: str | None
) -> None:
    webhook = Webhook(**{"state": "active", "failures_in_row": 0, **columns})
    notice = Notice(told=told, told_at=BEFORE) if told else None
    assert notices.news_of(webhook, notice, NOW) == news
    if told:
        sooner = Notice(told=told, told_at=BEFORE + timedelta(seconds=1))
        assert notices.news_of(webhook, sooner, NOW) is None
