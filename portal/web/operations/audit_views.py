"""Serve Settings → Audit: the audit trail, on pages and as a file."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import date
from json import dumps
from typing import Any, Final

from flask import Blueprint, Response, render_template, request
from wtforms import Field
from wtforms.fields import SelectChoice  # type: ignore[attr-defined]  # newer than its types
from wtforms.widgets import DateInput

from portal.lib.clock import utcnow
from portal.lib.paging import Page
from portal.services import audit as audit_queries
from portal.services.audit import TrailEntry, TrailFilter
from portal.web.deliveries.filter_wording import Names
from portal.web.forms.base import status_of
from portal.web.forms.csv_download import csv_download
from portal.web.forms.filter_form import ChosenField, FilterForm, SearchField, answer_as
from portal.web.forms.parsing import TypedField, read_begin, read_end, uuid_or_none
from portal.web.forms.versions import shown
from portal.web.frame.access import requires
from portal.web.frame.layout import page_url
from portal.web.frame.wording import day_of
from portal.web.operations.audit_wording import ACROSS, GROUPS, action_words, actions_of, line_of

NOBODY: Final = "portal"


def _action_choices() -> Iterator[SelectChoice]:
    yield SelectChoice("", "All actions")
    for name, (words, _) in ACROSS.items():
        yield SelectChoice(name, words)
    for name, group in GROUPS.items():
        yield SelectChoice(name, f"{group.word}: all actions")
        for action in group.actions:
            yield SelectChoice(action, action_words(action))


class TrailFilterForm(FilterForm):
    """The filter by asset, actor, action, and date."""

    q = SearchField("Asset tag")
    who = ChosenField("Who")
    kind = ChosenField("Action", choices=list(_action_choices()))
    since = TypedField("From", read=read_begin, called="date", widget=DateInput())
    until = TypedField("To", read=read_end, called="date", widget=DateInput())

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        people = [(str(public_id), name) for public_id, name in audit_queries.people_names()]
        nobody = "No one (automatic, a command, or a program)"
        self.who.choices = [("", "Everyone"), *people, (NOBODY, nobody)]

    def chosen(self) -> TrailFilter:
        """Return the filter. Call `validate` first."""
        return TrailFilter(
            person=uuid_or_none(self.who.data),
            nobody=self.who.data == NOBODY,
            actions=tuple(actions_of(self.kind.data)) if self.kind.data else (),
            asset_tag=self.q.data or "",
            since=self.since.data,
            until=self.until.data,
        )


blueprint = Blueprint("audit", __name__, url_prefix="/settings/audit")

COLUMNS: Final = ("at", "who", "origin", "action", "kind", "id", "name", "changes", "words")


@blueprint.get("")
@requires("audit.read")
def index() -> tuple[str, int]:
    """Show the trail, filtered by the URL."""
    return _trail_page(TrailFilterForm(request.args))


def _trail_page(form: TrailFilterForm) -> tuple[str, int]:
    """Show the filtered trail. If the filter is invalid, respond with 400 and no rows."""
    answer_as("audit.index")
    page: Page[TrailEntry] = Page([])
    if form.validate():
        page = audit_queries.find_page(form.chosen(), request.args.get("cursor"))
    names = Names()
    lines = [line_of(entry, names) for entry in page.rows]
    html = render_template(
        "operations/audit.html",
        filter=form,
        page=page,
        lines=lines,
        chips_in_force=_chips(form),
    )
    return html, status_of(form)


@blueprint.get("/export.csv")
@requires("audit.read")
def export() -> Response | tuple[str, int]:
    """Send all matching entries as CSV."""
    form = TrailFilterForm(request.args)
    if not form.validate():
        return _trail_page(form)
    chosen = form.chosen()
    return csv_download(f"audit-{utcnow():%Y-%m-%d}.csv", _rows(chosen))


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
            action_words(entry.action),
        )


def _chip_value(field: Field) -> str:
    """Return the filter's value, with dates formatted for display."""
    text = shown(field)
    if field.name in ("since", "until"):
        with suppress(ValueError):
            return day_of(date.fromisoformat(text))
    return text


def _chips(form: TrailFilterForm) -> list[dict[str, str]]:
    """Return the active filters, each with the URL that removes it."""
    return [
        {
            "label": f"{field.label.text}: {_chip_value(field)}",
            "url": page_url(**{field.name: None, "cursor": None}),
        }
        for field in form
        if field.data and shown(field)
    ]
