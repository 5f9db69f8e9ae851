"""Dismiss of chosen deliveries: they leave the problems and stay Failed; the others stay both."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from portal.engine.reasons import Reason
from portal.lib.clock import utcnow
from portal.models.audit import AuditEntry
from portal.models.deliveries import Delivery, DismissedDelivery, Priority
from portal.models.people import User
from portal.services.core.permissions import Actor
from portal.services.core.refusals import NotAllowed, Refusal
from portal.services.core.unit_of_work import session, writing
from portal.services.deliveries import bulk_retry
from portal.services.deliveries import log as log_pages
from portal.services.deliveries import problems as delivery_problems
from portal.services.deliveries import retry as delivery_retry
from portal.services.deliveries.bulk_retry_selection import Selection
from portal.services.deliveries.dismissals import (
    BroughtBack,
    ChosenCount,
    bring_back,
    bring_back_chosen,
    bring_back_chosen_by,
    dismiss,
    dismiss_chosen,
    dismissal_of,
    dismissed,
)
from portal.services.deliveries.statuses import LogFilter, StatusFilter
from tests.services.bulk_retry.test_bulk_retry import work
from tests.services.deliveries.test_problems import fail, told
from tests.support.deliveries import change, make_delivery, stored
from tests.support.factories import Hook, make_user, make_webhook

MINUTE = timedelta(minutes=1)


@pytest.fixture
def sam(app: Flask) -> Actor:
    return make_user("support", name="Sam").actor


@pytest.fixture
def finance(app: Flask) -> Hook:
    return make_webhook(name="Finance")


def rows(status: StatusFilter, webhook: UUID | None = None) -> list[UUID]:
    wanted = LogFilter(status=status, webhook=webhook)
    return [row.public_id for row in log_pages.latest(wanted, 50)]


def lines() -> list[tuple[Reason | None, int, str | None, bool]]:
    """What *Dismissed problems* lists."""
    return [(each.reason, each.count, each.by, each.is_chosen) for each in dismissed()]


def test_those_chosen_leave_every_figure_of_their_problem_and_stay_failed(
    sam: Actor, finance: Hook
) -> None:
    now = utcnow()
    made = [
        fail(finance, code=code, created_at=now - minutes * MINUTE)
        for minutes, code in ((9, 503), (8, 500), (7, 500), (6, 503))
    ]
    before = [stored(each) for each in made]
    assert dismiss_chosen(sam, [made[0], made[3]]) == ChosenCount(2, 0, 0)
    assert [stored(each) for each in made] == before
    (problem,) = delivery_problems.find_problems()
    assert (problem.count, problem.failed, problem.retryable, problem.code) == (2, 2, 2, 500)
    assert (problem.first_at, problem.last_at) == (now - 8 * MINUTE, now - 7 * MINUTE)
    assert problem.failed_at == now - 7 * MINUTE
    for webhook in (None, finance.public_id):
        assert rows(StatusFilter.ATTENTION, webhook) == [made[2], made[1]]
        assert log_pages.count(StatusFilter.ATTENTION, webhook) == 2
    assert len(rows(StatusFilter.FAILED)) == 4

    assert dismiss_chosen(sam, made) == ChosenCount(2, 0, 2)
    assert (told(), delivery_problems.count(), rows(StatusFilter.ATTENTION)) == ([], 0, [])
    delivery_retry.retry(sam, made[0], seen=0)
    assert told() == []


def test_one_that_fails_again_is_a_problem_again_and_can_be_dismissed_again(
    sam: Actor, finance: Hook
) -> None:
    first, second = fail(finance), fail(finance)
    for _ in range(2):
        dismiss_chosen(sam, [first, second])
        assert told() == []
        change(first, finished_at=utcnow() + timedelta(milliseconds=1))
        assert told() == [("Finance", "Server error (500)", 1)]
        assert rows(StatusFilter.ATTENTION) == [first]
        assert [line[1] for line in lines()] == [1]
        assert dismiss_chosen(sam, [first, second]) == ChosenCount(1, 0, 1)
        assert (told(), lines()) == ([], [(Reason.SERVER, 2, "Sam", True)])
        change(first, finished_at=utcnow() - MINUTE)
        bring_back_chosen(sam, [first, second])


def test_one_that_was_dismissed_at_the_moment_at_which_it_failed_is_dismissed(
    sam: Actor, finance: Hook
) -> None:
    at = utcnow() - MINUTE
    dismiss_chosen(sam, [made := fail(finance, finished_at=at)])
    with writing() as current:
        current.execute(update(DismissedDelivery).values(at=at))
    assert (told(), rows(StatusFilter.ATTENTION)) == ([], [])
    assert rows(StatusFilter.DISMISSED) == [made]


def test_what_failed_at_the_moment_up_to_which_all_were_dismissed_is_one_of_them(
    sam: Actor, finance: Hook
) -> None:
    at = utcnow() - MINUTE
    chosen, other = fail(finance, finished_at=at), fail(finance, finished_at=at)
    dismiss_chosen(sam, [chosen])
    ana = make_user("support", name="Ana").actor
    dismiss(ana, finance.public_id, Reason.SERVER, at)
    for each in (chosen, other):
        standing = dismissal_of(each)
        assert standing is not None
        assert (standing.is_dismissed, standing.is_chosen) == (True, False)
    assert lines() == [(Reason.SERVER, 2, "Ana", False)]


def test_what_one_person_chose_is_brought_back_apart_from_what_was_dismissed_last(
    sam: Actor, finance: Hook
) -> None:
    ana, now = make_user("support", name="Ana").actor, utcnow()
    made = [fail(finance, finished_at=now - minutes * MINUTE) for minutes in (9, 8, 7, 6, 5)]
    dismiss(ana, finance.public_id, Reason.SERVER, now - 9 * MINUTE)
    dismiss_chosen(sam, made[1:2])
    assert dismiss(ana, finance.public_id, Reason.SERVER, now - 7 * MINUTE).count == 1
    dismiss_chosen(sam, made[3:4])
    dns = fail(finance, "dns", None)
    dismiss_chosen(sam, [dns])
    assert told() == [("Finance", "Server error (500)", 1)]
    # Each delivery once, with whoever dismissed it.
    dns_line = (Reason.DNS, 1, "Sam", True)
    assert lines() == [
        dns_line,
        (Reason.SERVER, 1, "Sam", True),
        (Reason.SERVER, 2, "Ana", False),
    ]
    for each in (made[1], made[3]):
        standing = dismissal_of(each)
        assert standing is not None
        assert (standing.is_dismissed, standing.by) == (True, "Sam")
        # What Ana dismissed later takes the one in; the other failed after it.
        assert standing.is_chosen is (each == made[3])
        assert standing.at is not None
    standing = dismissal_of(made[4])
    assert standing is not None
    assert (standing.is_dismissed, standing.count) == (False, 1)

    assert bring_back(sam, finance.public_id, Reason.SERVER) == 1
    assert told() == [("Finance", "Server error (500)", 2)]
    assert lines() == [
        dns_line,
        (Reason.SERVER, 2, "Sam", True),
        (Reason.SERVER, 1, None, False),
    ]
    ids = [session().get_one(User, each.user_id).public_id for each in (ana, sam)]
    for who in (ids[0], None, uuid4()):
        with pytest.raises(Refusal, match="nothing to bring back"):
            bring_back_chosen_by(sam, finance.public_id, Reason.SERVER, who)
    assert bring_back_chosen_by(ana, finance.public_id, Reason.SERVER, ids[1]) == 2
    assert bring_back_chosen_by(ana, finance.public_id, Reason.DNS, ids[1]) == 1
    with pytest.raises(Refusal, match="nothing to bring back"):
        bring_back(sam, finance.public_id, Reason.DNS)
    assert told() == [("Finance", "Server error (500)", 4), ("Finance", "Server not found", 1)]
    assert session().scalars(select(DismissedDelivery.delivery_id)).all() == []


def test_a_group_is_dismissed_without_those_that_were_chosen_before(
    sam: Actor, finance: Hook
) -> None:
    made = [fail(finance) for _ in range(3)]
    dismiss_chosen(sam, made[:1])
    assert dismiss(sam, finance.public_id, Reason.SERVER, utcnow()).count == 2
    other = fail(finance, "dns", None)
    dismiss_chosen(sam, [other])
    with pytest.raises(Refusal, match="nothing to dismiss"):
        dismiss(sam, finance.public_id, Reason.DNS, utcnow())


def test_each_webhook_has_its_line_in_the_audit_trail(sam: Actor, finance: Hook) -> None:
    desk = make_webhook(name="Desk", deleted_at=utcnow())
    made = [
        fail(finance),
        fail(finance, "dns", None),
        fail(desk, "dns", None),
        fail(desk, None, None),
    ]
    assert dismiss_chosen(sam, [*made, made[0]]) == ChosenCount(4, 0, 0)
    entries = session().scalars(select(AuditEntry).order_by(AuditEntry.id)).all()
    found = [(each.action, each.actor_name, each.target_name) for each in entries]
    assert found == [("webhook.problem_dismissed", "Sam", name) for name in ("Finance", "Desk")]
    assert [each.changes for each in entries] == [
        {
            "reason": {"from": None, "to": "Server error, Server not found"},
            "selected_deliveries": {"from": None, "to": 2},
        },
        {
            "reason": {"from": None, "to": "None, Server not found"},
            "selected_deliveries": {"from": None, "to": 2},
        },
    ]
    assert delivery_problems.count() == 0
    assert bring_back_chosen(sam, made) == BroughtBack(4, 0)
    entries = session().scalars(select(AuditEntry).order_by(AuditEntry.id)).all()
    found = [
        (each.action, each.target_name, each.changes["selected_deliveries"]["to"])
        for each in entries[2:]
    ]
    brought_back = "webhook.problem_brought_back"
    assert found == [(brought_back, "Finance", 2), (brought_back, "Desk", 2)]


def test_what_is_no_problem_is_refused_and_leaves_no_trace(sam: Actor, finance: Hook) -> None:
    made = fail(finance)
    others = [
        fail(finance, priority=Priority.TEST),
        make_delivery(finance, status="delivered"),
        make_delivery(finance, status="retrying", reason="server", code=500, tries=5),
        make_delivery(finance, status="dismissed", reason="server", code=500),
        uuid4(),
    ]
    for each in others[:-1]:
        assert dismissal_of(each) is None
    for ids, words in (
        (others, "only failed deliveries that are listed as problems"),
        ([], "Tick the deliveries"),
        ([uuid4() for _ in range(51)], "at most 50"),
    ):
        with pytest.raises(Refusal, match=words):
            dismiss_chosen(sam, ids)
    with pytest.raises(NotAllowed):
        dismiss_chosen(make_user("manager").actor, [made])
    assert session().scalar(select(func.count(AuditEntry.id))) == 0
    most = [made, *others, *(uuid4() for _ in range(44))]
    assert dismiss_chosen(sam, most) == ChosenCount(1, 0, 49)
    assert session().scalars(select(DismissedDelivery.delivery_id)).all() == [stored(made)["id"]]


@pytest.mark.both_databases
def test_what_waits_in_a_bulk_retry_is_told_apart_and_what_is_on_its_way_left_out(
    sam: Actor, finance: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_retry, "MOST_UNDER_WAY", 1)
    made = [fail(finance) for _ in range(3)]
    batch = bulk_retry.start(sam, Selection(ticked=tuple(made[:2])))
    work()
    assert [stored(each)["status"] for each in made] == ["retrying", "failed", "failed"]
    with pytest.raises(Refusal, match="being sent again at this moment"):
        dismiss_chosen(sam, made[:1])
    # The whole problem says how many of its deliveries go out all the same.
    done = dismiss(sam, finance.public_id, Reason.SERVER, utcnow())
    assert (done.count, done.in_bulk_retry) == (2, 1)
    assert bring_back(sam, finance.public_id, Reason.SERVER) == 2
    assert dismiss_chosen(sam, made) == ChosenCount(1, 1, 1)

    bulk_retry.stop(sam, batch)
    work()
    assert bring_back_chosen(sam, made).count == 2
    assert dismiss_chosen(sam, made) == ChosenCount(3, 0, 0)


@pytest.mark.both_databases
def test_what_was_chosen_by_somebody_who_is_gone_is_brought_back_as_nobodys(
    sam: Actor, finance: Hook
) -> None:
    dismiss_chosen(sam, [fail(finance)])
    with writing() as current:
        current.execute(update(DismissedDelivery).values(actor_id=None))
    with pytest.raises(Refusal, match="nothing to bring back"):
        bring_back_chosen_by(sam, finance.public_id, Reason.SERVER, uuid4())
    assert bring_back_chosen_by(sam, finance.public_id, Reason.SERVER, None) == 1


def test_a_mark_goes_with_its_delivery(sam: Actor, finance: Hook) -> None:
    made = fail(finance)
    dismiss_chosen(sam, [made])
    with writing() as current:
        current.delete(current.scalars(select(Delivery).where(Delivery.public_id == made)).one())
    assert session().scalars(select(DismissedDelivery.delivery_id)).all() == []
