"""How a webhook fares, in sentences: why it fails, when it is tried again, what is held."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from flask import Flask

from portal.engine.circuit_breaker import LONGEST_PAUSE
from portal.engine.events.catalogue import event_type
from portal.lib.clock import utcnow
from portal.models.deliveries import DeliveryStatus, Priority
from portal.models.webhooks import OffReason
from portal.services.core.unit_of_work import session
from portal.services.deliveries import log as log_pages
from portal.services.deliveries.statuses import LogFilter
from portal.services.deliveries.trends import Span, Trend
from portal.services.operations import sending
from portal.services.webhooks import queries
from portal.services.webhooks.queries import Latest, ListedWebhook, WebhookDetail, WebhookStatus
from portal.services.webhooks.rows import find_webhook
from portal.web.frame.wording import exact_day, near_time
from portal.web.webhooks import wording
from tests.support.deliveries import make_delivery
from tests.support.factories import Hook, make_user, make_webhook

pytestmark = pytest.mark.usefixtures("in_a_request")
NOW = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)
DAY = "that day"
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


@pytest.fixture
def well(app: Flask) -> WebhookDetail:
    """One of which nothing is known but its name."""
    return queries.show(make_webhook("https://sync.example.com/x", name="Sync").public_id)


def trend(delivered: int = 0, late: int = 0, failed: int = 0) -> Trend:
    return Trend((Span(NOW - HOUR, NOW, delivered, late, failed),))


def said(webhook: WebhookDetail, *more: Any, **changes: Any) -> str:
    return wording.state_sentence(replace(webhook, **changes), [], NOW, *more)


@pytest.mark.parametrize(
    ("day", "end"),
    [
        (None, ""),
        (trend(9), ""),
        (trend(9, failed=1), " In the last 24 hours 1 attempt failed."),
        (trend(9, late=2), " In the last 24 hours 2 deliveries arrived late."),
        (
            trend(9, late=1, failed=3),
            " In the last 24 hours 3 attempts failed and 1 delivery arrived late.",
        ),
    ],
)
def test_of_one_that_is_well_the_day_tells_what_went_wrong(
    well: WebhookDetail, day: Trend | None, end: str
) -> None:
    told = said(well, day, last_delivered_at=NOW - 5 * MINUTE)
    assert told == f"The last delivery arrived 5 minutes ago.{end}"


def test_before_any_event_it_tells_how_the_last_test_went(well: WebhookDetail) -> None:
    def told() -> str:
        latest = log_pages.latest(LogFilter(webhook=well.public_id))
        return wording.state_sentence(well, latest, utcnow())

    hook = Hook(find_webhook(session(), well.public_id).id, well.public_id, "", "", None)
    assert told() == "Nothing has been sent yet."
    make_delivery(hook, status="failed", priority=Priority.TEST)
    assert told().endswith(", has not arrived.")
    make_delivery(hook, status="delivered", priority=Priority.TEST)
    assert told().startswith("No event has been sent yet. The last test, ")
    assert told().endswith(", arrived.")
    make_delivery(hook)
    assert told() == "Nothing has arrived yet."


@pytest.mark.parametrize(
    ("reason", "start"),
    [
        (OffReason.GONE, "sync.example.com said that this address is closed for good (410), so we"),
        (OffReason.FAILING, "Nothing arrived at sync.example.com for "),
        (OffReason.LOST_KEY, "Its secret key or its custom headers cannot be opened"),
        (OffReason.PERSON, "Ana turned it off 5 minutes ago."),
        (None, "Ana turned it off 5 minutes ago."),
    ],
)
def test_one_that_is_off_says_why_since_when_and_what_becomes_of_events(
    well: WebhookDetail, reason: OffReason | None, start: str
) -> None:
    off = {"status": WebhookStatus.OFF, "off_reason": reason, "off_at": NOW - 5 * MINUTE}
    told = said(well, None, "Ana", **off)
    assert told.startswith(start)
    assert "turned it off 5 minutes ago." in told or "turned off 5 minutes ago." in told
    assert told.endswith(wording.held_for())
    if reason is None:
        assert said(well, **off).startswith("A person turned it off")
        assert said(well, **{**off, "off_at": None}).startswith("A person turned it off.")


FAILS: dict[str, Any] = {
    "status": WebhookStatus.FAILING,
    "failures_in_row": 3,
    "fails_for": ("server", 500),
    "next_attempt_at": NOW + 5 * MINUTE,
}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {},
            "The last 3 attempts failed. sync.example.com returned a server error. "
            "Next attempt in 5 minutes.",
        ),
        (
            {"failures_in_row": 1, "next_attempt_at": NOW},
            "The last attempt failed. sync.example.com returned a server error. Next attempt now.",
        ),
        ({"fails_for": (None, None), "next_attempt_at": None}, "The last 3 attempts failed."),
        (
            {"failures_in_row": 0},
            "Nothing has arrived since its settings were changed. Before that: Server error (500). "
            "Next attempt in 5 minutes.",
        ),
        (
            {"failures_in_row": 0, "fails_for": (None, None), "next_attempt_at": None},
            "Nothing has arrived since its settings were changed.",
        ),
    ],
)
def test_one_that_fails_says_how_often_why_and_when_it_is_tried_again(
    well: WebhookDetail, changes: dict[str, Any], told: str
) -> None:
    assert said(well, **{**FAILS, **changes}) == told


@pytest.mark.parametrize(
    ("changes", "has_asked"),
    [
        ({}, True),
        ({"fails_for": ("rate", 429)}, True),
        ({"fails_for": ("server", 500)}, False),
        ({"is_backing_off": False}, False),
        ({"next_attempt_at": NOW + 5 * MINUTE}, False),
        ({"next_attempt_at": None}, False),
    ],
)
def test_a_receiver_that_asked_for_time_is_told_from_one_that_is_silent(
    well: WebhookDetail, changes: dict[str, Any], has_asked: bool
) -> None:
    asks = {
        **FAILS,
        "status": WebhookStatus.PAUSED,
        "is_backing_off": True,
        "fails_for": ("unavailable", 503),
        "next_attempt_at": NOW + timedelta(seconds=LONGEST_PAUSE + 60),
    }
    assert ("asked us to wait until" in said(well, **{**asks, **changes})) is has_asked


def test_in_order_it_says_how_many_wait_behind_the_oldest(well: WebhookDetail) -> None:
    oldest = Latest(well.public_id, DeliveryStatus.RETRYING, NOW - HOUR)
    for many, waits in ((1, "1 delivery waits"), (2, "2 deliveries wait")):
        told = said(well, **FAILS, waits_behind=many, oldest_open=oldest)
        assert f"in order: the one of {near_time(NOW - HOUR)} has not arrived" in told
        assert f", and {waits} behind it until it is delivered or dismissed." in told
    assert "in order" not in said(well, **FAILS, waits_behind=0, oldest_open=oldest)


def test_while_all_sending_is_stopped_no_attempt_is_announced(well: WebhookDetail) -> None:
    sending.stop(make_user("admin").actor)
    assert "Next attempt" not in said(well, **FAILS)


LISTED = ListedWebhook(
    public_id=UUID(int=1),
    name="Sync",
    host="sync.example.com",
    status=WebhookStatus.ACTIVE,
    needs_attention=False,
    off_reason=None,
    turns_off_at=None,
    paused_until=None,
    event_count=1,
    last=None,
    has_missing=False,
)
LAST = Latest(UUID(int=2), DeliveryStatus.DELIVERED, NOW)


@pytest.mark.parametrize(
    ("changes", "week", "told"),
    [
        ({}, None, "Nothing has been sent yet"),
        ({"last": LAST}, None, "Everything arrives"),
        ({"last": LAST}, trend(9), "Everything arrives"),
        (
            {"last": LAST},
            trend(9, failed=1),
            "Everything has arrived; 1 attempt failed first",
        ),
        (
            {"last": LAST, "has_missing": True},
            trend(9, failed=2),
            "Deliveries arrive, after 2 attempts failed",
        ),
        ({"last": LAST, "has_missing": True}, trend(9), "Everything arrives"),
        ({"status": WebhookStatus.FAILING}, None, "The last delivery to it failed"),
        (
            {"status": WebhookStatus.PAUSED, "paused_until": NOW + MINUTE},
            None,
            "The receiver isn't responding",
        ),
        (
            {"status": WebhookStatus.PAUSED, "paused_until": NOW + timedelta(LONGEST_PAUSE)},
            None,
            "The receiver asked us to wait",
        ),
        (
            {"status": WebhookStatus.OFF, "off_reason": OffReason.GONE},
            None,
            "Turned off by us: closed for good (410)",
        ),
        (
            {"status": WebhookStatus.OFF, "off_reason": OffReason.LOST_KEY},
            None,
            "Turned off by us: its secrets cannot be opened",
        ),
        ({"status": WebhookStatus.OFF}, None, "Turned off by a person"),
        (
            {"status": WebhookStatus.FAILING, "turns_off_at": NOW},
            None,
            "Off at its next failure",
        ),
        (
            {"status": WebhookStatus.FAILING, "turns_off_at": NOW + HOUR},
            None,
            f"Off on {DAY}, if nothing arrives",
        ),
    ],
)
def test_the_list_says_in_a_few_words_how_it_goes(
    changes: dict[str, Any], week: Trend | None, told: str
) -> None:
    found = wording.going_on(replace(LISTED, **changes), week, NOW)
    day = exact_day(NOW + HOUR)
    assert found == told.replace(DAY, day)


def test_that_we_will_turn_it_off_is_said_with_its_day() -> None:
    assert wording.turning_off(None, NOW) == ""
    assert wording.turning_off(NOW, NOW) == "It will be turned off when the next attempt fails."
    later = wording.turning_off(NOW + HOUR, NOW)
    day = exact_day(NOW + HOUR)
    assert later == f"It will be turned off on {day}, if nothing arrives until then."


def test_until_when_what_is_held_is_kept_is_said_of_the_oldest(well: WebhookDetail) -> None:
    assert wording.held_until_words(well) == ""
    one = replace(well, held=1, oldest_held_at=NOW)
    assert wording.held_until_words(one).startswith("It is kept until ")
    several = wording.held_until_words(replace(one, held=2))
    assert several.startswith("Each is kept for ")
    assert ", the oldest until " in several
    counts = [wording.held_count(many) for many in (1, 2)]
    assert counts == ["1 delivery", "2 deliveries"]


@pytest.mark.parametrize(
    ("on", "off", "told"),
    [
        (0, 0, ""),
        (1, 0, "1 webhook is on."),
        (2, 1, "2 webhooks are on, 1 is off."),
        (0, 2, "0 webhooks are on, 2 are off."),
    ],
)
def test_how_many_are_on_and_off_is_said(on: int, off: int, told: str) -> None:
    assert wording.on_and_off(on, off) == told


def test_what_can_be_tested_begins_with_what_was_asked_for() -> None:
    (first, asked), (second, others) = wording.event_choices(["asset.lost"])
    assert (first, asked) == ("Asked for", [("asset.lost", event_type("asset.lost").name)])
    assert second == "Other events"
    assert "asset.lost" not in [value for value, _ in others]
    ((only, every),) = wording.event_choices([])
    assert only == "Other events"
    assert [label for label, _ in wording.event_choices([value for value, _ in every])] == [
        "Asked for"
    ]


def test_the_events_that_it_asked_for_stand_in_their_groups() -> None:
    chosen = ["alert.low_stock", "asset.lost", "asset.created", "asset.broken"]
    assert [(group, [each.name for each in of]) for group, of in wording.events_of(chosen)] == [
        ("Asset lifecycle", ["Asset created"]),
        ("Loss, damage, disposal", ["Asset lost", "Asset broken"]),
        ("Scheduled alerts", ["Low stock"]),
    ]
