"""An erased person is named nowhere afterward, except where the page says so."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.models.assets import Activity
from portal.models.audit import AuditEntry, ErasedKind, Erasure
from portal.models.deliveries import Event
from portal.models.people import Link, SignInThrottle, User, UserSession
from portal.models.planning import Maintenance
from portal.models.tasks import Task
from portal.models.webhooks import Watch, Webhook, WebhookState
from portal.services import tasks as service_tasks
from portal.services.actions import assignments, incidents
from portal.services.actions.planning import reservations
from portal.services.assets import staff
from portal.services.assets.staff import StaffValues
from portal.services.core.permissions import SYSTEM
from portal.services.core.unit_of_work import session, writing
from portal.services.erasure import erase, places
from portal.services.people import sign_in_throttle
from tests.services.actions.plan_examples import last_body, make_reservation, wish
from tests.services.alerts.due_things import work
from tests.services.csv.import_steps import check
from tests.services.erasure.filled_portal import (
    ADDRESS,
    FORMER,
    NAMES,
    NETWORK,
    ZOE,
    Filled,
    fill,
    places_of,
)
from tests.support.database.rivals import Rival, meanwhile
from tests.support.deliveries import make_delivery, stored
from tests.support.factories import make_asset, make_staff, make_user, make_webhook

pytestmark = pytest.mark.both_databases

BOTH = pytest.mark.parametrize("kind", list(ErasedKind))
# Sent bodies and received responses are kept until their retention ends.
STORED_BODIES = {"events.body", "attempt_bodies.response_text"}
# Places that name each person before the erasure, so that the search has something to find.
NAMED_BEFORE = {
    ErasedKind.STAFF: """
        staff.name staff.email staff.employee_no staff.phone activities.changes activities.note
        alerts.details alerts.mailed_to assignments.purpose audit_entries.changes
        audit_entries.target_name deliveries.dismissed_reason incidents.details
        maintenances.note maintenances.title reservations.purpose reservations.reason
        stock_moves.note task_rows.data task_rows.message tasks.params events.body
    """,
    ErasedKind.USER: """
        users.name users.email activities.actor_name alert_runs.actor_name alerts.acknowledged_by
        attempts.actor attempt_bodies.response_text audit_entries.actor_name audit_entries.changes
        audit_entries.target_name deliveries.requested_by deliveries.dismissed_by
        deliveries.dismissed_reason leases.actor links.email stock_moves.actor_name task_rows.data
        tasks.actor_name tasks.stopped_by events.body
    """,
}


def begin(filled: Filled, kind: ErasedKind) -> str:
    """Start to erase Zoë or Quentin, and return the label that replaces the name."""
    public_id, typed = (filled.zoe, ZOE.email) if kind == "staff" else (filled.quentin, ADDRESS)
    version = erase.find(kind, public_id).version
    number = erase.erase(filled.admin.actor, kind, public_id, version, f" {typed.upper()}")
    return f"Erased person {number}"


def entries(action: str) -> list[AuditEntry]:
    query = select(AuditEntry).where(AuditEntry.action == action)
    return list(session().scalars(query.order_by(AuditEntry.id)))


def ids_of(model: Any) -> set[int]:
    return set(session().scalars(select(model.id)))


@BOTH
def test_only_stored_bodies_still_name_an_erased_person(app: Flask, kind: ErasedKind) -> None:
    filled = fill()
    assert places_of(NAMES[kind]) >= set(NAMED_BEFORE[kind].split())
    begin(filled, kind)
    work()
    assert places_of(NAMES[kind]) <= STORED_BODIES
    assert places_of([NETWORK] if kind == "user" else []) == set()
    finished = session().scalars(select(Erasure)).one()
    assert (finished.finished_at is not None, finished.known_as) == (True, None)


def test_a_person_in_a_pending_import_is_erased_there_too(app: Flask) -> None:
    values = StaffValues(name="Mara Sedgewren", email="mara.s@example.com")
    other = "Mara Sedgewren <other@example.com>"
    check(
        make_user(),
        "name,assigned_to_email\n"
        f"Lamp,Mara S. <{values.email}>\nDesk,{values.email}\nSofa,{other}\n",
    )
    public_id = staff.create(SYSTEM, values)
    erase.erase(SYSTEM, ErasedKind.STAFF, public_id, 1, values.email)
    work()
    assert places_of([values.email, "Mara S."]) == set()
    assert places_of(["other@example.com"]) == {"task_rows.data", "tasks.params"}


@BOTH
def test_the_history_stays_readable_under_one_label(app: Flask, kind: ErasedKind) -> None:
    filled = fill()
    before = [(row.action, row.note, row.actor_name) for row in timeline()]
    label = begin(filled, kind)
    work()
    known = {"staff": (ZOE.name, ZOE.email, FORMER.name), "user": (NAMES["user"][0],)}[kind]
    for (action, note, by), row in zip(before, timeline(), strict=True):
        for name in known:
            note = note.replace(name, label)
        is_by = kind == "user" and by in NAMES["user"]
        assert (row.action, row.note, row.actor_name) == (action, note, label if is_by else by)


def timeline() -> list[Activity]:
    session().rollback()
    return list(session().scalars(select(Activity).order_by(Activity.id)))


@pytest.mark.parametrize(
    ("sought", "left"),
    [
        (None, "the battery burns, says {}"),
        (["battery"], "the {} burns, says b@example.com"),
        ([], "the battery burns, says b@example.com"),
    ],
)
def test_only_chosen_words_are_replaced_and_no_single_word_by_default(
    app: Flask, sought: list[str] | None, left: str
) -> None:
    values, asset = StaffValues(name="battery", email="b@example.com"), make_asset()
    public_id = staff.create(SYSTEM, values)
    battery, note = staff.find(public_id).id, "the battery burns, says b@example.com"
    reservations.cancel(SYSTEM, make_reservation(asset, battery))
    assignments.allocate(SYSTEM, asset, staff_id=battery, note=note)
    incidents.report_lost(SYSTEM, asset, description="Burnt")
    staff.edit(SYSTEM, public_id, 1, replace(values, name="Maria Lopez"))
    number = erase.erase(SYSTEM, ErasedKind.STAFF, public_id, 2, values.email, sought)
    work()
    left = left.format(label := f"Erased person {number}")
    notes = [row.note for row in timeline()]
    assert [note.startswith(f"{label}: ") for note in notes if "(Europe" in note] == [True, True]
    assert [note for note in notes if "burns" in note] == [left]
    assert places_of(["battery"]) - STORED_BODIES == (
        {"activities.note", "assignments.notes"} if "battery" in left else set()
    )


@BOTH
def test_an_erasure_is_audited_by_label_and_publishes_no_event(
    app: Flask, kind: ErasedKind
) -> None:
    filled = fill()
    events, prefix = ids_of(Event), {"staff": "staff", "user": "person"}[kind]
    label = begin(filled, kind)
    work()
    session().rollback()
    (began,), (ended,) = entries(f"{prefix}.erasure_started"), entries(f"{prefix}.erased")
    assert {(entry.actor_name, entry.target_name) for entry in (began, ended)} == {
        (filled.admin.name, label)
    }
    assert ended.changes["rows"]["to"] > 10
    assert ids_of(Event) <= events  # the sample of a draft's test goes with the draft


def test_an_erased_user_is_locked_out_at_once(app: Flask) -> None:
    filled = fill()
    mine = select(func.count()).where(UserSession.user_id == filled.quentin_id)
    assert session().execute(mine).scalar_one() == 1
    account = sign_in_throttle.for_account(ADDRESS)
    own = sign_in_throttle.Key(f"account:{filled.quentin_id}", 5)
    sign_in_throttle.count([account, own, sign_in_throttle.for_account("other@example.com")])
    counted = set(session().scalars(select(SignInThrottle.key)))
    idle = make_webhook(owner_id=filled.quentin_id)
    arrived = make_delivery(idle, status="delivered")
    label = begin(filled, ErasedKind.USER)
    left = counted - {account.digest, own.digest}
    assert set(session().scalars(select(SignInThrottle.key))) == left
    assert len(left) == len(counted) - 2
    user = session().get_one(User, filled.quentin_id)
    assert (user.name, user.email, user.password_hash) == (label, label, "")
    assert not user.is_active
    assert session().execute(mine).scalar_one() == 0
    mine = select(func.count()).where(Link.created_by_id == user.id, Link.used_at.is_(None))
    assert session().execute(mine).scalar_one() == 0
    drafts = select(func.count()).where(Webhook.state == WebhookState.DRAFT)
    assert session().execute(drafts).scalar_one() == 0
    watched = select(func.count()).where(Watch.user_id == user.id)
    assert session().execute(watched).scalar_one() == 0
    owned = session().scalars(select(Webhook.id).where(Webhook.owner_id == user.id)).all()
    assert idle.id in owned  # and names its owner by label
    assert len(owned) == 2
    assert stored(arrived)["status"] == "delivered"


def step_by_step(trouble: Callable[[int], bool]) -> int:
    """Take the steps one by one, under a new lease where `trouble` says so, and count them."""
    steps, turn = 0, service_tasks.claim()
    for steps in range(1, 200):
        if turn is None:
            break
        more = service_tasks.advance(turn, erase.KIND)
        if not more:
            break
        if trouble(steps):
            service_tasks.release(turn)
            turn = service_tasks.claim()
    return steps


@BOTH
def test_an_erasure_interrupted_at_every_step_ends_the_same(app: Flask, kind: ErasedKind) -> None:
    filled, done = fill(), [0]

    def note(_step: int) -> bool:
        done.append(session().scalars(select(Task.done).order_by(Task.id.desc())).first() or 0)
        return True

    begin(filled, kind)
    steps = step_by_step(note)
    assert steps > 10
    assert done == sorted(done), "it goes on from table to table"
    assert len(places.places_of(kind)) > done[-1] > done[1]
    work = session().scalars(select(Task).order_by(Task.id.desc())).first()
    assert work is not None
    assert work.done == work.total == len(places.places_of(kind))
    assert places_of(NAMES[kind]) <= STORED_BODIES
    assert len(entries("staff.erased") + entries("person.erased")) == 1


@BOTH
def test_small_steps_have_the_same_result_as_large_ones(
    app: Flask, kind: ErasedKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(fill(), kind)
    monkeypatch.setattr(places, "PLACES", tuple(replace(place, most=2) for place in places.PLACES))
    steps = step_by_step(lambda _step: False)
    assert len(places.PLACES) + 1 < steps < 199
    assert places_of(NAMES[kind]) <= STORED_BODIES


def test_a_concurrent_edit_is_kept_without_the_name(app: Flask) -> None:
    label = begin(fill(), ErasedKind.STAFF)
    rival = Rival(app, work)
    with writing() as current:
        plan = current.scalars(
            select(Maintenance).where(Maintenance.note.contains(ZOE.name))
        ).first()
        assert plan is not None
        plan.note, plan_id = f"{ZOE.name} was called, and came", plan.id
        current.flush()
        rival.begin()
    rival.finish()
    assert session().get_one(Maintenance, plan_id).note == f"{label} was called, and came"


def test_a_decision_during_an_erasure_is_published_without_the_name(app: Flask) -> None:
    """Guard event bodies, which cannot be changed once they are published."""
    filled = fill()
    by, with_her = filled.admin.actor, wish(make_staff("Ben"), purpose=f"With {ZOE.name}")
    reservation_id = reservations.reserve(by, make_asset(), with_her)
    label = begin(filled, ErasedKind.STAFF)
    numbers = [place.table for place in places.places_of(ErasedKind.STAFF)]

    def take_out(current: Session) -> None:
        task = current.scalars(select(Task).where(Task.kind == erase.NAME)).one()
        task.cursor = {"place": numbers.index("reservations")}
        erase.step(current, task)

    meanwhile(app, partial(reservations.approve, by, reservation_id), take_out)
    body = last_body()
    assert body["event"] == "asset.reservation_approved"
    assert body["data"]["purpose"] == f"With {label}"
