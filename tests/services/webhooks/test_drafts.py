"""Testing a webhook before saving: the request, the draft, saving, and pruning."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from jobs.deliver import deliver_due
from portal.engine.signing.signatures import verify
from portal.extensions import db
from portal.lib.clock import utcnow
from portal.models.deliveries import Attempt, AttemptBody, Delivery, Event, Rollup
from portal.models.webhooks import Webhook
from portal.services.core import vault
from portal.services.core.refusals import NotAllowed, NotFound, Refusal, Stale
from portal.services.core.unit_of_work import session, writing
from portal.services.deliveries import bulk_retry_selection
from portal.services.deliveries import detail as delivery_detail
from portal.services.deliveries import log as log_pages
from portal.services.deliveries import retry as delivery_retry
from portal.services.deliveries.statuses import LogFilter, StatusFilter
from portal.services.operations import overview, retention
from portal.services.webhooks import crud, drafts, secrets
from portal.services.webhooks import queries as webhook_queries
from portal.services.webhooks.rules import SecretMode, WebhookValues
from tests.support.database.rivals import at_once
from tests.support.deliveries import find_lease, free, lease
from tests.support.factories import Person, make_user, make_webhook
from tests.support.receiver import Receiver

pytestmark = pytest.mark.usefixtures("app")

SECRET = "my own long pass phrase 4f2a"
CREATED = "asset.created"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def ana() -> Person:
    return make_user()


def values(url: str = "https://erp.example.com/hook", **changes: Any) -> WebhookValues:
    entered: dict[str, Any] = {"name": "Sync to ERP", "url": url, "events": (CREATED, "asset.lost")}
    return WebhookValues(**{**entered, **changes})


def count(model: Any) -> int:
    session().rollback()
    return session().execute(select(func.count()).select_from(model)).scalar_one()


def draft_of(person: Person, draft: UUID) -> drafts.Draft:
    session().rollback()
    return drafts.find(person.actor, draft)


def test_the_worker_sends_a_signed_sample_with_the_settings_of_the_form(
    ana: Person, receiver: Receiver
) -> None:
    form = uuid4()
    typed = values(
        receiver.url,
        secret_mode=SecretMode.OWN,
        secret=SECRET,
        headers=(("X-Key", "tell nobody"),),
        in_order=True,
        is_active=False,
    )
    assert drafts.send_test(ana.actor, form, typed, "asset.lost")
    deliver_due()
    (message,) = receiver.wait_for(1)
    signature = message.header("X-Asset-Webhook-Signature") or ""
    assert verify(body=message.body, signature=signature, secret=SECRET)
    assert message.header("X-Key") == "tell nobody"
    assert b'"test":true' in message.body
    draft = draft_of(ana, form)
    assert draft.values == typed
    assert draft.event == "asset.lost"
    detail = delivery_detail.find_delivery(draft.tests[0], draft=form)
    assert (detail.status, detail.code) == ("delivered", 200)
    assert SECRET not in repr(draft)


def test_testing_again_updates_the_draft_and_keeps_the_generated_secret(
    ana: Person, receiver: Receiver
) -> None:
    form = uuid4()
    for name in ("Sync", "Sync to ERP"):
        assert drafts.send_test(ana.actor, form, values(receiver.url, name=name), CREATED)
        deliver_due()
    first, second = receiver.wait_for(2)
    assert count(Webhook) == 1
    draft = draft_of(ana, form)
    assert (draft.values.name, len(draft.tests)) == ("Sync to ERP", 2)
    row = session().scalars(select(Webhook)).one()
    secret = vault.open_secret(row.id, row.secret_enc or b"")
    for message in (first, second):
        signature = message.header("X-Asset-Webhook-Signature") or ""
        assert verify(body=message.body, signature=signature, secret=secret)


def test_a_second_press_sends_nothing_and_keeps_the_typed_values(ana: Person) -> None:
    form = uuid4()
    assert drafts.send_test(ana.actor, form, values(), CREATED)
    assert not drafts.send_test(ana.actor, form, values(name="Another name"), CREATED)
    assert count(Delivery) == 1
    assert draft_of(ana, form).values.name == "Another name"
    assert not drafts.send_again(ana.actor, form)


def test_two_presses_at_once_make_one_draft_and_one_test(app: Flask, ana: Person) -> None:
    press = partial(drafts.send_test, ana.actor, uuid4(), values(), CREATED)
    assert sorted(at_once(app, [press, press])) == [False, True]
    assert (count(Webhook), count(Delivery)) == (1, 1)


def test_an_edit_is_tested_with_the_stored_secret_and_headers(
    ana: Person, receiver: Receiver
) -> None:
    kept = [("X-Key", "tell nobody"), ("X-Old", "gone soon")]
    hook = make_webhook(receiver.url, secret=SECRET, headers=kept)
    form = uuid4()
    typed = values(receiver.url, secret_mode=SecretMode.KEEP, headers=(("x-key", ""),))
    assert drafts.send_test(ana.actor, form, typed, CREATED, edits=hook.public_id, version=1)
    deliver_due()
    (message,) = receiver.wait_for(1)
    signature = message.header("X-Asset-Webhook-Signature") or ""
    assert verify(body=message.body, signature=signature, secret=SECRET)
    assert (message.header("X-Key"), message.header("X-Old")) == ("tell nobody", None)
    stored = webhook_queries.show(hook.public_id)
    assert (stored.url, stored.version) == (hook.url, 1)
    assert draft_of(ana, form).edits == hook.public_id


def test_a_new_secret_is_tested_beside_the_old_one(ana: Person, receiver: Receiver) -> None:
    hook = make_webhook(receiver.url, secret="the old secret")
    typed = values(receiver.url, secret_mode=SecretMode.OWN, secret=SECRET)
    for _ in range(2):
        form = uuid4()
        drafts.send_test(ana.actor, form, typed, CREATED, edits=hook.public_id, version=1)
        deliver_due()
    message = receiver.wait_for(2)[-1]
    for header, secret in (("", "the old secret"), ("-Next", SECRET)):
        signature = message.header(f"X-Asset-Webhook-Signature{header}") or ""
        assert verify(body=message.body, signature=signature, secret=secret)


def test_saving_adopts_the_tested_secret_and_the_tests(ana: Person, receiver: Receiver) -> None:
    form = uuid4()
    drafts.send_test(ana.actor, form, values(receiver.url), CREATED)
    deliver_due()
    row = session().scalars(select(Webhook)).one()
    secret = vault.open_secret(row.id, row.secret_enc or b"")
    public_id = crud.create(ana.actor, values(receiver.url), form)
    saved = session().scalars(select(Webhook)).one()
    assert (saved.public_id, saved.state) == (public_id, "active")
    assert vault.open_secret(saved.id, saved.secret_enc or b"") == secret
    shown = secrets.shown_secret(ana.actor, public_id)
    assert shown
    assert shown.secret == secret
    (line,) = log_pages.latest(LogFilter(webhook=public_id))
    assert (line.is_test, line.status) == (True, "delivered")
    with pytest.raises(NotFound):
        drafts.find(ana.actor, form)


def test_saving_an_edit_adopts_its_tests_and_its_new_secret(
    ana: Person, receiver: Receiver
) -> None:
    hook = make_webhook(receiver.url, secret="the old secret")
    form, typed = uuid4(), values(receiver.url, secret_mode=SecretMode.GENERATE)
    drafts.send_test(ana.actor, form, typed, CREATED, edits=hook.public_id, version=1)
    deliver_due()
    (message,) = receiver.wait_for(1)
    crud.edit(ana.actor, hook.public_id, 1, typed, form)
    saved = session().scalars(select(Webhook)).one()
    secret = vault.open_secret(saved.id, saved.secret_enc or b"")
    signature = message.header("X-Asset-Webhook-Signature-Next") or ""
    assert verify(body=message.body, signature=signature, secret=secret)
    assert len(log_pages.latest(LogFilter(webhook=hook.public_id))) == 1


def test_a_test_in_progress_continues_for_the_saved_webhook(
    ana: Person, receiver: Receiver
) -> None:
    form = uuid4()
    drafts.send_test(ana.actor, form, values(receiver.url), CREATED)
    (test,) = draft_of(ana, form).tests
    lease(test)
    public_id = crud.create(ana.actor, values(receiver.url), form)
    (saved,) = session().scalars(select(Webhook.id)).all()
    left = find_lease(test)
    assert left is not None
    assert left.webhook_id == saved
    free(test)
    deliver_due()
    assert log_pages.latest(LogFilter(webhook=public_id))[0].status == "delivered"


def test_a_stale_edit_keeps_the_draft(ana: Person) -> None:
    hook = make_webhook()
    form, typed = uuid4(), values(secret_mode=SecretMode.KEEP)
    drafts.send_test(ana.actor, form, typed, CREATED, edits=hook.public_id, version=1)
    crud.edit(ana.actor, hook.public_id, 1, values(name="B", secret_mode=SecretMode.KEEP))
    with pytest.raises(Stale):
        crud.edit(ana.actor, hook.public_id, 1, typed, form)
    assert draft_of(ana, form).tests


@pytest.mark.both_databases
def test_deliveries_of_a_draft_are_shown_on_the_test_page_alone(
    ana: Person, receiver: Receiver
) -> None:
    form = uuid4()
    drafts.send_test(ana.actor, form, values(receiver.url), CREATED)
    assert [log_pages.count(StatusFilter.QUEUED, webhook) for webhook in (None, form)] == [0, 0]
    deliver_due()
    (made,) = draft_of(ana, form).tests
    for log_filter in (LogFilter(), LogFilter(webhook=form), LogFilter(delivery=made)):
        assert list(log_pages.every(log_filter)) == []
    assert (
        list(bulk_retry_selection.page(bulk_retry_selection.Selection(ticked=(made,)), None)[0])
        == []
    )
    assert log_pages.webhook_names() == []
    assert webhook_queries.list_webhooks().rows == []
    assert count(Rollup) == 0
    now = overview.overview()
    assert (now.webhooks_on, now.has_deliveries) == (0, False)
    with pytest.raises(NotFound):
        delivery_detail.find_delivery(made)
    with pytest.raises(NotFound):
        delivery_retry.retry(ana.actor, made)
    with pytest.raises(NotFound):
        webhook_queries.show(form)


@pytest.mark.parametrize(
    ("changes", "event", "field", "sentence"),
    [
        ({"name": ""}, CREATED, "name", "Enter a name, such as Nordwind ERP"),
        ({"url": ""}, CREATED, "url", "Enter a URL, such as https://erp.example.com/hooks"),
        ({"url": "http://10.1.2.3/"}, CREATED, "url", "isn’t a public address"),
        ({"events": ()}, CREATED, "events", "at least one event"),
        ({"secret_mode": SecretMode.OWN, "secret": "a"}, CREATED, "secret", "24 to 200 characters"),
        ({"headers": (("Host", "x"),)}, CREATED, "headers", "The portal sets"),
        ({}, "asset.exploded", "event", "Choose an event"),
    ],
)
def test_values_that_cannot_be_saved_cannot_be_tested(
    ana: Person, changes: dict[str, Any], event: str, field: str, sentence: str
) -> None:
    with pytest.raises(Refusal, match=sentence) as refused:
        drafts.send_test(ana.actor, uuid4(), values(**changes), event)
    assert refused.value.field == field
    assert count(Webhook) == 0
    edited, typed = make_webhook(), values(**{"secret_mode": SecretMode.KEEP} | changes)
    with pytest.raises(Refusal, match=sentence):
        drafts.send_test(ana.actor, uuid4(), typed, event, edits=edited.public_id, version=1)
    assert count(Webhook) == 1


def test_a_draft_is_open_only_to_the_administrator_who_made_it(ana: Person) -> None:
    form = uuid4()
    drafts.send_test(ana.actor, form, values(), CREATED)
    other, support = make_user(), make_user("support")
    with pytest.raises(NotFound):
        drafts.find(other.actor, form)
    with pytest.raises(Refusal, match="Open it again"):
        drafts.send_test(other.actor, form, values(), CREATED)
    with pytest.raises(NotFound):
        drafts.send_again(other.actor, form)
    with pytest.raises(NotAllowed):
        drafts.send_test(support.actor, uuid4(), values(), CREATED)
    saved = make_webhook(owner_id=ana.id)
    with pytest.raises(Refusal, match="Open it again"):
        drafts.send_test(ana.actor, saved.public_id, values(), CREATED)


def test_a_draft_is_pruned_with_its_deliveries_after_a_day(ana: Person, receiver: Receiver) -> None:
    forms = [uuid4() for _ in range(3)]
    for form in forms:
        drafts.send_test(ana.actor, form, values(receiver.url), CREATED)
    deliver_due()
    drafts.send_again(ana.actor, forms[1])
    old = Webhook.public_id.in_(forms[:2])
    with writing() as current:
        then = utcnow() - timedelta(hours=25)
        current.execute(update(Webhook).where(old).values(updated_at=then))
    lease(draft_of(ana, forms[1]).tests[0])
    assert retention.prune()["drafts removed"] == 1
    assert (count(Webhook), count(Delivery), count(Event)) == (2, 3, 3)
    assert (count(Attempt), count(AttemptBody)) == (2, 2)
    with pytest.raises(NotFound):
        drafts.find(ana.actor, forms[0])
    db.session.rollback()


def test_every_test_opens_a_new_connection_to_show_each_phase(
    ana: Person, receiver: Receiver
) -> None:
    form = uuid4()
    drafts.send_test(ana.actor, form, values(receiver.url), CREATED)
    deliver_due()
    drafts.send_again(ana.actor, form)
    deliver_due()
    for test in draft_of(ana, form).tests:
        (attempt,) = delivery_detail.find_delivery(test, draft=form).attempts
        assert attempt.phases["connect"]
