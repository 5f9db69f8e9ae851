"""A chat message is made of the event's body when it is sent, signed, and stored as sent."""

from collections.abc import Iterator
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select, update

from jobs.deliver import deliver_due
from portal.engine.formats.chats import CHATS, Place, body_in
from portal.engine.reasons import Reason
from portal.engine.signing.signatures import verify
from portal.extensions import db
from portal.models.deliveries import AttemptBody, Event
from portal.models.webhooks import Webhook
from portal.services.core.unit_of_work import writing
from portal.services.dispatch.record_results import body_of
from tests.jobs.dispatcher.delivery_clock import (
    claim,
    ended,
    make_due,
    only_delivery,
    webhook,
    write_down,
)
from tests.support.chats import ChatReceiver
from tests.support.database.statements import asked
from tests.support.factories import make_webhook, publish
from tests.support.receiver import Receiver

pytestmark = [pytest.mark.usefixtures("app"), pytest.mark.both_databases]

SECRET = "whsec_bWFkZSBmb3IgY2hhdHMgb2YgZXZlcnkga2luZCEh"
TAKEN = {"slack": 200, "teams": 202, "discord": 204, "google_chat": 200}
OURS = ("Content-Type", "User-Agent", "X-Asset-Webhook-Event", "X-Asset-Webhook-Timestamp")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


def stored_body() -> bytes:
    db.session.rollback()
    return db.session.scalars(select(Event.body)).one()


def written_in(key: str) -> bytes:
    """Return the event in this format, with times in Vienna and no public URL of the portal."""
    body = body_in(key, stored_body(), Place(ZoneInfo("Europe/Vienna"), None))
    assert body is not None
    return body


def kept() -> list[str | None]:
    """Return the stored request bodies of the attempts, oldest first."""
    db.session.rollback()
    query = select(AttemptBody.request_body).order_by(AttemptBody.attempt_id)
    return list(db.session.scalars(query))


def set_format(key: str | None) -> None:
    with writing() as current:
        current.execute(update(Webhook).values(format=key))


@pytest.mark.parametrize("key", CHATS)
def test_a_chat_message_has_its_format_our_headers_and_a_signature(key: str) -> None:
    with ChatReceiver(key) as receiver:
        make_webhook(receiver.url, secret=SECRET, format=key, url_is_secret=True)
        publish()
        deliver_due()
    ((message, answered),) = receiver.answered
    assert answered == TAKEN[key]
    assert len(receiver.seen) == 1
    assert message.body == written_in(key)
    assert message.header("Content-Type") == "application/json"
    assert [message.header(name) for name in OURS if not message.header(name)] == []
    signature = message.header("X-Asset-Webhook-Signature") or ""
    assert verify(body=message.body, signature=signature, secret=SECRET)
    assert kept() == [message.body.decode()]


def test_a_changed_format_applies_to_the_next_attempt_and_each_is_stored(
    receiver: Receiver,
) -> None:
    make_webhook(receiver.url, format="slack")
    publish()
    for key in ("slack", "slack", "discord", None):
        set_format(key)
        receiver.answer_next(500)
        deliver_due()
        make_due()
    sent = [message.body for message in receiver.received]
    assert sent == [*2 * [written_in("slack")], written_in("discord"), stored_body()]
    assert kept() == [*(body.decode() for body in sent[:3]), None]
    assert len({message.header("X-Asset-Webhook-Id") for message in receiver.received}) == 1


def test_an_attempt_without_a_request_stores_no_body(receiver: Receiver) -> None:
    make_webhook(receiver.url, format="slack", headers=[("Host", "elsewhere.example.com")])
    publish()
    deliver_due()
    assert (receiver.received, kept()) == ([], [None])


def test_an_attempt_recorded_late_keeps_its_request_body(receiver: Receiver) -> None:
    make_webhook(receiver.url, format="slack")
    publish()
    (late,) = claim()
    make_due()
    claim()
    write_down(ended(late, Reason.SERVER)._replace(request_body='{"text":"late"}'))
    assert kept() == ['{"text":"late"}']


def test_a_standard_body_is_not_stored_again_with_the_attempt(receiver: Receiver) -> None:
    make_webhook(receiver.url)
    publish()
    deliver_due()
    assert receiver.received[0].body == stored_body()
    assert kept() == [None]
    publish()
    (own,) = claim()
    assert "request_body" not in body_of(ended(own))


def test_a_format_adds_one_column_to_the_query_of_a_claim() -> None:
    for _ in range(2):
        make_webhook()
    publish()
    with asked(db.engine) as statements:
        assert len(claim()) == 2
    # The poll reads the format, too, for the pace.
    (query,) = [statement for statement in statements if "webhooks.version" in statement]
    assert query.count("format") == 1
    assert not any("request_body" in statement for statement in statements)


@pytest.mark.parametrize(
    ("format_", "state", "reason", "status"),
    [
        ("discord", "off", Reason.GONE, "failed"),
        ("slack", "active", Reason.NOT_FOUND, "retrying"),
        (None, "active", Reason.NOT_FOUND, "retrying"),
    ],
)
def test_discord_gets_no_more_requests_once_it_does_not_know_the_webhook(
    receiver: Receiver, format_: str | None, state: str, reason: Reason, status: str
) -> None:
    receiver.answer(404, b'{"message": "Unknown Webhook", "code": 10015}')
    hook = make_webhook(receiver.url, format=format_, url_is_secret=True)
    publish()
    deliver_due()
    delivery = only_delivery()
    assert (delivery.status, delivery.reason, delivery.code) == (status, reason, 404)
    assert webhook(hook.id).state == state
