"""Asset register rules: tags, serial numbers, edits, deletion and refusals."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from sqlalchemy import select, update

from portal.models.assets import Activity, Asset
from portal.models.deliveries import Event
from portal.services.actions import lifecycle
from portal.services.assets.fields import AssetValues
from portal.services.core.permissions import SYSTEM
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import session, writing
from tests.services.actions.plan_examples import maintenance, make_maintenance
from tests.support.factories import make_asset, make_category, make_user

pytestmark = pytest.mark.usefixtures("app")


def tag_of(asset_id: int) -> str:
    return lifecycle.find_asset(asset_id).asset_tag


def stored(model: type[Event] | type[Activity]) -> int:
    session().rollback()
    return len(session().scalars(select(model.id)).all())


def set_status(asset_id: int, status: str) -> None:
    """Set the status directly, without an action."""
    with writing() as current:
        current.execute(update(Asset).where(Asset.id == asset_id).values(status=status))


EVERYTHING = AssetValues(
    asset_tag="C-1",
    name="Camera",
    manufacturer="Lumen",
    model="L2",
    serial_number="S-1",
    condition="fair",
    supplier="Datahaus",
    order_number="O-9",
    purchase_date=date(2025, 2, 3),
    purchase_cost=Decimal("1249.50"),
    warranty_expires=date(2028, 2, 3),
    reservable=False,
    notes="By the door",
)


def test_create_and_edit_store_every_field() -> None:
    made = lifecycle.create_asset(SYSTEM, EVERYTHING)
    edited = make_asset()
    assert lifecycle.edit_asset(
        SYSTEM, edited, 1, replace(EVERYTHING, asset_tag="C-2", serial_number="S-2")
    )
    session().rollback()
    kept = [lifecycle.values_of(lifecycle.find_asset(asset_id)) for asset_id in (made, edited)]
    assert kept == [EVERYTHING, replace(EVERYTHING, asset_tag="C-2", serial_number="S-2")]


def test_the_number_of_a_deleted_asset_is_not_reused() -> None:
    ana = make_user()
    first = make_asset()
    lifecycle.delete_asset(ana.actor, first)
    assert tag_of(make_asset()) == "AST-00002"


def test_numbering_skips_tags_that_people_chose() -> None:
    make_asset(asset_tag="ast-00001")
    lifecycle.delete_asset(make_user().actor, make_asset(asset_tag="AST-00002"))
    assert tag_of(make_asset()) == "AST-00003"


def test_a_refused_asset_uses_up_no_number() -> None:
    make_asset(serial_number="S-1")
    with pytest.raises(Refusal):
        make_asset(serial_number="S-1")
    assert tag_of(make_asset()) == "AST-00002"


def test_a_tag_is_unique_regardless_of_case() -> None:
    make_asset("Chair", asset_tag="Chair-1")
    with pytest.raises(Refusal) as refusal:
        make_asset(asset_tag="CHAIR-1")
    assert refusal.value.sentence == "“Chair” already has the tag Chair-1"
    assert refusal.value.field == "asset_tag"


def test_a_serial_number_is_unique_regardless_of_case() -> None:
    make_asset(serial_number="sn-5")
    other = make_asset()
    values = AssetValues(asset_tag="AST-00002", name="Other", serial_number="SN-5")
    with pytest.raises(Refusal) as refusal:
        lifecycle.edit_asset(make_user().actor, other, 1, values)
    assert refusal.value.sentence == "AST-00001 already has this serial number"
    assert refusal.value.field == "serial_number"


def test_a_deleted_asset_frees_its_tag_and_serial_number() -> None:
    first = make_asset(asset_tag="DESK", serial_number="S")
    lifecycle.delete_asset(make_user().actor, first)
    assert make_asset(asset_tag="DESK", serial_number="S") > first


def test_a_save_without_changes_keeps_version_and_time() -> None:
    ana, asset_id = make_user(), make_asset("Lamp")
    before = lifecycle.find_asset(asset_id).updated_at
    session().rollback()
    values = AssetValues(asset_tag="AST-00001", name="Lamp")
    assert not lifecycle.edit_asset(ana.actor, asset_id, 1, values)
    session().rollback()
    asset = lifecycle.find_asset(asset_id)
    assert (asset.version, asset.updated_at) == (1, before)
    assert stored(Event) == stored(Activity) == 1


def test_only_the_notes_of_a_disposed_asset_can_change() -> None:
    ana, asset_id = make_user(), make_asset("Lamp")
    set_status(asset_id, "liquidated")
    with pytest.raises(Refusal, match="You can only change its notes"):
        lifecycle.edit_asset(
            ana.actor, asset_id, 1, AssetValues(asset_tag="AST-00001", name="Torch")
        )
    values = AssetValues(asset_tag="AST-00001", name="Lamp", notes="Sold to Ben")
    assert lifecycle.edit_asset(ana.actor, asset_id, 1, values)


def test_deleting_an_asset_cancels_its_maintenance() -> None:
    asset_id = make_asset()
    mine, others = make_maintenance(asset_id), make_maintenance(make_asset())
    lifecycle.delete_asset(make_user().actor, asset_id)
    assert (maintenance(mine).state, maintenance(others).state) == ("cancelled", "scheduled")
    assert maintenance(mine).closed_at is not None


def test_a_missing_category_is_refused_at_its_field() -> None:
    with pytest.raises(Refusal) as refusal:
        make_asset(category_id=make_category() + 1)
    assert refusal.value.field == "category_id"
