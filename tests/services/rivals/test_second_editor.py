"""If two people save changes to the same row at the same time, the second is refused.

The second save starts during the first, waits for the row, and sees its new version.
"""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from portal.models.alerts import AlertSettings
from portal.models.assets import Asset, Location
from portal.models.assignments import Staff
from portal.models.people import Role, User
from portal.models.webhooks import Webhook
from portal.services.actions import lifecycle
from portal.services.alerts import settings as alert_settings
from portal.services.alerts.rules import AlertRules
from portal.services.assets import named_lists, staff
from portal.services.assets.fields import AssetValues
from portal.services.assets.staff import StaffValues
from portal.services.core.permissions import Actor
from portal.services.core.refusals import Stale
from portal.services.core.unit_of_work import session, writing
from portal.services.people import accounts
from portal.services.webhooks import crud
from tests.services.webhooks.test_crud import values
from tests.support.database.rivals import meanwhile
from tests.support.factories import (
    make_asset,
    make_location,
    make_staff,
    make_user,
    make_webhook,
)

pytestmark = pytest.mark.both_databases

# The model, the row id, and the save of the second person.
Edited = tuple[type[Any], int, Callable[[], object]]


def member_of_staff(actor: Actor) -> Edited:
    row_id = make_staff("Zoe")
    row = session().get_one(Staff, row_id)
    public_id, anew = row.public_id, StaffValues(name="Zoe W.", email="zoe@example.com")
    return Staff, row_id, lambda: staff.edit(actor, public_id, 1, anew)


def place(actor: Actor) -> Edited:
    row_id, kind = make_location("Attic"), named_lists.LOCATIONS
    public_id = session().get_one(Location, row_id).public_id
    return Location, row_id, lambda: named_lists.rename(kind, actor, public_id, 1, "Roof")


def asset(actor: Actor) -> Edited:
    row_id, anew = make_asset("Dock"), AssetValues(asset_tag="AST-00001", name="Other dock")
    return Asset, row_id, lambda: lifecycle.edit_asset(actor, row_id, 1, anew)


def webhook(actor: Actor) -> Edited:
    hook = make_webhook()
    version = session().get_one(Webhook, hook.id).version
    return Webhook, hook.id, lambda: crud.edit(actor, hook.public_id, version, values())


def role(actor: Actor) -> Edited:
    sam = make_user("support")
    user = session().get_one(User, sam.actor.user_id)
    public_id, version = user.public_id, user.version
    return User, user.id, lambda: accounts.change_role(actor, public_id, Role.MANAGER, version)


def alerts(actor: Actor) -> Edited:
    with writing() as current:
        row_id = alert_settings.locked(current).id
    rules = AlertRules()
    assert alert_settings.save(actor, 0, AlertRules(warranty_days=9))
    return AlertSettings, row_id, lambda: alert_settings.save(actor, 1, rules)


@pytest.mark.parametrize("edited", [member_of_staff, place, asset, webhook, role, alerts])
def test_the_second_of_two_concurrent_saves_is_stale(
    app: Flask, edited: Callable[[Actor], Edited]
) -> None:
    model, row_id, save = edited(make_user().actor)

    def save_first(current: Session) -> None:
        current.get_one(model, row_id, with_for_update={"key_share": True}).version += 1

    session().rollback()
    assert isinstance(meanwhile(app, save, save_first), Stale)
