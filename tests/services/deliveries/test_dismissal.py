"""Dismiss: what failed stays Failed and leaves the problems; what fails later is one again."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal.engine.reasons import Reason
from portal.lib.clock import utcnow
from portal.models.audit import AuditEntry
from portal.models.deliveries import Dismissal, Priority
from portal.services.core.permissions import Actor
from portal.services.core.refusals import NotAllowed, NotFound, Refusal
from portal.services.core.unit_of_work import session, writing
from portal.services.deliveries import dismissals
from portal.services.deliveries import log as log_pages
from portal.services.deliveries import problems as delivery_problems
from portal.services.deliveries.dismissals import (
    bring_back,
    bring_back_chosen,
    bring_back_chosen_by,
    dismiss,
    dismiss_chosen,
)
from portal.services.deliveries.statuses import LogFilter, StatusFilter
from tests.services.deliveries.test_problems import fail, told
from tests.support.database.rivals import Rival
from tests.support.deliveries import change, make_delivery, stored
from tests.support.factories import Hook, make_user, make_webhook, publish

pytestmark = pytest.mark.both_databases


@pytest.fixture
def sam(app: Flask) -> Actor:
    return make_user("support", name="Sam").actor


@pytest.fixture
def finance(app: Flask) -> Hook:
    return make_webhook(name="Finance")


def rows(status: StatusFilter) -> list[UUID]:
    return [row.public_id for row in log_pages.latest(LogFilter(status=status), 50)]


def test_what_failed_stays_failed_and_is_no_problem_any_more(sam: Actor, finance: Hook) -> None:
    made = [fail(finance) for _ in range(3)]
    other = fail(finance, "auth", 401)
    before = [stored(each) for each in made]
    assert dismiss(sam, finance.public_id, Reason.SERVER, utcnow()).count == 3
    assert [stored(each) for each in made] == before
    assert told() == [("Finance", "Authentication rejected (401)", 1)]
    assert rows(StatusFilter.ATTENTION) == [other]
    assert len(rows(StatusFilter.FAILED)) == 4


def test_it_is_in_the_audit_trail_with_how_many(sam: Actor, finance: Hook) -> None:
    fail(finance)
    dismiss(sam, finance.public_id, Reason.SERVER, utcnow())
    entry = session().scalars(select(AuditEntry)).one()
    assert (entry.action, entry.actor_name) == ("webhook.problem_dismissed", "Sam")
    assert (entry.target_kind, entry.target_name) == ("webhook", "Finance")
    assert entry.changes == {
        "reason": {"from": None, "to": "Server error"},
        "failed_deliveries": {"from": None, "to": 1},
    }


def test_what_fails_later_is_a_problem_again_however_old_it_is(sam: Actor, finance: Hook) -> None:
    long_ago = utcnow() - timedelta(days=3)
    late = make_delivery(finance, status="retrying", reason="server", code=500, tries=1)
    fail(finance)
    dismiss(sam, finance.public_id, Reason.SERVER, utcnow())
    change(late, status="failed", finished_at=utcnow() + timedelta(seconds=1), created_at=long_ago)
    assert told() == [("Finance", "Server error (500)", 1)]
    assert rows(StatusFilter.ATTENTION) == [late]


def test_what_failed_after_the_person_looked_stays_a_problem(sam: Actor, finance: Hook) -> None:
    now = utcnow()
    fail(finance, finished_at=now - timedelta(minutes=5))
    seen = delivery_problems.find_problems()[0].failed_at
    assert seen is not None
    fresh = fail(finance, finished_at=now)
    assert dismiss(sam, finance.public_id, Reason.SERVER, seen).count == 1
    assert rows(StatusFilter.ATTENTION) == [fresh]


def test_what_is_still_retried_stays_a_problem(sam: Actor, finance: Hook) -> None:
    make_delivery(finance, status="retrying", reason="server", code=500, tries=4)
    fail(finance)
    assert dismiss(sam, finance.public_id, Reason.SERVER, utcnow()).count == 1
    assert told() == [("Finance", "Server error (500)", 1)]


def test_reasons_that_read_the_same_are_dismissed_together(sam: Actor, finance: Hook) -> None:
    fail(finance, "reset", None)
    fail(finance, "no_reply", None)
    assert dismiss(sam, finance.public_id, Reason.RESET, utcnow()).count == 2
    assert told() == []
    assert [(each.count, each.by) for each in dismissals.dismissed()] == [(2, "Sam")]


def test_what_failed_for_no_known_reason_is_told_as_dismissed_without_one(
    sam: Actor, finance: Hook
) -> None:
    make_delivery(finance, status="failed")
    assert dismiss(sam, finance.public_id, None, utcnow()).count == 1
    (line,) = dismissals.dismissed()
    assert (line.reason, line.count, line.by) == (None, 1, "Sam")


def test_reasons_that_read_the_same_are_one_line_with_whoever_dismissed_either_last(
    sam: Actor, finance: Hook
) -> None:
    ana = make_user("support", name="Ana").actor
    for who, reason in ((sam, "reset"), (ana, "no_reply")):
        fail(finance, reason, None)
        assert dismiss(who, finance.public_id, Reason.RESET, utcnow()).count == 1
    for who, reason in ((sam, "no_reply"), (ana, "reset"), (sam, "reset")):
        dismiss_chosen(who, [fail(finance, reason, None)])
    lines = [(each.reason, each.count, each.by, each.is_chosen) for each in dismissals.dismissed()]
    assert lines == [
        (Reason.RESET, 2, "Sam", True),
        (Reason.RESET, 1, "Ana", True),
        (Reason.RESET, 2, "Ana", False),
    ]


def test_of_more_than_can_be_counted_it_is_told_that_there_are_more(
    sam: Actor, finance: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dismissals, "COUNT_LIMIT", 2)
    monkeypatch.setattr(dismissals, "MOST", 3)
    made = [fail(finance, reason, None) for reason in ("reset", "no_reply") for _ in range(2)]
    standing = dismissals.dismissal_of(made[0])
    assert standing is not None
    assert standing.count == 3
    assert dismiss(sam, finance.public_id, Reason.RESET, utcnow()).count == 3
    assert [each.count for each in dismissals.dismissed()] == [3]
    assert bring_back(sam, finance.public_id, Reason.RESET) == 3
    changes = session().scalars(select(AuditEntry.changes).order_by(AuditEntry.id))
    assert [each["failed_deliveries"]["to"] for each in changes] == [3, 3]


def test_of_many_that_were_dismissed_the_last_are_listed(
    sam: Actor, finance: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = utcnow() - timedelta(minutes=5)
    fail(finance)
    fail(finance, "dns", None, finished_at=earlier)
    dismiss(sam, finance.public_id, Reason.SERVER, utcnow())
    dismiss(sam, finance.public_id, Reason.DNS, earlier)
    for reason in ("gone", "auth"):
        dismiss_chosen(sam, [fail(finance, reason, None)])
    monkeypatch.setattr(dismissals, "LISTED", 1)
    listed = [(each.reason, each.is_chosen) for each in dismissals.dismissed()]
    assert listed == [(Reason.AUTH, True), (Reason.DNS, False)]


def test_of_those_whose_moment_was_not_kept_the_ones_that_reach_further_come_first(
    sam: Actor, finance: Hook
) -> None:
    now = utcnow()
    reaching = {"dns": now - timedelta(hours=2), "server": now, "gone": now - timedelta(hours=1)}
    for reason, until in reaching.items():
        fail(finance, reason, None, finished_at=until)
        dismiss(sam, finance.public_id, Reason(reason), until)
    with writing() as current:
        current.execute(update(Dismissal).values(dismissed_at=None))
    listed = [each.reason for each in dismissals.dismissed()]
    assert listed == [Reason.SERVER, Reason.GONE, Reason.DNS]


def test_once_is_enough_and_later_ones_can_be_dismissed_too(sam: Actor, finance: Hook) -> None:
    fail(finance)
    dismiss(sam, finance.public_id, Reason.SERVER, utcnow())
    with pytest.raises(Refusal, match="dismissed it already"):
        dismiss(sam, finance.public_id, Reason.SERVER, utcnow())
    fail(finance)
    assert dismiss(sam, finance.public_id, Reason.SERVER, utcnow()).count == 1
    assert told() == []


def test_a_time_to_come_dismisses_nothing_that_is_to_come(sam: Actor, finance: Hook) -> None:
    fail(finance)
    dismiss(sam, finance.public_id, Reason.SERVER, utcnow() + timedelta(days=9))
    fail(finance, finished_at=utcnow() + timedelta(seconds=2))
    assert len(told()) == 1


def test_what_failed_at_a_deleted_webhook_can_be_dismissed(sam: Actor) -> None:
    gone = make_webhook(deleted_at=utcnow())
    fail(gone)
    assert dismiss(sam, gone.public_id, Reason.SERVER, utcnow()).count == 1
    assert delivery_problems.count() == 0


def test_who_may_not_dismisses_nothing_nor_what_is_not_there(sam: Actor, finance: Hook) -> None:
    made, manager = fail(finance), make_user("manager").actor
    with pytest.raises(NotAllowed):
        dismiss(manager, finance.public_id, Reason.SERVER, utcnow())
    assert dismiss(sam, finance.public_id, Reason.SERVER, utcnow()).count == 1
    with pytest.raises(NotAllowed):
        bring_back(manager, finance.public_id, Reason.SERVER)
    assert bring_back(sam, finance.public_id, Reason.SERVER) == 1
    dismiss_chosen(sam, [made])
    with pytest.raises(NotAllowed):
        bring_back_chosen(manager, [made])
    with pytest.raises(NotAllowed):
        bring_back_chosen_by(manager, finance.public_id, Reason.SERVER, None)
    assert bring_back_chosen(sam, [made]).count == 1
    for nothing in (uuid4(), make_webhook(state="draft").public_id):
        with pytest.raises(NotFound):
            dismiss(sam, nothing, Reason.SERVER, utcnow())
    make_delivery(finance, status="failed", reason="dns", priority=Priority.TEST)
    with pytest.raises(Refusal):
        dismiss(sam, finance.public_id, Reason.DNS, utcnow())
    assert delivery_problems.count() == 1


def test_while_somebody_dismisses_what_happens_is_stored_for_the_webhook(
    app: Flask, sam: Actor, finance: Hook, database_kind: str
) -> None:
    if database_kind == "sqlite":
        pytest.skip("SQLite locks no rows")
    fail(finance)
    with writing():
        assert dismiss(sam, finance.public_id, Reason.SERVER, utcnow()).count == 1
        rival = Rival(app, publish)
        rival.come_to_a_lock()
        rival.join(2)
        is_waiting = rival.is_alive()
    rival.join(20)
    assert not is_waiting
