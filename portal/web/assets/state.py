"""Where an asset stands: one sentence, and the badges that dates and numbers give it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from markupsafe import Markup

from portal.lib.clock import utcnow
from portal.lib.durations import relative
from portal.models.assets import Asset, AssetKind, AssetStatus
from portal.models.assignments import Assignment, Incident
from portal.models.planning import ReservationState
from portal.services.actions.incident_rows import STANDING_KINDS, open_incidents
from portal.services.actions.planning.queries import Plans, plans_of
from portal.services.alerts import settings as alert_settings
from portal.services.alerts.rules import GONE, Moment, ends_soon, is_due, is_low
from portal.services.assets.snapshots import open_assignment
from portal.services.core.unit_of_work import session
from portal.web.actions.incident_pages import METHOD_WORDS
from portal.web.frame.status_tags import RESERVATION, Tag
from portal.web.frame.wording import day_words, moment, number, zone

OVERDUE: Final = Tag("Overdue", "alarm", "danger")
RESERVED: Final = RESERVATION[ReservationState.APPROVED]._replace(word="Reserved", tone="info")
MAINTENANCE_DUE: Final = Tag("Maintenance due", "wrench", "warning")
WARRANTY_SOON: Final = Tag("Warranty ends soon", "shield-exclamation", "warning")
LOW_STOCK: Final = Tag("Low stock", "boxes", "warning")


@dataclass(frozen=True, slots=True)
class Standing:
    """An asset with what is known of where it stands."""

    asset: Asset
    held: Assignment | None
    incident: Incident | None
    plans: Plans
    moment: Moment

    @property
    def now(self) -> datetime:
        """The instant at which it was looked at."""
        return self.moment.now

    @property
    def sentence(self) -> str:
        """Where it stands, in one or two sentences; its times are elements of the page."""
        if self.asset.deleted_at is not None:
            return "It is no longer in the register. Its timeline and its deliveries are kept."
        words = _SENTENCES[AssetStatus(self.asset.status)](self)
        if self.asset.kind == AssetKind.STOCK:
            unit = f" ({self.asset.unit})" if self.asset.unit else ""
            words = f"{number(self.asset.quantity or 0)} in stock{unit}."
        return words + self._place

    @property
    def badges(self) -> list[Tag]:
        """What its dates and its number say of it."""
        if self.asset.deleted_at is not None:
            return []
        states = {each.state for each in self.plans.reservations}
        found = {
            OVERDUE: self.late is not None,
            RESERVED: ReservationState.APPROVED in states,
            MAINTENANCE_DUE: any(
                is_due(self.moment, each.due_on, each.state) for each in self.plans.maintenances
            ),
            WARRANTY_SOON: self.warranty_ends_soon,
            LOW_STOCK: self.is_low,
        }
        return [badge for badge, holds in found.items() if holds]

    @property
    def is_low(self) -> bool:
        """Whether there are fewer of it than there should be."""
        return is_low(self.asset.quantity, self.asset.min_quantity)

    @property
    def warranty_ends_soon(self) -> bool:
        """Whether its warranty ends as soon as alerts tell of it."""
        return ends_soon(self.moment, self.asset.warranty_expires, self.asset.status)

    @property
    def expected_back(self) -> date | None:
        """The day on which a warranty claim should be over; no other incident has one."""
        day = self.incident.details.get("expected_back_on") if self.incident else None
        return date.fromisoformat(day) if day else None

    @property
    def late(self) -> str | None:
        """How late it is: "3 days"; None while it is not."""
        due_at = self.held.due_at if self.held else None
        if due_at is None or due_at >= self.now:
            return None
        return relative(due_at, self.now).removesuffix(" ago")

    @property
    def _place(self) -> str:
        at = self.asset.location
        elsewhere = {*GONE, AssetStatus.WARRANTY, AssetStatus.CHECKED_OUT}
        shown = self.asset.status not in elsewhere
        return f" It is at {at.name}." if at and shown else ""


def urgent_badges(asset: Asset, held: Assignment | None, now: datetime) -> list[Tag]:
    """What the list says beside a status: that it is late, that there is too little of it."""
    is_late = held is not None and held.due_at is not None and held.due_at < now
    found = {OVERDUE: is_late, LOW_STOCK: is_low(asset.quantity, asset.min_quantity)}
    return [badge for badge, holds in found.items() if holds]


def standing_of(asset: Asset) -> Standing:
    """What is known now."""
    found = open_incidents(session(), asset.id, *STANDING_KINDS)
    kind = _KINDS.get(asset.status)
    incident = next((each for each in found if each.kind == kind), None)
    plans = plans_of(asset.id) if asset.kind == AssetKind.ITEM else Plans()
    moment = alert_settings.moment(utcnow())
    return Standing(asset, open_assignment(asset.id), incident, plans, moment)


def moment_words(at: datetime, now: datetime) -> str:
    """A time in the person's zone: "12 Mar 16:00", with the year where it is another."""
    local = at.astimezone(zone())
    return f"{day_words(local.date(), now)} {local:%H:%M}"


def _timed(at: datetime, now: datetime) -> Markup:
    """The same as an element of the page."""
    it = moment(at, now)
    tag = Markup('<time datetime="{}" title="{}">{}</time>')
    return tag.format(it.iso, it.exact, moment_words(at, now))


def _since_when(held: Assignment, now: datetime) -> Markup:
    return Markup("With {} since {}").format(held.staff.name, _timed(held.started_at, now))


def _with(standing: Standing) -> str:
    if standing.held is None:
        return "Given to somebody."
    return Markup("{}.").format(_since_when(standing.held, standing.now))


def _lent(standing: Standing) -> str:
    if standing.held is None or standing.held.due_at is None:
        return "Lent to somebody."
    since = _since_when(standing.held, standing.now)
    until = _timed(standing.held.due_at, standing.now)
    late = f", {standing.late} late" if standing.late else ""
    return Markup("{}, until {}{}.").format(since, until, late)


def _since(words: str, otherwise: str, told: str) -> Callable[[Standing], str]:
    def sentence(standing: Standing) -> str:
        incident = standing.incident
        if incident is None:
            return otherwise
        description = str(incident.details.get(told) or "").strip()
        more = f" “{description}”" if description else ""
        return f"{words} since {moment_words(incident.at, standing.now)}.{more}"

    return sentence


def _away(standing: Standing) -> str:
    incident = standing.incident
    supplier = incident.details.get("supplier") if incident else None
    expected = standing.expected_back
    until = f", expected back on {day_words(expected, standing.now)}" if expected else ""
    return f"{'At ' + str(supplier) if supplier else 'Away'} for a warranty claim{until}."


def _disposed(standing: Standing) -> str:
    details: Mapping[str, Any] = standing.incident.details if standing.incident else {}
    words = METHOD_WORDS.get(str(details.get("method")), "Disposed of").partition(":")[0]
    to = f" to {details['recipient']}" if details.get("recipient") else ""
    when = standing.incident.at if standing.incident else None
    on = f" on {day_words(when.astimezone(zone()).date(), standing.now)}" if when else ""
    return f"{words}{to}{on}. Only its notes can be changed."


_KINDS: Final[Mapping[str, str]] = {
    AssetStatus.BROKEN: "broken",
    AssetStatus.LOST: "lost",
    AssetStatus.WARRANTY: "warranty",
    AssetStatus.LIQUIDATED: "liquidation",
}
_SENTENCES: Final[Mapping[AssetStatus, Callable[[Standing], str]]] = {
    AssetStatus.AVAILABLE: lambda _: "Free to be given out.",
    AssetStatus.ALLOCATED: _with,
    AssetStatus.CHECKED_OUT: _lent,
    AssetStatus.MAINTENANCE: lambda _: "Being worked on.",
    AssetStatus.WARRANTY: _away,
    AssetStatus.BROKEN: _since("Broken", "Not usable until it is repaired.", "description"),
    AssetStatus.LOST: _since("Lost", "Nobody knows where it is.", "description"),
    AssetStatus.LIQUIDATED: _disposed,
}
