"""A secret that is replaced while a job walks over all secrets stays the new one."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from portal.lib.clock import utcnow
from portal.models.deliveries import DeliveryStatus
from portal.models.webhooks import Webhook, WebhookState
from portal.services.core import vault
from portal.services.core.permissions import SYSTEM
from portal.services.core.unit_of_work import session, writing
from portal.services.webhooks import keys as webhook_keys
from portal.services.webhooks import turn_on_off
from portal.services.webhooks.secrets import forget_replaced
from tests.services.webhooks.other_keys import NEW_KEY, Keys
from tests.support.database.rivals import Rival, meanwhile
from tests.support.deliveries import make_delivery, stored
from tests.support.factories import Hook, make_webhook, publish

pytestmark = pytest.mark.both_databases


def changed_meanwhile(
    app: Flask, hook: Hook, verb: Callable[[], object], change: Callable[[Webhook], None]
) -> Webhook:
    """Change the webhook while `verb` reaches it, and return its row at the end."""

    def do(current: Session) -> None:
        change(current.get_one(Webhook, hook.id, with_for_update={"key_share": True}))

    meanwhile(app, verb, do)
    return session().get_one(Webhook, hook.id, populate_existing=True)


def test_a_concurrently_replaced_secret_is_not_overwritten_by_resealing(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = Keys(app, monkeypatch)
    hook = make_webhook(secret="the secret of before")
    keys.become(NEW_KEY, *keys.old)

    def replace_it(row: Webhook) -> None:
        row.secret_enc = vault.seal_secret(row.id, "the secret of now")

    row = changed_meanwhile(app, hook, lambda: webhook_keys.rotate(lambda _: None), replace_it)
    assert vault.open_secret(row.id, row.secret_enc or b"") == "the secret of now"


def test_no_webhook_is_turned_off_for_a_concurrently_erased_secret(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.check_keys()
    keys = Keys(app, monkeypatch)
    hook = make_webhook(secret="the secret of before")
    keys.become(NEW_KEY)

    def erase_it(row: Webhook) -> None:
        row.secret_enc = None

    row = changed_meanwhile(app, hook, lambda: webhook_keys.forget(SYSTEM), erase_it)
    assert row.state == WebhookState.ACTIVE


def test_an_old_secret_that_signs_again_is_not_erased(app: Flask) -> None:
    hook = make_webhook(old_secret_enc=b"of before", old_until=utcnow() - timedelta(minutes=1))

    def replace_it(row: Webhook) -> None:
        row.old_secret_enc, row.old_until = b"of now", utcnow() + timedelta(days=1)

    def erase() -> None:
        with writing() as current:
            forget_replaced(current)

    assert changed_meanwhile(app, hook, erase, replace_it).old_secret_enc == b"of now"


def test_publishing_does_not_wait_for_the_erasure_of_a_secret(app: Flask) -> None:
    make_webhook(old_secret_enc=b"of before", old_until=utcnow() - timedelta(minutes=1))
    with writing() as current:
        assert forget_replaced(current) == 1
        if current.get_bind().dialect.name == "postgresql":
            Rival(app, publish).pass_by()


def test_nothing_is_held_for_a_webhook_that_is_turned_on_concurrently(app: Flask) -> None:
    hook = make_webhook(state="off")
    made = make_delivery(hook)

    def turn_on(row: Webhook) -> None:
        row.state = WebhookState.ACTIVE

    def hold() -> None:
        with writing() as current:
            turn_on_off.hold_open(current.connection(), hook.id)

    changed_meanwhile(app, hook, hold, turn_on)
    assert stored(made)["status"] == DeliveryStatus.QUEUED
