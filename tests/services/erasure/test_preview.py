"""The preview of an erasure: the changes it would make, and the obstacles."""

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select

from portal.lib.clock import utcnow
from portal.models.assets import Activity
from portal.models.assignments import Staff
from portal.models.people import Role, User
from portal.models.planning import MaintenanceOutcome
from portal.services.actions import assignments
from portal.services.actions.planning import maintenance, reservations
from portal.services.actions.planning.rules import PlanValues, ReservationValues, WorkValues
from portal.services.core.permissions import SYSTEM
from portal.services.core.time_zones import today
from portal.services.core.unit_of_work import session
from portal.services.erasure import preview as module
from portal.services.erasure.preview import ErasurePreview, preview
from tests.support.factories import Person, make_asset, make_staff, make_user

pytestmark = pytest.mark.both_databases

DAY = timedelta(days=1)


def of_staff(staff_id: int) -> ErasurePreview:
    session().rollback()
    return preview(SYSTEM, session().get_one(Staff, staff_id))


def of_user(user: Person, by: Person) -> ErasurePreview:
    session().rollback()
    return preview(by.actor, session().get_one(User, user.id))


def lend(asset: int, to: int) -> None:
    assignments.check_out(SYSTEM, asset, staff_id=to, due_at=utcnow() + DAY)


def reserve(asset: int, for_: int) -> None:
    now = utcnow()
    wish = ReservationValues(staff_id=for_, starts_at=now + DAY, ends_at=now + 2 * DAY)
    reservations.reserve(SYSTEM, asset, wish)


def plan(asset: int, for_: int) -> None:
    values = PlanValues(title="Clean", due_on=today(), assignee_id=for_)
    maintenance.schedule(SYSTEM, asset, values)


def work(asset: int, by: int) -> None:
    planned = maintenance.schedule(SYSTEM, asset, PlanValues(title="Clean", due_on=today()))
    done = WorkValues(outcome=MaintenanceOutcome.OK, completed_on=today(), performed_by_id=by)
    maintenance.complete(SYSTEM, planned, done)


def test_event_bodies_of_every_related_asset_are_counted(app: Flask) -> None:
    for meet in (lend, reserve, plan, work):
        zoe, other = make_staff("Zoë"), make_staff("Max")
        *_, asset, elsewhere = (make_asset() for _ in range(4))  # with ids that no person has
        meet(asset, zoe)
        meet(elsewhere, other)
        lines = select(func.count()).where(
            Activity.asset_id == asset, Activity.event_id.is_not(None)
        )
        assert of_staff(zoe).bodies == session().scalar(lines) > 1, meet


def test_only_event_bodies_of_a_users_own_actions_are_counted(app: Flask) -> None:
    ada, quentin = make_user(), make_user()
    make_asset(by=quentin.actor)
    make_asset(by=ada.actor)
    make_asset(by=ada.actor)
    assert of_user(quentin, ada).bodies == 1
    assert of_user(ada, quentin).bodies == 2


def test_the_first_five_assets_whose_texts_name_the_person_are_listed(app: Flask) -> None:
    zoe = make_staff("Zoë Quill", email="zoe@example.com")
    typed = [
        make_asset("Lamp of ZOË QUILL"),
        make_asset(notes="Ask zoe@example.com"),
        make_asset(supplier="Zoë Quill Ltd"),
        make_asset(order_number="for Zoë Quill"),
    ]
    make_asset("Another lamp")
    assert [asset.id for asset in of_staff(zoe).typed] == typed
    typed += [make_asset("Lamp of Zoë Quill") for _ in range(3)]
    assert [asset.id for asset in of_staff(zoe).typed] == typed[:5]


def test_each_name_is_shown_with_its_number_of_places_and_an_example(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoe = make_staff("Zoë", email="zoe@example.com")
    asset, filler = make_asset(), "It was used for long. " * 20
    assignments.allocate(SYSTEM, asset, staff_id=zoe, note=f"{filler}Zoë, ask Zoë")
    assignments.revoke(SYSTEM, asset, reason="zoes, zoë")
    name, address = of_staff(zoe).mentions
    values = (name.text, name.places, name.is_more, name.table)
    assert values == ("Zoë", 4, False, "activities"), "a note is in the timeline and with the loan"
    assert name.example.startswith("…")
    assert name.example.endswith("used for long. Zoë, ask Zoë")
    assert (address.text, address.places, address.example) == ("zoe@example.com", 0, "")
    monkeypatch.setattr(module, "MOST_READ", 1)
    name, _ = of_staff(zoe).mentions
    assert (name.places, name.is_more) == (4, True)


def test_a_name_shared_with_another_user_is_flagged(app: Flask) -> None:
    ada, one, other = (make_user(name=name) for name in ("Ada", "Max", "Max"))
    assert [of_user(each, ada).is_shared for each in (ada, one, other)] == [False, True, True]
    staff_id, _ = make_staff("Max"), make_staff("Max")
    shown = of_staff(staff_id)
    assert (shown.is_shared, [each.is_shared for each in shown.mentions]) == (False, [True, False])


def test_oneself_and_the_only_administrator_block_an_erasure(app: Flask) -> None:
    ada, helper = make_user(), make_user(Role.SUPPORT)
    own = of_user(ada, ada)
    assert (own.is_me, own.is_last_admin, own.is_refused) == (True, True, True)
    seen = of_user(ada, helper)
    assert (seen.is_me, seen.is_last_admin, seen.is_refused) == (False, True, True)
    seen = of_user(helper, ada)
    assert (seen.is_me, seen.is_last_admin, seen.is_refused) == (False, False, False)
    make_user(is_active=False)
    assert of_user(ada, helper).is_last_admin, "the other may not sign in"
    second = make_user()
    assert not of_user(ada, second).is_refused


def test_held_and_reserved_assets_block_an_erasure(app: Flask) -> None:
    zoe = make_staff("Zoë")
    assert not of_staff(zoe).is_refused
    lent, reserved = make_asset("Lamp"), make_asset("Desk")
    lend(lent, zoe)
    seen = of_staff(zoe)
    assert ([row.id for row in seen.held], list(seen.reserved)) == ([lent], [])
    assert seen.is_refused
    assignments.check_in(SYSTEM, lent)
    reserve(reserved, zoe)
    seen = of_staff(zoe)
    assert (list(seen.held), [row.name for row in seen.reserved]) == ([], ["Desk"])
    assert seen.is_refused
