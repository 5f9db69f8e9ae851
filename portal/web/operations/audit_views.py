"""Settings → Audit: who did what and when; on pages, and as a file."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from json import dumps
from operator import itemgetter
from typing import Any, Final

from flask import Blueprint, Response, render_template, request

from portal.engine.events.catalogue import EventName
from portal.lib.clock import utcnow
from portal.lib.paging import Page
from portal.models.deliveries import EARLIER_STATUSES
from portal.models.webhooks import ALL_EVENTS
from portal.services import audit as audit_queries
from portal.services.audit import TrailEntry, TrailFilter
from portal.services.core.permissions import SYSTEM
from portal.web.assets.presenter import in_words
from portal.web.deliveries.wording import event_name
from portal.web.forms.base import status_of
from portal.web.forms.csv_download import csv_download
from portal.web.forms.filter_form import ChosenField, FilterForm, SearchField, answer_as
from portal.web.forms.parsing import TypedField, read_begin, read_end, uuid_or_none
from portal.web.forms.versions import shown
from portal.web.frame.access import requires
from portal.web.frame.layout import page_url
from portal.web.frame.status_tags import DELIVERY
from portal.web.webhooks.wording import FIELDS, UNSEEN_PART

LONGEST_VALUE: Final = 200
# What reads otherwise than it is stored.
NAMED: Final = {
    "liquidated": "Disposed of",
}
ORIGINS: Final = {
    "ui": "on a page",
    "bulk": "in bulk",
    "import": "by an import",
    "api": "by a command",
    "cron": "automatically",
}
# Those that pages call by another name.
KINDS: Final = {
    "batch": "Bulk retry",
    "dismissal": "Dismissal",
    "draft": "Webhook form",
    "person": "User",
}
# Where a thing of this kind can be looked at.
PATHS: Final[Mapping[str, str]] = {
    "asset": "/assets/",
    "batch": "/batches/",
    "delivery": "/deliveries/",
    "dismissal": "/tasks/",
    "person": "/settings/people/",
    "restoration": "/tasks/",
    "webhook": "/settings/webhooks/",
}


@dataclass(frozen=True, slots=True)
class TrailLine:
    """One entry as the page shows it. `path` is blank where there is nothing to open."""

    at: datetime
    by: str
    way: str
    what: str
    kind: str
    thing: str
    path: str
    details: list[tuple[str, str, str]]


def line_of(entry: TrailEntry) -> TrailLine:
    """Return the entry in words."""
    return TrailLine(
        at=entry.at,
        by=entry.by,
        way="" if entry.origin == "ui" else ORIGINS.get(entry.origin, entry.origin),
        what=action_words(entry.action),
        kind=kind_words(entry.kind),
        thing=_thing(entry),
        path=_path(entry),
        details=[_detail(entry.kind, name, change) for name, change in entry.changes.items()],
    )


def action_words(action: str) -> str:
    """ "person.password_changed" → "Password changed"."""
    return _sentence(action.rpartition(".")[2])


def kind_words(kind: str) -> str:
    """ "location" → "Location"."""
    return KINDS.get(kind) or _sentence(kind)


def plain_value(value: Any) -> str:
    """Return a changed value as a person reads it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if isinstance(value, dict) and "name" in value:  # a person, a place, a category
        return str(value["name"])
    if value == [ALL_EVENTS]:
        return "All events"
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


def _detail(kind: str, name: str, change: Any) -> tuple[str, str, str]:
    label = (FIELDS.get(name) if kind in ("webhook", "draft") else None) or _sentence(name)
    sides = (change.get("from"), change.get("to")) if isinstance(change, dict) else ("", change)
    if name == "url" and sides[0] == sides[1]:
        return label, "", f"{plain_value(sides[1])} ({UNSEEN_PART})"
    if kind == "asset":  # dates and statuses, as its timeline writes them
        sides = (in_words(name, sides[0]), in_words(name, sides[1]))
    before, after = plain_value(sides[0]), plain_value(sides[1])
    if kind == "delivery" and name == "status":
        before, after = _status(before), _status(after)
    return label, before, after


def _thing(entry: TrailEntry) -> str:
    """Return its name; a delivery goes by its event."""
    name = entry.target_name or entry.target_id
    return event_name(name) if entry.kind == "delivery" and name in set(EventName) else name


def _status(status: str) -> str:
    status = EARLIER_STATUSES.get(status, status)
    return DELIVERY[status].word if status in DELIVERY else status


def _sentence(word: str) -> str:
    return NAMED.get(word) or word.replace("_", " ").capitalize()


def _path(entry: TrailEntry) -> str:
    beginning = PATHS.get(entry.kind)
    is_gone = entry.action.endswith("deleted")
    return "" if beginning is None or is_gone else request.script_root + beginning + entry.target_id


NOBODY: Final = "portal"


class TrailFilterForm(FilterForm):
    """Filters by actor, kind of thing and days; `target` narrows to one thing."""

    who = ChosenField("Who")
    kind = ChosenField("What")
    since = TypedField("From", read=read_begin, called="time")
    until = TypedField("To", read=read_end, called="time")
    target = SearchField("Only")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        people = [(str(public_id), name) for public_id, name in audit_queries.people_names()]
        self.who.choices = [("", "Everyone"), *people, (NOBODY, f"{SYSTEM.name}, or a command")]
        kinds = [(kind, kind_words(kind)) for kind in audit_queries.kinds()]
        self.kind.choices = [("", "Everything"), *sorted(kinds, key=itemgetter(1))]

    def chosen(self) -> TrailFilter:
        """Return what the trail is narrowed to, once `validate` has said that all can be read."""
        return TrailFilter(
            person=uuid_or_none(self.who.data),
            nobody=self.who.data == NOBODY,
            kind=self.kind.data or None,
            target_id=self.target.data or None,
            since=self.since.data,
            until=self.until.data,
        )


blueprint = Blueprint("audit", __name__, url_prefix="/settings/audit")

COLUMNS: Final = ("at", "who", "origin", "action", "kind", "id", "name", "changes", "words")


@blueprint.get("")
@requires("audit.read")
def index() -> tuple[str, int]:
    """The trail, filtered by its address."""
    return _trail_page(TrailFilterForm(request.args))


def _trail_page(form: TrailFilterForm) -> tuple[str, int]:
    """Return the trail under its filter; without a row, and with 400, while that cannot be read."""
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
    """Return the filters in force, each with the address without it."""
    thing = rows[0].target_name if rows else form.target.data or ""
    return [
        {
            "label": f"{field.label.text}: {thing if field.name == 'target' else shown(field)}",
            "url": page_url(**{field.name: None, "cursor": None}),
        }
        for field in form
        if field.data and shown(field)
    ]
