"""What is erased of a webhook of which a part cannot be opened any more, and what stays."""

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal.lib.clock import frozen, utcnow
from portal.models.audit import AuditEntry
from portal.models.operations import Process
from portal.models.webhooks import Webhook
from portal.services.core import heartbeats, vault
from portal.services.core.permissions import SYSTEM
from portal.services.core.unit_of_work import session, writing
from portal.services.webhooks import keys as webhook_keys
from portal.services.webhooks.rows import open_secret, undecryptable_parts
from portal.services.webhooks.rules import SecretMode
from tests.services.webhooks.other_keys import NEW_KEY, Keys
from tests.services.webhooks.test_lost_keys import HEADERS, edit, stored
from tests.support.factories import Hook, Person, make_user, make_webhook


@pytest.fixture
def keys(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Keys:
    vault.check_keys()
    return Keys(app, monkeypatch)


@pytest.fixture
def ada(app: Flask) -> Person:
    return make_user("admin", name="Ada")


def replaced(keys: Keys, ada: Person) -> Hook:
    """One whose present key opens, and the one that it replaced does not."""
    hook = make_webhook(secret="the secret of it", state="off")
    keys.become(NEW_KEY, *keys.old)
    edit(ada, hook, secret_mode=SecretMode.GENERATE)
    keys.become(NEW_KEY)
    return hook


def test_a_replaced_key_is_missed_as_long_as_both_are_signed_with(keys: Keys, ada: Person) -> None:
    webhook = stored(replaced(keys, ada))
    assert webhook.old_until is not None
    with frozen(webhook.old_until - timedelta(microseconds=1)):
        assert undecryptable_parts(webhook) == ["secret key"]
    with frozen(webhook.old_until):
        assert undecryptable_parts(webhook) == []


def told() -> list[tuple[str, str, object]]:
    rows = session().scalars(select(AuditEntry).order_by(AuditEntry.id))
    return [(row.actor_name, row.action, row.changes) for row in rows]


def test_a_replaced_key_that_does_not_open_is_erased_alone(keys: Keys, ada: Person) -> None:
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


def test_a_replaced_key_that_signs_no_more_is_missed_by_nobody(keys: Keys, ada: Person) -> None:
    hook = replaced(keys, ada)
    with writing() as current:
        over = utcnow() - timedelta(minutes=1)
        current.execute(update(Webhook).values(old_until=over))
    assert undecryptable_parts(stored(hook)) == []
    version = stored(hook).version
    assert webhook_keys.erase_undecryptable(ada.actor, hook.public_id) == []
    assert stored(hook).version == version


def test_headers_that_do_not_open_are_erased_and_a_key_that_opens_stays(
    keys: Keys, ada: Person
) -> None:
    hook = make_webhook(headers=HEADERS, state="off")
    keys.become(NEW_KEY)
    webhook_keys.forget(SYSTEM)
    edit(ada, hook, secret_mode=SecretMode.GENERATE)
    present = stored(hook).secret_enc
    assert webhook_keys.erase_undecryptable(ada.actor, hook.public_id) == ["custom headers"]
    assert (stored(hook).secret_enc, stored(hook).headers_enc) == (present, None)
    assert told()[-1][2] == {"custom_headers": {"from": "closed", "to": "none"}}


def test_what_is_no_process_of_the_portal_keeps_nobody_from_forgetting(
    keys: Keys, ada: Person
) -> None:
    on = make_webhook(name="On", secret="the secret of it")
    off = make_webhook(name="Off", secret="the secret of it", state="off", off_reason="person")
    well = make_webhook(name="Well")
    with writing() as current:
        heartbeats.record(current.connection(), heartbeats.MAIL_FAILED, heartbeats.MAIL_FAILED)
    assert session().scalars(select(Process.name)).all() == [heartbeats.MAIL_FAILED]
    keys.become(NEW_KEY)
    assert webhook_keys.undecryptable_names() == ["Off", "On"]
    webhook_keys.forget(SYSTEM)
    assert webhook_keys.lost_names() == ["On"]
    reasons = [stored(each).off_reason for each in (on, off, well)]
    assert reasons == ["lost_key", "person", None]
    assert [action for _, action, _ in told()] == ["webhook.turned_off", "keys.forgotten"]
    assert "secret key" in f"{told()[0][2]}"
