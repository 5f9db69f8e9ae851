"""Serve the log, single deliveries, and their retry."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from flask import (
    Blueprint,
    Response,
    flash,
    jsonify,
    redirect,
    render_template,
    request,
    url_for,
)
from werkzeug.wrappers import Response as Answer

from portal.lib.clock import utcnow
from portal.lib.paging import Page
from portal.models.deliveries import DeliveryStatus
from portal.services.core.permissions import CONTENT
from portal.services.core.refusals import Refusal
from portal.services.deliveries import bulk_retry
from portal.services.deliveries import log as log_pages
from portal.services.deliveries import retry as delivery_retry
from portal.services.deliveries.log import LogPage, Matches
from portal.services.deliveries.statuses import LogFilter, StatusFilter
from portal.web.deliveries import bulk_retry_wording, log_csv, log_presenter
from portal.web.deliveries import presenter as delivery_presenter
from portal.web.deliveries.backlog import NONE, table_beside
from portal.web.deliveries.contents import delivery_for_reader
from portal.web.deliveries.forms import LogFilterForm
from portal.web.deliveries.list_place import NEXT, carried, log_order, place_in, place_of
from portal.web.forms.base import HAS_A_PAGE, refusals_flashed, status_of
from portal.web.forms.csv_download import csv_download, excel_separator
from portal.web.forms.filter_form import answer_as
from portal.web.forms.parsing import uuid_or_none
from portal.web.frame.access import actor, local_path, requires

# Statuses whose matches and retryable matches a count of all statuses already gives. Failed ones
# leave out tests.
NOT_TOLD = {DeliveryStatus.DELIVERED, DeliveryStatus.FAILED}
TOLD_APART = frozenset(map(StatusFilter, set(DeliveryStatus) - NOT_TOLD))

blueprint = Blueprint("deliveries", __name__, url_prefix="/deliveries")


@blueprint.get("")
@requires("deliveries.read")
def index() -> tuple[str, int]:
    """Show the log, filtered by its URL."""
    return log_page(LogFilterForm(request.args))


def log_page(form: LogFilterForm) -> tuple[str, int]:
    """Return the filtered log and its status code.

    An invalid filter gives no rows and status code 400.
    """
    answer_as("deliveries.index")
    log_filter, log = LogFilter(), LogPage(Page([]))
    backlog, within, matches = NONE, None, None
    shown, order = log.page, log_order()
    if form.validate():
        log_filter, cursor = form.chosen(), request.args.get("cursor")
        if order.by == NEXT:
            log = LogPage(log_pages.find_next(log_filter, cursor))
        else:
            log = log_pages.find_page(log_filter, cursor, oldest_first=order.is_reversed)
        rows = log_presenter.with_retried(log.page, order)
        shown = replace(log.page, rows=rows)
        backlog = NONE if cursor else table_beside(log_filter)
        if log_presenter.is_narrowed(log_filter):
            within = log_pages.count_matches(replace(log_filter, status=None), by_attention=True)
        if rows and log_presenter.is_searched():
            matches = _matches(log_filter, within)
    page = render_template(
        "deliveries/index.html",
        filter=form,
        of_webhook=log_filter.webhook,
        found=log,
        page=shown,
        backlog=backlog,
        matches=matches,
        failures=log_pages.count_failures(log_filter) if matches else 0,
        bulk_retry_lines=bulk_retry_wording.under_way(log_filter.webhook),
        tabs_of_log=log_presenter.tabs(log_filter, within),
        chips_in_force=log_presenter.chips(form, log.page.rows),
        view=log_presenter,
        order=order,
    )
    return page, status_of(form)


def _matches(log_filter: LogFilter, within: Matches | None) -> Matches:
    """Count the matches. `within` counts the matches in any status, if known."""
    status = log_filter.status
    if within and not within.is_more and status in TOLD_APART:
        return within.having(DeliveryStatus(status))
    matches = within if within and status is None else log_pages.count_matches(log_filter)
    return log_pages.with_examples(matches, log_filter)


@blueprint.get("/export.csv")
@requires("deliveries.read")
def export() -> Response | tuple[str, int]:
    """Download the filtered log as CSV, the newest first."""
    form = LogFilterForm(request.args)
    if not form.validate():
        return log_page(form)
    return csv_download(_file_name(), log_csv.lines(log_pages.every(form.chosen())))


@blueprint.get("/export-for-excel.csv")
@requires("deliveries.read")
def export_for_excel() -> Response | tuple[str, int]:
    """Download the filtered log or the named deliveries, with headings and times as on the page."""
    form, named = LogFilterForm(request.args), request.args.getlist("delivery")
    if not form.validate():
        return log_page(form)
    log_filter = form.chosen()
    selected = [public_id for public_id in map(uuid_or_none, named) if public_id]
    rows = log_pages.named(selected) if named else log_pages.every(log_filter)
    lines = log_csv.lines_for_people(rows, by_failure=bool(log_filter.failed))
    return csv_download(_file_name(), lines, excel_separator())


def _file_name() -> str:
    return f"deliveries-{utcnow():%Y-%m-%d}.csv"


@blueprint.get("/<uuid:public_id>")
@requires("deliveries.read")
def show(public_id: UUID) -> str:
    """Show one delivery with its diagnosis, next step, request, and response."""
    delivery = delivery_for_reader(public_id)
    return render_template(
        "deliveries/show.html",
        page=delivery_presenter.page_of(delivery),
        place=place_of(delivery),
        carried=carried(),
    )


@blueprint.get("/<uuid:public_id>/live")
@requires("deliveries.read")
def live(public_id: UUID) -> Response:
    """Return the changing part of the page, which it polls while the delivery is in progress."""
    page = delivery_presenter.page_of(delivery_for_reader(public_id))
    html = render_template("deliveries/_live.html", page=page, carried=carried())
    return jsonify(html=html, stop=not page.is_live, announce=page.announcement)


@blueprint.get("/<uuid:public_id>/row")
@requires("deliveries.read")
def row(public_id: UUID) -> Response:
    """Return the cells of a delivery's row, which a list polls while its retry is in progress."""
    line, retried = log_presenter.find_row(public_id), log_presenter.find_retried(public_id)
    html = render_template(
        "deliveries/_row.html",
        row=line,
        view=log_presenter,
        back=local_path(request.args.get("back")),
        choose=request.args.get("choose", ""),
        span=request.args.get("span", 0, type=int),
        alone=request.args.get("alone", ""),
        retried=retried,
    )
    is_over = retried is None or not retried.is_live
    news = retried.outcome.sentence if is_over and retried and retried.outcome else ""
    return jsonify(html=html, stop=is_over, announce=news)


@blueprint.get("/<uuid:public_id>/body")
@requires(CONTENT)
def body(public_id: UUID) -> Response:
    """Download the exact bytes of the newest request's body."""
    response = Response(delivery_for_reader(public_id).body, mimetype="application/json")
    response.headers["Content-Disposition"] = f'attachment; filename="delivery-{public_id}.json"'
    return response


@blueprint.get("/<uuid:public_id>/retry")
@requires("deliveries.retry")
def ask_retry(public_id: UUID) -> Answer | str:
    """Ask before resending, because the receiver might process it twice."""
    delivery, back = delivery_for_reader(public_id), request.args.get("back")
    if sentence := delivery_retry.why_not_retry(delivery.eligibility, again=True):
        flash(sentence, "warning")
        return redirect(_place(public_id, back))
    return render_template(
        "deliveries/confirm.html",
        page=delivery_presenter.page_of(delivery),
        back=local_path(back) if back else "",
        carried=carried(),
    )


@blueprint.post("/<uuid:public_id>/retry")
@requires("deliveries.retry")
def retry(public_id: UUID) -> Answer:
    """Make one extra attempt and return to the originating page, which shows its result.

    A delivered one is resent only after confirmation. A script that stays on the page gets the URLs
    as JSON (`static/js/in_place.js`).
    """
    seen, back = request.form.get("seen", type=int), request.form.get("back") or None
    try:
        delivery_retry.retry(actor(), public_id, seen=seen, again="again" in request.form)
    except delivery_retry.AlreadyArrived:
        return _go(url_for("deliveries.ask_retry", public_id=public_id, back=back, **carried()))
    except HAS_A_PAGE:
        raise
    except Refusal as refusal:
        flash(refusal.sentence, "warning")
        return _go(_place(public_id, back))
    return _stay(public_id, back) if _is_in_place() else redirect(_place(public_id, back))


@blueprint.post("/<uuid:public_id>/take-out")
@requires(bulk_retry.PERMISSION)
def take_out(public_id: UUID) -> Answer:
    """Remove a waiting delivery from its bulk retry."""
    with refusals_flashed("warning"):
        bulk_retry.take_out(actor(), public_id)
        flash("Removed from the bulk retry.", "success")
    return redirect(_place(public_id, None))


def _is_in_place() -> bool:
    return request.accept_mimetypes.best == "application/json"


def _go(address: str) -> Answer:
    return jsonify(go=address) if _is_in_place() else redirect(address)


def _stay(public_id: UUID, back: str | None) -> Answer:
    """Return the URL that refreshes the part of the page, and the page's new URL."""
    how = ("choose", "span", "alone")
    kept: dict[str, Any] = {name: request.form.get(name) or None for name in how}
    live = (
        url_for("deliveries.row", public_id=public_id, back=back, **kept)
        if back
        else url_for("deliveries.live", public_id=public_id, **carried())
    )
    return jsonify(live=live, place=_place(public_id, back))


def _place(public_id: UUID, back: str | None) -> str:
    """Return the URL of a delivery in the list `back`, or of its page."""
    if back:
        return place_in(back, public_id)
    return url_for("deliveries.show", public_id=public_id, **carried())
