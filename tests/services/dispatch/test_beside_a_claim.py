"""A change to a delivery that is being claimed waits for the claim and then leaves it alone.

The claim does not write to the delivery's row, so a transaction that waits for the row does not get
a new version of it. Therefore the lease is read after the locks.
"""

from collections.abc import Callable
from functools import partial
from uuid import UUID

import pytest
from flask import Flask

from portal.extensions import db
from portal.services import tasks as task_leases
from portal.services.core.permissions import Actor
from portal.services.core.refusals import Refusal
from portal.services.deliveries import bulk_retry
from portal.services.deliveries import retry as delivery_retry
from portal.services.deliveries.bulk_retry_selection import Selection
from portal.services.deliveries.dismissals import dismiss, restore
from portal.services.dispatch import claim as dispatch_claim
from portal.services.webhooks import crud, turn_on_off
from tests.support.database.rivals import Rival
from tests.support.deliveries import find_lease, make_delivery, stored
from tests.support.factories import Hook, make_user, make_webhook

pytestmark = pytest.mark.both_databases

Verb = Callable[[Actor, Hook, UUID], object]


def undone(actor: Actor, _hook: Hook, made: UUID) -> None:
    dismiss(actor, Selection(ticked=(made,)))
    restore(actor, [made])


def retry(actor: Actor, _hook: Hook, made: UUID) -> None:
    with pytest.raises(Refusal, match="sending this delivery now"):
        delivery_retry.retry(actor, made)


def hold(actor: Actor, hook: Hook, _made: UUID) -> None:
    turn_on_off.turn_off(actor, hook.public_id)


def delete(actor: Actor, hook: Hook, _made: UUID) -> None:
    crud.delete(actor, hook.public_id)


def retry_in_bulk(actor: Actor, _hook: Hook, made: UUID) -> None:
    try:
        bulk_retry.start(actor, Selection(ticked=(made,)))
    except Refusal:  # it counted after the claim had ended
        return
    turn = task_leases.claim()
    assert turn is not None
    for _ in range(9):
        if not task_leases.advance(turn, bulk_retry.KIND):
            break


@pytest.mark.parametrize("verb", [undone, retry, hold, delete, retry_in_bulk])
def test_a_delivery_being_claimed_is_left_unchanged(app: Flask, verb: Verb) -> None:
    ana, hook = make_user().actor, make_webhook()
    made = make_delivery(hook, status="retrying", tries=3, attempts=3)
    before = stored(made)
    with db.engine.connect().execution_options(writing=True) as connection:
        transaction = connection.begin()
        (sent,) = dispatch_claim.claim(connection, 8)
        rival = Rival(app, partial(verb, ana, hook, made))
        rival.come_to_a_lock()
        transaction.commit()
    rival.finish()
    assert stored(made) == before
    lease = find_lease(made)
    assert lease is not None
    assert lease.token == sent.token
