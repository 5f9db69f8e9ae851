"""Tests of asset actions, reservations, and maintenance over the API."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from datetime import timedelta
from inspect import Parameter, signature
from typing import Any, Final
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import func, select

from portal.api import OPERATIONS
from portal.extensions import db
from portal.lib.clock import utcnow
from portal.models.assets import Action, Asset, AssetStatus
from portal.models.deliveries import Event
from portal.models.planning import Maintenance, Reservation
from portal.services.actions.incidents import RETURNS
from portal.services.actions.rules import RULES, why_not
from portal.services.actions.verbs import VERBS, Verb
from portal.services.core.unit_of_work import session
from tests.api.client import Program, program
from tests.services.actions.every_action import asset_in
from tests.services.actions.plan_examples import last_body
from tests.services.actions.planned_asset import is_to_be_taken, planned_in
from tests.support.database.statements import asked
from tests.support.factories import make_asset, make_location, make_staff

pytestmark = pytest.mark.both_databases


@pytest.fixture
def at(app: Flask) -> Program:
    return program(app)


def moment(days: float) -> str:
    """Return the time `days` from now in ISO 8601."""
    return (utcnow() + timedelta(days=days)).isoformat()


BODIES: Final[Mapping[Action, Callable[[], dict[str, Any]]]] = {
    Action.CHECK_OUT: lambda: {"staff_id": make_staff(), "due_at": moment(3), "purpose": "Fair"},
    Action.CHECK_IN: lambda: {"condition_in": "fair"},
    Action.CHANGE_DUE_DATE: lambda: {"due_at": moment(9)},
    Action.ALLOCATE: lambda: {"staff_id": make_staff()},
    Action.REVOKE: lambda: {"reason": "New device"},
    Action.REASSIGN: lambda: {"staff_id": make_staff()},
    Action.TRANSFER: lambda: {"location_id": make_location(f"Store {utcnow().timestamp()}")},
    Action.REPORT_BROKEN: lambda: {"description": "It fell", "broken_at": moment(-1)},
    Action.REPAIR: lambda: {"condition": "good", "supplier": "Northwind", "cost": "40.00"},
    Action.REPORT_LOST: lambda: {"description": "On the train"},
    Action.FIND: dict,
    Action.SEND_TO_WARRANTY: lambda: {"problem": "No picture", "expected_back_on": "2030-01-31"},
    Action.RECEIVE_BACK: dict,
    Action.LIQUIDATE: lambda: {"method": "sold", "proceeds": "180.00"},
    Action.UNDO_LIQUIDATION: lambda: {"note": "It was the other one"},
    Action.RESTORE: dict,
    Action.RESERVE: lambda: {
        "staff_id": make_staff(), "starts_at": moment(30), "ends_at": moment(31)
    },
    Action.SCHEDULE_MAINTENANCE: lambda: {"title": "Clean it", "due_on": "2030-05-03"},
    Action.ISSUE_STOCK: lambda: {"quantity": 2},
    Action.RECEIVE_STOCK: lambda: {"quantity": 5},
    Action.ADJUST_STOCK: lambda: {"quantity": 1, "is_loss": True},
}  # fmt: skip
DECISIONS: Final[Mapping[Action, tuple[str, dict[str, Any] | None]]] = {
    Action.APPROVE_RESERVATION: ("approve", None),
    Action.REJECT_RESERVATION: ("reject", {"rejection_reason": "Needed here"}),
    Action.CANCEL_RESERVATION: ("cancel", {"note": "The fair is off"}),
    Action.START_MAINTENANCE: ("start", {}),
    Action.COMPLETE_MAINTENANCE: ("complete", {"outcome": "ok", "completed_on": "2026-05-03"}),
    Action.CANCEL_MAINTENANCE: ("cancel", {}),
}


def told() -> int:
    session().rollback()
    return session().execute(select(func.count(Event.id))).scalar_one()


def id_of(kind: type[Reservation] | type[Maintenance], public_id: UUID) -> int:
    return session().scalars(select(kind.id).where(kind.public_id == public_id)).one()


def refused(at: Program, path: str, body: dict[str, Any] | None) -> str:
    """Assert a refusal with 409 that publishes no event, and return its reason."""
    before = told()
    response = at.ask("POST", path, json=body)
    assert (response.status_code, told()) == (409, before), response.get_data(as_text=True)
    return str(response.get_json()["detail"])


def arguments(verb: Verb) -> Iterator[str]:
    """Yield the names of a verb’s arguments, without the actor and the subject."""
    if verb.values is not None:
        yield from (field.name for field in fields(verb.values))
        return
    parameters = list(signature(verb.call).parameters.values())[2:]
    yield from (item.name for item in parameters if item.kind is not Parameter.VAR_KEYWORD)
    if verb.action in RETURNS:
        returning = signature(RETURNS[verb.action]).parameters.values()
        yield from (item.name for item in returning if item.kind is Parameter.KEYWORD_ONLY)


def test_each_action_is_one_operation_with_the_arguments_of_its_verb() -> None:
    by_path = {each.path: each for each in OPERATIONS if each.method == "POST"}
    for action, verb in VERBS.items():
        if verb.subject:
            noun = "reservations" if verb.subject is Reservation else "maintenance"
            path = f"/{noun}/<int:{verb.subject.__name__.lower()}_id>/{DECISIONS[action][0]}"
        else:
            path = f"/assets/<int:asset_id>/actions/{verb.slug}"
        operation = by_path[path]
        assert operation.permission == RULES[action].permission
        sent = {each.name for each in fields(operation.body)} if operation.body else set()
        assert sent <= set(arguments(verb)), action
    assert {*BODIES, *DECISIONS} == set(VERBS)


def test_each_action_is_done_or_refused_as_on_its_page(at: Program) -> None:
    for action, body in BODIES.items():
        path = f"/assets/%s/actions/{VERBS[action].slug}"
        if "item" not in RULES[action].kinds or action is Action.RESTORE:
            continue
        legal = [status for status in AssetStatus if why_not(action, status) is None]
        illegal = next(status for status in AssetStatus if status not in legal)
        asset_id, before = asset_in(legal[0]), told()
        sent = body()
        response = at.ask("POST", path % asset_id, json=sent)
        assert response.status_code in (200, 201), (action, response.get_data(as_text=True))
        assert told() - before >= len(RULES[action].events), action
        asset_id = asset_in(illegal)
        asset = session().get_one(Asset, asset_id)
        holder = "Maria Lopez" if asset.status in ("allocated", "checked_out") else None
        sentence = f"{asset.asset_tag} {why_not(action, illegal, holder=holder)}"
        assert refused(at, path % asset_id, body()) == sentence


def test_a_quantity_changes_and_never_falls_below_zero(at: Program) -> None:
    toner, lamp = make_asset("Toner", kind="stock", quantity=9), make_asset()
    for action, left in ((Action.RECEIVE_STOCK, 14), (Action.ISSUE_STOCK, 12)):
        path, body = f"/assets/%s/actions/{VERBS[action].slug}", BODIES[action]()
        response = at.ask("POST", path % toner, json=body)
        assert (response.status_code, response.get_json()["quantity"]) == (200, left)
        assert "is a single item" in refused(at, path % lamp, body)
    count = f"/assets/{toner}/actions/adjust"
    assert at.done("POST", count, json=BODIES[Action.ADJUST_STOCK]())["quantity"] == 1
    for sent in ({"quantity": 2, "is_loss": True}, {"quantity": -1}, {"quantity": 10**30}):
        assert faults(at, count, sent) == ["quantity"]


def test_only_a_deleted_asset_can_be_restored(at: Program) -> None:
    asset_id = make_asset()
    path = f"/assets/{asset_id}/actions/restore"
    assert refused(at, path, {}).endswith("isn’t deleted.")
    at.ask("DELETE", f"/assets/{asset_id}")
    response = at.ask("POST", path, json={})
    assert (response.status_code, response.get_json()["deleted_at"]) == (200, None)


def test_each_decision_is_made_or_refused_as_on_its_page(at: Program) -> None:
    for status in (AssetStatus.AVAILABLE, AssetStatus.WARRANTY):
        for action, (step, body) in DECISIONS.items():
            planned, verb = planned_in(status), VERBS[action]
            if verb.subject is Reservation:
                path = f"/reservations/{id_of(Reservation, planned.asked)}"
            else:
                path = f"/maintenance/{id_of(Maintenance, planned.work)}"
            if not is_to_be_taken(action, status):
                detail = refused(at, f"{path}/{step}", body)
                assert str(why_not(action, status)) in detail, (action, status)
                continue
            before = told()
            response = at.ask("POST", f"{path}/{step}", json=body)
            assert response.status_code == 200, (action, response.get_data(as_text=True))
            assert response.get_json() == at.get(path).json
            assert told() == before + 1
            if step != "start":
                assert "already" in refused(at, f"{path}/{step}", body)


def test_reservations_and_maintenance_are_found_by_asset_person_and_state(at: Program) -> None:
    phone, lamp, ana = make_asset(), make_asset(), make_staff()
    for asset_id in (phone, lamp):
        actions = f"/assets/{asset_id}/actions"
        reservation = at.made(f"{actions}/reserve", **BODIES[Action.RESERVE]() | {"staff_id": ana})
        assert (reservation["asset_id"], reservation["staff"]["id"], reservation["state"]) == (
            asset_id,
            ana,
            "pending",
        )
        maintenance = at.made(f"{actions}/schedule-maintenance", title="Clean", due_on="2030-05-03")
        assert (maintenance["asset_id"], maintenance["title"], maintenance["assignee"]) == (
            asset_id,
            "Clean",
            None,
        )
    at.ask("POST", f"/reservations/{reservation['id']}/approve")
    for path, expected in (
        ("/reservations", [lamp, phone]),
        (f"/reservations?asset_id={phone}", [phone]),
        (f"/reservations?staff_id={ana}&state=approved", [lamp]),
        (f"/reservations?staff_id={make_staff()}", []),
        ("/maintenance?state=scheduled&limit=1", [lamp]),
        (f"/maintenance?assignee_id={ana}", []),
    ):
        assert [row["asset_id"] for row in at.items(path)] == expected, path
    assert at.get("/maintenance?status=scheduled").status_code == 422
    for path in ("/reservations", "/maintenance"):
        with asked(db.engine, "SELECT") as queries:
            at.get(path)
        assert len(queries) == 2, "the token, and the list with assets and people"
    for path in ("/reservations/99", "/maintenance/99", "/reservations/99999999999999999999"):
        assert at.get(path).status_code == 404


def faults(at: Program, path: str, body: dict[str, Any]) -> list[str]:
    """Assert a refusal with 422 that publishes no event, and return its fields."""
    before = told()
    response = at.ask("POST", path, json=body)
    assert (response.status_code, told()) == (422, before), response.get_data(as_text=True)
    return [error["field"] for error in response.get_json()["errors"]]


def test_each_error_is_shown_at_its_field(at: Program) -> None:
    for action, wrong, field in (
        (Action.CHECK_OUT, {"staff_id": 99}, "staff_id"),
        (Action.CHECK_OUT, {"staff_id": 2**40}, "staff_id"),
        (Action.CHECK_OUT, {"due_at": "2020-05-03T09:00:00Z"}, "due_at"),
        (Action.CHECK_OUT, {"due_at": "9999-12-31T23:59:59-14:00"}, "due_at"),
        (Action.CHECK_OUT, {"due": "2030-05-03T09:00:00Z"}, "due"),
        (Action.CHECK_OUT, {"purpose": "p" * 201}, "purpose"),
        (Action.TRANSFER, {"location_id": 99}, "location_id"),
        (Action.REPORT_BROKEN, {"description": "  "}, "description"),
        (Action.REPORT_BROKEN, {"broken_at": moment(1)}, "broken_at"),
        (Action.REPORT_BROKEN, {"broken_at": "0001-01-01T00:00:00+14:00"}, "broken_at"),
        (Action.LIQUIDATE, {"method": "eaten"}, "method"),
        (Action.LIQUIDATE, {"proceeds": "1.005"}, "proceeds"),
        (Action.LIQUIDATE, {"proceeds": "NaN"}, "proceeds"),
        (Action.RESERVE, {"ends_at": moment(1)}, "ends_at"),
        (Action.SCHEDULE_MAINTENANCE, {"repeat_every_days": 0}, "repeat_every_days"),
        (Action.SCHEDULE_MAINTENANCE, {"assignee_id": 99}, "assignee_id"),
        (Action.SEND_TO_WARRANTY, {"rma_number": "1" * 61}, "rma_number"),
    ):
        path = f"/assets/{make_asset()}/actions/{VERBS[action].slug}"
        assert faults(at, path, BODIES[action]() | wrong) == [field], (action, wrong)


def test_a_check_in_that_needs_repair_also_reports_it_or_is_refused(at: Program) -> None:
    path = f"/assets/{asset_in(AssetStatus.CHECKED_OUT)}/actions/check-in"
    assert faults(at, path, {"needs_repair": True}) == ["description"]
    response = at.ask("POST", path, json={"needs_repair": True, "description": "It fell"})
    assert (response.get_json()["status"], response.get_json()["holder"]) == ("broken", None)


def test_check_out_of_a_changed_asset_is_refused(at: Program) -> None:
    path = f"/assets/{make_asset()}"
    tag, lend = at.get(path).headers["ETag"], BODIES[Action.CHECK_OUT]()
    at.ask("PATCH", path, json={"notes": "Mine"})
    for stale, code in ((tag, 412), (at.get(path).headers["ETag"], 200)):
        response = at.ask(
            "POST", f"{path}/actions/check-out", json=lend, headers={"If-Match": stale}
        )
        assert response.status_code == code


def test_a_repeated_check_out_gets_the_response_of_the_first(at: Program) -> None:
    path, key = f"/assets/{make_asset()}/actions/check-out", {"Idempotency-Key": "loan-7"}
    lend, before = BODIES[Action.CHECK_OUT](), told()
    for _ in range(2):
        response = at.ask("POST", path, json=lend, headers=key)
        assert (response.status_code, response.get_json()["status"]) == (200, "checked_out")
    assert told() == before + 1
    actor = last_body()["data"]["actor"]
    me = at.get("/me").json
    assert me is not None
    assert (actor["type"], actor["name"]) == ("api", me["name"])


def test_a_time_must_be_a_string_with_a_zone(at: Program) -> None:
    path = f"/assets/{make_asset()}/actions/check-out"
    staff_id = make_staff()
    wrong = {"field": "due_at", "detail": "Write a time as 2026-11-30T09:15:00Z"}
    for due_at in ("2030-05-03T09:00:00", "2030-05-03", "1893488400", 1893488400, ""):
        response = at.ask("POST", path, json={"staff_id": staff_id, "due_at": due_at})
        assert (response.status_code, response.get_json()["errors"]) == (422, [wrong]), due_at
