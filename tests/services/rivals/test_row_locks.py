"""Changes to the deliveries of a webhook lock its row first, so that they happen one by one.

Recording the end of an attempt locks the row, too, and relies on being the only one.
"""

from collections.abc import Callable
from functools import partial
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import select

from portal.extensions import db
from portal.models.audit import AuditEntry
from portal.models.deliveries import BatchRow, Delivery
from portal.models.webhooks import Webhook
from portal.services import tasks as task_leases
from portal.services.core.permissions import Actor
from portal.services.core.unit_of_work import writing
from portal.services.deliveries import bulk_retry, bulk_retry_selection
from portal.services.deliveries import retry as delivery_retry
from portal.services.deliveries.bulk_retry_selection import Selection
from portal.services.deliveries.dismissals import dismiss
from portal.services.deliveries.statuses import LogFilter, StatusFilter
from portal.services.outbox.rollups import remove_deliveries
from portal.services.webhooks import sample_deliveries, turn_on_off
from portal.services.webhooks.turn_on_off import HeldChoice
from tests.support.database.rivals import Rival, meanwhile
from tests.support.deliveries import make_delivery, stored
from tests.support.factories import Hook, make_user, make_webhook, publish

pytestmark = pytest.mark.both_databases

Verb = Callable[[Actor, Hook, UUID], object]


def retry(actor: Actor, _hook: Hook, failed: UUID) -> None:
    delivery_retry.retry(actor, failed)


def retry_in_bulk(actor: Actor, _hook: Hook, failed: UUID) -> None:
    bulk_retry.start(actor, Selection(ticked=(failed,)))
    turn = task_leases.claim()
    assert turn is not None
    while stored(failed)["status"] == "failed":
        assert task_leases.advance(turn, bulk_retry.KIND)


def dismiss_it(actor: Actor, _hook: Hook, failed: UUID) -> None:
    assert dismiss(actor, Selection(ticked=(failed,))).changed == 1


def send_a_test(actor: Actor, hook: Hook, _failed: UUID) -> None:
    sample_deliveries.send_test(actor, hook.public_id)


def something_happens(_actor: Actor, _hook: Hook, _failed: UUID) -> None:
    publish()


@pytest.mark.parametrize(
    ("verb", "columns"),
    [
        (retry, {}),
        (retry_in_bulk, {}),
        (dismiss_it, {}),
        (send_a_test, {}),
        # All must agree which delivery is oldest, and none is left on hold.
        (something_happens, {"in_order": True}),
        (something_happens, {"state": "off"}),
    ],
)
def test_the_holder_of_the_webhooks_row_goes_first(
    app: Flask, verb: Verb, columns: dict[str, object]
) -> None:
    ana, hook = make_user().actor, make_webhook(**columns)
    failed = make_delivery(hook, status="failed", reason="server", code=500, tries=10)
    rival = Rival(app, partial(verb, ana, hook, failed))
    with writing() as current:
        current.get(Webhook, hook.id, with_for_update={"key_share": True})
        rival.begin()
    rival.finish()


def test_concurrently_removed_deliveries_are_not_audited_as_sent(app: Flask) -> None:
    """Cover retention, which locks only the rows of deliveries."""
    ana, hook = make_user().actor, make_webhook(state="off")
    make_delivery(hook, status="on_hold")
    turn_on = partial(turn_on_off.turn_on, ana, hook.public_id, HeldChoice.SEND)
    meanwhile(app, turn_on, lambda current: remove_deliveries(current, select(Delivery.id)))
    (entry,) = db.session.scalars(select(AuditEntry)).all()
    assert entry.changes == {"status": {"from": "Off", "to": "Active"}}


def a_bulk_retry_goes_on() -> Callable[[], object]:
    """Start a bulk retry of all failures, already collected, and return its next step."""
    failed = LogFilter(status=StatusFilter.FAILED)
    choice = Selection(wanted=failed, newest=bulk_retry_selection.newest_now())
    bulk_retry.start(make_user().actor, choice)
    turn = task_leases.claim()
    assert turn is not None
    return partial(task_leases.advance, turn, bulk_retry.KIND)


def test_a_bulk_retry_skips_concurrently_removed_deliveries(app: Flask) -> None:
    make_delivery(status="failed", reason="server")
    go_on = a_bulk_retry_goes_on()
    meanwhile(app, go_on, lambda current: remove_deliveries(current, select(Delivery.id)))
    ends = db.session.execute(select(BatchRow.outcome, BatchRow.message)).all()
    assert [tuple(row) for row in ends] == [("skipped", "No longer kept")]


@pytest.mark.parametrize(
    ("verb", "columns"),
    [
        (a_bulk_retry_goes_on, {}),
        (lambda: publish, {"in_order": True}),
        (lambda: publish, {"state": "off"}),
    ],
    ids=["bulk retry", "in order", "off"],
)
def test_several_webhooks_are_locked_in_the_order_of_their_ids(
    app: Flask,
    database_kind: str,
    verb: Callable[[], Callable[[], object]],
    columns: dict[str, object],
) -> None:
    """Prevent a deadlock of two such transactions."""
    if database_kind == "sqlite":
        pytest.skip("there one writes at a time")
    first, second = (make_webhook(**columns) for _ in range(2))
    for hook in (first, second):
        make_delivery(hook, status="failed", reason="server")
    rival = Rival(app, verb())
    with writing() as current:
        current.get_one(Webhook, first.id).name = "Now the last in the table"
    with writing() as current:
        current.get(Webhook, first.id, with_for_update={"key_share": True})
        rival.begin()
        current.get(Webhook, second.id, with_for_update={"key_share": True, "nowait": True})
    rival.finish()


def test_publishing_does_not_wait_for_a_webhook_without_order(app: Flask) -> None:
    hook = make_webhook()
    with writing() as current:
        current.get(Webhook, hook.id, with_for_update={"key_share": True})
        if current.get_bind().dialect.name == "postgresql":
            rival = Rival(app, publish)
            rival.start()
            rival.finish()
