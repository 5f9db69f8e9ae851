"""Leases that expire, whose results come late, or that the database loses."""

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import delete, update

from portal.engine.reasons import Reason
from portal.extensions import db
from portal.models.deliveries import AttemptBody, Lease, Rollup
from portal.models.webhooks import Webhook
from portal.services.core.unit_of_work import writing
from portal.services.deliveries.bulk_retry_selection import Selection
from portal.services.deliveries.dismissals import dismiss
from portal.services.dispatch import maintenance
from portal.services.outbox.claimable import has_claimable
from tests.jobs.dispatcher.delivery_clock import (
    ask_for_retry,
    attempts,
    claim,
    ended,
    leases,
    make_due,
    only_delivery,
    write_down,
)
from tests.support.deliveries import change, stored
from tests.support.factories import Hook, make_user, make_webhook, publish

pytestmark = [pytest.mark.usefixtures("app"), pytest.mark.both_databases]


@pytest.fixture
def hook(app: Flask) -> Hook:
    """Make a webhook with one event to send."""
    made = make_webhook()
    publish()
    return made


def row() -> dict[str, Any]:
    """Return the only delivery as stored."""
    return stored(only_delivery().public_id)


def lose_leases() -> None:
    """Delete all leases, as a crash of the database can."""
    with writing() as current:
        current.execute(delete(Lease))


def outcomes() -> list[tuple[int, str, str]]:
    return [(attempt.number, attempt.kind, attempt.outcome) for attempt in attempts()]


def counted() -> tuple[int, ...]:
    rollup = db.session.query(Rollup).one()
    return rollup.delivered, rollup.failed, rollup.failed_attempts


@pytest.mark.usefixtures("hook")
def test_an_expired_lease_counts_as_a_scheduled_attempt() -> None:
    (lost,) = claim()
    make_due()
    assert has_claimable()
    maintenance.maintain()
    assert (row()["status"], row()["tries"], row()["attempts"], leases()) == ("queued", 1, 1, [])
    (left,) = attempts()
    assert (left.outcome, left.number, left.finished_at) == ("interrupted", 1, None)
    assert (left.started_at, left.url) == (lost.started_at, lost.shown_url)


@pytest.mark.parametrize("columns", [{"state": "off"}, {"in_order": True}, {"throttled": True}])
def test_an_expired_lease_is_settled_in_any_state_of_its_webhook(
    hook: Hook, columns: dict[str, Any]
) -> None:
    claim()
    make_due()
    with writing() as current:
        current.execute(update(Webhook).where(Webhook.id == hook.id).values(**columns))
    assert maintenance.maintain() > 0
    assert outcomes() == [(1, "scheduled", "interrupted")]
    assert row()["status"] == ("on_hold" if columns == {"state": "off"} else "queued")


@pytest.mark.usefixtures("hook")
def test_an_interrupted_last_attempt_is_a_counted_failure() -> None:
    change(only_delivery().public_id, tries=9, attempts=9)
    claim()
    make_due()
    assert claim() == []
    assert (row()["status"], row()["tries"], row()["reason"]) == ("failed", 10, "interrupted")
    assert counted() == (0, 1, 1)


@pytest.mark.usefixtures("hook")
def test_a_result_after_another_claim_ends_only_its_own_attempt() -> None:
    (late,) = claim()
    make_due()
    (newer,) = claim()
    write_down(ended(late, Reason.SERVER))
    assert outcomes() == [(1, "scheduled", "failed")]
    assert db.session.query(AttemptBody).count() == 1  # its response is stored, too
    assert (row()["status"], row()["attempts"], row()["reason"]) == ("retrying", 1, None)
    assert [each.token for each in leases()] == [newer.token]
    write_down(ended(newer))
    assert outcomes() == [(1, "scheduled", "failed"), (2, "scheduled", "delivered")]
    assert (row()["status"], row()["tries"], row()["attempts"]) == ("delivered", 2, 2)


@pytest.mark.usefixtures("hook")
def test_a_success_counts_after_its_lease_was_settled_without_a_new_claim() -> None:
    (late,) = claim()
    make_due()
    maintenance.maintain()
    assert outcomes() == [(1, "scheduled", "interrupted")]
    for _ in range(2):
        write_down(ended(late))
        delivery = row()
        assert (delivery["status"], delivery["tries"], delivery["attempts"]) == ("delivered", 1, 1)
        assert (delivery["code"], delivery["finished_at"] is None) == (200, False)
        assert outcomes() == [(1, "scheduled", "delivered")]
        assert counted() == (1, 0, 0)
    assert claim() == []


@pytest.mark.usefixtures("hook")
def test_a_late_success_of_a_manual_retry_completes_its_delivery() -> None:
    write_down(ended(claim()[0], Reason.SERVER))
    ask_for_retry(only_delivery().id)
    (late,) = claim()
    make_due()
    maintenance.maintain()
    write_down(ended(late))
    assert outcomes() == [(1, "scheduled", "failed"), (2, "manual", "delivered")]
    assert (row()["status"], row()["tries"], row()["prior_status"]) == ("delivered", 1, None)
    assert (counted(), claim()) == ((1, 0, 1), [])


@pytest.mark.usefixtures("hook")
@pytest.mark.parametrize("reason", [None, Reason.SERVER])
def test_recording_a_batch_twice_changes_nothing(reason: Reason | None) -> None:
    (sent,) = claim()
    write_down(ended(sent, reason))
    before, known = row(), outcomes()
    write_down(ended(sent, reason))
    assert (row(), outcomes()) == (before, known)
    assert db.session.query(AttemptBody).count() == 1
    assert counted() == ((1, 0, 0) if reason is None else (0, 0, 1))


@pytest.mark.usefixtures("hook")
@pytest.mark.parametrize("reason", [None, Reason.SERVER])
def test_a_result_counts_even_if_its_lease_was_lost(reason: Reason | None) -> None:
    (sent,) = claim()
    lose_leases()
    write_down(ended(sent, reason))
    assert row()["status"] == ("retrying" if reason else "delivered")
    assert (row()["tries"], row()["attempts"], len(outcomes())) == (1, 1, 1)
    assert counted() == ((0, 0, 1) if reason else (1, 0, 0))


@pytest.mark.usefixtures("hook")
@pytest.mark.parametrize(
    ("reason", "status", "outcome", "counts"),
    [(None, "delivered", "delivered", (1, 0, 0)), (Reason.GONE, "failed", "failed", (0, 1, 1))],
)
def test_of_two_senders_after_a_lost_lease_the_lease_holder_decides(
    reason: Reason | None, status: str, outcome: str, counts: tuple[int, ...]
) -> None:
    (lost,) = claim()
    lose_leases()
    (newer,) = claim()
    assert newer.number == lost.number == 1
    write_down(ended(lost, Reason.SERVER))
    assert (row()["status"], row()["attempts"], row()["tries"]) == ("retrying", 1, 0)
    write_down(ended(newer, reason), ended(lost, Reason.SERVER))
    assert (row()["status"], row()["attempts"], row()["tries"]) == (status, 2, 1)
    assert outcomes() == [(1, "scheduled", "failed"), (2, "scheduled", outcome)]
    assert counted() == counts


@pytest.mark.usefixtures("hook")
def test_a_result_with_a_lost_lease_does_not_end_a_manual_retry() -> None:
    (lost,) = claim()
    lose_leases()
    ask_for_retry(only_delivery().id)
    write_down(ended(lost, Reason.SERVER))
    assert (row()["status"], row()["prior_status"], row()["attempts"]) == ("retrying", "queued", 1)
    assert [claimed.kind for claimed in claim()] == ["manual"]


@pytest.mark.usefixtures("hook")
@pytest.mark.parametrize(
    ("reason", "status", "outcome"),
    [(None, "delivered", "delivered"), (Reason.SERVER, "dismissed", "failed")],
)
def test_a_result_with_a_lost_lease_counts_for_a_dismissed_delivery(
    reason: Reason | None, status: str, outcome: str
) -> None:
    (lost,) = claim()
    lose_leases()
    dismiss(make_user().actor, Selection(ticked=(only_delivery().public_id,)))
    write_down(ended(lost, reason))
    assert (row()["status"], outcomes()) == (status, [(1, "scheduled", outcome)])


@pytest.mark.usefixtures("hook")
def test_a_result_of_a_pruned_delivery_is_skipped() -> None:
    (sent,) = claim()
    gone = sent._replace(delivery_id=sent.delivery_id + 1)
    write_down(ended(gone), ended(sent))
    assert (row()["status"], len(outcomes())) == ("delivered", 1)


@pytest.mark.usefixtures("hook")
def test_releasing_an_unsent_claim_leaves_no_trace() -> None:
    before = row()
    claims = claim()
    with writing() as current:
        maintenance.release(current.connection(), sent=[], unsent=claims)
    assert (row(), attempts(), leases()) == (before, [], [])


@pytest.mark.usefixtures("hook")
@pytest.mark.parametrize("was_sent", [True, False])
def test_a_claim_released_after_its_lease_expired_gets_an_end(was_sent: bool) -> None:
    claim()  # by a process that crashed
    make_due()
    late = claim()
    make_due()
    (newer,) = claim()
    ends = []
    for _ in range(2):
        with writing() as current:
            claims = {"sent": late, "unsent": []} if was_sent else {"sent": [], "unsent": late}
            maintenance.release(current.connection(), **claims)
        ends.append([(each.outcome, each.finished_at) for each in attempts()])
    assert [each.token for each in leases()] == [newer.token]
    crashed, (outcome, end) = ends[0]
    assert (crashed, outcome, end is None) == (("interrupted", None), "interrupted", False)
    assert ends[1] == ends[0], "given back twice, it ended the first time"
