"""One delivery on its page: its attempts, its delay, its siblings, and signature checks."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from portal.config.settings import Settings
from portal.engine.signing.signatures import legacy_signature, standard_signature
from portal.lib.clock import utcnow
from portal.models.deliveries import Delivery, Priority
from portal.models.webhooks import Webhook
from portal.queue.names import DELIVERIES
from portal.services.core import heartbeats
from portal.services.core.permissions import Actor
from portal.services.core.refusals import NotAllowed
from portal.services.core.unit_of_work import session
from portal.services.deliveries import detail
from portal.services.deliveries.answers import Said, answers_with, doubtful_among
from portal.services.deliveries.detail import Delay, find_delay, find_delivery, siblings_of
from portal.services.deliveries.signature_checks import check_signature
from portal.services.operations import sending
from portal.services.webhooks import crud
from portal.services.webhooks.rules import SecretMode, WebhookValues
from tests.support.deliveries import BODY, change, lease, make_attempt, make_delivery
from tests.support.factories import Hook, make_user, make_webhook, publish
from tests.support.heartbeats import record_own

pytestmark = pytest.mark.usefixtures("app")
NEXT = "X-Asset-Webhook-Signature-Next"
DELETED: dict[str, Any] = {"deleted_at": datetime(2026, 5, 3, tzinfo=UTC)}
RETRY: dict[str, Any] = {"prior_status": "failed", "priority": Priority.INTERACTIVE}


def late() -> datetime:
    """Return a due time so long past that the delivery is delayed."""
    return utcnow() - timedelta(seconds=30)


@pytest.fixture
def ben(app: Flask) -> Actor:
    return make_user("support", name="Ben").actor


def test_an_attempt_in_progress_counts_as_a_try_only_if_scheduled() -> None:
    for kind, tries in (("scheduled", 3), ("manual", 2)):
        made = make_delivery(status="retrying", tries=2)
        make_attempt(made)
        lease(made, kind=kind)
        shown = find_delivery(made)
        assert (shown.tries, shown.attempts_made, shown.is_untried) == (tries, 2, False), kind
        assert [attempt.is_being_sent for attempt in shown.attempts] == [False, True], kind


def test_a_delivery_is_untried_until_a_try_is_counted() -> None:
    assert find_delivery(make_delivery()).is_untried
    assert not find_delivery(make_delivery(tries=1)).is_untried


def test_attempt_urls_are_masked_once_the_url_is_secret() -> None:
    address = "https://receiver.example.com/hook/a-token"
    for is_secret in (False, True):
        made = make_delivery(make_webhook(address, url_is_secret=is_secret))
        make_attempt(made, url=address)
        lease(made, url=address)
        shown = ["a-token" in attempt.url for attempt in find_delivery(made).attempts]
        assert shown == [not is_secret] * 2


@pytest.mark.both_databases
def test_only_normal_deliveries_wait_for_the_head_of_the_queue() -> None:
    hook = make_webhook(in_order=True)
    sent = make_delivery(hook, status="delivered")
    first = make_delivery(hook)
    made = [sent, first, make_delivery(hook)]
    found = [find_delivery(each) for each in made]
    assert [(each.ahead, each.behind) for each in found] == [(None, 0), (None, 1), (first, 0)]
    for columns in (RETRY, {"priority": Priority.TEST}):
        assert find_delivery(make_delivery(hook, **columns)).ahead is None


def test_the_thirty_newest_attempts_are_listed_oldest_first() -> None:
    made = make_delivery(status="failed")
    for _ in range(31):
        make_attempt(made)
    delivery = find_delivery(made)
    assert [attempt.number for attempt in delivery.attempts] == list(range(2, 32))
    assert delivery.attempts_made == 31


@pytest.mark.both_databases
def test_only_processes_that_send_count_as_workers() -> None:
    made = make_delivery(due_at=late())
    for kind in (heartbeats.SCHEDULER, heartbeats.WEB, heartbeats.worker_of("background")):
        record_own(kind)
        assert find_delay(find_delivery(made)) is Delay.NO_WORKER
    record_own(heartbeats.DISPATCHER)
    assert find_delay(find_delivery(made)) is Delay.TURN


def test_a_webhook_is_full_at_its_limit_of_requests_in_flight(session_settings: Settings) -> None:
    record_own(heartbeats.worker_of(DELIVERIES))
    hook = make_webhook()
    made, test = (
        make_delivery(hook, due_at=late()),
        make_delivery(hook, priority=Priority.TEST, due_at=late()),
    )
    for _ in range(session_settings.webhook_max_in_flight - 1):
        lease(make_delivery(hook))
    assert find_delay(find_delivery(made)) is Delay.TURN
    lease(make_delivery(hook))
    assert find_delay(find_delivery(made)) is Delay.PLACES
    # A test has a place of its own.
    assert find_delay(find_delivery(test)) is Delay.TURN
    lease(make_delivery(hook, priority=Priority.TEST), kind="test")
    assert find_delay(find_delivery(test)) is Delay.PLACES


def test_a_delivery_not_long_due_or_not_to_be_sent_has_no_delay() -> None:
    off = make_webhook(state="off")
    for made in (
        make_delivery(due_at=utcnow() - detail.SLOW + timedelta(seconds=5)),
        make_delivery(off, due_at=late()),
        make_delivery(status="retrying", due_at=utcnow() + timedelta(minutes=5)),
    ):
        assert find_delay(find_delivery(made)) is None
    made = make_delivery(due_at=late())
    assert find_delay(find_delivery(made)) is Delay.NO_WORKER
    sending.stop(make_user("admin").actor)
    assert find_delay(find_delivery(made)) is None


@pytest.mark.parametrize(
    ("hook", "delivery", "comes_to_rest"),
    [
        ({}, {}, False),
        ({"state": "off"}, {}, True),
        ({"state": "off"}, {"status": "retrying"}, True),
        ({"state": "off"}, {"status": "on_hold"}, False),
        # A test is sent to a webhook that is off, but not to a deleted one.
        ({"state": "off"}, {"priority": Priority.TEST}, False),
        (DELETED, {"priority": Priority.TEST}, True),
        (DELETED, {"status": "failed"}, False),
    ],
)
def test_an_open_delivery_comes_to_rest_or_waits_for_sending_to_start(
    hook: dict[str, Any], delivery: dict[str, Any], comes_to_rest: bool
) -> None:
    made = make_delivery(make_webhook(**hook), **delivery)
    shown = find_delivery(made)
    assert (shown.comes_to_rest, shown.waits_for_start) == (comes_to_rest, False)
    sending.stop(make_user("admin").actor)
    is_open = delivery.get("status", "queued") in ("queued", "retrying")
    assert find_delivery(made).waits_for_start is (is_open and not comes_to_rest)


def test_undelivered_siblings_come_first_sorted_by_name() -> None:
    for name in ("Cargo", "Desk", "bench", "Auction"):
        make_webhook(name=name)
    publish()
    rows = {
        find_delivery(each).webhook_name: each
        for each in session().scalars(select(Delivery.public_id))
    }
    change(rows["Auction"], status="delivered")
    # An open form tests with the same event.
    (event_id,) = set(session().scalars(select(Delivery.event_id)))
    draft = make_webhook(state="draft", name="Archive")
    change(make_delivery(draft), event_id=event_id)
    siblings = siblings_of(rows["Cargo"])
    assert [each.webhook_name for each in siblings.rows] == ["bench", "Desk", "Auction"]
    assert siblings.more == 0


def test_of_several_matching_responses_the_newest_is_shown() -> None:
    made = make_delivery(status="failed")
    for text in ("out of stock: 1", "out of stock: 2", "100% sold"):
        make_attempt(made, response_text=text)
    (row_id,) = session().scalars(select(Delivery.id))
    found = answers_with("stock", [row_id], [])
    assert found == {row_id: Said("out of stock: 2", is_last=False)}
    assert answers_with("sold", [row_id], []) == {row_id: Said("100% sold", is_last=True)}
    # Wildcards match literally.
    assert answers_with("0%", [row_id], [])[row_id].line == "100% sold"
    assert answers_with("s%k", [row_id], []) == {}


def test_only_the_last_delivered_attempt_can_be_doubtful() -> None:
    response = '{"status": "error", "message": "not stored"}'
    arrived, failed, mended = (make_delivery(status="delivered") for _ in range(3))
    make_attempt(arrived, outcome="delivered", response_text=response)
    make_attempt(failed, outcome="failed", response_text=response)
    make_attempt(mended, outcome="delivered", response_text=response)
    make_attempt(mended, outcome="delivered", response_text="ok")
    assert doubtful_among([arrived, failed, mended]) == {arrived}
    assert doubtful_among([]) == frozenset()


@pytest.mark.parametrize("name", ["X-Asset-Webhook-Signature", NEXT])
def test_the_signature_of_another_delivery_is_recognized_in_each_header(
    ben: Actor, name: str
) -> None:
    hook = make_webhook(secret="one of ours")
    here, there = make_delivery(hook), make_delivery(hook)
    theirs = legacy_signature(b"another body", "whatever made it")
    make_attempt(there, request_headers=[[name, theirs]])
    result = check_signature(ben, find_delivery(here), theirs)
    assert str(there) in f"{result}"


def test_the_last_three_attempts_of_each_neighbor_are_searched(ben: Actor) -> None:
    hook = make_webhook(secret="one of ours")
    here, there = make_delivery(hook), make_delivery(hook)
    signatures = [legacy_signature(b"%d" % number, "whatever") for number in range(4)]
    for signature in signatures:
        make_attempt(there, request_headers=[["X-Asset-Webhook-Signature", signature]])
    found = [
        str(there) in f"{check_signature(ben, find_delivery(here), signature)}"
        for signature in signatures
    ]
    assert found == [False, True, True, True]


def test_an_attempts_time_is_read_from_its_own_header(ben: Actor) -> None:
    made = make_delivery(make_webhook(secret="one of ours"))
    stamps = [["X-Number", "90"], ["Webhook-Timestamp", "50"], ["webhook-timestamp", "²"]]
    make_attempt(made, request_headers=stamps)
    for at, is_ours in ((50, True), (90, False)):
        signature = standard_signature(BODY, "one of ours", message_id=str(made), sent_at=at)
        sentence = check_signature(ben, find_delivery(made), signature).sentence
        assert (sentence == "This is exactly our webhook-signature of attempt 1.") is is_ours


def test_checking_a_signature_requires_permission_to_read_deliveries() -> None:
    inactive = make_user("support", is_active=False).actor
    made = make_delivery(make_webhook(secret="one of ours"))
    with pytest.raises(NotAllowed):
        check_signature(inactive, find_delivery(made), "v1,x")


@pytest.mark.both_databases
def test_both_keys_are_recognized_while_a_replaced_key_still_signs(ben: Actor) -> None:
    ada = make_user("admin").actor
    entered: dict[str, Any] = {
        "name": "ERP",
        "url": "https://erp.example.com/hook",
        "events": ("asset.created",),
        "secret_mode": SecretMode.OWN,
    }
    first, second = "the first long pass phrase 1111", "the other long pass phrase 2222"
    public_id = crud.create(ada, WebhookValues(**entered, secret=first))
    crud.edit(ada, public_id, 1, WebhookValues(**entered, secret=second))
    (row,) = session().scalars(select(Webhook))
    hook = Hook(row.id, public_id, "ERP", row.url, first)
    delivery = find_delivery(make_delivery(hook))
    for secret, words in (
        (first, "X-Asset-Webhook-Signature, computed with the earlier secret key"),
        (second, "X-Asset-Webhook-Signature-Next, computed with the new secret key"),
        ("another one", "It doesn’t match ours"),
    ):
        assert words in check_signature(ben, delivery, legacy_signature(BODY, secret)).sentence
