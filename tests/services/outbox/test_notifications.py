"""Each change that makes a delivery due notifies once, with its commit. Other changes do not."""

from collections.abc import Callable
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

import pytest
from flask import Flask

from jobs import tasks as job
from portal.engine.events.catalogue import EventName
from portal.lib.clock import utcnow
from portal.models.webhooks import Webhook
from portal.services.core import vault
from portal.services.core.permissions import Actor
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import writing
from portal.services.deliveries import bulk_retry, dismissals
from portal.services.deliveries import retry as delivery_retry
from portal.services.deliveries.bulk_retry_selection import Selection
from portal.services.task_kinds import KINDS
from portal.services.webhooks import held_deliveries, secrets, turn_on_off
from portal.services.webhooks.held_deliveries import HeldDecision, Rest, resume
from portal.services.webhooks.sample_deliveries import send_test
from portal.services.webhooks.turn_on_off import HeldChoice
from tests.support.deliveries import make_delivery
from tests.support.factories import Hook, make_user, make_webhook, publish
from tests.support.notifications import notifications


class Scene(NamedTuple):
    """Two webhooks, one of them off, with a failed, a waiting, and a held delivery."""

    ana: Actor
    on: Hook
    off: Hook
    failed: UUID
    later: UUID
    held: UUID

    def decide(self, *send: UUID) -> None:
        """Send these held deliveries, and dismiss the others."""
        seen = held_deliveries.count_seen(self.off.public_id)
        choice = HeldDecision(send=send, rest=Rest.DISMISS, seen=seen)
        dismissals.decide(self.ana, self.off.public_id, choice)

    def retry_in_bulk(self) -> None:
        """Start a bulk retry, and run its task, which collects and hands over."""
        bulk_retry.start(self.ana, Selection(ticked=(self.failed,)))
        job.work(KINDS, 60)


@pytest.fixture
def scene(app: Flask) -> Scene:
    on, off = make_webhook(secret="the new one of two"), make_webhook(state="off")
    with writing() as current:
        hook = current.get_one(Webhook, on.id)
        hook.old_secret_enc = vault.seal_secret(on.id, "the old one of two")
        hook.old_until = utcnow() + timedelta(hours=1)
    return Scene(
        make_user().actor,
        on,
        off,
        make_delivery(on, status="failed"),
        make_delivery(on, status="retrying", due_at=utcnow() + timedelta(hours=5)),
        make_delivery(off, status="on_hold"),
    )


RINGS: dict[str, Callable[[Scene], object]] = {
    "something happens": lambda it: publish(),
    "Retry": lambda it: delivery_retry.retry(it.ana, it.failed),
    "Resend": lambda it: delivery_retry.retry(it.ana, it.failed, again=True),
    "retry in bulk": Scene.retry_in_bulk,
    "send held": lambda it: turn_on_off.turn_on(it.ana, it.off.public_id, HeldChoice.SEND),
    "send some of it": lambda it: it.decide(it.held),
    "send what waits": lambda it: resume(it.ana, it.on.public_id),
    "the new key is known": lambda it: secrets.switch_now(it.ana, it.on.public_id),
    "a test": lambda it: send_test(it.ana, it.on.public_id),
    "a test while off": lambda it: send_test(it.ana, it.off.public_id),
}
SILENCE: dict[str, Callable[[Scene], object]] = {
    "dismiss what is on hold": lambda it: dismissals.turn_on(it.ana, it.off.public_id),
    "send none of it": lambda it: it.decide(),
    "turn off": lambda it: turn_on_off.turn_off(it.ana, it.on.public_id),
    "dismiss": lambda it: dismissals.dismiss(it.ana, Selection(ticked=(it.later,))),
    "refused": lambda it: delivery_retry.retry(it.ana, it.held),
    "nobody hears of it": lambda it: publish(EventName.LOST),
}


@pytest.mark.parametrize("name", RINGS)
def test_a_change_that_makes_a_delivery_due_notifies_once(scene: Scene, name: str) -> None:
    before = notifications()
    RINGS[name](scene)
    assert notifications() == before + 1


@pytest.mark.parametrize("name", SILENCE)
def test_other_changes_do_not_notify(scene: Scene, name: str) -> None:
    before = notifications()
    if name == "refused":
        with pytest.raises(Refusal):
            SILENCE[name](scene)
    else:
        SILENCE[name](scene)
    assert notifications() == before
