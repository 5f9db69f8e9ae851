"""List, show, and edit assets, and list their history."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import ConfigDict, Field, with_config
from sqlalchemy import select

from portal.api.lists import WHOLE, Amount, Paging, RowId, Text, from_row, page_answer, page_example
from portal.api.operations import ID, Answer, Call, Made, Operation
from portal.api.reading import given, partial
from portal.api.schemas import Paged, limited
from portal.engine.events.body import AssetSnapshot, as_json_object
from portal.engine.events.samples import LAPTOP
from portal.models.assets import (
    Activity,
    Asset,
    AssetKind,
    AssetStatus,
    Category,
    Condition,
    Location,
)
from portal.services.actions import lifecycle
from portal.services.assets import timeline as timelines
from portal.services.assets.fields import LENGTHS, MOST_IN_STOCK, TAG, AssetValues
from portal.services.assets.queries import AssetFilter, Shown, holders, list_assets
from portal.services.assets.snapshots import snapshot, snapshots
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import session

ASSET: Final = f"/assets/<{ID}:asset_id>"
READ: Final = "assets.read"
EDIT: Final = "assets.edit"
Count = Annotated[int, Field(json_schema_extra={"minimum": 0, "maximum": MOST_IN_STOCK}), WHOLE]
Tag = Annotated[str, Field(json_schema_extra={"pattern": f"^({TAG.pattern})?$"})]
# Only consumables have these.
OF_STOCK: Final = frozenset({"quantity", "min_quantity", "unit"})


def _requires(schema: dict[str, Any]) -> None:
    schema["required"] = [name for name in schema["properties"] if name not in OF_STOCK]


@with_config(ConfigDict(json_schema_extra=_requires))
@dataclass(frozen=True, slots=True, kw_only=True)
class AssetAnswer(AssetSnapshot):
    """An asset as in events, and its fields that are in no event."""

    notes: str | None
    reservable: bool
    deleted_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetQuery(Paging):
    """Filters for assets. `q` looks in tags, names, serial numbers, and holders."""

    q: Text = ""
    asset_tag: Text = ""
    serial_number: Text = ""
    category_id: RowId | None = None
    location_id: RowId | None = None
    status: AssetStatus | None = None
    shown: Shown | None = None
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """An entry in an asset’s history. `changes`: {field: {from, to}}."""

    id: int
    at: datetime
    action: str
    actor: str
    origin: str
    status_from: str | None
    status_to: str | None
    changes: Mapping[str, Any]
    note: str


@limited(LENGTHS.get)
@dataclass(frozen=True, slots=True, kw_only=True)
class AssetBody(AssetValues):
    """The fields of a new asset. With an empty `asset_tag`, it gets the next number."""

    asset_tag: Tag = ""
    kind: AssetKind = AssetKind.ITEM
    condition: Condition = Condition.GOOD
    category_id: RowId | None = None
    location_id: RowId | None = None
    purchase_cost: Amount | None = None
    quantity: Count | None = None
    min_quantity: Count | None = None


AssetPatch: Final = partial(AssetBody, "kind", "quantity")


def _answer(asset: Asset, seen: AssetSnapshot) -> dict[str, Any]:
    return as_json_object(
        from_row(
            AssetAnswer,
            seen,
            notes=asset.notes,
            reservable=asset.reservable,
            deleted_at=asset.deleted_at,
        )
    )


def _list(call: Call) -> Answer:
    asked: AssetQuery = call.query
    chosen = AssetFilter(
        search=asked.q,
        asset_tag=asked.asset_tag,
        serial_number=asked.serial_number,
        category=_public_id(Category, asked.category_id, "category"),
        location=_public_id(Location, asked.location_id, "location"),
        status=asked.status,
        shown=asked.shown,
        deleted=asked.deleted,
    )
    page = list_assets(chosen, asked.after, asked.limit)
    seen = snapshots(page.rows, holders([asset.id for asset in page.rows]))
    return page_answer(page, map(_answer, page.rows, seen))


def _public_id(kind: type[Category] | type[Location], id_: int | None, called: str) -> UUID | None:
    if id_ is None:
        return None
    found = session().scalar(select(kind.public_id).where(kind.id == id_))
    if found is None:
        raise Refusal(f"There’s no {called} with this ID", field=f"{called}_id")
    return found


def _show(_call: Call, asset_id: int) -> Answer:
    asset = lifecycle.find_asset(asset_id)
    return Answer(_answer(asset, snapshot(asset)), asset.version)


def _create(call: Call) -> Made:
    return Made({"asset_id": lifecycle.create_asset(call.actor, call.body)})


def _edit(call: Call, asset_id: int) -> Made:
    lifecycle.edit_fields(call.actor, asset_id, given(call.body), call.version)
    return Made({"asset_id": asset_id})


def _delete(call: Call, asset_id: int) -> Answer:
    lifecycle.delete_asset(call.actor, asset_id, version=call.version)
    return Answer(None)


def _timeline(call: Call, asset_id: int) -> Answer:
    lifecycle.find_asset(asset_id)
    page = timelines.timeline(asset_id, call.query.after, call.query.limit)
    return page_answer(page, map(_line, page.rows))


def _line(row: Activity) -> TimelineEntry:
    return from_row(TimelineEntry, row, actor=row.actor_name)


EXAMPLE: Final = as_json_object(LAPTOP) | {
    "notes": "Docking station in room 204",
    "reservable": True,
    "deleted_at": None,
}
SHOW: Final = Operation(
    name="showAsset",
    method="GET",
    path=ASSET,
    summary="Show an asset",
    permission=READ,
    run=_show,
    answers=AssetAnswer,
    example=EXAMPLE,
    problems=(404,),
)
OPERATIONS: Final = (
    Operation(
        name="listAssets",
        method="GET",
        path="/assets",
        summary="List assets, newest first",
        permission=READ,
        run=_list,
        query=AssetQuery,
        answers=Paged[AssetAnswer],
        example=page_example(EXAMPLE),
        problems=(400,),
    ),
    Operation(
        name="createAsset",
        method="POST",
        path="/assets",
        summary="Add an asset. If you send no tag, it gets the next number",
        permission=EDIT,
        run=_create,
        shows=SHOW,
        body=AssetBody,
        status=201,
    ),
    SHOW,
    Operation(
        name="updateAsset",
        method="PATCH",
        path=ASSET,
        summary="Change fields of an asset. Fields that aren’t sent stay the same",
        permission=EDIT,
        run=_edit,
        shows=SHOW,
        body=AssetPatch,
        problems=(404, 409, 412),
    ),
    Operation(
        name="deleteAsset",
        method="DELETE",
        path=ASSET,
        summary="Delete an asset. Its history stays",
        permission=EDIT,
        run=_delete,
        status=204,
        problems=(404, 409, 412),
    ),
    Operation(
        name="listAssetTimeline",
        method="GET",
        path=f"{ASSET}/timeline",
        summary="List an asset’s activity, newest first",
        permission=READ,
        run=_timeline,
        query=Paging,
        answers=Paged[TimelineEntry],
        example=page_example(
            {
                "id": 9001,
                "at": "2026-11-30T09:15:00+00:00",
                "action": "check_out",
                "actor": "MDM",
                "origin": "api",
                "status_from": "available",
                "status_to": "checked_out",
                "changes": {"status": {"from": "available", "to": "checked_out"}},
                "note": "",
            }
        ),
        problems=(400, 404),
    ),
)
