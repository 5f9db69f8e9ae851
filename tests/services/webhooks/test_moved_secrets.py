"""Stored keys and header values stay with the scheme, host and port that they were stored for."""

from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from sqlalchemy import select

from portal.models.audit import AuditEntry
from portal.models.webhooks import Webhook
from portal.services.core import vault
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import session
from portal.services.webhooks import crud, drafts
from portal.services.webhooks import queries as webhook_queries
from portal.services.webhooks.rules import SecretMode, WebhookValues, place_of
from tests.support.factories import Hook, Person, make_user, make_webhook

pytestmark = pytest.mark.usefixtures("app")

HERE = "https://erp.example.com/hook"
KEY, VALUE = "the key that is stored", "Bearer abcdefghijkl"
ELSEWHERE = [
    "https://evil.example.com/hook",
    "http://erp.example.com/hook",
    "https://erp.example.com:8443/hook",
    "https://erp.example.com.evil.example/hook",
]
SAME = ["https://erp.example.com/other?x=1", "HTTPS://ERP.example.com:443/hook"]


@pytest.fixture
def ana(app: Flask) -> Person:
    return make_user(name="Ana")


@pytest.fixture
def hook(app: Flask) -> Hook:
    return make_webhook(HERE, name="Sync", secret=KEY, headers=[("X-Key", VALUE)])


def values(url: str, **changes: Any) -> WebhookValues:
    kept: dict[str, Any] = {
        "name": "Sync",
        "url": url,
        "events": ("asset.created",),
        "secret_mode": SecretMode.KEEP,
        "headers": (("x-key", ""),),
    }
    return WebhookValues(**{**kept, **changes})


def stored(hook: Hook) -> Webhook:
    session().rollback()
    return session().get_one(Webhook, hook.id)


def told() -> list[AuditEntry]:
    session().rollback()
    return list(session().scalars(select(AuditEntry).order_by(AuditEntry.id)))


@pytest.mark.parametrize("url", ELSEWHERE)
@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"headers": ()}, "secret_mode"),
        ({"secret_mode": SecretMode.GENERATE}, "headers"),
        ({"secret_mode": SecretMode.NONE}, "headers"),
    ],
)
def test_neither_edit_nor_test_sends_stored_secrets_elsewhere(
    ana: Person, hook: Hook, url: str, changes: dict[str, Any], field: str
) -> None:
    moved = values(url, **changes)
    for verb in (
        lambda: crud.edit(ana.actor, hook.public_id, 1, moved),
        lambda: drafts.send_test(
            ana.actor, uuid4(), moved, "asset.created", edits=hook.public_id, version=1
        ),
    ):
        with pytest.raises(Refusal) as refusal:
            verb()
        assert refusal.value.field == field
        assert "We " in refusal.value.sentence
    assert stored(hook).url == HERE
    assert told() == []


@pytest.mark.parametrize("url", SAME)
def test_stored_secrets_stay_at_the_same_scheme_host_and_port(
    ana: Person, hook: Hook, url: str
) -> None:
    form = uuid4()
    assert drafts.send_test(
        ana.actor, form, values(url), "asset.created", edits=hook.public_id, version=1
    )
    crud.edit(ana.actor, hook.public_id, 1, values(url), form)
    webhook = stored(hook)
    assert vault.open_secret(webhook.id, webhook.secret_enc or b"") == KEY
    assert webhook_queries.stored_values(hook.public_id).headers == (("x-key", VALUE),)


@pytest.mark.parametrize("mode", [SecretMode.OWN, SecretMode.GENERATE])
def test_a_webhook_with_new_secrets_moves_and_its_old_key_stops_signing(
    ana: Person, hook: Hook, mode: SecretMode
) -> None:
    own = "a key of 24 bytes or more" if mode is SecretMode.OWN else ""
    moved = values(ELSEWHERE[0], secret_mode=mode, secret=own, headers=(("X-Key", "typed anew"),))
    form = uuid4()
    assert drafts.send_test(
        ana.actor, form, moved, "asset.created", edits=hook.public_id, version=1
    )
    draft = session().scalars(select(Webhook).where(Webhook.public_id == form)).one()
    assert draft.old_secret_enc is None
    crud.edit(ana.actor, hook.public_id, 1, moved, form)
    webhook = stored(hook)
    assert webhook.url == ELSEWHERE[0]
    assert webhook.old_secret_enc is None
    assert vault.open_secret(webhook.id, webhook.secret_enc or b"") != KEY


def test_each_test_of_a_form_is_audited_with_its_url(ana: Person, hook: Hook) -> None:
    form, other = uuid4(), uuid4()
    url = f"{HERE}?token=secret-of-theirs"
    drafts.send_test(ana.actor, form, values(url), "asset.created", edits=hook.public_id, version=1)
    new = values("https://new.example.com/", name="New", secret_mode=SecretMode.NONE, headers=())
    drafts.send_test(ana.actor, other, new, "asset.created")
    first, second = told()
    assert {entry.action for entry in (first, second)} == {"webhook.tested_before_saving"}
    assert (first.actor_name, first.target_id, first.target_name) == (
        "Ana",
        str(hook.public_id),
        "Sync",
    )
    assert first.changes["url"]["to"] == f"{HERE}?token=••••"
    assert (second.target_kind, second.target_name) == ("draft", "New")
    assert second.changes["url"]["to"] == "https://new.example.com/"


def test_a_place_is_scheme_host_and_port() -> None:
    assert {place_of(url) for url in (HERE, *SAME)} == {"https://erp.example.com:443"}
    assert place_of("no address") is None
