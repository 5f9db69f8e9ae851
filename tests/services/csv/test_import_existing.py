"""Existing assets change only if a person allowed it.

An import does what its check showed, or gives the reason at the row.
"""

from dataclasses import replace

import pytest
from flask import Flask

from portal.models.assets import Asset
from portal.models.assignments import Staff
from portal.services import tasks
from portal.services.actions import assignments, lifecycle
from portal.services.assets import named_lists
from portal.services.assets import staff as staff_list
from portal.services.core.permissions import SYSTEM
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import session
from portal.services.csv import import_task
from tests.services.actions.plan_examples import bodies
from tests.services.csv.import_steps import check, found, run, shown
from tests.support.factories import make_asset, make_category, make_staff, make_user

AGAIN = "Check the file again"
CHANGED = f"The asset changed after the check. {AGAIN}"
ADDED = f"An asset with this tag was added after the check. {AGAIN}"
GONE = f"The asset was deleted or its tag changed after the check. {AGAIN}"
MOVED_ON = f"The register changed after the check. {AGAIN}"


def stored(asset_id: int) -> Asset:
    session().rollback()
    return lifecycle.find_asset(asset_id)


def edit(asset_id: int, **values: object) -> None:
    """Edit the asset, as a person could between the check and the import."""
    asset = stored(asset_id)
    lifecycle.edit_asset(
        SYSTEM, asset_id, asset.version, replace(lifecycle.values_of(asset), **values)
    )


def test_existing_assets_are_skipped_by_default(app: Flask) -> None:
    person = make_user()
    ids = [make_asset("Lamp", asset_tag=f"L-{number}") for number in range(1, 6)]
    before = len(bodies())
    text = (
        "asset_tag,name,category,purchase_date,kind\n"
        "L-1,Desk lamp,,,\n"
        "l-2,,,31.02.2026,stock\n"
        "L-3,Lamp,,,\n"
        "L-4,,Chairs,,\n"
        "L-9,Chair,,,\n"
    )
    public_id = check(person, text)
    assert [row[1:] for row in found(public_id)] == [
        ("skipped", ""),
        ("skipped", ""),
        ("unchanged", ""),
        ("skipped", ""),
        ("create", ""),
    ]
    assert shown(public_id)[0] == {"name": ("Lamp", "Desk lamp")}
    assert tasks.find(public_id).counts == {"skipped": 3, "unchanged": 1, "create": 1}
    assert run(person, public_id).counts == {"created": 1}
    assert [(stored(asset_id).name, stored(asset_id).version) for asset_id in ids] == [
        ("Lamp", 1)
    ] * 5
    assert len(bodies()) == before + 1
    assert [row[1] for row in found(public_id)] == [
        "skipped",
        "skipped",
        "unchanged",
        "skipped",
        "created",
    ]
    assert list(import_task.failed_rows(import_task.find_check(public_id)))[1:] == []


def test_a_file_of_only_existing_assets_has_nothing_to_import(app: Flask) -> None:
    person = make_user()
    make_asset("Lamp", asset_tag="L-1")
    public_id = check(person, "asset_tag,name\nL-1,Desk lamp\n")
    with pytest.raises(Refusal, match="nothing to import"):
        import_task.confirm(person.actor, public_id)


def test_a_skipped_asset_is_not_allocated(app: Flask) -> None:
    asset_id = make_asset("Lamp", asset_tag="L-1")
    make_staff("Maria", email="maria@example.com")
    public_id = check(make_user(), "asset_tag,assigned_to_email\nL-1,maria@example.com\n")
    assert found(public_id) == [(2, "skipped", "")]
    assert shown(public_id)[0]["holder"] == (None, "Maria")
    assert stored(asset_id).status == "available"


def test_errors_within_the_file_stay_errors(app: Flask) -> None:
    make_asset("Lamp", asset_tag="L-1")
    public_id = check(make_user(), "asset_tag,name\nL-1,Desk lamp\nL-1,Lamp, large\nL-1,Lamp\n")
    assert [row[1] for row in found(public_id)] == ["skipped", "error", "error"]


def test_an_asset_changed_after_the_check_is_not_overwritten(app: Flask) -> None:
    person = make_user()
    one, two = (make_asset("Lamp", asset_tag=tag) for tag in ("L-1", "L-2"))
    text = "asset_tag,name,notes\nL-1,Desk lamp,By the door\nL-2,Floor lamp,\n"
    public_id = check(person, text, change_existing=True)
    edit(one, notes="Lent to the school")
    assignments.allocate(SYSTEM, two, staff_id=make_staff("Ben"))
    assert run(person, public_id).counts == {"failed": 2}
    assert [row[1:] for row in found(public_id)] == [("failed", CHANGED)] * 2
    assert (stored(one).name, stored(one).notes) == ("Lamp", "Lent to the school")
    assert stored(two).name == "Lamp"
    lines = list(import_task.failed_rows(import_task.find_check(public_id)))
    assert lines[1] == ("L-1", "Desk lamp", "By the door", CHANGED)
    again = check(person, text, change_existing=True)
    assert shown(again)[0]["notes"] == ("Lent to the school", "By the door")
    assert run(person, again).counts == {"updated": 2}


@pytest.mark.parametrize("change_existing", [False, True])
def test_an_asset_added_after_the_check_is_not_overwritten(
    app: Flask, change_existing: bool
) -> None:
    person = make_user()
    text = "asset_tag,name\nL-1,Desk lamp\n"
    public_id = check(person, text, change_existing=change_existing)
    asset_id = make_asset("Lamp", asset_tag="l-1")
    assert run(person, public_id).counts == {"failed": 1}
    assert found(public_id) == [(2, "failed", ADDED)]
    assert stored(asset_id).name == "Lamp"


def test_an_asset_deleted_or_renamed_after_the_check_is_not_added_again(app: Flask) -> None:
    person = make_user()
    one, two = (make_asset("Lamp", asset_tag=tag) for tag in ("L-1", "L-2"))
    text = "asset_tag,name\nL-1,Desk lamp\nL-2,Desk lamp\n"
    public_id = check(person, text, change_existing=True)
    lifecycle.delete_asset(SYSTEM, one)
    edit(two, asset_tag="L-3")
    assert run(person, public_id).counts == {"failed": 2}
    assert [row[1:] for row in found(public_id)] == [("failed", GONE)] * 2
    assert stored(two).name == "Lamp"


def test_another_asset_that_took_over_the_tag_is_not_overwritten(app: Flask) -> None:
    person = make_user()
    asset_id = make_asset("Lamp", asset_tag="L-1")
    public_id = check(person, "asset_tag,name\nL-1,Desk lamp\n", change_existing=True)
    edit(asset_id, asset_tag="L-2")
    other = make_asset("Camera", asset_tag="L-1")
    run(person, public_id)
    assert found(public_id) == [(2, "failed", CHANGED)]
    assert stored(other).name == "Camera"


def test_a_category_deleted_after_the_check_is_not_added_silently(app: Flask) -> None:
    person = make_user()
    make_category("Chairs")
    (category,) = (choice[1] for choice in named_lists.choices(named_lists.CATEGORIES))
    public_id = check(person, "name,category\nStool,Chairs\n")
    named_lists.delete(named_lists.CATEGORIES, SYSTEM, category)
    run(person, public_id)
    assert found(public_id) == [(2, "failed", MOVED_ON)]


def test_an_address_that_changed_its_owner_allocates_nothing(app: Flask) -> None:
    person = make_user()
    maria = make_staff("Maria", email="office@example.com")
    public_id = check(person, "name,assigned_to_email\nDesk,office@example.com\n")
    leave(maria, "maria@example.com")
    make_staff("Ben", email="office@example.com")
    run(person, public_id)
    assert found(public_id) == [(2, "failed", MOVED_ON)]


def leave(staff_id: int, email: str) -> None:
    """Give a person another address."""
    row = session().get_one(Staff, staff_id)
    staff_list.edit(
        SYSTEM, row.public_id, row.version, replace(staff_list.values_of(row), email=email)
    )


def test_rows_that_add_a_name_in_different_case_share_it(app: Flask) -> None:
    person = make_user()
    for number in (1, 2):
        make_asset("Lamp", asset_tag=f"L-{number}")
    lines = "asset_tag,name,category\nL-1,,Chairs\nL-2,,chairs\n,Stool,CHAIRS\n"
    public_id = check(person, lines, change_existing=True)
    assert run(person, public_id).counts == {"updated": 2, "created": 1}
    assert [choice[2] for choice in named_lists.choices(named_lists.CATEGORIES)] == ["Chairs"]
