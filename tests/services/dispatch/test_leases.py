"""What becomes of leases that ran out, that come late, or that the database has lost."""

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
    """A webhook for which something has just happened."""
    made = make_webhook()
    publish()
    return made


def row() -> dict[str, Any]:
    """The one delivery, as it is stored."""
    return stored(only_delivery().public_id)


def lose_leases() -> None:
    """The database crashed, and has forgotten who sends what."""
    with writing() as current:
        current.execute(delete(Lease))


def outcomes() -> list[tuple[int, str, str]]:
    return [(each.number, each.kind, each.outcome) for each in attempts()]


def counted() -> tuple[int, ...]:
    found = db.session.query(Rollup).one()
    return found.delivered, found.failed, found.failed_attempts


@pytest.mark.usefixtures("hook")
def test_a_lease_that_ran_out_is_an_attempt_of_the_schedule() -> None:
    (lost,) = claim()
    make_due()
    assert has_claimable()
    maintenance.maintain()
    assert (row()["status"], row()["tries"], row()["attempts"], leases()) == ("queued", 1, 1, [])
    (left,) = attempts()
    assert (left.outcome, left.number, left.finished_at) == ("interrupted", 1, None)
    assert (left.started_at, left.url) == (lost.started_at, lost.shown_url)


@pytest.mark.parametrize("columns", [{"state": "off"}, {"in_order": True}, {"throttled": True}])
def test_what_ran_out_is_told_whoever_may_claim_it(hook: Hook, columns: dict[str, Any]) -> None:
    claim()
    make_due()
    with writing() as current:
        current.execute(update(Webhook).where(Webhook.id == hook.id).values(**columns))
    assert maintenance.maintain() > 0
    assert outcomes() == [(1, "scheduled", "interrupted")]
    assert row()["status"] == ("on_hold" if columns == {"state": "off"} else "queued")


@pytest.mark.usefixtures("hook")
def test_the_last_attempt_that_was_cut_off_ends_in_a_failure_that_is_counted() -> None:
    change(only_delivery().public_id, tries=9, attempts=9)
    claim()
    make_due()
    assert claim() == []
    assert (row()["status"], row()["tries"], row()["reason"]) == ("failed", 10, "interrupted")
    assert counted() == (0, 1, 1)


@pytest.mark.usefixtures("hook")
def test_what_comes_late_after_another_claim_says_how_its_own_attempt_ended() -> None:
    (late,) = claim()
    make_due()
    (newer,) = claim()
    write_down(ended(late, Reason.SERVER))
    assert outcomes() == [(1, "scheduled", "failed")]
    assert db.session.query(AttemptBody).count() == 1  # what it was answered is kept as well
    assert (row()["status"], row()["attempts"], row()["reason"]) == ("retrying", 1, None)
    assert [each.token for each in leases()] == [newer.token]
    write_down(ended(newer))
    assert outcomes() == [(1, "scheduled", "failed"), (2, "scheduled", "delivered")]
    assert (row()["status"], row()["tries"], row()["attempts"]) == ("delivered", 2, 2)


@pytest.mark.usefixtures("hook")
def test_a_success_decides_although_its_lease_was_settled_before_while_nobody_claimed_it() -> None:
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
def test_a_persons_retry_that_was_settled_before_it_succeeded_completes_its_delivery() -> None:
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
def test_a_batch_that_is_recorded_twice_changes_nothing_the_second_time(
    reason: Reason | None,
) -> None:
    (sent,) = claim()
    write_down(ended(sent, reason))
    before, known = row(), outcomes()
    write_down(ended(sent, reason))
    assert (row(), outcomes()) == (before, known)
    assert db.session.query(AttemptBody).count() == 1
    assert counted() == ((1, 0, 0) if reason is None else (0, 0, 1))


@pytest.mark.usefixtures("hook")
@pytest.mark.parametrize("reason", [None, Reason.SERVER])
def test_a_result_counts_although_its_lease_was_lost(reason: Reason | None) -> None:
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
def test_of_two_senders_after_a_lost_lease_the_one_with_a_lease_decides(
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
def test_a_lost_lease_takes_no_persons_retry_with_it() -> None:
    (lost,) = claim()
    lose_leases()
    ask_for_retry(only_delivery().id)
    write_down(ended(lost, Reason.SERVER))
    assert (row()["status"], row()["prior_status"], row()["attempts"]) == ("retrying", "queued", 1)
    assert [each.kind for each in claim()] == ["manual"]


@pytest.mark.usefixtures("hook")
@pytest.mark.parametrize(
    ("reason", "status", "outcome"),
    [(None, "delivered", "delivered"), (Reason.SERVER, "dismissed", "failed")],
)
def test_a_lost_attempt_decides_about_what_was_dismissed_in_the_meantime(
    reason: Reason | None, status: str, outcome: str
) -> None:
    (lost,) = claim()
    lose_leases()
    dismiss(make_user().actor, Selection(ticked=(only_delivery().public_id,)))
    write_down(ended(lost, reason))
    assert (row()["status"], outcomes()) == (status, [(1, "scheduled", outcome)])


@pytest.mark.usefixtures("hook")
def test_what_is_no_longer_kept_is_passed_over() -> None:
    (sent,) = claim()
    gone = sent._replace(delivery_id=sent.delivery_id + 1)
    write_down(ended(gone), ended(sent))
    assert (row()["status"], len(outcomes())) == ("delivered", 1)


@pytest.mark.usefixtures("hook")
def test_what_was_never_sent_leaves_nothing_when_it_is_released() -> None:
    before = row()
    claims = claim()
    with writing() as current:
        maintenance.release(current.connection(), sent=[], unsent=claims)
    assert (row(), attempts(), leases()) == (before, [], [])


@pytest.mark.usefixtures("hook")
@pytest.mark.parametrize("was_sent", [True, False])
def test_what_is_released_after_its_lease_ran_out_has_an_end(was_sent: bool) -> None:
    claim()  # by whoever has crashed
    make_due()
    late = claim()
    make_due()
    (newer,) = claim()
    ends = []
    for _ in range(2):
        with writing() as current:
            given = {"sent": late, "unsent": []} if was_sent else {"sent": [], "unsent": late}
            maintenance.release(current.connection(), **given)
        ends.append([(each.outcome, each.finished_at) for each in attempts()])
    assert [each.token for each in leases()] == [newer.token]
    crashed, (outcome, end) = ends[0]
    assert (crashed, outcome, end is None) == (("interrupted", None), "interrupted", False)
    assert ends[1] == ends[0], "given back twice, it ended the first time"
