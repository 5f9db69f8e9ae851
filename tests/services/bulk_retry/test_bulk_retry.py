"""A bulk retry sends a few deliveries at a time, behind new ones, and each one once."""

import itertools
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from flask import Flask
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from jobs import tasks as job
from portal.extensions import db
from portal.lib.clock import utcnow
from portal.models.audit import AuditEntry
from portal.models.deliveries import Attempt, AttemptBody, BatchRow, Delivery, Priority
from portal.models.people import User
from portal.models.tasks import Task, TaskState
from portal.models.webhooks import Webhook
from portal.services.core.permissions import Actor
from portal.services.core.refusals import NotAllowed, Refusal
from portal.services.core.unit_of_work import session, writing
from portal.services.deliveries import bulk_retry, bulk_retry_report, bulk_retry_selection
from portal.services.deliveries import retry as delivery_retry
from portal.services.deliveries.bulk_retry import Pace
from portal.services.deliveries.bulk_retry_selection import Selection, Skip
from portal.services.deliveries.statuses import LogFilter, StatusFilter
from portal.services.tasks import Step
from portal.services.webhooks import turn_on_off
from tests.support.deliveries import change, lease, make_attempt, make_delivery, stored
from tests.support.factories import Hook, make_user, make_webhook

pytestmark = [pytest.mark.usefixtures("app"), pytest.mark.both_databases]


FAILED = LogFilter(status=StatusFilter.FAILED)


@pytest.fixture
def ana(app: Flask) -> Actor:
    return make_user("support", name="Ana").actor


def some(count: int, webhook: Hook, **columns: object) -> list[UUID]:
    return [make_delivery(webhook, **{"status": "failed", **columns}) for _ in range(count)]


def work() -> None:
    """Run the background worker as if the time until its next poll had passed."""
    with writing() as current:
        due = Task.state.in_(["waiting", "running"])
        current.execute(update(Task).where(due).values(due_at=Task.created_at))
    job.work({bulk_retry.NAME: bulk_retry.KIND})


def fresh(public_id: UUID) -> Task:
    db.session.rollback()
    query = select(Task).where(Task.public_id == public_id)
    return db.session.execute(query, execution_options={"populate_existing": True}).scalar_one()


def all_that(wanted: LogFilter, *, again: bool = False) -> Selection:
    return Selection(wanted=wanted, newest=bulk_retry_selection.newest_now(), again=again)


def finish(made: UUID, outcome: str) -> None:
    """Change a delivery as the claim and the recording of a manual attempt would."""
    before = stored(made)
    why = {name: before[name] for name in ("reason", "code")} if outcome == "failed" else {}
    make_attempt(made, kind="manual", outcome=outcome, **why)
    status = "delivered" if outcome == "delivered" else before["prior_status"]
    asked = dict.fromkeys(("prior_status", "prior_due_at", "requested_by"))
    change(made, status=status, priority=Priority.NORMAL, **asked)


def forget(made: UUID) -> None:
    """Delete a delivery, as pruning would."""
    with writing() as current:
        row_id = current.scalars(select(Delivery.id).where(Delivery.public_id == made)).one()
        mine = select(Attempt.id).where(Attempt.delivery_id == row_id)
        current.execute(delete(AttemptBody).where(AttemptBody.attempt_id.in_(mine)))
        current.execute(delete(Attempt).where(Attempt.delivery_id == row_id))
        current.execute(delete(Delivery).where(Delivery.id == row_id))


def handed(among: Sequence[UUID]) -> list[UUID]:
    return [delivery for delivery in among if stored(delivery)["priority"] == Priority.BULK]


def set_webhook(hook: Hook, **columns: object) -> None:
    with writing() as current:
        current.execute(update(Webhook).where(Webhook.id == hook.id).values(**columns))


def test_matching_deliveries_are_sent_behind_new_ones_and_counted(ana: Actor) -> None:
    erp = make_webhook(name="ERP")
    made = some(3, erp)
    other = make_delivery(erp, status="delivered")
    batch = bulk_retry.start(ana, all_that(FAILED))
    later = make_delivery(erp, status="failed")
    work()
    row = stored(made[0])
    assert (row["status"], row["prior_status"]) == ("retrying", "failed")
    assert (row["priority"], row["requested_by"]) == (Priority.BULK, "Ana")
    assert stored(other)["prior_status"] is stored(later)["prior_status"] is None
    for delivery, outcome in zip(made, ["delivered", "failed", "delivered"], strict=True):
        finish(delivery, outcome)
    work()
    task = fresh(batch)
    assert (task.state, task.done, task.total) == (TaskState.DONE, 3, 3)
    assert task.counts == {"delivered": 2, "failed": 1}


def test_the_count_is_split_by_webhook_by_reason_and_by_skip(ana: Actor) -> None:
    erp, off = make_webhook(name="ERP"), make_webhook(name="Off", state="off")
    some(2, erp, reason="server", code=500)
    some(1, erp, status="retrying", reason="refused")
    sending = make_delivery(erp)
    lease(sending)
    make_delivery(erp)
    make_delivery(erp, status="delivered")
    make_delivery(erp, status="failed", priority=Priority.TEST)
    make_delivery(off, status="failed")
    make_delivery(off, status="on_hold")
    counted = bulk_retry_selection.count(all_that(LogFilter()))
    assert (counted.total, counted.arrived, counted.is_more) == (3, 1, False)
    assert counted.by_webhook == {"ERP": 3}
    assert counted.by_reason == {("server", 500): 2, ("refused", None): 1}
    assert counted.skipped == dict.fromkeys(
        [Skip.SENDING, Skip.QUEUED, Skip.ARRIVED, Skip.TEST, Skip.OFF, Skip.ON_HOLD], 1
    )
    assert bulk_retry_selection.count(all_that(LogFilter(), again=True)).total == 4


def test_the_number_of_deliveries_under_way_is_limited(
    ana: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_retry, "MOST_UNDER_WAY", 4)
    erp, desk = make_webhook(), make_webhook()
    made, others = some(5, erp), some(5, desk)
    batch = bulk_retry.start(ana, all_that(FAILED))
    work()
    assert (handed(made), handed(others)) == (made[:2], others[:2])
    finish(made[0], "delivered")
    work()
    assert handed(made) == made[1:3]
    assert fresh(batch).state == TaskState.RUNNING


def test_a_delivery_that_changed_meanwhile_is_skipped_with_its_reason(ana: Actor) -> None:
    erp = make_webhook(name="ERP")
    first, second = some(2, erp)
    batch = bulk_retry.start(ana, Selection(ticked=(first, second)))
    delivery_retry.retry(ana, first)
    work()
    finish(second, "delivered")
    work()
    assert fresh(batch).counts == {"skipped": 1, "delivered": 1}
    rows = session().execute(select(BatchRow.message).where(BatchRow.outcome == "skipped"))
    assert rows.scalars().all() == ["This delivery is already queued. Its result will appear here."]


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("is_ticked", [False, True])
def test_a_delivery_that_arrived_meanwhile_is_resent_only_on_request(
    ana: Actor, is_ticked: bool, again: bool
) -> None:
    erp = make_webhook(name="ERP")
    arrives, waits = some(2, erp)
    choice = all_that(FAILED, again=again)
    batch = bulk_retry.start(
        ana, Selection(ticked=(arrives, waits), again=again) if is_ticked else choice
    )
    assert fresh(batch).total == 2
    change(arrives, status="delivered")
    before = stored(arrives)
    work()
    assert handed([arrives, waits]) == ([arrives, waits] if again else [waits])
    assert (stored(arrives) == before) is not again
    skipped = [
        row for row in bulk_retry_report.report_rows(fresh(batch)) if row.outcome == "skipped"
    ]
    assert [row.public_id for row in skipped] == ([] if again else [arrives])
    assert all(row.message for row in skipped)


def test_deliveries_left_by_a_paused_bulk_retry_keep_their_next_attempt(
    ana: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_retry, "MOST_FAILURES", 1)
    hook = make_webhook()
    (first,) = some(1, hook)
    left = make_delivery(hook, status="retrying", due_at=utcnow() + timedelta(hours=1))
    before = stored(left)
    batch = bulk_retry.start(ana, Selection(ticked=(first, left)))
    work()
    finish(first, "failed")
    work()
    assert (fresh(batch).state, stored(left)) == (TaskState.PAUSED, before)


def test_stop_gives_back_deliveries_that_are_not_being_sent(
    ana: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_retry, "MOST_UNDER_WAY", 3)
    made = some(5, make_webhook())
    before = [stored(delivery) for delivery in made]
    batch = bulk_retry.start(ana, all_that(FAILED))
    work()
    finish(made[0], "delivered")
    lease(made[1])
    bulk_retry.stop(ana, batch)
    assert [stored(delivery) for delivery in made[2:]] == before[2:]
    assert stored(made[1])["prior_status"] == "failed"
    assert bulk_retry.is_stopping(fresh(batch))
    with pytest.raises(Refusal, match="already stopped"):
        bulk_retry.stop(ana, batch)
    with pytest.raises(Refusal, match="already ended"):
        bulk_retry.go_on(ana, batch)
    work()
    assert (fresh(batch).state, fresh(batch).counts) == (TaskState.RUNNING, {"delivered": 1})
    finish(made[1], "failed")
    work()
    assert fresh(batch).state == TaskState.STOPPED
    assert fresh(batch).counts == {"delivered": 1, "failed": 1}
    assert fresh(batch).finished_at
    outcomes = [row.outcome for row in bulk_retry_report.report_rows(fresh(batch))]
    assert outcomes == ["delivered", "failed", "unsent", "unsent", "unsent"]
    assert [stored(delivery) for delivery in made[2:]] == before[2:]
    with pytest.raises(Refusal, match="already ended"):
        bulk_retry.stop(ana, batch)
    actions = select(AuditEntry.action).where(AuditEntry.target_kind == "batch")
    audited = session().execute(actions.order_by(AuditEntry.id)).scalars().all()
    assert audited == ["batch.started", "batch.stopped"]


def test_a_throttled_webhook_gets_one_delivery_at_a_time(ana: Actor) -> None:
    erp, desk = make_webhook(), make_webhook()
    made, others = some(4, erp), some(2, desk)
    bulk_retry.start(ana, all_that(FAILED))
    work()
    assert handed(made) == made
    set_webhook(erp, throttled=True)
    work()
    assert handed(made) == made[:1]
    assert handed(others) == others
    set_webhook(erp, throttled=False)
    work()
    assert handed(made) == made
    lease(made[3])
    set_webhook(erp, throttled=True)
    work()
    assert handed(made) == made[3:]


def test_ten_failures_in_a_row_pause_a_webhook_until_a_person_continues(ana: Actor) -> None:
    erp, desk = make_webhook(), make_webhook()
    made, others = some(13, erp), some(1, desk)
    batch = bulk_retry.start(ana, all_that(FAILED))
    work()
    for delivery in made[:10]:
        finish(delivery, "failed")
    work()
    assert handed(made) == []
    assert stored(made[10])["status"] == "failed"
    assert fresh(batch).state == TaskState.RUNNING
    finish(others[0], "delivered")
    work()
    assert fresh(batch).state == TaskState.PAUSED
    bulk_retry.go_on(ana, batch)
    work()
    assert handed(made) == made[10:]


def test_a_halted_webhook_gets_no_probe_while_it_is_throttled(ana: Actor) -> None:
    erp = make_webhook()
    made = some(12, erp)
    bulk_retry.start(ana, all_that(FAILED))
    work()
    for delivery in made[:10]:
        finish(delivery, "failed")
    set_webhook(erp, throttled=True)
    work()
    assert handed(made) == []


def test_a_manual_attempt_before_the_handover_is_not_its_result(ana: Actor) -> None:
    _, made = make_delivery(), *some(1, make_webhook())  # its id is not the task's
    make_attempt(made, kind="manual", outcome="failed")
    batch = bulk_retry.start(ana, Selection(ticked=(made,)))
    for _ in range(2):
        work()
        assert (handed([made]), fresh(batch).done) == ([made], 0)
    finish(made, "delivered")
    work()
    assert fresh(batch).counts == {"delivered": 1}


def test_a_success_between_failures_restarts_the_count(ana: Actor) -> None:
    made = some(13, make_webhook())
    bulk_retry.start(ana, all_that(FAILED))
    work()
    for delivery in made[:10]:
        finish(delivery, "delivered" if delivery == made[5] else "failed")
    work()
    assert handed(made) == made[10:]


def test_a_webhook_gets_few_deliveries_until_one_arrives(ana: Actor) -> None:
    made = some(30, make_webhook())
    bulk_retry.start(ana, all_that(FAILED))
    work()
    assert handed(made) == made[:10]
    finish(made[0], "failed")
    work()
    assert handed(made) == made[1:10]
    finish(made[1], "delivered")
    work()
    assert handed(made) == made[2:]


def test_a_webhook_turned_off_meanwhile_gives_its_rows_back(ana: Actor) -> None:
    erp = make_webhook()
    made = some(2, erp)
    batch = bulk_retry.start(ana, all_that(FAILED))
    work()
    turn_on_off.turn_off(make_user("admin").actor, erp.public_id)
    work()
    assert fresh(batch).counts == {"skipped": 2}
    assert [stored(delivery)["status"] for delivery in made] == ["failed", "failed"]


def test_an_interrupted_delivery_counts_as_failed_unless_it_arrives_later(ana: Actor) -> None:
    made, other = some(2, make_webhook())
    batch = bulk_retry.start(ana, Selection(ticked=(made, other)))
    work()
    finish(made, "interrupted")
    make_attempt(other, kind="manual", outcome="interrupted")
    finish(other, "delivered")
    work()
    assert fresh(batch).counts == {"failed": 1, "delivered": 1}


def test_a_bulk_retry_ends_when_its_person_loses_the_permission(ana: Actor) -> None:
    made = some(2, make_webhook())
    batch = bulk_retry.start(ana, all_that(FAILED))
    work()
    with writing() as current:
        current.execute(update(User).values(is_active=False))
    work()
    assert (fresh(batch).state, handed(made)) == (TaskState.STOPPED, [])


def test_no_or_too_many_deliveries_or_no_permission_starts_nothing(ana: Actor) -> None:
    ticked = tuple(uuid4() for _ in range(bulk_retry_selection.MOST_TICKED + 1))
    with pytest.raises(Refusal, match="at most 100 deliveries"):
        bulk_retry.start(ana, Selection(ticked=ticked))
    with pytest.raises(Refusal, match="Select at least 1"):
        bulk_retry.start(ana, Selection())
    with pytest.raises(NotAllowed):
        bulk_retry.start(make_user("manager").actor, all_that(FAILED))
    assert session().execute(select(Task.id)).first() is None
    with pytest.raises(Refusal, match="nothing to retry"):
        bulk_retry.start(ana, Selection(ticked=ticked[1:]))


def test_a_webhook_that_failed_too_often_leaves_its_share_to_the_others(
    ana: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_retry, "MOST_UNDER_WAY", 4)
    monkeypatch.setattr(bulk_retry, "MOST_FAILURES", 2)
    ill, well = some(3, make_webhook()), some(6, make_webhook())
    bulk_retry.start(ana, all_that(FAILED))
    work()
    assert (handed(ill), handed(well)) == (ill[:2], well[:2])
    for delivery in ill[:2]:
        finish(delivery, "failed")
    finish(well[0], "delivered")
    work()
    assert (handed(ill), handed(well)) == ([], well[1:5])


def test_more_webhooks_than_places_get_one_each_in_turn(
    ana: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_retry, "MOST_UNDER_WAY", 2)
    # A set of these three ids is read in another order.
    made = [some(1, make_webhook(id=webhook_id))[0] for webhook_id in (33, 42, 48)]
    bulk_retry.start(ana, all_that(FAILED))
    work()
    assert handed(made) == made[:2]
    finish(made[0], "delivered")
    work()
    assert handed(made) == made[1:]


def test_the_first_delivery_to_each_webhook_goes_alone_until_it_ends(
    ana: Actor, really_first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_retry, "FIRST", really_first)
    well, ill = some(30, make_webhook()), some(12, make_webhook())
    batch = bulk_retry.start(ana, all_that(FAILED))
    work()
    assert (handed(well), handed(ill)) == (well[:1], ill[:1])
    finish(well[0], "delivered")
    finish(ill[0], "failed")
    work()
    assert (handed(well), handed(ill)) == (well[1:], ill[1:10])
    for delivery in ill[1:10]:
        finish(delivery, "failed")
    work()
    bulk_retry.go_on(ana, batch)
    work()
    # The healthy webhook continues as before.
    assert (handed(well), handed(ill)) == (well[1:], ill[10:11])


class Clock:
    """A database clock that advances only when it is told to."""

    def __init__(self) -> None:
        self.at = utcnow()

    def __call__(self, _current: Session) -> datetime:
        return self.at


def step() -> Step:
    with writing() as current:
        task = current.scalars(select(Task)).one()
        return bulk_retry.step(current, task)


@pytest.mark.parametrize(("pace", "seconds"), [(Pace.SECOND, 1), (Pace.TEN_SECONDS, 10)])
def test_a_pace_spreads_deliveries_over_time(
    ana: Actor, monkeypatch: pytest.MonkeyPatch, pace: Pace, seconds: int
) -> None:
    monkeypatch.setattr(bulk_retry, "database_time", clock := Clock())
    began, due = clock.at, {}
    made = [*some(12, make_webhook()), *some(6, make_webhook())]
    bulk_retry.start(ana, all_that(FAILED), pace)
    while clock.at < began + timedelta(seconds=60):
        step()
        for delivery in handed(made):
            at = (
                session()
                .scalars(select(Delivery.due_at).where(Delivery.public_id == delivery))
                .one()
            )
            due[delivery] = at
            assert at - clock.at <= bulk_retry.AHEAD
            if at <= clock.at:
                finish(delivery, "delivered")
        clock.at += timedelta(seconds=1.7)  # polls are never exactly on time
    turns = sorted(due.values())
    gaps = [later - earlier for earlier, later in itertools.pairwise(turns)]
    assert min(gaps) >= timedelta(seconds=seconds)
    assert sum(gaps, timedelta()) / len(gaps) < timedelta(seconds=seconds * 1.5)
    assert len(turns) == (len(made) if seconds == 1 else 7)  # the last is due soon


def test_a_skipped_delivery_takes_no_turn_at_a_pace(ana: Actor) -> None:
    made = some(4, make_webhook())
    batch = bulk_retry.start(ana, all_that(FAILED), Pace.TEN_SECONDS)
    for delivery in made[:3]:
        change(delivery, status="delivered")
    work()
    assert handed(made) == made[3:]
    assert fresh(batch).counts == {"skipped": 3}
