"""Staff: lists, search, edits, and reasons why a person cannot be deactivated."""

import pytest
from flask import Flask
from sqlalchemy import select

from portal.extensions import db
from portal.models.assignments import Staff
from portal.models.audit import AuditEntry
from portal.services.actions import assignments
from portal.services.actions.planning import reservations as planning_reservations
from portal.services.assets import staff
from portal.services.assets.staff import StaffValues
from portal.services.core.permissions import SYSTEM
from portal.services.core.refusals import Refusal, Stale
from portal.services.core.unit_of_work import session
from tests.services.actions.plan_examples import make_reservation
from tests.support.database.rivals import at_once
from tests.support.database.statements import asked
from tests.support.factories import make_asset, make_staff, make_user

pytestmark = pytest.mark.usefixtures("app")

MARIA = StaffValues(name="Maria Lopez", email="maria@example.com", department="Sales")


def row_id(values: StaffValues = MARIA) -> int:
    return staff.find(staff.create(SYSTEM, values)).id


def test_people_are_listed_by_name_and_found_by_their_details() -> None:
    for name in ("maria", "Ben", "Zoe"):
        make_staff(name)
    assert [line.name for line in staff.listing().rows] == ["Ben", "maria", "Zoe"]
    staff.create(SYSTEM, MARIA)
    assert [line.name for line in staff.listing("sales").rows] == ["Maria Lopez"]
    assert list(staff.listing("50%").rows) == []


def test_has_staff_reads_one_row() -> None:
    assert not staff.has_staff()
    for name in ("Ben", "Zoe"):
        make_staff(name)
    with asked(db.engine, "SELECT") as statements:
        assert staff.has_staff()
    assert [" LIMIT " in statement for statement in statements] == [True]


def test_choices_are_active_staff_sorted_regardless_of_case() -> None:
    # Equal names are sorted by id. The rows are stored in the opposite order.
    for row_id, name in ((105, "zoe"), (104, "Ben"), (103, "ana"), (102, "Zoe"), (101, "Ana")):
        make_staff(name, id=row_id)
    make_staff("Left", is_active=False)
    assert [choice.id for choice in staff.choices()] == [101, 103, 104, 102, 105]


def test_typed_staff_are_found_by_address_and_name_in_any_case() -> None:
    maria = row_id()
    typed = StaffValues(name="maria LOPEZ", email="Maria@Example.com")
    assert staff.found_or_added(SYSTEM, typed) == maria
    with pytest.raises(Refusal, match="Maria Lopez already has this email address") as refused:
        staff.found_or_added(SYSTEM, StaffValues(name="Mario Lopez", email=MARIA.email))
    assert refused.value.field == "email"
    ben = staff.found_or_added(SYSTEM, StaffValues(name="Ben", email="ben@example.com"))
    labels = [(choice.id, choice.label) for choice in staff.choices()]
    assert labels == [(ben, "Ben (ben@example.com)"), (maria, "Maria Lopez (Sales)")]
    staff.deactivate(SYSTEM, session().get_one(Staff, maria).public_id)
    with pytest.raises(Refusal, match="Maria Lopez is former staff") as refused:
        staff.found_or_added(SYSTEM, typed)
    assert refused.value.field == "name"


def test_an_address_is_unique_regardless_of_case() -> None:
    staff.create(SYSTEM, MARIA)
    with pytest.raises(Refusal, match="is already on the staff list") as caught:
        staff.create(SYSTEM, StaffValues(name="Other", email="MARIA@example.com"))
    assert caught.value.field == "email"


def test_an_invalid_value_is_refused_at_its_field() -> None:
    for values, field in (
        (StaffValues(name="", email="a@example.com"), "name"),
        (StaffValues(name="A", email="nothing"), "email"),
        (StaffValues(name="A", email=" a@example.com"), "email"),
        (StaffValues(name="A", email="a@example.com", phone="1" * 41), "phone"),
    ):
        with pytest.raises(Refusal) as caught:
            staff.create(SYSTEM, values)
        assert caught.value.field == field, values


def test_a_holder_cannot_be_deactivated_and_the_assets_are_named() -> None:
    maria = staff.create(SYSTEM, MARIA)
    holder = staff.find(maria).id
    for name in ("ThinkPad", "Camera"):
        assignments.allocate(SYSTEM, make_asset(name), staff_id=holder)
    with pytest.raises(Refusal) as caught:
        staff.deactivate(SYSTEM, maria)
    assert caught.value.sentence == (
        "Maria Lopez still has AST-00001 (ThinkPad) and AST-00002 (Camera)."
        " Revoke or reassign them first."
    )
    assert staff.find(maria).is_active


def test_a_person_with_reservations_cannot_be_deactivated() -> None:
    maria, asset_id = staff.create(SYSTEM, MARIA), make_asset("ThinkPad")
    holder = staff.find(maria).id
    asked = [make_reservation(asset_id, holder, start, start + 1) for start in (0, 5)]
    sentence = r"Maria Lopez has reserved AST-00001 \(ThinkPad\). Cancel that reservation first."
    with pytest.raises(Refusal, match=sentence):
        staff.deactivate(SYSTEM, maria)
    assert [reservation.public_id for reservation in staff.has_reserved(holder)] == asked
    for public_id in asked:
        planning_reservations.cancel(SYSTEM, public_id)
    staff.deactivate(SYSTEM, maria)
    assert not staff.find(maria).is_active


def test_former_staff_get_nothing_until_reactivated() -> None:
    maria, asset_id = staff.create(SYSTEM, MARIA), make_asset()
    holder = staff.find(maria).id
    for _ in range(2):
        staff.deactivate(SYSTEM, maria)
    assert staff.choices() == []
    with pytest.raises(Refusal, match="Maria Lopez is former staff"):
        assignments.allocate(SYSTEM, asset_id, staff_id=holder)
    staff.reactivate(SYSTEM, maria)
    for version in (1, 2):
        with pytest.raises(Stale):
            staff.edit(SYSTEM, maria, version, MARIA)
    assert not staff.edit(SYSTEM, maria, 3, MARIA)
    query = select(AuditEntry.action).where(AuditEntry.target_kind == "staff")
    actions = [f"staff.{verb}" for verb in ("created", "deactivated", "reactivated")]
    assert session().scalars(query.order_by(AuditEntry.id)).all() == actions
    assignments.allocate(SYSTEM, asset_id, staff_id=holder)
    assert [assignment.asset_id for assignment in staff.has_now(holder)] == [asset_id]


def test_current_holdings_are_sorted_by_when_they_were_received() -> None:
    holder, things = row_id(), [make_asset(name) for name in ("A", "B", "C")]
    for asset_id in (things[1], things[2], things[0]):
        assignments.allocate(SYSTEM, asset_id, staff_id=holder)
    assert [holding.asset.name for holding in staff.has_now(holder)] == ["B", "C", "A"]
    assert [holding.name for holding in staff.holdings_of(holder)] == ["A", "B", "C"]


def test_reservations_of_a_person_are_sorted_by_time() -> None:
    holder = row_id()
    asked = [make_reservation(make_asset(), holder, start, start + 1) for start in (4, 2, 6)]
    public_ids = [reservation.public_id for reservation in staff.has_reserved(holder)]
    assert public_ids == [asked[n] for n in (1, 0, 2)]


def test_search_by_employee_number_counts_active_staff_only() -> None:
    for name, is_active in (("Ana", True), ("Ben", True), ("Cleo", False)):
        make_staff(name, employee_no=f"E-7{name[0]}", is_active=is_active)
    make_staff("Dora", employee_no="X-1")
    assert [line.name for line in staff.listing("e-7b").rows] == ["Ben"]
    assert [line.name for line in staff.listing("E-7", left=True).rows] == ["Cleo"]
    assert staff.count("e-7") == 2


def test_names_with_accents_are_found_regardless_of_case() -> None:
    names = ["åse zoë öberg", "ÅSE ZOË ÖBERG", "Åse zoë öberg", "Åse Zoë Öberg"]
    for name in names:
        make_staff(name)
    for search in (*names, "åse zoË öberg"):
        assert {line.name for line in staff.listing(search).rows} == set(names)


def test_a_person_is_not_deactivated_during_an_allocation(app: Flask) -> None:
    maria, asset_id = staff.create(SYSTEM, MARIA), make_asset()
    holder = staff.find(maria).id
    results = at_once(
        app,
        [
            lambda: assignments.allocate(SYSTEM, asset_id, staff_id=holder),
            lambda: staff.deactivate(SYSTEM, maria),
        ],
    )
    assert sum(isinstance(result, Refusal) for result in results) == 1
    session().rollback()
    assert staff.find(maria).is_active is bool(staff.has_now(holder))


def test_an_edit_is_audited_and_a_stale_edit_is_refused() -> None:
    ana, maria = make_user("manager"), staff.create(SYSTEM, MARIA)
    changed = StaffValues(name="Maria Cruz", email="maria@example.com", department="Sales")
    assert staff.edit(ana.actor, maria, 1, changed)
    entry = session().scalars(select(AuditEntry).order_by(AuditEntry.id.desc()).limit(1)).one()
    assert (entry.action, entry.changes) == (
        "staff.updated",
        {"name": {"from": "Maria Lopez", "to": "Maria Cruz"}},
    )
    assert not staff.edit(ana.actor, maria, 2, changed)
    for version in (1, 3):
        with pytest.raises(Stale):
            staff.edit(ana.actor, maria, version, MARIA)
