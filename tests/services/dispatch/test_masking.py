"""Nothing that is kept of an exchange gives away what the webhook keeps secret."""

import json
from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import select

from jobs.deliver import deliver_due
from portal.extensions import db
from portal.models.deliveries import AttemptBody
from tests.support.factories import make_webhook, publish
from tests.support.receiver import Received, Receiver

SECRET = "whsec_bWFzayB0aGlzIHNlY3JldCB3aGVyZXZlciBpdCBpcw=="
KEY = 'a "key" that is/told nobody'
DOTS = "••••"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


def kept() -> AttemptBody:
    """What is kept of the one attempt."""
    db.session.rollback()
    return db.session.execute(select(AttemptBody)).scalar_one()


def sent_to(receiver: Receiver) -> Received:
    (received,) = receiver.received
    return received


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("status", [201, 302, 500])
def test_a_receiver_that_sends_back_what_it_got_is_kept_without_it(
    receiver: Receiver, status: int
) -> None:
    make_webhook(receiver.url, secret=SECRET, headers=[("X-Key", KEY)])
    text = json.dumps({"secret": SECRET, "key": KEY}) + SECRET.replace("/", r"\/")
    away = f"https://elsewhere.example.com/?key={KEY}&secret={SECRET}"
    headers = [("Location", away), ("X-Echo", KEY), ("Set-Cookie", f"s={SECRET}")]
    receiver.answer(status, text.encode(), headers)
    publish()
    deliver_due()
    assert sent_to(receiver).header("X-Key") == KEY
    body = kept()
    assert body.location == f"https://elsewhere.example.com/?key={DOTS}&secret={DOTS}"
    answered = dict(body.response_headers)
    assert (answered["X-Echo"], answered["Set-Cookie"]) == (DOTS, f"s={DOTS}")
    assert answered["Location"] == body.location
    assert body.response_text == f'{{"secret": "{DOTS}", "key": "{DOTS}"}}{DOTS}'
    assert dict(body.request_headers)["X-Key"] == DOTS
    columns = {column.key: getattr(body, column.key) for column in AttemptBody.__table__.columns}
    everything = json.dumps(columns, default=str, ensure_ascii=False)
    for form in (SECRET, KEY, json.dumps(KEY)[1:-1]):
        assert form not in everything


def test_a_signature_that_comes_back_is_masked_too(app: Flask) -> None:
    """Whoever reads the log could send what it signs."""

    def echo(received: Received) -> None:
        signature = received.header("X-Asset-Webhook-Signature") or ""
        receiver.answer_next(302, signature.encode(), [("Location", f"/?s={signature}")])

    with Receiver(answerer=echo) as receiver:
        make_webhook(receiver.url, secret=SECRET)
        publish()
        deliver_due()
        signature = sent_to(receiver).header("X-Asset-Webhook-Signature")
    body = kept()
    assert signature
    assert (body.location, body.response_text) == (f"/?s={DOTS}", DOTS)
    # Ours alone say how it was signed.
    assert dict(body.request_headers)["X-Asset-Webhook-Signature"] == signature
