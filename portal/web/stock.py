"""What came in and went out of one stock, with what was left each time."""

from flask import Blueprint, request

from portal.models.assets import AssetKind
from portal.models.stock import MoveKind
from portal.services import assets, stock
from portal.services.refusals import NotFound
from portal.web.access import requires
from portal.web.asset_page import show_tab

blueprint = Blueprint("stock", __name__, url_prefix="/assets/<int(max=2147483647):asset_id>")

KINDS = {
    MoveKind.RECEIVE: "Received",
    MoveKind.ISSUE: "Issued",
    MoveKind.ADJUST: "Counted again",
    MoveKind.LOSS: "Lost or damaged",
}


@blueprint.get("/stock")
@requires("assets.read")
def moves(asset_id: int) -> str:
    """The moves of one stock, the newest first."""
    asset = assets.find_asset(asset_id)
    if asset.kind != AssetKind.STOCK:
        raise NotFound(f"{asset.asset_tag} is a single item, so it has no number.")
    page = stock.moves(asset_id, request.args.get("cursor"))
    return show_tab("assets/stock.html", asset, page=page, kinds=KINDS)
