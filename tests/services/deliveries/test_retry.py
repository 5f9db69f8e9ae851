"""Retry and Resend: their conditions and their effects."""

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import delete, select, update

from portal.lib.clock import utcnow
from portal.models.audit import AuditEntry
from portal.models.deliveries import Priority
from portal.models.operations import Process
from portal.services.core.permissions import Actor
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import session, writing
from portal.services.deliveries import retry as delivery_retry
from portal.services.deliveries.detail import find_delivery
from portal.services.deliveries.log import named
from portal.services.deliveries.retry import ASKED_FOR, why_not_retry
from portal.services.outbox.connectivity import SENDER
from tests.support.deliveries import change, find_lease, lease, make_attempt, make_delivery, stored
from tests.support.factories import make_user, make_webhook
from tests.support.heartbeats import record_own
from tests.support.notifications import notifications

pytestmark = pytest.mark.usefixtures("app")


@pytest.fixture
def ana(app: Flask) -> Actor:
    return make_user("support", name="Ana").actor


@pytest.mark.parametrize("status", ["retrying", "failed"])
def test_retry_makes_a_delivery_due_and_keeps_its_prior_status(ana: Actor, status: str) -> None:
    due_at = utcnow() + timedelta(hours=5)
    made = make_delivery(status=status, due_at=due_at, tries=3)
    before = notifications()
    delivery_retry.retry(ana, made)
    row = stored(made)
    assert (row["status"], row["prior_status"]) == ("retrying", status)
    assert row["prior_due_at"] == due_at
    assert row["due_at"] < utcnow() + timedelta(seconds=2)
    assert (row["priority"], row["requested_by"], row["tries"]) == (1, "Ana", 3)
    assert notifications() == before + 1
    (entry,) = session().scalars(select(AuditEntry)).all()
    assert (entry.action, entry.target_name) == ("delivery.retried", "asset.created AST-00007")


def test_a_delivered_delivery_is_resent_only_on_request(ana: Actor) -> None:
    made = make_delivery(status="delivered")
    with pytest.raises(Refusal, match="already arrived"):
        delivery_retry.retry(ana, made)
    delivery_retry.retry(ana, made, again=True)
    assert (stored(made)["status"], stored(made)["prior_status"]) == ("queued", "delivered")


def test_page_log_and_verb_agree_about_a_delivery_to_a_host_that_cannot_be_reached(
    ana: Actor,
) -> None:
    """A chat’s delivery waits for its host then, not for the chat’s pace, like any other."""
    url, ahead = "https://chat.example.com/x", utcnow() + timedelta(seconds=3)
    for columns in ({"format": "slack", "next_at": ahead}, {}):
        made = make_delivery(make_webhook(url, **columns), due_at=utcnow() - timedelta(minutes=1))
        assert bool(columns) is (why_not_retry(find_delivery(made).eligibility) is None)
        record_own(SENDER)
        with writing() as current:
            cut_off = {"offline_since": utcnow(), "offline_hosts": "chat.example.com"}
            current.execute(update(Process).values(cut_off))
        (row,) = named([made])
        assert why_not_retry(row.eligibility) == ASKED_FOR
        assert why_not_retry(find_delivery(made).eligibility) == ASKED_FOR
        with pytest.raises(Refusal, match="already queued"):
            delivery_retry.retry(ana, made)
        with writing() as current:
            current.execute(delete(Process))


def test_each_refused_retry_names_its_reason(ana: Actor) -> None:
    sending = make_delivery()
    lease(sending)
    off = make_webhook(state="off", name="Sync")
    gone = make_webhook(deleted_at=utcnow(), name="Old")
    refused = {
        "already queued": make_delivery(),
        "sending this delivery now": sending,
        "on hold because": make_delivery(off, status="on_hold"),
        "“Sync” is off": make_delivery(off, status="failed"),
        "“Old” was deleted": make_delivery(gone, status="failed"),
        "can’t retry a test": make_delivery(status="failed", priority=Priority.TEST),
    }
    for words, made in refused.items():
        before = stored(made)
        with pytest.raises(Refusal, match=words):
            delivery_retry.retry(ana, made)
        assert stored(made) == before


def test_a_double_click_sends_once_even_if_the_first_attempt_ended(ana: Actor) -> None:
    made = make_delivery(status="failed")
    make_attempt(made)
    delivery_retry.retry(ana, made, seen=1)
    make_attempt(made, kind="manual")
    change(made, status="failed", prior_status=None, prior_due_at=None)
    with pytest.raises(Refusal, match="another attempt"):
        delivery_retry.retry(ana, made, seen=1)
    assert stored(made)["status"] == "failed"


def test_a_retry_settles_an_expired_lease(ana: Actor) -> None:
    made = make_delivery(status="retrying")
    lease(made, -1)
    delivery_retry.retry(ana, made)
    assert find_lease(made) is None
    assert (stored(made)["tries"], stored(made)["attempts"]) == (1, 1)
