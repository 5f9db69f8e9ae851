"""Phrase an asset for its pages: facts, timeline, state, needs, buttons, and tabs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from flask import render_template, request, url_for
from markupsafe import Markup
from wtforms import Field

from portal.engine.events.catalogue import EventName
from portal.engine.events.words import METHODS
from portal.lib.clock import utcnow
from portal.lib.dates import day_words
from portal.lib.durations import relative
from portal.lib.typed_text import excerpts
from portal.models.assets import (
    Action,
    Activity,
    Asset,
    AssetKind,
    AssetStatus,
    Category,
    Location,
)
from portal.models.assignments import Assignment, Incident, IncidentKind
from portal.models.planning import ReservationState
from portal.services.actions.incidents import LASTING_KINDS, open_incidents
from portal.services.actions.planning.queries import (
    Plans,
    cost_of,
    is_at_risk,
    plans_of,
)
from portal.services.actions.rules import RULES, STATUS_WORDS
from portal.services.alerts import settings as alert_settings
from portal.services.alerts.rules import GONE, Moment, ends_soon, is_due, is_low
from portal.services.assets import timeline as timelines
from portal.services.assets.fields import ASSET_FIELDS, FieldType
from portal.services.assets.snapshots import open_assignment
from portal.services.core.unit_of_work import session
from portal.web.actions.pages import PAGES, Button, action_buttons, obstacle, way_out
from portal.web.assets.forms import AssetFilterForm
from portal.web.forms.filter_form import LIST, list_back
from portal.web.forms.versions import shown
from portal.web.frame.access import can, local_path
from portal.web.frame.layout import page_url
from portal.web.frame.status_tags import ASSET, RESERVATION, Tab, Tag
from portal.web.frame.wording import (
    day_of,
    due_words,
    exact_day,
    money,
    near_time,
    number,
    time_tag,
    zone,
)
from portal.web.planning.wording import LATE, due_badge

# Titles of timeline entries, by action or alert.
TIMELINE_WORDS: Final[Mapping[str, str]] = {
    **{page.action: page.timeline for page in PAGES if page.timeline},
    Action.CREATE: "Added",
    Action.EDIT: "Changed",
    Action.DELETE: "Deleted",
    Action.EXPIRE_RESERVATION: "Reservation expired",
    EventName.WARRANTY_EXPIRING: "Alert: warranty ends soon",
    EventName.MAINTENANCE_DUE: "Alert: maintenance due",
    EventName.CHECKOUT_OVERDUE: "Alert: check-out overdue",
    EventName.LOW_STOCK: "Alert: low stock",
}

# Labels of the fields that no form changes. Other fields use the form's labels.
MOVED: Final[dict[str, str]] = {"status": "Status", "holder": "Holder", "due_at": "Due back"}

# Field labels on the asset's page and timeline.
LABELS: Final = {field.name: field.label for field in ASSET_FIELDS}
TYPES: Final = {field.name: field.type for field in ASSET_FIELDS}
NEWEST: Final = 5
MAINTENANCE_COST: Final = "Maintenance cost"
IN_TITLE: Final = frozenset({"name", "asset_tag", "kind"})


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A changed field. A blank `before` or `after` reads "nothing", or "no one" for a holder."""

    label: str
    before: str
    after: str
    was_blank: bool
    is_cleared: bool


@dataclass(frozen=True, slots=True)
class TimelineLine:
    title: str
    by: str
    at: datetime
    note: str
    differences: Sequence[FieldChange]


def facts_of(asset: Asset) -> list[tuple[str, str]]:
    """Return (label, value) of all fields, except those in the title, in the order of the form.

    For an item, its maintenance cost stands before the notes.
    """
    kinds = (None, asset.kind)
    shown = [field for field in ASSET_FIELDS if field.kind in kinds and field.name not in IN_TITLE]
    facts = [(field.label, in_words(field.name, getattr(asset, field.name))) for field in shown]
    if asset.kind == AssetKind.ITEM:
        at = next(place for place, (label, _) in enumerate(facts) if label == LABELS["notes"])
        cost = cost_of(asset.id)
        facts.insert(at, (MAINTENANCE_COST, "" if cost is None else f"{money(cost)} so far"))
    return facts


def summary_of(asset: Asset) -> dict[str, Any]:
    """Return the template values for the asset's facts and its newest timeline entries."""
    return {"facts": facts_of(asset), "lines": lines(timelines.latest(asset.id, NEWEST))}


def lines(activities: Sequence[Activity]) -> list[TimelineLine]:
    return [_line(activity) for activity in activities]


def filter_chips(form: AssetFilterForm) -> list[dict[str, str]]:
    """Return the active filters, each with the URL that removes it."""
    return [
        {
            "label": f"{_short(field)}: {shown(field)}",
            "url": page_url(**{field.name: None, "cursor": None}),
        }
        for field in form
        if field.name != "show" and field.data and shown(field)
    ]


def _short(field: Field) -> str:
    return "Search" if field.name == "q" else str(field.label.text)


def _line(activity: Activity) -> TimelineLine:
    title, changed = TIMELINE_WORDS[activity.action], list(differences(activity.changes))
    return TimelineLine(title, activity.actor_name, activity.at, activity.note, changed)


def differences(changes: Mapping[str, Any]) -> Iterator[FieldChange]:
    """Yield the changed fields of {field: {from, to}}, formatted for display."""
    for name, change in changes.items():
        label = (LABELS | MOVED).get(name, name.replace("_", " ").capitalize())
        none = "no one" if name == "holder" else "nothing"
        before, after = excerpts(in_words(name, change["from"]), in_words(name, change["to"]))
        yield FieldChange(
            label, before or none, after or none, was_blank=not before, is_cleared=not after
        )


def in_words(name: str, value: Any) -> str:
    """Format a field's value for display: dates, money, choices, names."""
    if value is None:
        return ""
    if isinstance(value, Category | Location):
        return value.name
    if isinstance(value, Mapping):
        return str(value.get("name", ""))
    if isinstance(value, bool):
        return "Yes" if value else "No"
    kind = TYPES.get(name)
    if kind is FieldType.DAY:
        day = value if isinstance(value, date) else date.fromisoformat(str(value))
        return day_words(day)  # with its year, because another day stands beside it
    if name == "due_at":
        return exact_day(datetime.fromisoformat(str(value)))
    if kind is FieldType.MONEY:
        return money(Decimal(value))
    if kind is FieldType.CHOICE:
        return str(value).capitalize()
    if name == "status":
        return ASSET[str(value)].word
    return str(value)


A_MINUTE: Final = timedelta(minutes=1)
OVERDUE: Final = Tag("Overdue", "alarm", "danger")
RESERVED: Final = RESERVATION[ReservationState.APPROVED]._replace(word="Reserved", tone="info")
MAINTENANCE_DUE: Final = Tag("Maintenance due", "wrench", "warning")
WARRANTY_SOON: Final = Tag("Warranty ends soon", "shield-exclamation", "warning")
LOW_STOCK: Final = Tag("Low stock", "boxes", "warning")


@dataclass(frozen=True, slots=True)
class AssetState:
    """An asset with the records that determine its state."""

    asset: Asset
    held: Assignment | None
    incident: Incident | None
    plans: Plans
    moment: Moment

    @property
    def now(self) -> datetime:
        """Return the time at which the state was read."""
        return self.moment.now

    @property
    def sentence(self) -> str:
        """Return the state in one or two sentences, with times as HTML elements."""
        if self.asset.deleted_at is not None:
            return "Deleted. We keep its timeline and deliveries."
        words = _SENTENCES[AssetStatus(self.asset.status)](self)
        if self.asset.kind == AssetKind.STOCK:
            words = f"{_pieces(self.asset)} in stock."
        return words + self._place

    @property
    def badges(self) -> list[Tag]:
        """Return the tags for its dates and quantity."""
        if self.asset.deleted_at is not None:
            return []
        states = {reservation.state for reservation in self.plans.reservations}
        badges = {
            OVERDUE: self.late is not None,
            RESERVED: ReservationState.APPROVED in states,
            MAINTENANCE_DUE: any(
                is_due(self.moment, maintenance.due_on, maintenance.state)
                for maintenance in self.plans.maintenances
            ),
            WARRANTY_SOON: self.warranty_ends_soon,
            LOW_STOCK: self.is_low,
        }
        return [badge for badge, holds in badges.items() if holds]

    @property
    def is_low(self) -> bool:
        """Return whether the quantity is below its threshold."""
        return is_low(self.asset.quantity, self.asset.min_quantity)

    @property
    def warranty_ends_soon(self) -> bool:
        """Return whether the warranty ends within the window of its alerts."""
        return ends_soon(self.moment, self.asset.warranty_expires, self.asset.status)

    @property
    def expected_back(self) -> date | None:
        """Return the date on which a warranty claim is expected back. Other incidents have none."""
        day = self.incident.details.get("expected_back_on") if self.incident else None
        return date.fromisoformat(day) if day else None

    @property
    def late(self) -> str | None:
        """Return how late its return is, such as "3 days", or None if it is not late."""
        due_at = self.held.due_at if self.held else None
        if due_at is None or due_at >= self.now:
            return None
        return relative(min(due_at, self.now - A_MINUTE), self.now).removesuffix(" ago")

    @property
    def _place(self) -> str:
        at = self.asset.location
        elsewhere = {*GONE, AssetStatus.WARRANTY, AssetStatus.CHECKED_OUT}
        shown = self.asset.status not in elsewhere
        return f" It’s at {at.name}." if at and shown else ""


def urgent_badges(asset: Asset, held: Assignment | None, now: datetime) -> list[Tag]:
    """Return the tags that the list shows beside a status: overdue, low stock."""
    is_late = held is not None and held.due_at is not None and held.due_at < now
    badges = {OVERDUE: is_late, LOW_STOCK: is_low(asset.quantity, asset.min_quantity)}
    return [badge for badge, holds in badges.items() if holds]


def asset_state(asset: Asset) -> AssetState:
    incidents = open_incidents(session(), asset.id, *LASTING_KINDS)
    kind = _KINDS.get(asset.status)
    incident = next((incident_ for incident_ in incidents if incident_.kind == kind), None)
    plans = plans_of(asset.id) if asset.kind == AssetKind.ITEM else Plans()
    moment = alert_settings.moment(utcnow())
    return AssetState(asset, open_assignment(asset.id), incident, plans, moment)


def _pieces(asset: Asset) -> str:
    return f"{number(asset.quantity or 0)} {asset.unit or ''}".rstrip()


def _held(state: AssetState) -> str:
    held, word = state.held, ASSET[state.asset.status].word
    if held is None:
        return f"{word}."
    since = time_tag(held.started_at, state.now)
    words = Markup("{} to {} since {}.").format(word, held.staff.name, since)
    if held.due_at is None:
        return words
    late = f" ({state.late} late)" if state.late else ""
    due = time_tag(held.due_at, state.now, due_words(held.due_at, state.now))
    return words + Markup(" Due {}{}.").format(due, late)


def _since(words: str, otherwise: str, described_by: str) -> Callable[[AssetState], str]:
    def sentence(state: AssetState) -> str:
        incident = state.incident
        if incident is None:
            return otherwise
        description = str(incident.details.get(described_by) or "").strip()
        more = f" “{description.rstrip('.')}”." if description else ""
        return f"{words} since {near_time(incident.at, state.now)}.{more}"

    return sentence


def _away(state: AssetState) -> str:
    incident = state.incident
    supplier = incident.details.get("supplier") if incident else None
    expected = state.expected_back
    until = f" Expected back on {day_of(expected, state.now)}." if expected else ""
    return f"{'At ' + str(supplier) if supplier else 'Out'} for warranty repair.{until}"


def _disposed(state: AssetState) -> str:
    details: Mapping[str, Any] = state.incident.details if state.incident else {}
    words = METHODS.get(str(details.get("method")), "Disposed of")
    to = f" to {details['recipient']}" if details.get("recipient") else ""
    when = state.incident.at if state.incident else None
    on = f" on {day_of(when, state.now)}" if when else ""
    return f"{words}{to}{on}. Only its notes can be changed."


_KINDS: Final[Mapping[str, IncidentKind]] = {
    AssetStatus.BROKEN: IncidentKind.BROKEN,
    AssetStatus.LOST: IncidentKind.LOST,
    AssetStatus.WARRANTY: IncidentKind.WARRANTY,
    AssetStatus.LIQUIDATED: IncidentKind.LIQUIDATION,
}
_SENTENCES: Final[Mapping[AssetStatus, Callable[[AssetState], str]]] = {
    AssetStatus.AVAILABLE: lambda _: "Ready to check out or allocate.",
    AssetStatus.ALLOCATED: _held,
    AssetStatus.CHECKED_OUT: _held,
    AssetStatus.MAINTENANCE: lambda _: "Maintenance is in progress.",
    AssetStatus.WARRANTY: _away,
    AssetStatus.BROKEN: _since("Broken", "It can’t be used until it’s repaired.", "description"),
    AssetStatus.LOST: _since("Lost", "Its location is unknown.", "description"),
    AssetStatus.LIQUIDATED: _disposed,
}


@dataclass(frozen=True, slots=True)
class AssetNeed:
    """An open issue with the asset, and the button to resolve it."""

    text: str
    tone: str
    label: str
    url: str


def needs_of(state: AssetState) -> list[AssetNeed]:
    """Return all open issues, most urgent first. A deleted asset has none."""
    if state.asset.deleted_at is not None:
        return []
    kinds = (_late, _at_risk, _pending, _work, _back_from_claim, _warranty, _low)
    return [need for kind in kinds for need in kind(state)]


def _late(state: AssetState) -> Iterator[AssetNeed]:
    held = state.held
    if state.late and held and held.due_at:
        due = relative(held.due_at, state.now)
        text = f"{held.staff.name} was due to return it {due}."
        yield AssetNeed(text, "danger", "Check in", _url(state, Action.CHECK_IN))


def _at_risk(state: AssetState) -> Iterator[AssetNeed]:
    for reservation in state.plans.reservations:
        if reservation.state == ReservationState.APPROVED and is_at_risk(reservation, state.asset):
            since = near_time(reservation.starts_at, state.now)
            status = STATUS_WORDS[AssetStatus(state.asset.status)][0]
            text = f"{reservation.staff.name} reserved it from {since}, but it’s {status}."
            yield AssetNeed(text, "warning", "View reservations", _tab(state, "reservations"))
            return  # only the soonest. The tab lists all.


def _pending(state: AssetState) -> Iterator[AssetNeed]:
    reservations = [
        reservation
        for reservation in state.plans.reservations
        if reservation.state == ReservationState.PENDING
    ]
    if reservations:
        who = (
            reservations[0].staff.name if len(reservations) == 1 else f"{len(reservations)} people"
        )
        since = near_time(reservations[0].starts_at, state.now)
        begins = f"from {since}" if len(reservations) == 1 else f"(the first from {since})"
        text = f"{who} requested it {begins}. Not decided yet."
        yield AssetNeed(text, "info", "Review", _tab(state, "reservations"))


def _work(state: AssetState) -> Iterator[AssetNeed]:
    for maintenance in state.plans.maintenances:
        badge = due_badge(maintenance, state.moment)
        if badge:
            was = "was" if badge is LATE else "is"
            text = f"“{maintenance.title}” {was} due on {day_of(maintenance.due_on)}."
            url = _url(state, Action.COMPLETE_MAINTENANCE, subject=maintenance.public_id)
            yield AssetNeed(text, "warning", "Complete", url)


def _back_from_claim(state: AssetState) -> Iterator[AssetNeed]:
    expected = state.expected_back
    if expected and expected < state.now.astimezone(zone()).date():
        text = f"It was expected back on {day_of(expected, state.now)}."
        yield AssetNeed(text, "warning", "Receive back", _url(state, Action.RECEIVE_BACK))


def _warranty(state: AssetState) -> Iterator[AssetNeed]:
    ends = state.asset.warranty_expires
    if ends is None or not state.warranty_ends_soon:
        return
    if state.asset.status == AssetStatus.WARRANTY:
        return
    is_today = ends == state.moment.today
    left = "today" if is_today else f"on {day_of(ends, state.now)}"
    text = f"Its warranty ends {left}. If it needs repair, file a warranty claim now."
    yield AssetNeed(
        text, "warning", "Send for warranty repair", _url(state, Action.SEND_TO_WARRANTY)
    )


def _low(state: AssetState) -> Iterator[AssetNeed]:
    asset = state.asset
    if state.is_low:
        left = _pieces(asset) if asset.quantity else "None"
        text = f"{left} left. The threshold is {number(asset.min_quantity or 0)}."
        yield AssetNeed(text, "warning", "Receive", _url(state, Action.RECEIVE_STOCK))


def _url(state: AssetState, action: Action, subject: UUID | None = None) -> str:
    return url_for(f"actions.{action}", asset_id=state.asset.id, subject=subject)


def _tab(state: AssetState, name: str) -> str:
    return url_for(f"asset_parts.{name}", asset_id=state.asset.id)


MOST_BESIDE_EDIT: Final = 2


@dataclass(frozen=True, slots=True)
class Buttons:
    """The buttons in front, and the ones under More, where unavailable ones come last."""

    front: Sequence[Button]
    more: Sequence[Button]


def buttons_of(asset: Asset) -> Buttons:
    """Return the actions that the reader has permission for. Unavailable ones carry a reason."""
    buttons = action_buttons(asset)
    edit = _plain(Action.EDIT, "Edit", "pencil", "assets.edit", asset)
    copy = _copy(asset)
    delete = _plain(Action.DELETE, "Delete", "trash", "assets.delete", asset)
    if asset.deleted_at is not None:
        return Buttons([button for button in buttons if button.why_not is None], [])
    front = [button for button in buttons if button.is_main][:MOST_BESIDE_EDIT] + edit
    more = [button for button in (*buttons, *copy, *delete) if button not in front]
    return Buttons(front, sorted(more, key=lambda button: button.why_not is not None))


def _plain(action: Action, label: str, icon: str, endpoint: str, asset: Asset) -> list[Button]:
    if not can(RULES[action].permission):
        return []
    url, reason = url_for(endpoint, asset_id=asset.id), obstacle(action, asset)
    return [Button(label, icon, url, reason, reason is None, way_out(asset, reason))]


def _copy(asset: Asset) -> list[Button]:
    """Return the copy button. It is always available, because this asset does not change."""
    if not can(RULES[Action.CREATE].permission):
        return []
    url = url_for("assets.new", copy=asset.id)
    return [Button("Copy asset", "files", url, None, is_main=False)]


DETAILS: Final = "assets.show"
TIMELINE: Final = "asset_parts.timeline"
RESERVATIONS: Final = "asset_parts.reservations"
MAINTAIN: Final = "asset_parts.maintenance"
STOCK: Final = "stock.moves"
DELIVERIES: Final = "asset_parts.deliveries"

# The tabs of each kind, by endpoint.
TABS: Final = {
    AssetKind.ITEM: (DETAILS, TIMELINE, RESERVATIONS, MAINTAIN, DELIVERIES),
    AssetKind.STOCK: (DETAILS, TIMELINE, STOCK, DELIVERIES),
}
TAB_LABELS: Final = {
    DETAILS: "Details",
    TIMELINE: "Timeline",
    RESERVATIONS: "Reservations",
    MAINTAIN: "Maintenance",
    STOCK: "Stock",
    DELIVERIES: "Deliveries",
}


def show_tab(template: str, asset: Asset, state: AssetState | None = None, **values: Any) -> str:
    """Render a tab of the asset's page, in the layout that all tabs share."""
    state = state or asset_state(asset)
    tabs = tabs_of(state)
    return render_template(
        template,
        asset=asset,
        state=state,
        # Leave out a button that leads to the current page.
        needs=[need for need in needs_of(state) if need.url.partition("?")[0] != request.path],
        buttons=buttons_of(asset),
        tabs_of_asset=tabs,
        part=next((tab.label for tab in tabs if tab.is_here), asset.asset_tag),
        way_back=_way_back(asset),
        **values,
    )


def _way_back(asset: Asset) -> tuple[str, str]:
    """Return the label and URL of the back link: the list, or the person's page that led here."""
    address = local_path(request.args.get(LIST))
    if address.startswith(f"{url_for('staff.index')}/"):
        return "Back to person", address
    return "Assets", list_back("assets.index", f"asset-{asset.id}")


def tabs_of(state: AssetState) -> list[Tab]:
    """Return the tabs for this kind of asset that the signed-in person has permission for."""
    asset, counts = state.asset, _counts(state.plans)
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
    return {RESERVATIONS: len(plans.reservations), MAINTAIN: len(plans.maintenances)}
