"""What every tab of an asset's page has: its state, what it needs, its buttons, its tabs."""

from typing import Any, Final

from flask import render_template, request, url_for

from portal.models.assets import Asset, AssetKind
from portal.services.actions.planning.queries import Plans
from portal.web.assets.buttons import buttons_of
from portal.web.assets.needs import needs_of
from portal.web.assets.state import Standing, standing_of
from portal.web.forms.list_address import list_back
from portal.web.frame.access import can
from portal.web.frame.tabs import Tab
from portal.web.frame.wording import number

DETAILS: Final = "assets.show"
TIMELINE: Final = "asset_parts.timeline"
RESERVATIONS: Final = "asset_parts.reservations"
MAINTENANCE: Final = "asset_parts.maintenance"
STOCK: Final = "stock.moves"
DELIVERIES: Final = "asset_parts.deliveries"

# The tabs of each kind, by the name of their route.
TABS: Final = {
    AssetKind.ITEM: (DETAILS, TIMELINE, RESERVATIONS, MAINTENANCE, DELIVERIES),
    AssetKind.STOCK: (DETAILS, TIMELINE, STOCK, DELIVERIES),
}
TAB_LABELS: Final = {
    DETAILS: "Details",
    TIMELINE: "Timeline",
    RESERVATIONS: "Reservations",
    MAINTENANCE: "Maintenance",
    STOCK: "Stock",
    DELIVERIES: "Webhook deliveries",
}


def show_tab(template: str, asset: Asset, standing: Standing | None = None, **values: Any) -> str:
    """The tab that this request is for, in the frame that all tabs share."""
    standing = standing or standing_of(asset)
    tabs = tabs_of(standing)
    return render_template(
        template,
        asset=asset,
        standing=standing,
        # A button that would lead to where one is already says nothing.
        needs=[need for need in needs_of(standing) if need.url.partition("?")[0] != request.path],
        buttons=buttons_of(asset),
        tabs_of_asset=tabs,
        part=next(tab.label for tab in tabs if tab.is_here),
        list_url=list_back("assets.index", f"asset-{asset.id}"),
        **values,
    )


def tabs_of(standing: Standing) -> list[Tab]:
    """The tabs that make sense for the asset and that the signed-in person may open."""
    asset, counts = standing.asset, _counts(standing.plans)
    return [
        Tab(
            label=TAB_LABELS[name],
            url=url_for(name, asset_id=asset.id),
            is_here=name == request.endpoint,
            count=number(counts[name]) if counts.get(name) else None,
        )
        for name in TABS[AssetKind(asset.kind)]
        if name != DELIVERIES or can("deliveries.read")
    ]


def _counts(plans: Plans) -> dict[str, int]:
    return {RESERVATIONS: len(plans.reservations), MAINTENANCE: len(plans.maintenances)}
