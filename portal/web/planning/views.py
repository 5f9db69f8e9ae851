"""Serve the lists of reservations and maintenance, and register their template globals."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

from flask import Blueprint, render_template, request
from flask.blueprints import BlueprintSetupState
from werkzeug.wrappers import Response

from portal.engine.events.catalogue import EventName
from portal.engine.events.words import MAINTENANCE_TYPES, OUTCOMES
from portal.lib.clock import utcnow
from portal.models.assets import Asset
from portal.models.planning import Maintenance, Reservation
from portal.services.actions import lifecycle
from portal.services.actions.planning import queries as planning_queries
from portal.services.actions.planning.queries import MaintenanceList, ReservationList
from portal.services.alerts import queries as alert_queries
from portal.services.alerts import settings as alert_settings
from portal.services.csv import export as csv_export
from portal.web.forms.csv_download import csv_download
from portal.web.forms.parsing import linked, row_id
from portal.web.frame.access import requires
from portal.web.frame.layout import page_url
from portal.web.frame.status_tags import Tab
from portal.web.frame.wording import counted
from portal.web.planning import wording

RESERVATION_LISTS: Final = {
    ReservationList.PENDING: "Waiting for approval",
    ReservationList.APPROVED: "Approved",
    ReservationList.ALL: "All",
}
MAINTENANCE_LISTS: Final = {
    MaintenanceList.OPEN: "Open",
    MaintenanceList.DUE: "Due",
    MaintenanceList.ALL: "All",
}


blueprint = Blueprint("planning", __name__)


@blueprint.get("/reservations")
@requires("assets.read")
def reservations() -> str:
    """Show pending, approved, or all reservations, optionally of one asset."""
    asset = _asset()
    usual = ReservationList.ALL if asset else ReservationList.PENDING
    which = linked("show", ReservationList, usual)
    asset_id = asset.id if asset else None
    page = planning_queries.list_reservations(which, asset_id, request.args.get("cursor"))
    return render_template(
        "planning/reservations.html",
        page=page,
        asset=asset,
        which=which,
        tabs_of_list=_tabs(
            RESERVATION_LISTS,
            which,
            {ReservationList.PENDING: planning_queries.count_pending(asset_id)},
        ),
        has_any=bool(page.rows) or planning_queries.has_any(Reservation),
    )


@blueprint.get("/maintenance")
@requires("assets.read")
def maintenance() -> str:
    """Show open, due, or all maintenance, optionally of one asset."""
    asset = _asset()
    usual = MaintenanceList.ALL if asset else MaintenanceList.OPEN
    which = linked("show", MaintenanceList, usual)
    asset_id = asset.id if asset else None
    page = planning_queries.list_maintenances(which, asset_id, request.args.get("cursor"))
    # This count covers all assets, so it would be wrong beside an asset's filter.
    due = alert_queries.count_due(EventName.MAINTENANCE_DUE, utcnow()) if asset is None else None
    return render_template(
        "planning/maintenance.html",
        page=page,
        asset=asset,
        which=which,
        tabs_of_list=_tabs(MAINTENANCE_LISTS, which, {MaintenanceList.DUE: due}),
        has_any=bool(page.rows) or planning_queries.has_any(Maintenance),
    )


@blueprint.get("/maintenance/export.csv")
@requires("assets.read")
def export_maintenance() -> Response:
    """Stream the list as CSV. If the URL names no list, send all maintenance."""
    which, asset = linked("show", MaintenanceList, MaintenanceList.ALL), _asset()
    rows = csv_export.maintenance_rows(which, asset.id if asset else None)
    return csv_download(f"maintenance-{utcnow():%Y-%m-%d}.csv", rows)


@blueprint.record_once
def _give_words(state: BlueprintSetupState) -> None:
    state.app.jinja_env.globals.update(
        {
            "reservation_tags": wording.reservation_tags,
            "maintenance_tags": wording.maintenance_tags,
            "alert_moment": lambda: alert_settings.moment(utcnow()),
            "reservation_steps": wording.reservation_steps,
            "maintenance_steps": wording.maintenance_steps,
            "span_in_words": wording.span_in_words,
            "cycle_in_words": wording.cycle_in_words,
            "types_of_work": MAINTENANCE_TYPES,
            "outcomes_of_work": OUTCOMES,
        }
    )


def _tabs(
    labels: Mapping[Any, str], which: StrEnum, counts: Mapping[Any, int | None]
) -> Sequence[Tab]:
    return [
        Tab(
            label,
            page_url(show=name, cursor=None),
            name is which,
            None if (number := counts.get(name)) is None else counted(number),
        )
        for name, label in labels.items()
    ]


def _asset() -> Asset | None:
    """Return the asset that the URL filters by, if any. Raises `NotFound`."""
    asset_id = row_id(request.args.get("asset"))
    return lifecycle.find_asset(asset_id) if asset_id is not None else None
