"""Bulk actions: allowed assets change, refused assets are listed, all in one batch."""

from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import select

from jobs import tasks as job
from portal.models.assets import Action, Asset
from portal.models.audit import AuditEntry
from portal.models.planning import Maintenance
from portal.services.actions import assignments, bulk, incidents, lifecycle
from portal.services.actions.incidents import DisposalValues
from portal.services.core import keyset
from portal.services.core.permissions import Actor
from portal.services.core.refusals import NotAllowed, Refusal
from portal.services.core.unit_of_work import session
from portal.services.task_kinds import KINDS
from tests.services.actions.plan_examples import bodies
from tests.support.factories import (
    make_asset,
    make_category,
    make_location,
    make_staff,
    make_user,
)


def run(public_id: UUID) -> dict[str, Any]:
    job.work(KINDS)
    session().rollback()
    return bulk.find(public_id).counts


@pytest.mark.both_databases
def test_allowed_assets_change_and_refused_assets_are_listed(app: Flask) -> None:
    ana, maria = make_user(name="Ana"), make_staff("Maria Lopez")
    ids = [make_asset(f"Chair {number}") for number in range(20)]
    for asset_id in ids[:2]:
        assignments.allocate(ana.actor, asset_id, staff_id=make_staff("Ben Fox"))
    chosen = bulk.preview(Action.ALLOCATE, ids)
    assert [each.asset_tag for each in chosen if each.why_not] == ["AST-00001", "AST-00002"]
    before = len(bodies())
    public_id = bulk.start(ana.actor, Action.ALLOCATE, ids, {"staff_id": maria, "note": "New"})
    assert run(public_id) == {"done": 18, "refused": 2}
    events = bodies()[before:]
    assert [body["event"] for body in events] == ["asset.allocated"] * 18
    for body in events:
        assert body["data"]["batch_id"] == str(public_id)
        assert (body["data"]["origin"], body["data"]["actor"]["name"]) == ("bulk", "Ana")
        assert body["data"]["note"] == "New"
    rows = bulk.results(bulk.find(public_id)).rows
    assert [(row.outcome, asset.id) for row, asset in rows[:2]] == [
        ("refused", ids[0]),
        ("refused", ids[1]),
    ]
    assert rows[0][0].message.startswith("AST-00001 is allocated to Ben Fox.")


def test_refused_assets_are_listed_first_and_duplicates_are_done_once(app: Flask) -> None:
    ana = make_user()
    ids = [make_asset(f"Chair {number}") for number in range(4)]
    values = {"staff_id": make_staff("Maria"), "note": ""}
    run(bulk.start(ana.actor, Action.ALLOCATE, [make_asset("Of another")], values))
    assignments.allocate(ana.actor, ids[2], staff_id=make_staff("Ben Fox"))
    task_id = bulk.start(ana.actor, Action.ALLOCATE, [*reversed(ids), *ids], values)
    assert run(task_id) == {"done": 3, "refused": 1}
    task = bulk.find(task_id)
    assert task.total == 4
    assert [asset.id for _, asset in bulk.results(task).rows] == [ids[n] for n in (2, 0, 1, 3)]


def test_each_bulk_action_publishes_the_event_of_the_single_action(app: Flask) -> None:
    ana, maria, place = make_user(), make_staff(), make_location("Studio")
    ids = [make_asset(f"Chair {number}") for number in range(3)]
    steps: list[tuple[Action, dict[str, Any]]] = [
        (Action.TRANSFER, {"location_id": place, "reason": "", "note": ""}),
        (Action.ALLOCATE, {"staff_id": maria, "note": ""}),
        (Action.REVOKE, {"condition_in": "fair", "location_id": None, "reason": "", "note": ""}),
        (
            Action.SCHEDULE_MAINTENANCE,
            {
                "title": "Clean",
                "type": "preventive",
                "due_on": "2030-01-02",
                "repeat_every_days": None,
                "assignee_id": None,
                "supplier": "",
                "estimated_cost": "12.50",
                "note": "",
            },
        ),
        (Action.DELETE, {"reason": "Sold"}),
    ]
    for action, values in steps:
        assert run(bulk.start(ana.actor, action, ids, values)) == {"done": 3}, action
    names = [body["event"] for body in bodies()[3:]]
    plans = session().execute(select(Maintenance.estimated_cost, Maintenance.supplier)).all()
    assert plans == [(Decimal("12.50"), None)] * 3
    assert names[::3] == names[1::3] == names[2::3]
    assert names[::3] == [
        "asset.transferred",
        "asset.allocated",
        "asset.revoked",
        "asset.maintenance_scheduled",
        "asset.deleted",
    ]
    session().rollback()
    assert session().scalar(select(Asset.condition).limit(1)) == "fair"


def edit(actor: Actor, ids: list[int], **values: Any) -> dict[str, Any]:
    return run(bulk.start(actor, Action.EDIT, ids, values))


@pytest.mark.both_databases
def test_an_edit_changes_only_filled_in_fields(app: Flask) -> None:
    ana, laptops, hamburg = make_user(name="Ana"), make_category(), make_location("Hamburg")
    ids = [make_asset("Lamp", manufacturer="Acme", notes="Mine"), make_asset("Desk")]
    before = len(bodies())
    values = {"category_id": laptops, "location_id": hamburg, "supplier": "Bechtle"}
    values |= {"condition": None, "model": "", "warranty_expires": "2031-05-03"}
    assert edit(ana.actor, ids, **values, reservable="no") == {"done": 2}
    events = bodies()[before:]
    assert [(body["event"], body["data"]["reason"]) for body in events] == [
        ("asset.updated", "edit")
    ] * 2
    lamp = events[0]
    assert lamp["data"]["changed_fields"] == [
        "category", "location", "supplier", "warranty_expires", "reservable",
    ]  # fmt: skip
    assert lamp["data"]["origin"] == "bulk"
    assert (lamp["asset"]["location"]["name"], lamp["asset"]["manufacturer"]) == ("Hamburg", "Acme")
    asset = lifecycle.find_asset(ids[0])
    assert (asset.warranty_expires, asset.reservable, asset.notes) == (
        date(2031, 5, 3),
        False,
        "Mine",
    )
    audited = select(AuditEntry.actor_name).where(AuditEntry.action == "asset.updated")
    assert session().scalars(audited).all() == ["Ana"] * 2


def test_an_edit_publishes_no_event_for_an_unchanged_asset(app: Flask) -> None:
    ana, ids = make_user(), [make_asset("Lamp", model="T14"), make_asset("Desk")]
    before = len(bodies())
    public_id = bulk.start(ana.actor, Action.EDIT, ids, {"model": "T14"})
    assert run(public_id) == {"done": 1, "unchanged": 1}
    assert [body["asset"]["name"] for body in bodies()[before:]] == ["Desk"]


def test_an_edit_lists_refused_assets_with_their_reasons(app: Flask) -> None:
    ana = make_user()
    toner = make_asset("Toner", kind="stock", quantity=3)
    new = make_asset("Lamp", purchase_date=date(2031, 1, 1))
    old, desk = make_asset("Old"), make_asset("Desk")
    incidents.liquidate(ana.actor, old, DisposalValues(method="sold"))
    assert [chosen.why_not for chosen in bulk.preview(Action.EDIT, [old, desk])] == [
        "was disposed of. You can only change its notes.", None,
    ]  # fmt: skip
    values = {"reservable": "no", "warranty_expires": "2030-01-01"}
    public_id = bulk.start(ana.actor, Action.EDIT, [toner, new, old, desk], values)
    assert run(public_id) == {"done": 1, "refused": 3}
    rows = bulk.results(bulk.find(public_id)).rows
    assert {asset.name: row.message for row, asset in rows} == {
        "Toner": "AST-00001 is a consumable, so no one can reserve it. "
        "Edit it without a change of reservations.",
        "Lamp": "Enter a date on or after the purchase date",
        "Old": "AST-00003 was disposed of. You can only change its notes.",
        "Desk": "",
    }


def test_an_empty_or_invalid_edit_is_refused_before_it_starts(
    app: Flask,
) -> None:
    ana, ids = make_user().actor, [make_asset()]
    for values, sentence in (
        ({"model": "", "category_id": None}, "Change at least 1 field"),
        ({"model": "x" * 121}, "Enter at most 120 characters"),
        ({"category_id": 99}, "Choose another category. This one was deleted"),
        ({"condition": "odd"}, "Choose the condition from the list"),
    ):
        with pytest.raises(Refusal, match=sentence):
            bulk.start(ana, Action.EDIT, ids, values)


@pytest.mark.both_databases
def test_results_are_paged_and_contain_each_asset_once(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyset, "PAGE_SIZE", 2)
    ana, ids = make_user().actor, [make_asset(f"Chair {number}") for number in range(5)]
    for asset_id in ids[3:]:
        assignments.allocate(ana, asset_id, staff_id=make_staff("Ben Fox"))
    public_id = bulk.start(ana, Action.DELETE, ids, {"reason": ""})
    assert run(public_id) == {"done": 3, "refused": 2}
    task = bulk.find(public_id)
    first = bulk.results(task)
    second = bulk.results(task, first.older)
    third = bulk.results(task, second.older)
    shown = [[asset.id for _, asset in page.rows] for page in (first, second, third)]
    assert shown == [ids[3:], ids[:2], ids[2:3]]
    assert third.older is None
    assert [asset.id for _, asset in bulk.results(task, third.newer).rows] == ids[:2]


def test_start_refuses_a_bad_role_action_or_number_of_assets(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset_id = make_asset()
    with pytest.raises(NotAllowed):
        bulk.start(make_user("support").actor, Action.DELETE, [asset_id], {"reason": ""})
    ana = make_user().actor
    with pytest.raises(Refusal, match="at least 1"):
        bulk.start(ana, Action.DELETE, [], {})
    with pytest.raises(Refusal, match="several assets"):
        bulk.start(ana, Action.LIQUIDATE, [asset_id], {})
    monkeypatch.setattr(bulk, "MOST_ASSETS", 1)
    with pytest.raises(Refusal, match="Select at most 1 assets"):
        bulk.start(ana, Action.DELETE, [asset_id, make_asset()], {"reason": ""})


def test_a_preview_names_holders_up_to_the_asset_limit(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "MOST_ASSETS", 3)
    ana = make_user()
    ids = [make_asset(f"Chair {number}") for number in range(4)]
    for asset_id in ids:
        assignments.allocate(ana.actor, asset_id, staff_id=make_staff("Ben Fox"))
    chosen = bulk.preview(Action.ALLOCATE, ids)
    assert ["Ben Fox" in (asset.why_not or "") for asset in chosen] == [True] * 3


def test_a_preview_says_that_an_asset_was_deleted(app: Flask) -> None:
    asset_id = make_asset()
    lifecycle.delete_asset(make_user().actor, asset_id)
    (chosen,) = bulk.preview(Action.ALLOCATE, [asset_id])
    assert chosen.why_not == "was deleted. Restore it first."
