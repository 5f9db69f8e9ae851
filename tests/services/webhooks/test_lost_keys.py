"""With lost keys the portal starts, names the undecryptable secrets, and deletes none of them."""

from datetime import timedelta
from uuid import uuid4

import pytest
from flask import Flask
from sqlalchemy import delete, select, update

from portal.config.values import SettingsError
from portal.lib.clock import frozen, utcnow
from portal.models.audit import AuditEntry
from portal.models.operations import Process
from portal.models.webhooks import Webhook
from portal.services.core import heartbeats, vault
from portal.services.core.permissions import SYSTEM
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import session, writing
from portal.services.operations.findings import find
from portal.services.operations.health import read_facts
from portal.services.webhooks import crud, drafts, secrets, turn_on_off
from portal.services.webhooks import keys as webhook_keys
from portal.services.webhooks import queries as webhook_queries
from portal.services.webhooks.rows import UndecryptableSecrets, open_secret, undecryptable_parts
from portal.services.webhooks.rules import SecretMode, WebhookValues
from portal.services.webhooks.sample_deliveries import send_test
from tests.services.webhooks.other_keys import NEW_KEY, Keys
from tests.support.factories import Hook, Person, make_user, make_webhook
from tests.support.heartbeats import record_own

URL = "https://receiver.example.com/hook"


HEADERS = (("X-Api-Key", "of the receiver"),)


@pytest.fixture
def keys(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Keys:
    vault.check_keys()
    return Keys(app, monkeypatch)


@pytest.fixture
def ana(app: Flask) -> Person:
    return make_user()


def stored(hook: Hook) -> Webhook:
    session().rollback()
    return session().get_one(Webhook, hook.id)


def sealed(hook: Hook) -> tuple[bytes | None, bytes | None]:
    webhook = stored(hook)
    return webhook.secret_enc, webhook.headers_enc


def values(hook: Hook, **changes: object) -> WebhookValues:
    entered = {"name": hook.name, "url": URL, "events": ("asset.created",), "is_active": False}
    return WebhookValues(**{**entered, "secret_mode": SecretMode.KEEP, **changes})  # type: ignore[arg-type]


def edit(ana: Person, hook: Hook, **changes: object) -> None:
    crud.edit(ana.actor, hook.public_id, stored(hook).version, values(hook, **changes))


def try_form(ana: Person, hook: Hook, **changes: object) -> bool:
    """Test the form before saving it."""
    entered = values(hook, **changes)
    return drafts.send_test(ana.actor, uuid4(), entered, "asset.created", edits=hook.public_id)


def test_the_portal_starts_without_lost_keys_and_found_keys_repair_it(
    keys: Keys, ana: Person
) -> None:
    signed, headed = make_webhook(secret="the secret of it"), make_webhook(headers=HEADERS)
    bare, off = make_webhook(), make_webhook(secret="another secret", state="off")
    before = [sealed(webhook) for webhook in (signed, headed, off)]
    keys.become(NEW_KEY)
    with pytest.raises(SettingsError):
        vault.check_keys()
    lost = webhook_keys.lost_keys()
    assert lost.key_check
    assert sorted((webhook.name, *webhook.parts) for webhook in lost.webhooks) == sorted(
        [
            (signed.name, "secret key"),
            (headed.name, "custom headers"),
            (off.name, "secret key"),
        ]
    )
    record_own(heartbeats.WEB)
    with pytest.raises(Refusal, match=r"^Stop every portal process first. We last saw web on "):
        webhook_keys.forget(SYSTEM)
    assert stored(signed).state == "active"
    with writing() as current:
        current.execute(update(Process).values(seen_at=utcnow() - timedelta(minutes=1)))
    assert webhook_keys.forget(SYSTEM) == lost
    vault.check_keys()
    assert [stored(webhook).off_reason for webhook in (signed, headed)] == ["lost_key", "lost_key"]
    assert (stored(bare).state, stored(off).off_reason) == ("active", None)
    assert [sealed(webhook) for webhook in (signed, headed, off)] == before
    assert not webhook_keys.forget(SYSTEM).key_check  # idempotent
    trail = session().scalars(select(AuditEntry.action).order_by(AuditEntry.id)).all()
    assert sorted(trail) == ["keys.forgotten", "webhook.turned_off", "webhook.turned_off"]
    for webhook in (signed, headed, off):
        with pytest.raises(UndecryptableSecrets, match="can’t decrypt"):
            turn_on_off.turn_on(ana.actor, webhook.public_id)
        with pytest.raises(UndecryptableSecrets):
            send_test(ana.actor, webhook.public_id)

    keys.become(NEW_KEY, *keys.old)
    for webhook in (signed, headed, off):
        turn_on_off.turn_on(ana.actor, webhook.public_id)
    assert vault.open_secret(signed.id, stored(signed).secret_enc or b"") == "the secret of it"
    assert secrets.stored_headers(stored(headed)) == HEADERS


def test_the_form_keeps_undecryptable_values_until_new_ones_replace_them(
    keys: Keys, ana: Person
) -> None:
    hook = make_webhook(secret="the secret of it", headers=HEADERS, state="off")
    keys.become(NEW_KEY)
    webhook_keys.forget(SYSTEM)
    before = sealed(hook)
    assert webhook_queries.show(hook.public_id).undecryptable == ("secret key", "custom headers")
    edit(ana, hook, in_order=True)  # no new value, so the stored one waits for found keys
    assert sealed(hook) == before
    for entered, missing in (
        ({}, "secret key and custom headers"),
        ({"secret_mode": SecretMode.GENERATE}, "custom headers"),
        ({"headers": HEADERS}, "secret key"),
    ):
        with pytest.raises(UndecryptableSecrets, match=f"^We can’t decrypt the stored {missing}"):
            try_form(ana, hook, **entered)
    assert try_form(ana, hook, headers=HEADERS, secret_mode=SecretMode.NONE)
    edit(ana, hook, secret_mode=SecretMode.GENERATE)
    assert stored(hook).old_secret_enc is None  # an undecryptable key does not sign any longer
    with pytest.raises(UndecryptableSecrets, match=r"^We can’t decrypt the stored custom headers"):
        edit(ana, hook, is_active=True)
    edit(ana, hook, headers=(("X-Api-Key", "a new one"),), is_active=True)
    assert webhook_queries.show(hook.public_id).undecryptable == ()
    assert stored(hook).state == "active"


def test_undecryptable_values_are_not_moved_and_can_be_erased(keys: Keys, ana: Person) -> None:
    moved = make_webhook(headers=HEADERS, state="off")
    erased = make_webhook(secret="the secret of it", headers=HEADERS, state="off")
    keys.become(NEW_KEY)
    webhook_keys.forget(SYSTEM)
    edit(ana, moved, url="https://elsewhere.example.com/")
    assert sealed(moved) == (None, None)
    assert webhook_keys.erase_undecryptable(ana.actor, erased.public_id) == [
        "secret key",
        "custom headers",
    ]
    assert webhook_keys.erase_undecryptable(ana.actor, erased.public_id) == []
    assert sealed(erased) == (None, None)
    turn_on_off.turn_on(ana.actor, erased.public_id)


def test_lost_keys_are_reported_until_the_webhooks_are_on(keys: Keys, app: Flask) -> None:
    hook = make_webhook(name="Sync", secret="the secret of it")
    keys.become(NEW_KEY)

    def told() -> dict[str, str]:
        facts = read_facts()
        named = {each.key: f"{each.title} {each.server}" for each in find(facts, facts.at)}
        return {key: text for key, text in named.items() if key.startswith(("keys", "secrets"))}

    assert list(told()) == ["keys_differ"]
    assert "forget-secrets" in told()["keys_differ"]
    dry = app.test_cli_runner().invoke(args=["forget-secrets", "--dry-run"])
    assert "Sync: secret key" in dry.output
    assert "Dry run" in dry.output
    assert list(told()) == ["keys_differ"]
    done = app.test_cli_runner().invoke(args=["forget-secrets"])
    assert done.exit_code == 0
    assert list(told()) == ["secrets_lost"]
    assert "“Sync”" in told()["secrets_lost"]
    record_own("worker deliveries", heartbeats.UNDECRYPTABLE_SECRET)
    assert set(told()) == {"secrets_closed", "secrets_lost"}
    refused = app.test_cli_runner().invoke(args=["forget-secrets"])
    assert refused.exit_code == 1
    assert "Stop every portal process first. We last saw worker deliveries on " in refused.output
    with writing() as current:
        current.execute(delete(Process))
        current.execute(update(Webhook).where(Webhook.id == hook.id).values(state="active"))
    assert told() == {}


@pytest.fixture
def ada(app: Flask) -> Person:
    return make_user("admin", name="Ada")


def replaced(keys: Keys, ada: Person) -> Hook:
    """Make a webhook whose current key opens, but whose replaced key does not."""
    hook = make_webhook(secret="the secret of it", state="off")
    keys.become(NEW_KEY, *keys.old)
    edit(ada, hook, secret_mode=SecretMode.GENERATE)
    keys.become(NEW_KEY)
    return hook


def test_a_lost_replaced_key_is_reported_while_it_still_signs(keys: Keys, ada: Person) -> None:
    webhook = stored(replaced(keys, ada))
    assert webhook.old_until is not None
    with frozen(webhook.old_until - timedelta(microseconds=1)):
        assert undecryptable_parts(webhook) == ["secret key"]
    with frozen(webhook.old_until):
        assert undecryptable_parts(webhook) == []


def told() -> list[tuple[str, str, object]]:
    rows = session().scalars(select(AuditEntry).order_by(AuditEntry.id))
    return [(row.actor_name, row.action, row.changes) for row in rows]


def test_an_undecryptable_replaced_key_is_erased_alone(keys: Keys, ada: Person) -> None:
    hook = replaced(keys, ada)
    before = stored(hook)
    present, version, hint = before.secret_enc, before.version, before.secret_hint
    assert undecryptable_parts(before) == ["secret key"]
    assert webhook_keys.erase_undecryptable(ada.actor, hook.public_id) == ["secret key"]
    after = stored(hook)
    assert (after.secret_enc, after.secret_hint) == (present, hint)
    assert (after.old_secret_enc, after.old_until) == (None, None)
    assert open_secret(after.id, after.secret_enc) is not None
    assert after.version == version + 1
    assert told()[-1] == (
        "Ada",
        "webhook.secrets_erased",
        {"secret_key": {"from": "closed", "to": "none"}},
    )


def test_a_lost_replaced_key_that_no_longer_signs_is_not_reported(keys: Keys, ada: Person) -> None:
    hook = replaced(keys, ada)
    with writing() as current:
        over = utcnow() - timedelta(minutes=1)
        current.execute(update(Webhook).values(old_until=over))
    assert undecryptable_parts(stored(hook)) == []
    version = stored(hook).version
    assert webhook_keys.erase_undecryptable(ada.actor, hook.public_id) == []
    assert stored(hook).version == version


def test_undecryptable_headers_are_erased_and_a_readable_key_stays(keys: Keys, ada: Person) -> None:
    hook = make_webhook(headers=HEADERS, state="off")
    keys.become(NEW_KEY)
    webhook_keys.forget(SYSTEM)
    edit(ada, hook, secret_mode=SecretMode.GENERATE)
    present = stored(hook).secret_enc
    assert webhook_keys.erase_undecryptable(ada.actor, hook.public_id) == ["custom headers"]
    assert (stored(hook).secret_enc, stored(hook).headers_enc) == (present, None)
    assert told()[-1][2] == {"custom_headers": {"from": "closed", "to": "none"}}


def test_a_proxys_heartbeat_does_not_block_forgetting_keys(keys: Keys, ada: Person) -> None:
    on = make_webhook(name="On", secret="the secret of it")
    off = make_webhook(name="Off", secret="the secret of it", state="off", off_reason="person")
    well = make_webhook(name="Well")
    with writing() as current:
        heartbeats.record(current.connection(), heartbeats.PROXY, heartbeats.PROXY)
    assert session().scalars(select(Process.name)).all() == [heartbeats.PROXY]
    keys.become(NEW_KEY)
    assert webhook_keys.undecryptable_names() == ["Off", "On"]
    webhook_keys.forget(SYSTEM)
    assert webhook_keys.lost_names() == ["On"]
    reasons = [stored(webhook).off_reason for webhook in (on, off, well)]
    assert reasons == ["lost_key", "person", None]
    assert [action for _, action, _ in told()] == ["webhook.turned_off", "keys.forgotten"]
    assert "secret key" in f"{told()[0][2]}"
