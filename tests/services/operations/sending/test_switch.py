"""Stopping all sending: who may, what is written down, what is refused and rests meanwhile."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from flask import Flask
from sqlalchemy import select

from portal.models.audit import AuditEntry
from portal.models.tasks import Task
from portal.services.bulk_retry import task as bulk_retry_task
from portal.services.bulk_retry.selection import Selection
from portal.services.core.refusals import NotAllowed, Refusal
from portal.services.core.unit_of_work import session
from portal.services.deliveries import retry as delivery_retry
from portal.services.operations.findings import find
from portal.services.operations.health import read_facts
from portal.services.operations.sending import switch
from portal.services.outbox.sending_switch import find_stop
from portal.services.webhooks import activation, drafts, held_deliveries, waiting_deliveries
from portal.services.webhooks.activation import HeldChoice
from portal.services.webhooks.held_deliveries import HeldDecision, Rest
from portal.services.webhooks.sample_deliveries import send_test
from portal.services.webhooks.values import WebhookValues
from tests.support.deliveries import make_delivery
from tests.support.factories import make_user, make_webhook

pytestmark = pytest.mark.usefixtures("app")


def entries() -> list[AuditEntry]:
    session().rollback()
    wanted = select(AuditEntry).where(AuditEntry.target_kind == "sending").order_by(AuditEntry.id)
    return list(session().scalars(wanted))


def test_an_administrator_stops_and_starts_it_and_the_trail_says_so_once() -> None:
    ana, ben, sam = make_user(name="Ana"), make_user(name="Ben"), make_user("support")
    for verb in (switch.stop, switch.start):
        with pytest.raises(NotAllowed):
            verb(sam.actor)
    assert not switch.start(ana.actor)
    assert find_stop() is None
    assert switch.stop(ana.actor)
    assert not switch.stop(ben.actor)
    stop = find_stop()
    assert stop is not None
    assert stop.by == "Ana"
    assert switch.start(ben.actor)
    assert not switch.start(ben.actor)
    assert find_stop() is None
    assert [(each.action, each.actor_name) for each in entries()] == [
        ("sending.stopped", "Ana"),
        ("sending.started", "Ben"),
    ]
    assert entries()[1].changes["stopped_for"]["to"].endswith(("ms", "second", "seconds"))


def test_nobody_may_ask_for_anything_to_be_sent_meanwhile() -> None:
    ana, hook = make_user().actor, make_webhook()
    off = make_webhook(state="off")
    failed, arrived = (make_delivery(hook, status=each) for each in ("failed", "delivered"))
    later = make_delivery(hook, status="retrying")
    held = make_delivery(off, status="held")
    halted = bulk_retry_task.start(ana, Selection(ticked=(failed,)))
    seen = held_deliveries.look(off.public_id)
    choice = HeldDecision(send=[held], rest=Rest.KEEP, seen=seen)
    values = WebhookValues(name="New", url="https://a.example.com/", events=("asset.created",))
    verbs: list[Callable[[], object]] = [
        lambda: send_test(ana, hook.public_id),
        lambda: drafts.send_test(ana, uuid4(), values, "asset.created"),
        lambda: delivery_retry.retry(ana, failed),
        lambda: delivery_retry.send_again(ana, arrived),
        lambda: delivery_retry.retry(ana, later),
        lambda: bulk_retry_task.start(ana, Selection(ticked=(failed,))),
        lambda: bulk_retry_task.go_on(ana, halted),
        lambda: waiting_deliveries.send_waiting(ana, hook.public_id),
        lambda: activation.turn_on(ana, off.public_id, HeldChoice.SEND),
        lambda: held_deliveries.decide(ana, off.public_id, choice),
    ]
    switch.stop(ana)
    for verb in verbs:
        with pytest.raises(Refusal, match=r"^Sending is stopped for all webhooks\. .+ System\.$"):
            verb()
    assert session().scalars(select(Task.public_id)).all() == [halted]
    activation.turn_on(ana, off.public_id, HeldChoice.DISCARD)  # sends nothing
    switch.start(ana)
    for verb in verbs[:5]:
        verb()


def test_it_is_a_warning_with_who_and_since_when_and_the_way_back(app: Flask) -> None:
    ana = make_user(name="Ana Admin")
    switch.stop(ana.actor)
    facts = read_facts()
    (finding,) = [each for each in find(facts, facts.at) if each.key == "sending_stopped"]
    assert finding.level == "warning"
    assert finding.title.startswith("Ana Admin stopped all sending on ")
    assert "sending on" in finding.todo
    doctor = app.test_cli_runner().invoke(args=["doctor", "--quiet"])
    assert "WARNING Ana Admin stopped all sending" in doctor.output
