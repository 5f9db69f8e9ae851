"""The backlog of a webhook in trouble: its size, age, causes, and next attempt."""

from datetime import timedelta
from uuid import UUID

import pytest

from portal.lib.clock import utcnow
from portal.models.deliveries import DeliveryStatus, Priority
from portal.services.core.unit_of_work import session
from portal.services.webhooks import backlog as backlogs
from portal.services.webhooks.backlog import Backlog
from tests.support.deliveries import make_delivery
from tests.support.factories import Hook, make_webhook

pytestmark = [pytest.mark.usefixtures("app"), pytest.mark.both_databases]
MINUTE = timedelta(minutes=1)


def failed(hook: Hook, reason: str = "server", code: int | None = 500, **columns: object) -> UUID:
    """Make a delivery that has failed since a minute ago."""
    values = {"status": "failed", "failing_since": utcnow() - MINUTE, **columns}
    return make_delivery(hook, reason=reason, code=code, **values)


def of(hook: Hook) -> Backlog:
    """Return the backlog of a webhook in trouble."""
    found = backlogs.of_one(session(), hook.id)
    assert found is not None
    return found


def test_all_undelivered_deliveries_count_once_one_fails() -> None:
    hook = make_webhook()
    for status in ("queued", "retrying", "on_hold", "delivered", "dismissed"):
        make_delivery(hook, status=status)
    make_delivery(hook, priority=Priority.TEST)
    assert backlogs.of_one(session(), hook.id) is None
    failed(hook)
    failed(hook, priority=Priority.TEST)
    found = of(hook)
    assert (found.status, found.undelivered, found.retryable) == ("failing", 4, 2)
    assert {str(status) for status in found.counts} == {"queued", "retrying", "failed", "on_hold"}


def test_ended_and_held_deliveries_alone_make_no_backlog() -> None:
    for status in ("delivered", "dismissed", "on_hold"):
        hook = make_webhook()
        failed(hook, status=status)
        assert backlogs.find() == [], status


def test_causes_are_listed_by_their_number_of_deliveries() -> None:
    hook, now = make_webhook(), utcnow()
    for reason, code in (("reset", None), ("auth", 401), ("no_reply", None), ("server", 502)):
        failed(hook, reason, code, failing_since=now - 2 * MINUTE)
    failed(hook, "auth", 401, status="retrying", failing_since=now - 9 * MINUTE)
    failed(hook, "auth", 401)
    assert [(cause.words, cause.count) for cause in of(hook).causes] == [
        ("Authentication rejected (401)", 3),
        ("Connection closed early", 2),
        ("Server error (502)", 1),
    ]
    assert of(hook).since == now - 9 * MINUTE


def test_a_change_of_settings_hides_the_cause_until_the_next_failure() -> None:
    now = utcnow()
    for columns, is_told in (
        ({}, True),
        ({"changed_at": now}, False),
        ({"changed_at": now, "last_delivered_at": now}, False),
        ({"changed_at": now, "failures_in_row": 1}, True),
        ({"changed_at": now - 2 * MINUTE}, True),  # before the first failure
    ):
        hook = make_webhook(**columns)
        failed(hook)
        assert (of(hook).cause is not None, of(hook).changed_at is None) == (is_told, is_told)


def test_webhooks_without_deliveries_come_first_then_the_largest_backlogs() -> None:
    now = utcnow()
    arrives = make_webhook(name="Arrives", last_delivered_at=now)
    silent = make_webhook(name="Silent", last_delivered_at=now - 9 * MINUTE)
    never = make_webhook(name="Never")
    for hook, many in ((arrives, 4), (silent, 1), (never, 2)):
        for _ in range(many):
            failed(hook)
    assert [(row.name, row.undelivered, row.is_untouched) for row in backlogs.find()] == [
        ("Never", 2, True),
        ("Silent", 1, True),
        ("Arrives", 4, False),
    ]
    assert backlogs.count_of(backlogs.find()).undelivered == 7


def test_a_webhook_turned_off_by_us_is_one_row_with_its_held_deliveries() -> None:
    now = utcnow()
    gone = make_webhook(name="Gone", state="off", off_reason="gone", off_at=now)
    mine = make_webhook(name="Mine", state="off", off_reason="person", off_at=now)
    lost = make_webhook(name="Lost", state="off", off_reason="lost_key", off_at=now)
    for hook in (gone, mine):
        make_delivery(hook, status="on_hold")
    failed(gone)
    assert [(row.name, row.status, row.undelivered) for row in backlogs.find()] == [
        ("Gone", "off", 2),
        ("Lost", "off", 0),
    ]
    assert of(gone).counts == {DeliveryStatus.FAILED: 1, DeliveryStatus.ON_HOLD: 1}
    assert (of(gone).next_attempt_at, of(gone).retryable) == (None, 0)
    assert backlogs.ids_in_trouble(session()) == [gone.id, lost.id]
    # A webhook that a person turned off is in trouble only if a delivery had failed there.
    failed(mine)
    assert of(mine).undelivered == 2
    failed(make_webhook(deleted_at=now))
    assert backlogs.count() == backlogs.count_of(backlogs.find()) == (5, 3)


@pytest.mark.parametrize(
    ("columns", "minutes"),
    [({}, 3), ({"backoff": 9}, 9), ({"backoff": 9, "in_order": True}, 5), ({"backoff": -9}, 3)],
)
def test_the_next_attempt_comes_after_the_pause_and_in_order_is_the_heads(
    columns: dict[str, int], minutes: int
) -> None:
    now, values = utcnow(), dict(columns)
    pause = now + values.pop("backoff") * MINUTE if "backoff" in values else None
    hook = make_webhook(backoff_until=pause, **values)
    failed(hook, status="retrying", due_at=now + 5 * MINUTE)
    make_delivery(hook, due_at=now + 3 * MINUTE)
    assert of(hook).next_attempt_at == now + minutes * MINUTE


def test_a_resumed_webhook_sends_next_regardless_of_its_retry_times() -> None:
    now = utcnow()
    hook = make_webhook(reopened_at=now)
    failed(hook, status="retrying", due_at=now + 5 * MINUTE)
    following = of(hook).next_attempt_at
    assert following is not None
    assert following < now + 4 * MINUTE
