"""A stored exchange reveals none of the webhook's secrets."""

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from jobs.deliver import deliver_due
from portal.engine.http.exchange import Exchange
from portal.engine.http.transport import prepare
from portal.engine.reasons import Reason
from portal.extensions import db
from portal.lib.clock import utcnow
from portal.models.deliveries import Attempt, AttemptBody
from portal.models.webhooks import Webhook
from portal.services.core import vault
from portal.services.core.unit_of_work import writing
from portal.services.dispatch.claim import Claim, claim
from portal.services.dispatch.request import Composer, of_exchange
from tests.support.deliveries import make_delivery
from tests.support.factories import Hook, make_webhook, publish
from tests.support.receiver import Received, Receiver

SECRET = "whsec_bWFzayB0aGlzIHNlY3JldCB3aGVyZXZlciBpdCBpcw=="
KEY = 'a "key" that is/told nobody'
DOTS = "••••"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


def kept() -> AttemptBody:
    """Return the stored body of the only attempt."""
    db.session.rollback()
    return db.session.execute(select(AttemptBody)).scalar_one()


def everything(body: AttemptBody) -> str:
    """Return all columns of the stored body as text."""
    columns = {column.key: getattr(body, column.key) for column in AttemptBody.__table__.columns}
    return json.dumps(columns, default=str, ensure_ascii=False)


def sent_to(receiver: Receiver) -> Received:
    (received,) = receiver.received
    return received


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("status", [201, 302, 500])
def test_secrets_that_a_receiver_echoes_are_masked(receiver: Receiver, status: int) -> None:
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
    for form in (SECRET, KEY, json.dumps(KEY)[1:-1]):
        assert form not in everything(body)


def test_an_echoed_signature_is_masked(app: Flask) -> None:
    """With it, a reader of the log could send the signed body."""

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
    assert (body.location, body.response_text) == (f"{receiver.url}?s={DOTS}", DOTS)
    # Only our own request headers keep the signature.
    assert dict(body.request_headers)["X-Asset-Webhook-Signature"] == signature


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize(
    ("header", "echoed"),
    [
        ("Bearer s3cr3t-token", "s3cr3t-token"),
        ("token=s3cr3t-token, user=ana", "s3cr3t-token"),
        ('Digest key="s3cr3t-token"', "s3cr3t-token"),
        ("a s3cr3t/token", "s3cr3t%2Ftoken"),
    ],
)
def test_an_echoed_part_of_a_header_is_masked(receiver: Receiver, header: str, echoed: str) -> None:
    make_webhook(receiver.url, headers=[("Authorization", header)])
    text = f"No such token: {echoed}."
    receiver.answer(401, text.encode(), [("Location", f"/sign-in?for={echoed}")])
    publish()
    deliver_due()
    body = kept()
    assert body.response_text == f"No such token: {DOTS}."
    assert body.location == f"{receiver.url}sign-in?for={DOTS}"
    assert echoed not in everything(body)


@pytest.mark.usefixtures("app")
def test_values_too_short_to_be_secrets_are_not_masked(receiver: Receiver) -> None:
    make_webhook(receiver.url, headers=[("X-Mode", "trial"), ("X-Key", "secret")])
    receiver.answer(200, b"A trial of a secret.")
    publish()
    deliver_due()
    assert kept().response_text == f"A trial of a {DOTS}."


@pytest.mark.usefixtures("app")
def test_a_secret_key_echoed_without_its_prefix_is_masked(receiver: Receiver) -> None:
    make_webhook(receiver.url, secret=SECRET)
    receiver.answer(401, SECRET.removeprefix("whsec_").encode())
    publish()
    deliver_due()
    assert kept().response_text == DOTS


@pytest.mark.usefixtures("app")
def test_a_replaced_key_is_masked_while_it_still_signs(receiver: Receiver) -> None:
    hook, old = make_webhook(receiver.url, secret=SECRET), "the key from before 1111"
    with writing() as current:
        webhook = current.get_one(Webhook, hook.id)
        webhook.old_secret_enc = vault.seal_secret(hook.id, old)
        webhook.old_until = utcnow() + timedelta(hours=1)
    receiver.answer(401, f"not {old}, but {SECRET}".encode())
    publish()
    deliver_due()
    assert kept().response_text == f"not {DOTS}, but {DOTS}"


def attempt() -> Attempt:
    """Return the only attempt."""
    db.session.rollback()
    return db.session.execute(select(Attempt)).scalar_one()


@pytest.mark.usefixtures("app")
def test_query_values_of_the_url_are_masked_in_attempt_and_response(receiver: Receiver) -> None:
    make_webhook(f"{receiver.url}?key=s3cr3t%20token&v=2")
    echo = b"key=s3cr3t%20token, s3cr3t token, s3cr3t+token"
    receiver.answer(302, echo, [("Location", "https://b.example/?key=s3cr3t%20token")])
    publish()
    deliver_due()
    assert sent_to(receiver).path.endswith("?key=s3cr3t%20token&v=2")
    assert attempt().url == f"{receiver.url}?key={DOTS}&v={DOTS}"
    body = kept()
    assert body.location == f"https://b.example/?key={DOTS}"
    assert body.response_text == f"key={DOTS}, {DOTS}, {DOTS}"


@pytest.mark.usefixtures("app")
def test_the_path_of_a_secret_url_is_masked(receiver: Receiver) -> None:
    path = "hooks/s3cr3t-token"
    make_webhook(f"{receiver.url}{path}", url_is_secret=True)
    receiver.answer(404, f"Cannot POST /{path}: no s3cr3t-token".encode())
    publish()
    deliver_due()
    assert sent_to(receiver).path.endswith(path)
    assert attempt().url == f"{receiver.url}{DOTS}"
    text = kept().response_text
    assert "s3cr3t-token" not in text
    assert text.startswith("Cannot POST ")


@pytest.mark.usefixtures("app")
def test_our_own_errors_do_not_repeat_the_url() -> None:
    """libcurl names the URL in some of its errors."""
    made = one_claim(make_webhook("https://a.example/in?key=s3cr3t-token"))
    outgoing = Composer("1").compose(made)
    request = prepare(outgoing.url, outgoing.headers, outgoing.body)
    exchange = Exchange(1, request, Reason.DNS, detail=f"Bad URL: {outgoing.url}")
    detail = of_exchange(made, exchange, outgoing).detail
    assert detail == f"Bad URL: https://a.example/in?key={DOTS}"


def one_claim(hook: Hook) -> Claim:
    """Claim a new delivery of this webhook."""
    make_delivery(hook)
    with db.engine.connect().execution_options(writing=True) as connection, connection.begin():
        (claimed,) = claim(connection, 1)
    return claimed


@pytest.mark.usefixtures("app")
def test_a_secret_cut_off_at_the_end_is_masked_from_six_letters_on(receiver: Receiver) -> None:
    make_webhook(receiver.url, headers=[("X-Key", "s3cr3t-token")])
    ends = {"s3cr3": "s3cr3", "s3cr3t": DOTS, "s3cr3t-tok": DOTS}
    expected = {f"s3cr3tly; it was {end}": f"s3cr3tly; it was {ends[end]}" for end in ends}
    expected |= {"s3cr3t-t": DOTS, "s3cr3tly": "s3cr3tly"}  # shorter than the secret
    for text in expected:
        receiver.answer_next(200, text.encode())
        publish()
    deliver_due()
    texts = db.session.scalars(select(AttemptBody.response_text))
    assert sorted(texts) == sorted(expected.values())


@pytest.mark.usefixtures("app")
def test_a_common_word_of_urls_at_the_end_is_not_masked(receiver: Receiver) -> None:
    make_webhook(f"{receiver.url}services/T0AB/B0CD/s3cr3t-token", url_is_secret=True)
    ends = {
        "no_service": "no_service",
        "/services": "/services",
        "at services/T0": f"at {DOTS}",
        "at services%2FT0": f"at {DOTS}",
        "at /services/T0AB/B0CD/s3c": f"at {DOTS}",
    }
    for text in ends:
        receiver.answer_next(404, text.encode())
        publish()
    deliver_due()
    texts = db.session.scalars(select(AttemptBody.response_text))
    assert sorted(texts) == sorted(ends.values())


@pytest.mark.usefixtures("app")
def test_a_cut_off_secret_that_begins_with_a_common_word_is_masked(receiver: Receiver) -> None:
    make_webhook(receiver.url, headers=[("X-Key", "services0000secret")])
    receiver.answer(404, b"at services")
    publish()
    deliver_due()
    assert kept().response_text == f"at {DOTS}"
