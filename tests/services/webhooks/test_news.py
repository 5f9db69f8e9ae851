"""What there is to tell of a webhook by e-mail, as a pure decision."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from portal.models.webhooks import Notice, Webhook
from portal.services.webhooks import notices

NOW = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)
GONE: dict[str, Any] = {"state": "off", "off_reason": "gone"}
BY_ANA: dict[str, Any] = {"state": "off", "off_reason": "person"}
BEFORE = NOW - notices.QUIET


@dataclass(frozen=True)
class Ill:
    """As much of a backlog as a notice asks for."""

    since: datetime
    is_urgent: bool = True


ILL, ANEW = Ill(BEFORE - timedelta(minutes=10)), Ill(BEFORE + timedelta(minutes=1))
ONCE = Ill(NOW, is_urgent=False)
ARRIVED = {"last_delivered_at": NOW}


@pytest.mark.parametrize(
    ("columns", "backlog", "told", "news"),
    [
        ({}, ILL, None, "attention"),
        ({}, ILL, "well", "attention"),
        ({}, ILL, "off", "attention"),
        ({}, ILL, "attention", None),
        # It was well in the meantime, or what failed was dismissed.
        ({}, ANEW, "attention", "attention"),
        ({}, ONCE, "attention", None),
        ({}, ONCE, None, None),
        (ARRIVED, ILL, "attention", None),
        (GONE, None, None, "off"),
        (GONE, None, "attention", "off"),
        (GONE, None, "off", None),
        (GONE, ILL, None, "off"),
        (BY_ANA, None, "attention", None),
        (BY_ANA, ILL, None, None),
        (ARRIVED, None, "attention", "well"),
        (ARRIVED, None, "off", "well"),
        (ARRIVED, None, "well", None),
        (ARRIVED, None, None, None),
        ({"last_delivered_at": BEFORE}, None, "attention", None),
        ({}, None, "attention", None),
    ],
)
def test_what_there_is_to_tell_follows_from_what_was_told_last(
    columns: dict[str, Any], backlog: Any, told: str | None, news: str | None
) -> None:
    webhook = Webhook(**{"state": "active", **columns})
    notice = Notice(told=told, told_at=BEFORE) if told else None
    assert notices.news_of(webhook, notice, backlog, NOW) == news
    if told:
        sooner = Notice(told=told, told_at=BEFORE + timedelta(seconds=1))
        assert notices.news_of(webhook, sooner, backlog, NOW) is None
