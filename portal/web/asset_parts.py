"""The tabs of an asset's page beside its details: what happened, what is planned, what was sent."""

from flask import Blueprint, request

from portal.models.assets import Asset, AssetKind
from portal.services import assets, log, planning_reads
from portal.services import timeline as timelines
from portal.services.log_filter import LogFilter
from portal.services.refusals import NotFound
from portal.web import log_view
from portal.web.access import requires
from portal.web.asset_page import show_tab
from portal.web.asset_state import standing_of
from portal.web.asset_view import lines
from portal.web.planning_strip import strip_of

blueprint = Blueprint("asset_parts", __name__, url_prefix="/assets/<int(max=2147483647):asset_id>")


@blueprint.get("/timeline")
@requires("assets.read")
def timeline(asset_id: int) -> str:
    """Everything that was done with it, the newest first."""
    asset = assets.find_asset(asset_id)
    page = timelines.timeline(asset_id, _cursor())
    return show_tab("assets/timeline.html", asset, page=page, lines=lines(page.rows))


@blueprint.get("/reservations")
@requires("assets.read")
def reservations(asset_id: int) -> str:
    """Who wants it when: the next weeks, what is open, and what was."""
    asset = _item(asset_id)
    standing = standing_of(asset)
    return show_tab(
        "assets/reservations.html",
        asset,
        standing,
        strip=strip_of(standing.plans, standing.held),
        earlier=planning_reads.past_reservations(asset_id, _cursor()),
    )


@blueprint.get("/maintenance")
@requires("assets.read")
def maintenance(asset_id: int) -> str:
    """What is to be done to it, and what was done."""
    asset = _item(asset_id)
    earlier = planning_reads.past_maintenances(asset_id, _cursor())
    return show_tab("assets/maintenance.html", asset, earlier=earlier)


@blueprint.get("/deliveries")
@requires("deliveries.read")
def deliveries(asset_id: int) -> str:
    """What was sent about it to other systems, the newest first."""
    asset = assets.find_asset(asset_id)
    found = log.find_page(LogFilter(asset_id=asset_id), _cursor())
    return show_tab("assets/deliveries.html", asset, page=found.page, view=log_view)


def _item(asset_id: int) -> Asset:
    asset = assets.find_asset(asset_id)
    if asset.kind != AssetKind.ITEM:
        raise NotFound(f"{asset.asset_tag} is stock: nobody reserves or maintains it.")
    return asset


def _cursor() -> str | None:
    return request.args.get("cursor")
