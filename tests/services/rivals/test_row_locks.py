"""Whoever changes what is sent to a webhook takes its row first, and so one goes after the other.

Who records the end of an attempt has the row too, and counts on nobody else being at it.
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
        # Oldest means the same to everybody; nothing is left behind as held.
        (something_happens, {"in_order": True}),
        (something_happens, {"state": "off"}),
    ],
)
def test_whoever_has_the_webhooks_row_goes_first(
    app: Flask, verb: Verb, columns: dict[str, object]
) -> None:
    ana, hook = make_user().actor, make_webhook(**columns)
    failed = make_delivery(hook, status="failed", reason="server", code=500, tries=10)
    rival = Rival(app, partial(verb, ana, hook, failed))
    with writing() as current:
        current.get(Webhook, hook.id, with_for_update={"key_share": True})
        rival.begin()
    rival.finish()


def test_what_is_removed_meanwhile_is_not_told_of_as_sent(app: Flask) -> None:
    """Retention takes the deliveries' rows alone."""
    ana, hook = make_user().actor, make_webhook(state="off")
    make_delivery(hook, status="on_hold")
    turn_on = partial(turn_on_off.turn_on, ana, hook.public_id, HeldChoice.SEND)
    meanwhile(app, turn_on, lambda current: remove_deliveries(current, select(Delivery.id)))
    (entry,) = db.session.scalars(select(AuditEntry)).all()
    assert entry.changes == {"status": {"from": "Off", "to": "Active"}}


def a_bulk_retry_goes_on() -> Callable[[], object]:
    """Of all that failed; it has collected already."""
    failed = LogFilter(status=StatusFilter.FAILED)
    choice = Selection(wanted=failed, newest=bulk_retry_selection.newest_now())
    bulk_retry.start(make_user().actor, choice)
    turn = task_leases.claim()
    assert turn is not None
    return partial(task_leases.advance, turn, bulk_retry.KIND)


def test_what_is_removed_meanwhile_is_not_handed_over_by_a_bulk_retry(app: Flask) -> None:
    make_delivery(status="failed", reason="server")
    go_on = a_bulk_retry_goes_on()
    meanwhile(app, go_on, lambda current: remove_deliveries(current, select(Delivery.id)))
    ends = db.session.execute(select(BatchRow.outcome, BatchRow.message)).all()
    assert [tuple(each) for each in ends] == [("skipped", "No longer kept")]


@pytest.mark.parametrize(
    ("verb", "columns"),
    [
        (a_bulk_retry_goes_on, {}),
        (lambda: publish, {"in_order": True}),
        (lambda: publish, {"state": "off"}),
    ],
    ids=["bulk retry", "in order", "off"],
)
def test_who_takes_several_webhooks_takes_them_in_the_order_of_their_ids(
    app: Flask,
    database_kind: str,
    verb: Callable[[], Callable[[], object]],
    columns: dict[str, object],
) -> None:
    """Else two would wait for each other."""
    if database_kind == "sqlite":
        pytest.skip("there one writes at a time")
    first, second = (make_webhook(**columns) for _ in range(2))
    for each in (first, second):
        make_delivery(each, status="failed", reason="server")
    rival = Rival(app, verb())
    with writing() as current:
        current.get_one(Webhook, first.id).name = "Now the last in the table"
    with writing() as current:
        current.get(Webhook, first.id, with_for_update={"key_share": True})
        rival.begin()
        current.get(Webhook, second.id, with_for_update={"key_share": True, "nowait": True})
    rival.finish()


def test_what_happens_holds_up_nobody_where_no_order_is_kept(app: Flask) -> None:
    hook = make_webhook()
    with writing() as current:
        current.get(Webhook, hook.id, with_for_update={"key_share": True})
        if current.get_bind().dialect.name == "postgresql":
            rival = Rival(app, publish)
            rival.start()
            rival.finish()
