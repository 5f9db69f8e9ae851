"""The sentences about a webhook's status."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from flask import Flask

from portal.engine.events.catalogue import event_type
from portal.engine.reasons import Reason
from portal.lib.clock import frozen, utcnow
from portal.models.deliveries import DeliveryStatus, Priority
from portal.models.webhooks import OffReason
from portal.services.core.unit_of_work import session
from portal.services.deliveries import log as log_pages
from portal.services.deliveries.statuses import LogFilter
from portal.services.deliveries.trends import Span, Trend
from portal.services.operations import sending
from portal.services.webhooks import queries
from portal.services.webhooks.backlog import Backlog, Cause, WebhookStatus
from portal.services.webhooks.queries import Latest, ListedWebhook, WebhookDetail
from portal.services.webhooks.rows import find_webhook
from portal.web.frame.wording import exact_day, near_time
from portal.web.webhooks import wording
from tests.support.deliveries import make_delivery
from tests.support.factories import Hook, make_user, make_webhook

pytestmark = pytest.mark.usefixtures("in_a_request")
NOW = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


@pytest.fixture
def well(app: Flask) -> WebhookDetail:
    """Make a webhook that has no deliveries."""
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
        (trend(9, failed=1), " In the last 24 hours, 1 attempt failed."),
        (trend(9, late=2), " In the last 24 hours, 2 deliveries were late."),
        (
            trend(9, late=1, failed=3),
            " In the last 24 hours, 3 attempts failed and 1 delivery was late.",
        ),
    ],
)
def test_a_healthy_webhook_mentions_the_days_problems(
    well: WebhookDetail, day: Trend | None, end: str
) -> None:
    sentence = said(well, day, last_delivered_at=NOW - 5 * MINUTE)
    assert sentence == f"The last delivery arrived 5 minutes ago.{end}"


def test_without_events_the_last_test_is_described(well: WebhookDetail) -> None:
    def told() -> str:
        latest = log_pages.latest(LogFilter(webhook=well.public_id))
        return wording.state_sentence(well, latest, utcnow())

    hook = Hook(find_webhook(session(), well.public_id).id, well.public_id, "", "", None)
    assert told() == "No events yet."
    make_delivery(hook, status="failed", priority=Priority.TEST)
    assert told().endswith(", wasn’t delivered.")
    make_delivery(hook, status="delivered", priority=Priority.TEST)
    assert told().startswith("No events yet. The last test, ")
    assert told().endswith(", was delivered.")
    make_delivery(hook)
    assert told() == "Nothing delivered yet."


@pytest.mark.parametrize(
    ("reason", "start"),
    [
        (
            OffReason.GONE,
            "Turned off automatically 5 minutes ago. Sync permanently closed",
        ),
        (
            OffReason.FAILING,
            "Turned off automatically 5 minutes ago. No delivery to sync.example.com",
        ),
        (
            OffReason.LOST_KEY,
            "Turned off automatically 5 minutes ago. Its secrets can’t be decrypted",
        ),
        (OffReason.PERSON, "Ana turned it off 5 minutes ago."),
        (None, "Ana turned it off 5 minutes ago."),
    ],
)
def test_an_off_webhook_says_why_since_when_and_that_events_are_held(
    well: WebhookDetail, reason: OffReason | None, start: str
) -> None:
    off = {"status": WebhookStatus.OFF, "off_reason": reason, "off_at": NOW - 5 * MINUTE}
    sentence = said(well, None, "Ana", **off)
    assert sentence.startswith(start)
    assert sentence.endswith(wording.held_for())
    if reason is None:
        assert said(well, **off).startswith("Someone turned it off")
        assert said(well, **{**off, "off_at": None}).startswith("Someone turned it off.")


BACKLOG = Backlog(
    webhook_id=1,
    public_id=UUID(int=1),
    name="Sync",
    status=WebhookStatus.FAILING,
    is_deleted=False,
    off_reason=None,
    off_at=None,
    in_order=False,
    failures_in_row=3,
    counts=Counter({DeliveryStatus.RETRYING: 3, DeliveryStatus.QUEUED: 1}),
    since=NOW - HOUR,
    causes=(Cause(Reason.SERVER, 500, 2), Cause(Reason.DNS, None, 1)),
    next_attempt_at=NOW + 5 * MINUTE,
    waits_until=None,
    is_untouched=False,
    last_delivered_at=NOW - MINUTE,
)
SINCE = "4 undelivered, failing since that time"
OLDEST = "4 undelivered, the oldest failing since that time"


def failing(webhook: WebhookDetail, *more: Any, **changes: Any) -> str:
    """Return the sentences about a failing webhook whose backlog has these changes."""
    backlog = replace(BACKLOG, **changes)
    sentence = said(webhook, *more, status=WebhookStatus.FAILING, backlog=backlog)
    return sentence.replace(near_time(BACKLOG.since or NOW), "that time")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {},
            f"{OLDEST}. {{last}}. Cause: Server error (500) and 1 other cause. The next attempt is "
            "in 5 minutes.",
        ),
        (
            {"causes": BACKLOG.causes[:1], "next_attempt_at": NOW, "is_untouched": True},
            f"{SINCE}. Nothing delivered since. Cause: Server error (500). We’re about to try "
            "again.",
        ),
        ({"causes": (), "next_attempt_at": None}, f"{OLDEST}. {{last}}."),
        # It stays failing after a change, until the deliveries arrive.
        (
            {"changed_at": NOW},
            f"{OLDEST}. {{last}}. Its settings changed at {{now}}, after the first failure. The "
            "next attempt is in 5 minutes.",
        ),
        (
            {"waits_until": NOW + 9 * HOUR, "causes": ()},
            f"{OLDEST}. {{last}}. The receiver asked us to wait until {{until}}.",
        ),
        (
            {"waits_until": NOW + MINUTE, "next_attempt_at": NOW + MINUTE, "causes": ()},
            f"{OLDEST}. {{last}}. Failed 3 times in a row. The next attempt is at {{soon}}.",
        ),
    ],
)
def test_a_failing_webhook_says_how_many_since_when_why_and_next_step(
    well: WebhookDetail, changes: dict[str, Any], told: str
) -> None:
    with frozen(NOW):
        until, soon = near_time(NOW + 9 * HOUR), near_time(NOW + MINUTE)
        last, now = f"Last delivered {near_time(NOW - MINUTE)}", near_time(NOW)
        assert failing(well, **changes) == told.format(until=until, soon=soon, last=last, now=now)


def test_an_in_order_webhook_counts_deliveries_behind_the_oldest(well: WebhookDetail) -> None:
    oldest = Latest(well.public_id, DeliveryStatus.RETRYING, NOW - HOUR)
    fails = {"status": WebhookStatus.FAILING, "backlog": BACKLOG, "oldest_open": oldest}
    for many, waits in ((1, "1 delivery waits"), (2, "2 deliveries wait")):
        sentence = said(well, waits_behind=many, **fails)
        oldest_at = near_time(NOW - HOUR)
        assert f"in order. {waits} behind the one from {oldest_at} until it’s delivered" in sentence
    assert "in order" not in said(well, waits_behind=0, **fails)


def test_while_all_sending_is_stopped_no_attempt_is_announced(well: WebhookDetail) -> None:
    sending.stop(make_user("admin").actor)
    assert "next attempt" not in failing(well)


LISTED = ListedWebhook(
    note=None,
    public_id=UUID(int=1),
    name="Sync",
    host="sync.example.com",
    format=None,
    status=WebhookStatus.ACTIVE,
    backlog=None,
    off_reason=None,
    off_until=None,
    turns_off_at=None,
    event_count=1,
    has_conditions=False,
    last=None,
)
LAST = Latest(UUID(int=2), DeliveryStatus.DELIVERED, NOW)
OFF = replace(BACKLOG, status=WebhookStatus.OFF, off_reason=OffReason.GONE, since=None)


@pytest.mark.parametrize(
    ("changes", "week", "told"),
    [
        ({}, None, ["No deliveries yet"]),
        ({"last_test": LAST}, None, ["Last test delivered", "No deliveries yet"]),
        (
            {"last_test": replace(LAST, status=DeliveryStatus.FAILED)},
            None,
            ["Last test failed", "No deliveries yet"],
        ),
        ({"last": LAST}, None, ["All delivered"]),
        ({"last": LAST}, trend(9), ["All delivered"]),
        ({"last": replace(LAST, status=DeliveryStatus.QUEUED)}, None, ["Deliveries in progress"]),
        (
            {"last": LAST},
            trend(9, failed=1),
            ["All delivered after 1 failed attempt"],
        ),
        # A webhook with recent successes never gets “Nothing delivered since”.
        ({"backlog": BACKLOG}, None, ["Server error (500)", OLDEST, "Last delivered that time"]),
        (
            {"backlog": replace(BACKLOG, is_untouched=True)},
            trend(9),
            ["Server error (500)", SINCE, "Nothing delivered since"],
        ),
        (
            {"status": WebhookStatus.OFF, "backlog": OFF},
            None,
            ["Turned off automatically: URL permanently closed", "4 undelivered"],
        ),
        ({"status": WebhookStatus.OFF}, None, ["Turned off manually"]),
    ],
)
def test_the_list_describes_each_status_briefly(
    changes: dict[str, Any], week: Trend | None, told: list[str]
) -> None:
    lines = wording.going_on(replace(LISTED, **changes), week)
    for at in (NOW - HOUR, NOW - MINUTE):
        lines = [words.replace(near_time(at), "that time") for words in lines]
    assert lines == told


def test_the_list_announces_an_automatic_turn_off() -> None:
    notes = [
        wording.off_note(replace(LISTED, turns_off_at=at), NOW) for at in (None, NOW, NOW + HOUR)
    ]
    assert notes == [
        "",
        "Turns off at the next failure",
        f"Turns off on {exact_day(NOW + HOUR)} unless a delivery succeeds",
    ]


def test_an_automatic_turn_off_is_announced_with_its_day() -> None:
    assert wording.turning_off(None, NOW) == ""
    assert wording.turning_off(NOW, NOW) == "We’ll turn it off if the next attempt fails."
    later = wording.turning_off(NOW + HOUR, NOW)
    day = exact_day(NOW + HOUR)
    assert later == f"We’ll turn it off on {day} unless a delivery succeeds."


def test_the_expiry_of_held_deliveries_names_the_oldest(well: WebhookDetail) -> None:
    assert wording.held_until_words(well) == ""
    one = replace(well, held=1, oldest_held_at=NOW)
    assert wording.held_until_words(one).startswith("It expires on ")
    several = wording.held_until_words(replace(one, held=2))
    assert several.startswith("Each expires after ")
    assert ", the oldest on " in several
    counts = [wording.held_count(many) for many in (1, 2)]
    assert counts == ["1 delivery", "2 deliveries"]


@pytest.mark.parametrize(
    ("on", "off", "told"),
    [
        (0, 0, ""),
        (1, 0, "1 on"),
        (2, 1, "2 on, 1 off"),
        (0, 2, "2 off"),
    ],
)
def test_webhooks_are_counted_by_on_and_off(on: int, off: int, told: str) -> None:
    assert wording.on_and_off(on, off) == told


def test_test_events_list_subscribed_ones_first() -> None:
    (first, asked), (second, others) = wording.event_choices(["asset.lost"])
    assert (first, asked) == ("Subscribed to", [("asset.lost", event_type("asset.lost").name)])
    assert second == "Other events"
    assert "asset.lost" not in [value for value, _ in others]
    ((only, every),) = wording.event_choices([])
    assert only == "Other events"
    assert [label for label, _ in wording.event_choices([value for value, _ in every])] == [
        "Subscribed to"
    ]


def test_subscribed_events_are_grouped() -> None:
    chosen = ["alert.low_stock", "asset.lost", "asset.created", "asset.broken"]
    assert [
        (group, [event.name for event in events]) for group, events in wording.events_of(chosen)
    ] == [
        ("Asset lifecycle", ["Asset created"]),
        ("Loss, damage, and disposal", ["Asset lost", "Asset broken"]),
        ("Alerts", ["Low stock"]),
    ]
