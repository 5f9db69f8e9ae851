"""Values that a webhook form keeps or drops after a test before saving."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal.lib.clock import utcnow
from portal.models.audit import AuditEntry
from portal.models.deliveries import Delivery, Event
from portal.models.webhooks import Webhook
from portal.services.core.unit_of_work import session, writing
from portal.services.webhooks import crud, drafts, rows, secrets
from portal.services.webhooks.rows import KEPT, open_secret
from portal.services.webhooks.rules import SecretMode, WebhookValues
from tests.support.deliveries import change, lease
from tests.support.factories import Person, make_user, make_webhook

pytestmark = pytest.mark.usefixtures("app")
CREATED = "asset.created"
OWN = "my own long pass phrase 4f2a"


@pytest.fixture
def ada(app: Flask) -> Person:
    return make_user("admin", name="Ada")


def values(**changes: Any) -> WebhookValues:
    entered: dict[str, Any] = {
        "name": "ERP",
        "url": "https://erp.example.com/hook",
        "events": (CREATED,),
    }
    return WebhookValues(**{**entered, **changes})


def try_out(by: Person, entered: WebhookValues, **more: Any) -> UUID:
    draft = uuid4()
    assert drafts.send_test(by.actor, draft, entered, CREATED, **more)
    return draft


def end_tests() -> None:
    """End the tests in progress."""
    for delivery in session().scalars(select(Delivery.public_id)).all():
        change(delivery, status="delivered")


def row(public_id: UUID) -> Webhook:
    session().rollback()
    return session().scalars(select(Webhook).where(Webhook.public_id == public_id)).one()


def secret_of(public_id: UUID) -> str | None:
    webhook = row(public_id)
    return open_secret(webhook.id, webhook.secret_enc)


@pytest.mark.parametrize(
    ("before", "is_kept"), [(SecretMode.GENERATE, True), (SecretMode.OWN, False)]
)
def test_saving_a_generated_key_adopts_only_a_generated_key_of_the_test(
    ada: Person, before: SecretMode, is_kept: bool
) -> None:
    own = {"secret": OWN} if before is SecretMode.OWN else {}
    draft = try_out(ada, values(secret_mode=before, **own))
    signed_with = secret_of(draft)
    saved = crud.create(ada.actor, values(), draft)
    assert signed_with is not None
    assert (secret_of(saved) == signed_with) is is_kept
    assert (secret_of(saved) == OWN) is False


@pytest.mark.parametrize(
    "changes",
    [
        {"in_order": True},
        {"is_active": False},
        {"url_is_secret": True},
        {"headers": (("X-Site", "north"),)},
        {"secret_mode": SecretMode.OWN, "secret": OWN},
        {"secret_mode": SecretMode.NONE},
        {"events": ("asset.lost", CREATED)},
    ],
)
def test_a_tested_form_comes_back_unchanged(ada: Person, changes: dict[str, Any]) -> None:
    entered = values(**changes)
    draft = drafts.find(ada.actor, try_out(ada, entered))
    assert draft.values == entered
    assert (draft.event, draft.edits, draft.version, len(draft.tests)) == (CREATED, None, 0, 1)


def test_a_test_of_an_edit_knows_its_webhook_and_version(ada: Person) -> None:
    hook = make_webhook("https://erp.example.com/hook", name="ERP")
    keep = values(secret_mode=SecretMode.KEEP)
    draft = drafts.find(ada.actor, try_out(ada, keep, edits=hook.public_id, version=7))
    assert (draft.edits, draft.version) == (hook.public_id, 7)


@pytest.mark.parametrize("was_secret", [False, True])
@pytest.mark.parametrize("is_secret", [False, True])
def test_a_test_is_audited_without_a_url_that_is_or_was_secret(
    ada: Person, was_secret: bool, is_secret: bool
) -> None:
    hook = make_webhook("https://erp.example.com/hook", name="ERP", url_is_secret=was_secret)
    moved = values(
        url="https://erp.example.com/another",
        url_is_secret=is_secret,
        secret_mode=SecretMode.KEEP,
    )
    try_out(ada, moved, edits=hook.public_id)
    (entry,) = session().scalars(select(AuditEntry)).all()
    assert (entry.action, entry.target_id) == (
        "webhook.tested_before_saving",
        str(hook.public_id),
    )
    assert ("another" in f"{entry.changes}") is not (was_secret or is_secret)


@pytest.mark.both_databases
def test_a_form_that_is_tested_again_is_kept_for_another_day(ada: Person) -> None:
    first, _ = try_out(ada, values()), try_out(ada, values(name="Other"))
    end_tests()
    with writing() as current:
        old = utcnow() - KEPT - timedelta(minutes=1)
        current.execute(update(Webhook).values(updated_at=old))
    assert drafts.send_again(ada.actor, first)
    end_tests()
    with writing() as current:
        assert rows.prune_drafts(current) == 1
    assert session().scalars(select(Webhook.public_id)).all() == [first]
    # The samples of the other form are deleted with it.
    assert len(session().scalars(select(Event)).all()) == 2


def test_removing_a_persons_drafts_spares_one_that_is_being_sent(ada: Person) -> None:
    ben = make_user("admin")
    quiet, sent, others = (
        try_out(ada, values()),
        try_out(ada, values(name="Sent")),
        try_out(ben, values(name="Ben's")),
    )
    delivery = session().scalars(
        select(Delivery.public_id).where(Delivery.webhook_id == row(sent).id)
    )
    lease(delivery.one(), kind="test")
    with writing() as current:
        assert rows.remove_drafts_of(current, ada.id) == 1
    left = set(session().scalars(select(Webhook.public_id)))
    assert left == {sent, others}
    assert quiet not in left


def test_only_the_maker_of_a_key_can_hide_it(ada: Person) -> None:
    made = crud.create(ada.actor, values())
    ben = make_user("admin")
    secrets.forget_shown(ben.actor, made)
    assert secrets.shown_secret(ada.actor, made) is not None
    assert secrets.shown_secret(ben.actor, made) is None
    secrets.forget_shown(ada.actor, made)
    assert secrets.shown_secret(ada.actor, made) is None
    assert row(made).secret_enc is not None
