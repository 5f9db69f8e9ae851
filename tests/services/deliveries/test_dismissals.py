"""A dismissed delivery is not sent, and can be restored to its earlier status."""

from collections import Counter
from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from jobs import tasks as job
from portal.engine.events.catalogue import EventName
from portal.engine.reasons import Reason
from portal.lib.clock import utcnow
from portal.models.audit import AuditEntry
from portal.models.deliveries import Delivery, Priority
from portal.models.people import User
from portal.models.tasks import Task
from portal.models.webhooks import Webhook
from portal.services.core.permissions import Actor
from portal.services.core.refusals import NotAllowed, Refusal
from portal.services.core.unit_of_work import session, writing
from portal.services.deliveries import (
    bulk_retry,
    bulk_retry_report,
    bulk_retry_selection,
    dismissals,
    log_query,
    retry,
)
from portal.services.deliveries import log as log_pages
from portal.services.deliveries.bulk_retry_selection import Selection
from portal.services.deliveries.dismissals import Done, Outcome, dismiss, restore, restore_act
from portal.services.deliveries.statuses import LogFilter, StatusFilter
from portal.services.task_kinds import KINDS
from portal.services.webhooks import backlog
from tests.jobs.dispatcher.delivery_clock import claim, ended, make_due, write_down
from tests.services.bulk_retry.test_bulk_retry import fresh, work
from tests.support.database.rivals import Rival
from tests.support.deliveries import change, fail, lease, make_delivery, stored
from tests.support.factories import Hook, make_user, make_webhook, publish

pytestmark = pytest.mark.both_databases


@pytest.fixture
def sam(app: Flask) -> Actor:
    return make_user("support", name="Sam").actor


@pytest.fixture
def finance(app: Flask) -> Hook:
    return make_webhook(name="Finance")


def take(actor: Actor, *public_ids: UUID, reason: str = "") -> Done:
    return dismiss(actor, Selection(ticked=public_ids), reason)


def all_of(**wanted: object) -> Selection:
    return Selection(wanted=LogFilter(**wanted), newest=bulk_retry_selection.newest_now())


def act_of(made: UUID) -> UUID:
    return UUID(str(stored(made)["dismissal_id"]))


def statuses(*public_ids: UUID) -> list[str]:
    return [stored(each)["status"] for each in public_ids]


def run(task: UUID | None) -> Task:
    """Run the whole task as the background worker."""
    assert task is not None
    job.work(KINDS)
    return fresh(task)


@pytest.mark.parametrize("status", ["queued", "retrying", "on_hold", "failed"])
def test_a_dismissed_delivery_is_not_sent_and_is_restored_unchanged(
    sam: Actor, finance: Hook, status: str
) -> None:
    if status == "on_hold":
        finance = make_webhook(state="off")
    reason = None if status in ("queued", "on_hold") else "server"
    made = make_delivery(finance, status=status, reason=reason, due_at=utcnow())
    before = stored(made)
    done = take(sam, made, reason="Test data")
    assert (done.counts, done.changed) == ({Outcome.DISMISSED: 1}, 1)
    row = stored(made)
    assert (row["status"], row["prior_status"]) == ("dismissed", status)
    assert (row["dismissed_by"], row["dismissed_reason"]) == ("Sam", "Test data")
    assert row["finished_at"] is not None
    assert claim() == []
    assert backlog.find() == []
    assert [each.public_id for each in log_pages.latest(LogFilter(status=StatusFilter.DISMISSED))]
    assert restore(sam, [made]).counts == {Outcome.RESTORED: 1}
    assert stored(made) == before


@pytest.mark.parametrize(
    ("was", "is_off", "becomes"),
    [
        ("on_hold", False, "queued"),
        ("queued", True, "on_hold"),
        ("retrying", True, "on_hold"),
        ("failed", True, "failed"),
    ],
)
def test_a_restored_delivery_gets_the_status_that_fits_its_webhook(
    sam: Actor, was: str, is_off: bool, becomes: str
) -> None:
    made = make_delivery(make_webhook(state="off" if is_off else "active"), status=was)
    take(sam, made)
    restore(sam, [made])
    assert statuses(made) == [becomes]


def test_dismissing_cancels_a_waiting_retry_and_leaves_a_resend_delivered(
    sam: Actor, finance: Hook
) -> None:
    failed, arrived = fail(finance), make_delivery(finance, status="delivered")
    for made in (failed, arrived):
        retry.retry(sam, made, again=True)
    done = take(sam, failed, arrived)
    assert done.counts == {Outcome.DISMISSED: 1, Outcome.DELIVERED: 1}
    assert statuses(failed, arrived) == ["dismissed", "delivered"]
    for made, prior in ((failed, "failed"), (arrived, None)):
        row = stored(made)
        assert (row["prior_status"], row["requested_by"]) == (prior, None)
        assert row["priority"] == Priority.NORMAL


@pytest.mark.parametrize(
    ("reason", "status", "prior"),
    [(None, "delivered", None), (Reason.SERVER, "dismissed", "retrying")],
)
def test_an_attempt_in_progress_finishes_and_its_success_counts(
    sam: Actor, reason: Reason | None, status: str, prior: str | None
) -> None:
    make_webhook()
    publish()
    (sent,) = claim()
    made = UUID(sent.public_id)
    take(sam, made)
    assert statuses(made) == ["dismissed"]
    write_down(ended(sent, reason))
    row = stored(made)
    assert (row["status"], row["prior_status"], row["attempts"]) == (status, prior, 1)
    assert (row["dismissed_by"] is None) is (status == "delivered")
    make_due()
    assert claim() == []
    if prior:
        restore(sam, [made])
        assert statuses(made) == [prior]


def test_a_manual_attempt_that_fails_after_a_restore_keeps_the_schedule(sam: Actor) -> None:
    make_webhook()
    publish()
    (first,) = claim()
    write_down(ended(first, Reason.SERVER))
    made = UUID(first.public_id)
    retry.retry(sam, made)
    (again,) = claim()
    take(sam, made)
    restore(sam, [made])
    write_down(ended(again, Reason.SERVER))
    assert statuses(made) == ["retrying"]


def test_a_delivery_whose_sender_died_stays_dismissed(sam: Actor, finance: Hook) -> None:
    made = make_delivery(finance, status="retrying", tries=9, attempts=9)
    lease(made)
    take(sam, made)
    lease(made, -1, kind="scheduled")
    make_delivery(finance)
    claim()
    row = stored(made)
    assert (row["status"], row["prior_status"], row["tries"]) == ("dismissed", "failed", 10)


def test_retry_of_a_dismissed_delivery_restores_it_and_makes_it_due(
    sam: Actor, finance: Hook
) -> None:
    made = fail(finance)
    take(sam, made, reason="Duplicate")
    retry.retry(sam, made)
    row = stored(made)
    assert (row["status"], row["prior_status"]) == ("retrying", "failed")
    assert (row["dismissed_by"], row["dismissed_reason"], row["dismissal_id"]) == (None,) * 3
    (again,) = claim()
    write_down(ended(again, Reason.SERVER))
    assert statuses(made) == ["failed"]


def test_a_dismissed_delivery_still_being_sent_is_not_retried(sam: Actor, finance: Hook) -> None:
    made = make_delivery(finance)
    lease(made)
    take(sam, made)
    with pytest.raises(Refusal, match="sending this delivery now"):
        retry.retry(sam, made)


def test_deliveries_settled_in_the_meantime_are_reported_by_name(sam: Actor, finance: Hook) -> None:
    made = [fail(finance, asset_tag=f"AST-{number}") for number in range(4)]
    change(made[0], status="delivered")
    ana = make_user("support", name="Ana").actor
    take(ana, made[1], reason="Known")
    done = take(sam, *made, uuid4(), reason="Mine")
    assert done.counts == {
        Outcome.DISMISSED: 2,
        Outcome.DELIVERED: 1,
        Outcome.ALREADY: 1,
        Outcome.GONE: 1,
    }
    assert done.names == {
        Outcome.DELIVERED: [("asset.created", "AST-0")],
        Outcome.ALREADY: [("asset.created", "AST-1")],
    }
    assert stored(made[1])["dismissed_by"] == "Ana"
    assert restore_act(sam, act_of(made[2])).changed == 2
    assert statuses(*made) == ["delivered", "dismissed", "failed", "failed"]


def test_dismissing_a_backlog_removes_its_row(sam: Actor, finance: Hook) -> None:
    """Queued deliveries of a failing webhook are undelivered and are dismissed, too."""
    for _ in range(4):
        fail(finance)
    make_delivery(finance, status="retrying", reason="server", code=500, tries=4)
    make_delivery(finance)
    (row,) = backlog.find()
    listed = all_of(status=StatusFilter.UNDELIVERED, webhook=row.public_id)
    assert dismissals.preview(listed).total == row.undelivered == 6
    assert dismiss(sam, listed).changed == 6
    assert (log_pages.latest(listed.wanted or LogFilter()), backlog.find()) == ([], [])


def test_restore_reports_missing_deliveries_and_restores_the_rest(
    sam: Actor, finance: Hook
) -> None:
    other = make_webhook()
    made = [fail(finance), fail(other), fail(finance), fail(finance)]
    act = take(sam, *made).act
    with writing() as current:
        current.execute(Delivery.__table__.delete().where(Delivery.public_id == made[2]))
        current.execute(update(Webhook).where(Webhook.id == other.id).values(deleted_at=utcnow()))
    done = restore(sam, made[:3])
    assert done.counts == {Outcome.RESTORED: 1, Outcome.DELETED: 1, Outcome.GONE: 1}
    assert statuses(made[0], made[1]) == ["failed", "dismissed"]
    assert act is not None
    assert restore_act(sam, act).counts == {Outcome.RESTORED: 1, Outcome.DELETED: 1}
    assert restore(sam, made[:1]).counts == {Outcome.NOT_DISMISSED: 1}


def test_many_deliveries_are_dismissed_in_steps_and_a_repeat_changes_none(
    sam: Actor, finance: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dismissals, "MOST_TICKED", 3)
    monkeypatch.setattr(dismissals, "A_STEP", 2)
    made = [fail(finance) for _ in range(7)]
    later = all_of(status=StatusFilter.FAILED)
    fresh_one = fail(finance)
    arrived = make_delivery(finance, status="delivered")
    done = dismiss(sam, later, "Outage")
    assert (done.changed, set(statuses(*made))) == (0, {"failed"})
    again = dismiss(sam, later, "Again")
    task = run(done.task)
    assert (task.total, task.done, task.counts) == (7, 7, {"dismissed": 7})
    assert fresh(again.task or uuid4()).counts == {}
    assert set(statuses(*made)) == {"dismissed"}
    assert statuses(fresh_one, arrived) == ["failed", "delivered"]
    assert {stored(each)["dismissed_reason"] for each in made} == {"Outage"}
    assert done.act is not None
    change(made[0], status="delivered", dismissal_id=None)
    back = restore_act(sam, done.act)
    assert run(back.task).counts == {"restored": 6}
    assert set(statuses(*made[1:])) == {"failed"}
    actions = session().scalars(select(AuditEntry.action).order_by(AuditEntry.id)).all()
    assert actions == ["dismissal.started", "dismissal.started", "restoration.started"]


def test_dismissing_a_long_search_finds_every_match(
    sam: Actor, finance: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dismissals, "MOST_TICKED", 1)
    monkeypatch.setattr(dismissals, "A_STEP", 2)
    monkeypatch.setattr(log_query, "MOST_READ", 3)
    pattern = "xx.......x........xxxxx"
    made = [fail(finance, event="asset.lost" if x == "x" else "asset.created") for x in pattern]
    for status in (None, StatusFilter.ATTENTION):
        choice = all_of(webhook=finance.public_id, event=EventName.LOST, status=status)
        assert dismissals.preview(choice).total == pattern.count("x")
        task = run(dismiss(sam, choice).task)
        assert (task.total, task.counts) == (8, {"dismissed": 8})
        assert [each == "dismissed" for each in statuses(*made)] == [x == "x" for x in pattern]
        run(restore_act(sam, UUID(task.params["act"])).task)


def test_a_dismissal_task_stops_when_its_person_loses_the_permission(
    sam: Actor, finance: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dismissals, "MOST_TICKED", 1)
    made = [fail(finance) for _ in range(2)]
    task = dismiss(sam, all_of(status=StatusFilter.FAILED)).task
    with writing() as current:
        current.execute(update(User).where(User.id == sam.user_id).values(role="manager"))
    assert run(task).state == "stopped"
    assert statuses(*made) == ["failed", "failed"]


def test_a_bulk_retry_skips_and_reports_dismissed_deliveries(
    sam: Actor, finance: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_retry, "MOST_UNDER_WAY", 1)
    made = [fail(finance) for _ in range(3)]
    choice = Selection(ticked=tuple(made))
    batch = bulk_retry.start(sam, choice)
    work()
    assert Counter(statuses(*made)) == {"retrying": 1, "failed": 2}
    take(sam, *made)
    work()
    task = fresh(batch)
    assert (task.state, task.counts) == ("done", {"skipped": 3})
    (message,) = {row.message for row in bulk_retry_report.report_rows(task)}
    assert message == bulk_retry.DISMISSED
    assert set(statuses(*made)) == {"dismissed"}
    counted = bulk_retry_selection.count(choice)
    assert (counted.total, counted.skipped) == (0, {"dismissed": 3})


def test_one_dismissal_is_audited_alone_and_several_by_webhook(sam: Actor, finance: Hook) -> None:
    desk = make_webhook(name="Desk")
    made = [fail(finance), fail(desk), fail(desk)]
    take(sam, made[0], reason="Known")
    restore(sam, made[:1])
    take(sam, *made, reason="Outage")
    entries = session().scalars(select(AuditEntry).order_by(AuditEntry.id)).all()
    assert [(entry.action, entry.target_name, entry.changes) for entry in entries] == [
        ("delivery.dismissed", "asset.created AST-00007", {"why": {"from": None, "to": "Known"}}),
        ("delivery.restored", "asset.created AST-00007", {}),
        *(
            (
                "webhook.deliveries_dismissed",
                name,
                {
                    "deliveries": {"from": None, "to": many},
                    "why": {"from": None, "to": "Outage"},
                },
            )
            for name, many in (("Desk", 2), ("Finance", 1))
        ),
    ]


def verbs(made: UUID) -> list[Callable[[Actor], object]]:
    return [
        lambda actor: take(actor, made),
        lambda actor: restore(actor, [made]),
        lambda actor: restore_act(actor, uuid4()),
    ]


def test_a_refused_dismissal_leaves_no_trace(sam: Actor, finance: Hook) -> None:
    made, manager = fail(finance), make_user("manager").actor
    for verb in verbs(made):
        with pytest.raises(NotAllowed):
            verb(manager)
    with pytest.raises(Refusal, match="Select at least 1"):
        take(sam)
    with pytest.raises(Refusal, match="at most 100 deliveries"):
        take(sam, *(uuid4() for _ in range(101)))
    with pytest.raises(Refusal, match="at most 200 characters") as refused:
        take(sam, made, reason="x" * 201)
    assert refused.value.field == "reason"
    take(sam, made, reason="x" * 200)
    assert session().scalar(select(func.count(AuditEntry.id))) == 1


def test_an_event_is_stored_while_a_person_dismisses(
    app: Flask, sam: Actor, finance: Hook, database_kind: str
) -> None:
    if database_kind == "sqlite":
        pytest.skip("SQLite locks no rows")
    made = fail(finance)
    with writing():
        take(sam, made)
        rival = Rival(app, publish)
        rival.come_to_a_lock()
        rival.join(2)
        is_waiting = rival.is_alive()
    rival.join(20)
    assert not is_waiting
