"""The built-in inbox: the only one, open at its own URL alone, and keeping messages for a day."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal.extensions import db
from portal.lib.clock import utcnow
from portal.models.audit import AuditEntry
from portal.models.webhooks import InboxMessage, Webhook
from portal.services.core import vault
from portal.services.core.unit_of_work import writing
from portal.services.operations import retention
from portal.services.webhooks import crud, inbox
from portal.services.webhooks.inbox import KEPT, InboxItem
from portal.services.webhooks.rows import inbox_url, opening, public_id_of, shown_url, token_of
from portal.services.webhooks.rules import WebhookValues
from tests.support.factories import Person, make_user, make_webhook
from tests.support.inbox import BODY, row_of, secret_of, signed

pytestmark = pytest.mark.usefixtures("app")

OTHER = "a key that is not ours"


@pytest.fixture
def ana() -> Person:
    return make_user(name="Ana")


@pytest.fixture
def opened(ana: Person) -> UUID:
    return inbox.open_inbox(ana.actor)


def receive(public_id: UUID, headers: Sequence[tuple[str, str]], body: bytes = BODY) -> InboxItem:
    """Send a message to the inbox, and return it as stored."""
    assert inbox.receive(token_of(public_id), headers, body)
    return inbox.messages(public_id)[0]


def test_the_inbox_has_every_event_its_own_secret_and_its_maker_as_owner(
    ana: Person, opened: UUID
) -> None:
    webhook = row_of(opened)
    assert webhook.owner_id == ana.id
    assert (webhook.kind, webhook.state, webhook.url) == ("inbox", "active", "")
    assert [subscription.event for subscription in webhook.subscriptions] == ["*"]
    assert secret_of(opened).startswith("whsec_")
    assert webhook.secret_shown_until is None


def test_opening_the_inbox_twice_makes_one(ana: Person, opened: UUID) -> None:
    assert inbox.open_inbox(ana.actor) == opened
    crud.delete(ana.actor, opened)
    assert inbox.find_inbox() is None
    assert inbox.open_inbox(ana.actor) != opened


def test_a_webhook_with_the_name_of_the_inbox_is_left_alone(ana: Person) -> None:
    make_webhook(name=inbox.NAME.upper())
    assert row_of(inbox.open_inbox(ana.actor)).name == f"{inbox.NAME} 2"


def test_pointing_the_inbox_elsewhere_audits_its_former_url(ana: Person, opened: UUID) -> None:
    before = shown_url(row_of(opened))
    values = WebhookValues(
        name="ERP",
        url="https://erp.example.com/hook?key=hush",
        events=("asset.created",),
    )
    assert crud.edit(ana.actor, opened, 1, values).is_changed
    latest = select(AuditEntry.changes).order_by(AuditEntry.id.desc()).limit(1)
    changes = db.session.scalars(latest).one()
    assert changes["url"] == {"from": before, "to": "https://erp.example.com/hook?key=••••"}


def test_the_inbox_url_cannot_be_guessed_and_is_not_shown(opened: UUID) -> None:
    token = token_of(opened)
    assert public_id_of(token) == opened
    wrong = (
        opened.hex,
        token[:-1] + ("0" if token[-1] != "0" else "1"),
        token + "0",
        "",
        token[:32] + "ä" * 40,
    )
    assert [public_id_of(guess) for guess in wrong] == [None] * len(wrong)
    assert token not in shown_url(row_of(opened))


@pytest.mark.parametrize(
    ("origin", "opened"),
    [
        ("http://127.0.0.1:8000", ("127.0.0.1", 8000)),
        ("http://[::1]:8000", ("::1", 8000)),
        ("https://10.0.0.7", ("10.0.0.7", 443)),
        ("http://10.0.0.7/portal", ("10.0.0.7", 80)),
    ],
)
def test_the_inbox_opens_one_address_and_port(
    app: Flask, monkeypatch: pytest.MonkeyPatch, origin: str, opened: tuple[str, int]
) -> None:
    ours = replace(app.extensions["settings"], inbox_origin=origin)
    monkeypatch.setitem(app.extensions, "settings", ours)
    assert opening() == opened
    assert inbox_url(uuid4()).startswith(f"{origin}/inbox/")


def test_a_host_name_opens_its_address(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = replace(app.extensions["settings"], inbox_origin="http://localhost:8000")
    monkeypatch.setitem(app.extensions, "settings", ours)
    assert opening() in {("127.0.0.1", 8000), ("::1", 8000)}


def test_messages_for_a_deleted_inbox_or_another_webhook_are_refused(
    ana: Person, opened: UUID
) -> None:
    plain = make_webhook()
    crud.delete(ana.actor, opened)
    for public_id in (opened, plain.public_id, uuid4()):
        assert not inbox.receive(token_of(public_id), signed(None), BODY)
    assert db.session.query(InboxMessage).count() == 0


def test_both_signatures_of_a_message_are_checked(opened: UUID) -> None:
    good = receive(opened, signed(secret_of(opened)))
    assert (good.legacy, good.standard) == ("good", "good")
    wrong = receive(opened, signed(OTHER))
    assert (wrong.legacy, wrong.standard) == ("wrong", "wrong")
    changed = receive(opened, signed(secret_of(opened)), BODY + b" ")
    assert (changed.legacy, changed.standard) == ("wrong", "wrong")
    unsigned = receive(opened, signed(None))
    assert (unsigned.legacy, unsigned.standard) == ("missing", "missing")


def test_an_invalid_timestamp_makes_the_signature_wrong(opened: UUID) -> None:
    for sent in ("", "soon", "-1", "9" * 40, "١٢"):
        headers = [
            ("webhook-signature", "v1,AAAA"),
            ("webhook-id", "m"),
            ("webhook-timestamp", sent),
        ]
        assert receive(opened, headers).standard == "wrong", sent


def test_values_of_custom_headers_are_not_kept(opened: UUID) -> None:
    webhook_id = row_of(opened).id
    with writing() as current:
        sealed = vault.seal_headers(webhook_id, [("X-Key", "tell nobody")])
        current.execute(update(Webhook).values(headers_enc=sealed))
    kept = receive(opened, [("x-key", "tell nobody"), ("X-Node", "7")])
    assert kept.headers == [("x-key", "••••"), ("X-Node", "7")]


def test_headers_from_strangers_are_bounded(opened: UUID) -> None:
    kept = receive(opened, [(f"X-{number}", "v" * 5000) for number in range(500)], b"\0\xff<b>")
    assert len(kept.headers) == inbox.MOST_HEADERS
    assert {len(value) for _, value in kept.headers} == {inbox.LONGEST_HEADER}
    assert kept.body == b"\0\xff<b>"


@pytest.mark.both_databases
def test_the_last_fifty_messages_are_kept(opened: UUID) -> None:
    for number in range(KEPT + 3):
        assert inbox.receive(token_of(opened), [], str(number).encode())
    assert [message.body for message in inbox.messages(opened)][::49] == [b"52", b"3"]
    assert db.session.query(InboxMessage).count() == KEPT


def test_messages_are_kept_for_a_day(opened: UUID) -> None:
    receive(opened, [])
    with writing() as current:
        current.execute(update(InboxMessage).values(received_at=utcnow() - timedelta(hours=25)))
    receive(opened, [("X-Node", "7")])
    assert len(inbox.messages(opened)) == 1
    retention.clear(utcnow(), utcnow())
    db.session.rollback()
    assert db.session.query(InboxMessage).count() == 1
