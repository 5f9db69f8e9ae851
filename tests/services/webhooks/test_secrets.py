"""The life of a webhook's secret key and headers: made, replaced, shown, copied, and erased."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from portal.lib.clock import utcnow
from portal.models.audit import AuditEntry
from portal.models.webhooks import Webhook
from portal.services.core import vault
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import session, writing
from portal.services.webhooks import crud, queries, secrets
from portal.services.webhooks.rules import SecretMode, WebhookValues
from tests.support.factories import Person, make_user, make_webhook

pytestmark = pytest.mark.usefixtures("app")

FIRST, SECOND = "the first own pass phrase 1111", "the second own pass phrase 2222"
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)


def values(**changes: Any) -> WebhookValues:
    entered = {"name": "ERP", "url": "https://erp.example.com/hook", "events": ("asset.lost",)}
    return WebhookValues(**entered | changes)


def own(secret: str) -> dict[str, Any]:
    return {"secret_mode": SecretMode.OWN, "secret": secret}


def stored(public_id: UUID) -> Webhook:
    session().rollback()
    return session().scalars(select(Webhook).where(Webhook.public_id == public_id)).one()


def edit(person: Person, public_id: UUID, **changes: Any) -> Webhook:
    crud.edit(person.actor, public_id, stored(public_id).version, values(**changes))
    return stored(public_id)


def opened(webhook: Webhook, sealed: bytes | None) -> str | None:
    return vault.open_secret(webhook.id, sealed) if sealed else None


def near(found: datetime | None, expected: datetime) -> bool:
    return found is not None and abs(found - expected) < MINUTE


def test_the_first_secret_replaces_none() -> None:
    ana = make_user()
    hook = stored(crud.create(ana.actor, values(**own(FIRST))))
    assert opened(hook, hook.secret_enc) == FIRST
    assert hook.secret_hint == "1111"
    assert near(hook.secret_set_at, utcnow())
    assert (hook.old_secret_enc, hook.old_until) == (None, None)
    assert (hook.secret_shown_until, hook.secret_made_by_id) == (None, None)


def test_a_generated_secret_is_shown_to_its_maker_for_a_while() -> None:
    ana = make_user()
    public_id = crud.create(ana.actor, values(secret_mode=SecretMode.GENERATE))
    hook = stored(public_id)
    assert near(hook.secret_shown_until, utcnow() + 15 * MINUTE)
    assert hook.secret_made_by_id == ana.id
    shown = secrets.shown_secret(ana.actor, public_id)
    assert shown is not None
    assert (shown.name, shown.secret) == ("ERP", opened(hook, hook.secret_enc))
    assert shown.until == hook.secret_shown_until
    for soon in (False, True):
        with writing() as current:
            until = utcnow() + (MINUTE if soon else -MINUTE)
            current.get_one(Webhook, hook.id).secret_shown_until = until
        assert (secrets.shown_secret(ana.actor, public_id) is not None) is soon
    secrets.forget_shown(ana.actor, public_id)
    assert secrets.shown_secret(ana.actor, public_id) is None


def test_a_replaced_secret_is_no_longer_shown_and_signs_for_a_day() -> None:
    ana = make_user()
    public_id = crud.create(ana.actor, values(secret_mode=SecretMode.GENERATE))
    made = opened(stored(public_id), stored(public_id).secret_enc)
    hook = edit(ana, public_id, **own(SECOND))
    assert secrets.shown_secret(ana.actor, public_id) is None
    assert (opened(hook, hook.secret_enc), opened(hook, hook.old_secret_enc)) == (SECOND, made)
    assert near(hook.old_until, utcnow() + DAY)
    assert hook.old_until is not None
    assert secrets.old_secret(hook, hook.old_until - MICROSECOND) == hook.old_secret_enc
    assert secrets.old_secret(hook, hook.old_until) is None


def test_after_two_replacements_within_a_day_the_first_secret_still_signs() -> None:
    ana = make_user()
    public_id = crud.create(ana.actor, values(**own(FIRST)))
    edit(ana, public_id, **own(SECOND))
    hook = edit(ana, public_id, **own("the third own pass phrase 3333"))
    assert opened(hook, hook.old_secret_enc) == FIRST
    assert queries.show(public_id).old_secret_until == hook.old_until
    with writing() as current:
        current.get_one(Webhook, hook.id).old_until = utcnow() - MINUTE
    assert queries.show(public_id).old_secret_until is None
    hook = edit(ana, public_id, **own("the fourth own pass phrase 4444"))
    assert opened(hook, hook.old_secret_enc) == "the third own pass phrase 3333"


def test_keeping_a_secret_changes_nothing_and_removing_it_erases_it() -> None:
    ana = make_user()
    public_id = crud.create(ana.actor, values(**own(FIRST)))
    before = stored(public_id).secret_enc
    hook = edit(ana, public_id, name="ERP 2", secret_mode=SecretMode.KEEP)
    assert (hook.secret_enc, hook.old_secret_enc) == (before, None)
    hook = edit(ana, public_id, name="ERP 2", secret_mode=SecretMode.NONE)
    assert (hook.secret_enc, hook.old_secret_enc, hook.secret_hint) == (None, None, "")
    assert (hook.secret_set_at, hook.old_until) == (None, None)
    assert secrets.shown_secret(ana.actor, public_id) is None
    version = hook.version
    assert edit(ana, public_id, name="ERP 2", secret_mode=SecretMode.NONE).version == version


def test_switching_to_the_new_secret_is_audited_once() -> None:
    ana, ben = make_user(name="Ana"), make_user("support")
    public_id = crud.create(ana.actor, values(**own(FIRST)))
    assert not secrets.switch_now(ana.actor, public_id)
    edit(ana, public_id, **own(SECOND))
    for verb in (secrets.switch_now, secrets.forget_shown):
        with pytest.raises(Refusal):
            verb(ben.actor, public_id)
    assert secrets.switch_now(ana.actor, public_id)
    assert not secrets.switch_now(ana.actor, public_id)
    hook = stored(public_id)
    assert (hook.old_secret_enc, hook.old_until) == (None, None)
    assert opened(hook, hook.secret_enc) == SECOND
    rows = session().scalars(
        select(AuditEntry).where(AuditEntry.action == "webhook.secret_switched")
    )
    assert [(row.actor_name, row.target_name) for row in rows] == [("Ana", "ERP")]


def test_only_expired_replaced_secrets_are_erased() -> None:
    late = make_webhook(old_secret_enc=b"a", old_until=utcnow() - MINUTE)
    soon = make_webhook(old_secret_enc=b"b", old_until=utcnow() + MINUTE)
    make_webhook()
    with writing() as current:
        assert secrets.forget_replaced(current) == 1
    session().rollback()
    assert session().get_one(Webhook, late.id).old_until is None
    assert session().get_one(Webhook, late.id).old_secret_enc is None
    assert session().get_one(Webhook, soon.id).old_secret_enc == b"b"


def test_a_deleted_webhook_shows_no_secret() -> None:
    ana = make_user()
    public_id = crud.create(ana.actor, values(secret_mode=SecretMode.GENERATE))
    with writing() as current:
        current.get_one(Webhook, stored(public_id).id).deleted_at = utcnow()
    assert secrets.shown_secret(ana.actor, public_id) is None


HEADERS = (("Authorization", "Bearer abcdefghijkl"), ("X-Site", "north"))


def headers_of(hook: Webhook) -> tuple[tuple[str, str], ...]:
    return secrets.stored_headers(hook)


def test_a_blank_header_keeps_its_value_and_an_omitted_one_is_removed() -> None:
    ana = make_user()
    public_id = crud.create(ana.actor, values(**own(FIRST), headers=HEADERS))
    keep = {"secret_mode": SecretMode.KEEP}
    before = stored(public_id)
    blank = (("authorization", ""), ("X-Site", "north"))
    hook = edit(ana, public_id, **keep, headers=(("Authorization", ""), ("X-Site", "north")))
    assert (headers_of(hook), hook.version) == (HEADERS, before.version)
    hook = edit(ana, public_id, **keep, headers=blank)
    assert headers_of(hook) == (("authorization", "Bearer abcdefghijkl"), ("X-Site", "north"))
    hook = edit(ana, public_id, **keep, headers=(("X-Site", "south"),))
    assert headers_of(hook) == (("X-Site", "south"),)
    hook = edit(ana, public_id, **keep, headers=())
    assert (headers_of(hook), hook.headers_enc) == ((), None)
    with pytest.raises(Refusal) as refused:
        edit(ana, public_id, **keep, headers=(("Host", "x"),))
    assert refused.value.field == "headers"


@pytest.mark.parametrize("overlaps", [True, False])
def test_copied_secrets_open_for_their_own_row_and_keep_the_overlap(overlaps: bool) -> None:
    ana = make_user()
    public_id = crud.create(ana.actor, values(**own(FIRST), headers=HEADERS))
    source = edit(ana, public_id, **own(SECOND), headers=HEADERS)
    hook = make_webhook(secret="some secret of its own")
    with writing() as current:
        rows = {webhook.id: webhook for webhook in current.scalars(select(Webhook))}
        source, target = rows[source.id], rows[hook.id]
        if not overlaps:
            source.old_until = utcnow() - MINUTE
        secrets.copy_secrets(source, target)
        assert opened(target, target.secret_enc) == SECOND
        assert opened(target, target.old_secret_enc) == (FIRST if overlaps else None)
        assert (target.old_until == source.old_until) is overlaps
        assert (target.secret_hint, target.secret_set_at) == ("2222", source.secret_set_at)
        assert headers_of(target) == HEADERS
        secrets.copy_secrets(None, target)
        assert (target.secret_enc, target.old_secret_enc, target.headers_enc) == (None,) * 3
