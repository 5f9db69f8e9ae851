"""The tabs of an asset's page beside its details: its timeline, plans, stock and deliveries."""

from typing import Final

from flask import Blueprint, request

from portal.engine.next_steps import ASK
from portal.models.assets import Asset, AssetKind, MoveKind
from portal.services.actions import lifecycle, stock
from portal.services.actions.planning import queries as planning_queries
from portal.services.assets import timeline as timelines
from portal.services.core.refusals import NotFound
from portal.services.deliveries import log as log_pages
from portal.services.deliveries.statuses import LogFilter
from portal.web.assets.presenter import lines, show_tab, standing_of
from portal.web.deliveries import log_presenter
from portal.web.frame.access import requires
from portal.web.help.advice import for_reader
from portal.web.planning.calendar_strip import strip_of

ONE_ASSET: Final = "/assets/<int(max=2147483647):asset_id>"
MOVE_KINDS: Final = {
    MoveKind.RECEIVE: "Received",
    MoveKind.ISSUE: "Issued",
    MoveKind.ADJUST: "Counted again",
    MoveKind.LOSS: "Lost or damaged",
}

blueprint = Blueprint("asset_parts", __name__, url_prefix=ONE_ASSET)
stock_blueprint = Blueprint("stock", __name__, url_prefix=ONE_ASSET)


@blueprint.get("/timeline")
@requires("assets.read")
def timeline(asset_id: int) -> str:
    """Show the timeline, the newest first."""
    asset = lifecycle.find_asset(asset_id)
    page = timelines.timeline(asset_id, _cursor())
    return show_tab("assets/timeline.html", asset, page=page, lines=lines(page.rows))


@blueprint.get("/reservations")
@requires("assets.read")
def reservations(asset_id: int) -> str:
    """Show who wants it when: the next weeks, what is open, and what was."""
    asset = _item(asset_id)
    standing = standing_of(asset)
    return show_tab(
        "assets/reservations.html",
        asset,
        standing,
        strip=strip_of(standing.plans, standing.held),
        earlier=planning_queries.past_reservations(asset_id, _cursor()),
        to_allow_it=for_reader(
            "assets.edit",
            "To allow it, tick “People may reserve it” under Edit.",
            f"{ASK} to allow it.",
        ),
    )


@blueprint.get("/maintenance")
@requires("assets.read")
def maintenance(asset_id: int) -> str:
    """Show what is to be done to it, and what was done."""
    asset = _item(asset_id)
    earlier = planning_queries.past_maintenances(asset_id, _cursor())
    return show_tab("assets/maintenance.html", asset, earlier=earlier)


@blueprint.get("/deliveries")
@requires("deliveries.read")
def deliveries(asset_id: int) -> str:
    """Show the deliveries about it, the newest first."""
    asset = lifecycle.find_asset(asset_id)
    found = log_pages.find_page(LogFilter(asset_id=asset_id), _cursor())
    counts = log_presenter.counts_of_asset(asset_id)
    return show_tab(
        "assets/deliveries.html", asset, page=found.page, view=log_presenter, counts=counts
    )


@stock_blueprint.get("/stock")
@requires("assets.read")
def moves(asset_id: int) -> str:
    """Show the moves of a stock, the newest first."""
    asset = lifecycle.find_asset(asset_id)
    if asset.kind != AssetKind.STOCK:
        raise NotFound(f"{asset.asset_tag} is a single item, so it has no number.")
    page = stock.moves(asset_id, _cursor())
    return show_tab("assets/stock.html", asset, page=page, kinds=MOVE_KINDS)


def _item(asset_id: int) -> Asset:
    asset = lifecycle.find_asset(asset_id)
    if asset.kind != AssetKind.ITEM:
        raise NotFound(f"{asset.asset_tag} is stock: nobody reserves or maintains it.")
    return asset


def _cursor() -> str | None:
    return request.args.get("cursor")
