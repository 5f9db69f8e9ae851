"""Removing one waiting delivery from a bulk retry."""

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import update

from portal.lib.clock import utcnow
from portal.models.tasks import Task
from portal.services.core.refusals import NotAllowed, NotFound, Refusal
from portal.services.core.unit_of_work import writing
from portal.services.deliveries import bulk_retry
from portal.services.deliveries.bulk_retry import take_out
from portal.services.deliveries.bulk_retry_selection import Selection
from tests.services.bulk_retry.test_bulk_retry import finish, fresh, some, work
from tests.support.deliveries import make_attempt, stored
from tests.support.factories import make_user, make_webhook
from tests.web.bulk_retry.test_bulk_retry_list import paused
from tests.web.signed_in import signed_in, visit

BUTTON = "Remove from bulk retry"


@pytest.mark.both_databases
def test_a_waiting_delivery_is_removed_on_its_page_and_not_sent(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.services.deliveries.bulk_retry.MOST_UNDER_WAY", 1)
    made = some(3, make_webhook(name="Sync"), reason="server", code=500)
    for delivery in made:
        make_attempt(delivery, reason="server", code=500)
    sam = make_user("support", name="Sam Okoro")
    batch = bulk_retry.start(sam.actor, Selection(ticked=tuple(made)))
    work()
    sent = next(delivery for delivery in made if stored(delivery)["status"] == "retrying")
    gone, other = (delivery for delivery in made if delivery != sent)
    pages = visit(app, "support", name="Ana")
    path = f"/deliveries/{gone}/take-out"
    # A delivery that was handed over is on its way, and only Stop takes it back.
    assert BUTTON not in pages.get(f"/deliveries/{sent}").main
    form = pages.get(f"/deliveries/{gone}").form(path)
    page = pages.submit(form)
    assert page.flashes == [("success", "Removed from the bulk retry.")]
    assert "Retry after it’s fixed." in page.main
    assert "Retry" in [button for form in page.forms for button in form.buttons]
    assert [tone for tone, _ in pages.submit(form).flashes] == ["warning"]
    with pytest.raises(Refusal, match="no longer in a bulk retry"):
        take_out(sam.actor, gone)
    with pytest.raises(Refusal, match="no longer in a bulk retry"):
        take_out(sam.actor, sent)

    for delivery in (sent, other):
        finish(delivery, "delivered")
        work()
    page = pages.get(f"/batches/{batch}")
    assert "2 delivered, 1 skipped" in page.main
    assert [row[2:] for row in page.rows()] == [["Skipped", "Removed before it was sent"]]
    assert stored(gone)["status"] == "failed"
    assert "delivery removed" in visit(app, "admin").get("/settings/audit").main


def test_a_paused_bulk_retry_ends_when_its_last_ones_are_removed(app: Flask) -> None:
    sam = make_user("support", name="Sam Okoro")
    batch, made = paused(sam)
    with writing() as current:  # any later time
        current.execute(update(Task).values(due_at=utcnow() + timedelta(hours=1)))
    for delivery in made[10:]:
        assert fresh(batch).due_at > utcnow()
        take_out(sam.actor, delivery)
    assert fresh(batch).due_at <= utcnow()
    work()
    page = signed_in(app, sam).get(f"/batches/{batch}")
    assert "10 failed, 2 skipped" in page.main
    assert "/go-on" not in page.html


def test_a_role_without_permission_to_stop_cannot_remove_deliveries(app: Flask) -> None:
    sam, manager = make_user("support"), make_user("manager")
    _, made = paused(sam)
    with pytest.raises(NotAllowed):
        take_out(manager.actor, made[11])
    with pytest.raises(NotFound):
        take_out(sam.actor, manager.public_id)
    assert BUTTON not in signed_in(app, manager).get(f"/deliveries/{made[11]}").main
