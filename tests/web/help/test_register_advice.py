"""Advice in the register: the action for permitted roles, and people to ask for all others."""

import pytest
from flask import Flask

from portal.models.alerts import RunKind
from portal.models.assets import Asset
from portal.services.alerts import runs
from portal.services.core.unit_of_work import writing
from tests.services.alerts.due_things import decided, lent, with_maintenance, with_warranty
from tests.support.factories import make_asset, make_user
from tests.web.signed_in import visit

ROLES = pytest.mark.parametrize("role", ["admin", "manager", "support"])


def team() -> None:
    make_user(name="Ada Admin")
    make_user("manager", name="Mia Manager")


@ROLES
def test_advice_on_alerts_fits_the_role(app: Flask, role: str) -> None:
    team()
    decided()
    lent(3)
    with_maintenance(2)
    with_warranty(5)
    make_asset("Toner", kind="stock", quantity=1, min_quantity=5)
    runs.run(RunKind.MANUAL)
    pages = visit(app, role)
    asked = "ask a manager or an administrator (Mia Manager"
    alerts = pages.get("/alerts").main
    may = role != "support"
    assert alerts.count(asked) == (0 if may else 4)
    assert ("Reorder. Then record the received items." in alerts) is may
    sets = "To change when alerts are sent, ask an administrator (Ada Admin"
    assert (sets in alerts) is (role != "admin")


@pytest.mark.parametrize(
    ("role", "way_out"),
    [
        ("admin", "Undo its disposal first."),
        ("manager", "Ask an administrator (Ada Admin) to undo its disposal first"),
    ],
)
def test_advice_to_undo_a_disposal_fits_the_role(app: Flask, role: str, way_out: str) -> None:
    asset_id = make_asset()
    make_user(name="Ada Admin")
    with writing() as current:
        current.get_one(Asset, asset_id).status = "liquidated"
    main = visit(app, role).get(f"/assets/{asset_id}").main
    assert f"not now: {way_out}" in main


@ROLES
def test_advice_on_an_asset_without_reservations_fits_the_role(app: Flask, role: str) -> None:
    team()
    asset_id = make_asset(reservable=False)
    main = visit(app, role).get(f"/assets/{asset_id}/reservations").main
    assert ("To allow them, select “Allow reservations” under Edit." in main) is (role != "support")
    asked = "Ask a manager or an administrator (Mia Manager or Ada Admin) to allow them."
    assert (asked in main) is (role == "support")
