"""One delivery as its page tells it: its attempts, what holds it up, who else got it."""

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
    """When it was due that should have been sent by now."""
    return utcnow() - timedelta(seconds=30)


@pytest.fixture
def ben(app: Flask) -> Actor:
    return make_user("support", name="Ben").actor


def test_what_is_being_sent_is_an_attempt_and_planned_only_if_nobody_asked() -> None:
    for kind, tries in (("scheduled", 3), ("manual", 2)):
        made = make_delivery(status="retrying", tries=2)
        make_attempt(made)
        lease(made, kind=kind)
        found = find_delivery(made)
        assert (found.tries, found.attempts_made, found.is_untried) == (tries, 2, False), kind
        assert [each.is_being_sent for each in found.attempts] == [False, True], kind


def test_a_first_attempt_is_one_that_nothing_counts_before() -> None:
    assert find_delivery(make_delivery()).is_untried
    assert not find_delivery(make_delivery(tries=1)).is_untried


def test_the_address_of_attempts_is_masked_where_it_is_a_secret_by_now() -> None:
    address = "https://receiver.example.com/hook/a-token"
    for is_secret in (False, True):
        made = make_delivery(make_webhook(address, url_is_secret=is_secret))
        make_attempt(made, url=address)
        lease(made, url=address)
        told = ["a-token" in each.url for each in find_delivery(made).attempts]
        assert told == [not is_secret] * 2


@pytest.mark.both_databases
def test_only_those_after_the_oldest_wait_for_it_and_no_retry_and_no_test() -> None:
    hook = make_webhook(in_order=True)
    sent = make_delivery(hook, status="delivered")
    first = make_delivery(hook)
    made = [sent, first, make_delivery(hook)]
    found = [find_delivery(each) for each in made]
    assert [(each.ahead, each.behind) for each in found] == [(None, 0), (None, 1), (first, 0)]
    for columns in (RETRY, {"priority": Priority.TEST}):
        assert find_delivery(make_delivery(hook, **columns)).ahead is None


def test_the_thirty_newest_attempts_are_told_oldest_first() -> None:
    made = make_delivery(status="failed")
    for _ in range(31):
        make_attempt(made)
    found = find_delivery(made)
    assert [each.number for each in found.attempts] == list(range(2, 32))
    assert found.attempts_made == 31


@pytest.mark.both_databases
def test_what_does_not_send_is_not_taken_for_a_sender() -> None:
    made = make_delivery(due_at=late())
    for kind in (heartbeats.SCHEDULER, heartbeats.WEB, heartbeats.worker_of("background")):
        record_own(kind)
        assert find_delay(find_delivery(made)) is Delay.NO_WORKER
    record_own(heartbeats.DISPATCHER)
    assert find_delay(find_delivery(made)) is Delay.TURN


def test_a_webhook_is_full_when_it_is_sent_as_many_as_it_gets_at_once(
    session_settings: Settings,
) -> None:
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


def test_nothing_holds_up_what_is_not_long_due_or_is_not_to_go() -> None:
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
        # A test goes to a webhook that is off as well, and to none that is gone.
        ({"state": "off"}, {"priority": Priority.TEST}, False),
        (DELETED, {"priority": Priority.TEST}, True),
        (DELETED, {"status": "failed"}, False),
    ],
)
def test_what_is_open_comes_to_rest_where_nothing_is_sent_any_more_or_waits_for_a_start(
    hook: dict[str, Any], delivery: dict[str, Any], comes_to_rest: bool
) -> None:
    made = make_delivery(make_webhook(**hook), **delivery)
    found = find_delivery(made)
    assert (found.comes_to_rest, found.waits_for_start) == (comes_to_rest, False)
    sending.stop(make_user("admin").actor)
    is_open = delivery.get("status", "queued") in ("queued", "retrying")
    assert find_delivery(made).waits_for_start is (is_open and not comes_to_rest)


def test_of_the_others_what_has_not_arrived_comes_first_by_name() -> None:
    for name in ("Cargo", "Desk", "bench", "Auction"):
        make_webhook(name=name)
    publish()
    rows = {
        find_delivery(each).webhook_name: each
        for each in session().scalars(select(Delivery.public_id))
    }
    change(rows["Auction"], status="delivered")
    # A form that is open tests with what happened.
    (event_id,) = set(session().scalars(select(Delivery.event_id)))
    draft = make_webhook(state="draft", name="Archive")
    change(make_delivery(draft), event_id=event_id)
    found = siblings_of(rows["Cargo"])
    assert [each.webhook_name for each in found.rows] == ["bench", "Desk", "Auction"]
    assert found.more == 0


def test_of_several_answers_that_fit_the_newest_is_told() -> None:
    made = make_delivery(status="failed")
    for text in ("out of stock: 1", "out of stock: 2", "100% sold"):
        make_attempt(made, response_text=text)
    (row_id,) = session().scalars(select(Delivery.id))
    found = answers_with("stock", [row_id], [])
    assert found == {row_id: Said("out of stock: 2", is_last=False)}
    assert answers_with("sold", [row_id], []) == {row_id: Said("100% sold", is_last=True)}
    # A sign of a search pattern is a sign like any other.
    assert answers_with("0%", [row_id], [])[row_id].line == "100% sold"
    assert answers_with("s%k", [row_id], []) == {}


def test_only_the_last_attempt_that_arrived_can_be_doubtful() -> None:
    said = '{"status": "error", "message": "not stored"}'
    arrived, failed, mended = (make_delivery(status="delivered") for _ in range(3))
    make_attempt(arrived, outcome="delivered", response_text=said)
    make_attempt(failed, outcome="failed", response_text=said)
    make_attempt(mended, outcome="delivered", response_text=said)
    make_attempt(mended, outcome="delivered", response_text="ok")
    assert doubtful_among([arrived, failed, mended]) == {arrived}
    assert doubtful_among([]) == frozenset()


@pytest.mark.parametrize("name", ["X-Asset-Webhook-Signature", NEXT])
def test_the_signature_of_another_delivery_is_known_whichever_secret_made_it(
    ben: Actor, name: str
) -> None:
    hook = make_webhook(secret="one of ours")
    here, there = make_delivery(hook), make_delivery(hook)
    theirs = legacy_signature(b"another body", "whatever made it")
    make_attempt(there, request_headers=[[name, theirs]])
    found = check_signature(ben, find_delivery(here), theirs)
    assert str(there) in f"{found}"


def test_of_each_neighbour_the_last_three_attempts_are_asked(ben: Actor) -> None:
    hook = make_webhook(secret="one of ours")
    here, there = make_delivery(hook), make_delivery(hook)
    made = [legacy_signature(b"%d" % number, "whatever") for number in range(4)]
    for each in made:
        make_attempt(there, request_headers=[["X-Asset-Webhook-Signature", each]])
    found = [str(there) in f"{check_signature(ben, find_delivery(here), each)}" for each in made]
    assert found == [False, True, True, True]


def test_the_time_of_an_attempt_is_the_one_that_its_own_header_says(ben: Actor) -> None:
    made = make_delivery(make_webhook(secret="one of ours"))
    stamps = [["X-Number", "90"], ["Webhook-Timestamp", "50"], ["webhook-timestamp", "²"]]
    make_attempt(made, request_headers=stamps)
    for at, is_ours in ((50, True), (90, False)):
        signature = standard_signature(BODY, "one of ours", message_id=str(made), sent_at=at)
        told = check_signature(ben, find_delivery(made), signature).sentence
        assert (told == "This is exactly our webhook-signature of attempt 1.") is is_ours


def test_who_may_not_read_deliveries_may_not_ask_about_their_signatures() -> None:
    nobody = make_user("support", is_active=False).actor
    made = make_delivery(make_webhook(secret="one of ours"))
    with pytest.raises(NotAllowed):
        check_signature(nobody, find_delivery(made), "v1,x")


@pytest.mark.both_databases
def test_while_a_replaced_key_overlaps_both_are_known_for_what_they_are(ben: Actor) -> None:
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
