"""Serve the register's pages: the list, an asset's tabs, and the forms that change it."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Final

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from portal.engine.events.catalogue import EventName
from portal.engine.next_steps import ASK
from portal.lib.clock import utcnow
from portal.lib.paging import Page
from portal.models.assets import Action, Asset, AssetKind, AssetStatus, Condition, MoveKind
from portal.services.actions import lifecycle, stock
from portal.services.actions.bulk import MOST_ASSETS
from portal.services.actions.planning import queries as planning_queries
from portal.services.actions.rules import why_not
from portal.services.assets import timeline as timelines
from portal.services.assets.pages import AssetOrder, in_order
from portal.services.assets.queries import (
    AssetFilter,
    Shown,
    counts,
    has_assets,
    holders,
    limit_of,
)
from portal.services.assets.snapshots import open_assignment
from portal.services.assets.tag_numbers import likely_tag
from portal.services.core.refusals import NotFound, Refusal, Stale
from portal.services.core.unit_of_work import once_only, session
from portal.services.deliveries import log as log_pages
from portal.services.deliveries.statuses import LogFilter
from portal.services.webhooks.queries import count_listeners
from portal.web.assets.forms import BULK_PAGES, AssetFilterForm, AssetForm, DeleteAssetForm
from portal.web.assets.presenter import (
    asset_state,
    filter_chips,
    lines,
    show_tab,
    summary_of,
    urgent_badges,
)
from portal.web.deliveries import log_presenter
from portal.web.forms.additions import add_typed
from portal.web.forms.base import UNHEARD, refusals_in, say_whether_changed, status_of
from portal.web.forms.filter_form import answer_as, list_back, list_here, order_in
from portal.web.forms.parsing import UnreadableAddress, row_id
from portal.web.forms.versions import goes_on_editing, stale_page
from portal.web.frame.access import actor, owner, requires
from portal.web.frame.layout import page_url
from portal.web.frame.status_tags import Tab
from portal.web.frame.wording import counted
from portal.web.help.advice import for_reader
from portal.web.planning.calendar_strip import strip_of

# Sortable columns. True: the first click sorts in descending order.
FALLS: Final[Mapping[str, bool]] = {
    AssetOrder.NAME: False,
    AssetOrder.TAG: False,
    AssetOrder.STATUS: True,
    AssetOrder.HOLDER: False,
    AssetOrder.CATEGORY: False,
    AssetOrder.LOCATION: False,
    AssetOrder.SERIAL: False,
    AssetOrder.CHANGED: True,
}
ORDERS: Final = (
    ("", "Newest first"),
    ("name", "Name, A to Z"),
    ("-name", "Name, Z to A"),
    ("tag", "Tag, A to Z"),
    ("-tag", "Tag, Z to A"),
    ("-status", "Needs attention first"),
    ("status", "Needs attention last"),
    ("holder", "Holder, A to Z"),
    ("-holder", "Holder, Z to A"),
    ("category", "Category, A to Z"),
    ("-category", "Category, Z to A"),
    ("location", "Location, A to Z"),
    ("-location", "Location, Z to A"),
    ("serial", "Serial number, A to Z"),
    ("-serial", "Serial number, Z to A"),
    ("-changed", "Last changed first"),
    ("changed", "Longest unchanged first"),
)

# Fields that a copy leaves blank, because they belong to a single asset.
OWN: Final = (
    "asset_tag",
    "serial_number",
    "quantity",
    "purchase_date",
    "warranty_expires",
    "notes",
)
# The largest id that the column can store.
ASSET: str = "/<int(max=2147483647):asset_id>"
Answer = Response | str | tuple[str, int]

blueprint = Blueprint("assets", __name__, url_prefix="/assets")


@blueprint.get("")
@requires("assets.read")
def index() -> Answer:
    """Show the list, filtered by the URL."""
    return list_page(AssetFilterForm(request.args))


def list_page(form: AssetFilterForm) -> tuple[str, int]:
    """Show the filtered list. If the filter is invalid, respond with 400 and no rows."""
    answer_as("assets.index")
    page: Page[Asset] = Page([])
    chosen = AssetFilter()
    numbers: dict[Shown | None, int | None] = dict.fromkeys((None, *Shown), 0)
    order = order_in(FALLS)
    if form.validate():
        chosen = form.chosen()
        page = in_order(
            chosen,
            request.args.get("cursor"),
            AssetOrder(order.by or AssetOrder.ADDED),
            reverse=order.is_reversed,
        )
        numbers = counts(chosen)
    html = render_template(
        "assets/index.html",
        filter=form,
        page=page,
        order=order,
        orders=ORDERS,
        list_here=list_here(),
        chips_in_force=filter_chips(form),
        tabs_of_list=asset_tabs(chosen, numbers),
        matching=numbers[chosen.shown],
        counted_to=limit_of(chosen),
        most_at_once=MOST_ASSETS,
        holders=holders([asset.id for asset in page.rows]),
        urgent_badges=urgent_badges,
        now=utcnow(),
        bulk_actions=[(action, page.label) for action, page in BULK_PAGES.items()],
        has_any=bool(page.rows) or has_assets(),
    )
    return html, status_of(form)


@blueprint.route("/new", methods=["GET", "POST"])
@requires("assets.edit")
def new() -> Answer:
    """Add an asset. If the URL names an asset to copy, prefill the form from it."""
    copied = _copied() if request.method == "GET" else None
    form = AssetForm(data=_as(copied)) if copied else AssetForm()
    if form.is_submitted() and not add_typed(form, actor()) and form.validate():
        values = form.values()
        with refusals_in(form):
            path = once_only(
                owner(), form.once_value, lambda: lifecycle.create_asset(actor(), values), _next
            )
            flash(f"Added “{values.name}”.", "success")
            return redirect(path)
    return _form(form, None, EventName.CREATED, copied)


def _copied() -> Asset | None:
    """Return the asset that the URL says to copy. Raises `NotFound`, `UnreadableAddress`."""
    asked = row_id(request.args.get("copy"))
    if asked == 0:
        raise UnreadableAddress
    return lifecycle.find_asset(asked) if asked else None


def _as(asset: Asset) -> dict[str, object]:
    """Return the initial values of a copy: all except those that belong to a single asset."""
    own: dict[str, object] = dict.fromkeys(OWN)
    own["condition"] = Condition.GOOD.value
    return asdict(lifecycle.values_of(asset)) | own


def _next(asset_id: int) -> str:
    """Return the URL to open after an asset was added."""
    if "another" in request.form:
        return url_for("assets.new", copy=asset_id)
    return url_for("assets.show", asset_id=asset_id)


@blueprint.get(ASSET)
@requires("assets.read")
def show(asset_id: int) -> Answer:
    """Show one asset and its latest changes. A deleted asset keeps its page."""
    asset = lifecycle.find_asset(asset_id)
    return show_tab("assets/show.html", asset, **summary_of(asset))


@blueprint.route(f"{ASSET}/edit", methods=["GET", "POST"])
@requires("assets.edit")
def edit(asset_id: int) -> Answer:
    asset = _present(asset_id)
    form = _filled(asset)
    is_sent = form.is_submitted() and not goes_on_editing()
    if is_sent and not add_typed(form, actor()) and form.validate():
        try:
            with refusals_in(form):
                return _save(asset_id, form)
        except Stale:
            return _stale(asset_id, form)
    return _form(form, asset, EventName.UPDATED)


@blueprint.route(f"{ASSET}/delete", methods=["GET", "POST"])
@requires("assets.edit")
def delete(asset_id: int) -> Answer:
    """Confirm, then delete the asset from the register."""
    asset = lifecycle.find_asset(asset_id)
    if asset.deleted_at is not None:  # a second click, or another person was first
        flash(f"{asset.asset_tag} is already deleted.", "info")
        return redirect(url_for("assets.show", asset_id=asset_id))
    form, tag = DeleteAssetForm(), asset.asset_tag
    held = open_assignment(asset_id)
    holder = held.staff.name if held else None
    obstacle = why_not(Action.DELETE, asset.status, asset.kind, holder=holder)
    if obstacle:
        raise Refusal(f"{tag} {obstacle}")
    if form.validate_on_submit():
        with refusals_in(form):
            lifecycle.delete_asset(actor(), asset_id, form.reason.data or "")
            flash(f"Deleted {tag}. To find it, set the status filter to Deleted.", "success")
            return redirect(list_back("assets.index", f"asset-{asset_id}"))
    listeners = count_listeners(EventName.DELETED)
    page = render_template("assets/delete.html", asset=asset, form=form, listeners=listeners)
    return page, status_of(form)


def _present(asset_id: int) -> Asset:
    asset = lifecycle.find_asset(asset_id)
    if asset.deleted_at is not None:
        raise NotFound(f"{asset.asset_tag} was deleted.")
    return asset


def _filled(asset: Asset, *, from_request: bool = True) -> AssetForm:
    stored = asdict(lifecycle.values_of(asset)) | {"version": asset.version}
    return AssetForm(data=stored) if from_request else AssetForm(formdata=None, data=stored)


def _form(
    form: AssetForm, asset: Asset | None, event: EventName, copied: Asset | None = None
) -> tuple[str, int]:
    page = render_template(
        "assets/form.html",
        form=form,
        asset=asset,
        copied=copied,
        next_tag=likely_tag(session()) if asset is None else None,
        notes_only=asset is not None and asset.status == AssetStatus.LIQUIDATED,
        listeners=count_listeners(event),
    )
    return page, status_of(form)


def _save(asset_id: int, form: AssetForm) -> Response:
    changed = lifecycle.edit_asset(actor(), asset_id, form.version.seen, form.values())
    say_whether_changed(changed, unchanged=UNHEARD)
    return redirect(url_for("assets.show", asset_id=asset_id))


def _stale(asset_id: int, form: AssetForm) -> tuple[str, int]:
    asset = _present(asset_id)
    return stale_page(
        form,
        _filled(asset, from_request=False),
        target=("asset", asset.id, asset.asset_tag),
        version=asset.version,
        keep_url=url_for("assets.show", asset_id=asset_id),
    )


LABELS: Final[Mapping[Shown | None, str]] = {
    None: "All",
    Shown.FREE: "Available",
    Shown.OUT: "In use",
    Shown.OVERDUE: "Overdue",
    Shown.MAINTENANCE: "In maintenance",
    Shown.BROKEN: "Needs repair",
    Shown.LOST: "Lost",
    Shown.LOW: "Low stock",
}


def asset_tabs(chosen: AssetFilter, numbers: Mapping[Shown | None, int | None]) -> list[Tab]:
    """Return the list's tabs with their counts. An empty tab shows only while it is selected."""
    limit = limit_of(chosen)
    return [
        Tab(
            label,
            page_url(show=chip, cursor=None),
            chip is chosen.shown,
            None if (number := numbers[chip]) is None else counted(number, limit),
            is_bad=chip is Shown.OVERDUE,
        )
        for chip, label in LABELS.items()
        if chip is None or chip is chosen.shown or numbers[chip] != 0
    ]


ONE_ASSET: Final = "/assets/<int(max=2147483647):asset_id>"
MOVE_KINDS: Final = {
    MoveKind.RECEIVE: "Received",
    MoveKind.ISSUE: "Issued",
    MoveKind.ADJUST: "Counted",
    MoveKind.LOSS: "Lost or damaged",
}

tabs_blueprint = Blueprint("asset_parts", __name__, url_prefix=ONE_ASSET)
stock_blueprint = Blueprint("stock", __name__, url_prefix=ONE_ASSET)


@tabs_blueprint.get("/timeline")
@requires("assets.read")
def timeline(asset_id: int) -> str:
    """Show the timeline, newest first."""
    asset = lifecycle.find_asset(asset_id)
    page = timelines.timeline(asset_id, _cursor())
    return show_tab("assets/timeline.html", asset, page=page, lines=lines(page.rows))


@tabs_blueprint.get("/reservations")
@requires("assets.read")
def reservations(asset_id: int) -> str:
    """Show the asset's reservations: the next weeks, open ones, and past ones."""
    asset = _item(asset_id)
    state = asset_state(asset)
    return show_tab(
        "assets/reservations.html",
        asset,
        state,
        strip=strip_of(state.plans, state.held),
        earlier=planning_queries.past_reservations(asset_id, _cursor()),
        to_allow_it=for_reader(
            "assets.edit",
            "To allow them, select “Allow reservations” under Edit.",
            f"{ASK} to allow them.",
        ),
    )


@tabs_blueprint.get("/maintenance")
@requires("assets.read")
def maintenance(asset_id: int) -> str:
    """Show the asset's open and past maintenance."""
    asset = _item(asset_id)
    earlier = planning_queries.past_maintenances(asset_id, _cursor())
    cost = planning_queries.cost_of(asset_id)
    return show_tab("assets/maintenance.html", asset, earlier=earlier, cost=cost)


@tabs_blueprint.get("/deliveries")
@requires("deliveries.read")
def deliveries(asset_id: int) -> str:
    """Show the asset's deliveries, newest first."""
    asset = lifecycle.find_asset(asset_id)
    log = log_pages.find_page(LogFilter(asset_id=asset_id), _cursor())
    return show_tab(
        "assets/deliveries.html",
        asset,
        page=log.page,
        view=log_presenter,
        counts=log_presenter.counts_of_asset(asset_id),
    )


@stock_blueprint.get("/stock")
@requires("assets.read")
def moves(asset_id: int) -> str:
    """Show a consumable's stock moves, newest first."""
    asset = lifecycle.find_asset(asset_id)
    if asset.kind != AssetKind.STOCK:
        raise NotFound(f"{asset.asset_tag} is a single item, so it has no quantity.")
    page = stock.moves(asset_id, _cursor())
    return show_tab("assets/stock.html", asset, page=page, kinds=MOVE_KINDS)


def _item(asset_id: int) -> Asset:
    asset = lifecycle.find_asset(asset_id)
    if asset.kind != AssetKind.ITEM:
        raise NotFound(
            f"{asset.asset_tag} is a consumable. You can’t reserve it or schedule maintenance "
            "for it."
        )
    return asset


def _cursor() -> str | None:
    return request.args.get("cursor")
