"""Settings → Audit: who did what and when; on pages, and as a file."""

from collections.abc import Iterator, Sequence
from json import dumps
from typing import Final

from flask import Blueprint, Response, render_template, request

from portal.lib.clock import utcnow
from portal.lib.paging import Page
from portal.services.audit import queries as audit_queries
from portal.services.audit.queries import TrailEntry, TrailFilter
from portal.web.forms.csv_download import csv_download
from portal.web.forms.edit_conflict import shown
from portal.web.forms.filter_form import answer_as
from portal.web.forms.refusals import status_of
from portal.web.frame.access import requires
from portal.web.frame.page_frame import page_url
from portal.web.operations.audit_forms import TrailFilterForm
from portal.web.operations.audit_words import action_words, kind_words, line_of

blueprint = Blueprint("audit", __name__, url_prefix="/settings/audit")

COLUMNS: Final = ("at", "who", "origin", "action", "kind", "id", "name", "changes", "words")


@blueprint.get("")
@requires("audit.read")
def index() -> tuple[str, int]:
    """The trail, filtered by its address."""
    return _trail_page(TrailFilterForm(request.args))


def _trail_page(form: TrailFilterForm) -> tuple[str, int]:
    """The trail under its filter; without a row, and with 400, while that cannot be read."""
    answer_as("audit.index")
    page: Page[TrailEntry] = Page([])
    if form.validate():
        page = audit_queries.find_page(form.chosen(), request.args.get("cursor"))
    lines = [line_of(entry) for entry in page.rows]
    html = render_template(
        "operations/audit.html",
        filter=form,
        page=page,
        lines=lines,
        chips_in_force=_chips(form, page.rows),
    )
    return html, status_of(form)


@blueprint.get("/export.csv")
@requires("audit.read")
def export() -> Response | tuple[str, int]:
    """Everything that matches, for a spreadsheet."""
    form = TrailFilterForm(request.args)
    if not form.validate():
        return _trail_page(form)
    wanted = form.chosen()
    return csv_download(f"audit-{utcnow():%Y-%m-%d}.csv", _rows(wanted))


def _rows(wanted: TrailFilter) -> Iterator[Sequence[object]]:
    yield COLUMNS
    for entry in audit_queries.every(wanted):
        yield (
            entry.at,
            entry.by,
            entry.origin,
            entry.action,
            entry.kind,
            entry.target_id,
            entry.target_name,
            dumps(entry.changes, ensure_ascii=False) if entry.changes else "",
            f"{kind_words(entry.kind)}: {action_words(entry.action).lower()}",
        )


def _chips(form: TrailFilterForm, rows: Sequence[TrailEntry]) -> list[dict[str, str]]:
    """The filters in force, each with the address without it."""
    thing = rows[0].target_name if rows else form.target.data or ""
    return [
        {
            "label": f"{field.label.text}: {thing if field.name == 'target' else shown(field)}",
            "url": page_url(**{field.name: None, "cursor": None}),
        }
        for field in form
        if field.data and shown(field)
    ]
