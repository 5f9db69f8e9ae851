"""Pausing all sending: permissions, audit trail, refused actions, and webhooks that fail."""

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal.extensions import db
from portal.lib.clock import utcnow
from portal.models.audit import AuditEntry
from portal.models.operations import SendingSwitch
from portal.models.tasks import Task
from portal.models.webhooks import Webhook
from portal.services.core.refusals import NotAllowed, Refusal
from portal.services.core.unit_of_work import session, writing
from portal.services.deliveries import bulk_retry, dismissals
from portal.services.deliveries import retry as delivery_retry
from portal.services.deliveries.bulk_retry_selection import Selection
from portal.services.operations import sending
from portal.services.operations.findings import find
from portal.services.operations.health import read_facts
from portal.services.outbox.claimable import find_stop
from portal.services.webhooks import drafts, held_deliveries, turn_on_off
from portal.services.webhooks.held_deliveries import HeldDecision, Rest
from portal.services.webhooks.rules import WebhookValues
from portal.services.webhooks.sample_deliveries import send_test
from portal.services.webhooks.turn_on_off import HeldChoice
from tests.support.database.rivals import Rival
from tests.support.deliveries import make_delivery
from tests.support.factories import make_user, make_webhook

pytestmark = pytest.mark.usefixtures("app")


def entries() -> list[AuditEntry]:
    session().rollback()
    query = select(AuditEntry).where(AuditEntry.target_kind == "sending").order_by(AuditEntry.id)
    return list(session().scalars(query))


def test_an_administrator_stops_and_starts_sending_with_one_entry_each() -> None:
    ana, ben, sam = make_user(name="Ana"), make_user(name="Ben"), make_user("support")
    for verb in (sending.stop, sending.start):
        with pytest.raises(NotAllowed):
            verb(sam.actor)
    assert not sending.start(ana.actor)
    assert find_stop() is None
    assert sending.stop(ana.actor)
    assert not sending.stop(ben.actor)
    stop = find_stop()
    assert stop is not None
    assert stop.by == "Ana"
    assert sending.start(ben.actor)
    assert not sending.start(ben.actor)
    assert find_stop() is None
    assert [(entry.action, entry.actor_name) for entry in entries()] == [
        ("sending.stopped", "Ana"),
        ("sending.started", "Ben"),
    ]
    assert entries()[1].changes["stopped_for"]["to"].endswith(("ms", "second", "seconds"))


def test_the_pause_is_added_only_to_webhooks_that_still_fail(app: Flask) -> None:
    """Let one webhook recover while sending starts again."""
    ana, hour = make_user(), timedelta(hours=1)
    since = {"failures_in_row": 3, "failing_since": utcnow() - 2 * hour}
    failing, recovers = make_webhook(**since), make_webhook(**since)
    new = make_webhook(failures_in_row=1, failing_since=utcnow() - hour / 4)
    sending.stop(ana.actor)
    with writing() as current:
        current.execute(update(SendingSwitch).values(stopped_at=utcnow() - hour))
    rival = Rival(app, lambda: sending.start(ana.actor))
    with writing() as current:
        row = current.get_one(Webhook, recovers.id, with_for_update={"key_share": True})
        row.failures_in_row, row.failing_since = 0, None
        current.flush()
        rival.begin()
    rival.finish()
    seconds = [
        session().get_one(Webhook, webhook.id).stopped_for for webhook in (failing, recovers, new)
    ]
    assert seconds == [pytest.approx(3600, abs=60), 0, pytest.approx(900, abs=60)]


@pytest.mark.both_databases
def test_starting_does_not_wait_for_a_webhook_that_does_not_fail(app: Flask) -> None:
    if db.engine.dialect.name == "sqlite":
        pytest.skip("On SQLite one transaction writes at a time.")
    ana, hook = make_user(), make_webhook()
    sending.stop(ana.actor)
    rival = Rival(app, lambda: sending.start(ana.actor))
    with writing() as current:
        current.get_one(Webhook, hook.id, with_for_update=True)
        rival.pass_by()
    assert rival.finish()


def test_every_action_that_sends_is_refused_during_the_pause() -> None:
    ana, hook = make_user().actor, make_webhook()
    off = make_webhook(state="off")
    failed, arrived = (make_delivery(hook, status=status) for status in ("failed", "delivered"))
    later = make_delivery(hook, status="retrying")
    held = make_delivery(off, status="on_hold")
    halted = bulk_retry.start(ana, Selection(ticked=(failed,)))
    seen = held_deliveries.count_seen(off.public_id)
    choice = HeldDecision(send=[held], rest=Rest.KEEP, seen=seen)
    values = WebhookValues(name="New", url="https://a.example.com/", events=("asset.created",))
    verbs: list[Callable[[], object]] = [
        lambda: send_test(ana, hook.public_id),
        lambda: drafts.send_test(ana, uuid4(), values, "asset.created"),
        lambda: delivery_retry.retry(ana, failed),
        lambda: delivery_retry.retry(ana, arrived, again=True),
        lambda: delivery_retry.retry(ana, later),
        lambda: bulk_retry.start(ana, Selection(ticked=(failed,))),
        lambda: bulk_retry.go_on(ana, halted),
        lambda: held_deliveries.resume(ana, hook.public_id),
        lambda: turn_on_off.turn_on(ana, off.public_id, HeldChoice.SEND),
        lambda: held_deliveries.decide(ana, off.public_id, choice),
    ]
    sending.stop(ana)
    for verb in verbs:
        with pytest.raises(Refusal, match=r"^All sending is paused\. .+ System\.$"):
            verb()
    assert session().scalars(select(Task.public_id)).all() == [halted]
    dismissals.turn_on(ana, off.public_id)  # sends nothing
    sending.start(ana)
    for verb in verbs[:5]:
        verb()


def test_the_pause_is_a_warning_with_person_time_and_way_back(app: Flask) -> None:
    ana = make_user(name="Ana Admin")
    sending.stop(ana.actor)
    facts = read_facts()
    (finding,) = [each for each in find(facts, facts.at) if each.key == "sending_stopped"]
    assert finding.level == "warning"
    assert finding.title.startswith("Ana Admin paused all sending on ")
    assert "sending on" in finding.server
    doctor = app.test_cli_runner().invoke(args=["doctor", "--quiet"])
    assert "WARNING Ana Admin paused all sending" in doctor.output
