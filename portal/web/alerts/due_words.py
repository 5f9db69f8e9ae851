"""What is due now and when it is told of, in words: for everybody who reads the alerts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from flask import url_for

from portal.engine.events.names import EventName
from portal.services.actions.planning.queries import MaintenanceList
from portal.services.alerts import queries as alert_queries
from portal.services.alerts.queries import DueNow, RunStatus
from portal.services.alerts.rules import AlertRules
from portal.services.assets.queries import Shown
from portal.web.alerts.words import KINDS
from portal.web.frame.status_tags import Tag
from portal.web.frame.wording import counted, plural, zone_name
from portal.web.planning.calendar_strip import span_end

OFF: Final = "Never: it is switched off"


@dataclass(frozen=True, slots=True)
class KindLine:
    """One kind of alert: when it is sent, how many are due, how many the next check sends."""

    kind: Tag
    rule: str
    due: str
    due_url: str
    coming: str


@dataclass(frozen=True, slots=True)
class DueWords:
    """What the list of alerts says of those that are still to come."""

    status: RunStatus
    found: DueNow
    lines: list[KindLine]

    @property
    def next_look(self) -> str:
        """When the next check is, and what it sends."""
        if self.status.running is not None:
            return "A check is running."
        coming = self.found.total_coming
        sent = f" {plural(coming, 'more alert goes', 'more alerts go')} out then."
        at = f"{span_end(self.status.next_at)} ({zone_name()})"
        return f"Next check: {at}.{sent if coming and not self.waits else ''}"

    @property
    def waits(self) -> int:
        """How many alerts wait until an administrator has decided about them."""
        return self.found.total_coming if self.status.needs_first_answer else 0

    @property
    def late_since(self) -> datetime | None:
        """Since when a check is overdue; None while none is."""
        return self.status.last_due_at if self.status.is_late else None


def due_words(now: datetime) -> DueWords:
    """How it is at `now`. Ends its transactions: ask before anything else is read."""
    found, status = alert_queries.due_now(now), alert_queries.run_status(now)
    lines = [_kind_line(event, found, status.stored.rules) for event in KINDS]
    return DueWords(status, found, lines)


def _kind_line(event: str, found: DueNow, rules: AlertRules) -> KindLine:
    name = EventName(event)
    return KindLine(
        kind=KINDS[event],
        rule=_RULES[name](rules),
        due=counted(found.due[name]),
        due_url=_lists().get(name, ""),
        coming=counted(found.coming.get(name, 0)),
    )


def _lists() -> Mapping[EventName, str]:
    """Where the things themselves are listed."""
    return {
        EventName.CHECKOUT_OVERDUE: url_for("assets.index", show=Shown.OVERDUE),
        EventName.MAINTENANCE_DUE: url_for("planning.maintenance", show=MaintenanceList.DUE),
        EventName.LOW_STOCK: url_for("assets.index", show=Shown.LOW),
    }


def _overdue_rule(rules: AlertRules) -> str:
    if not rules.overdue_on:
        return OFF
    days = rules.repeat_every_days
    again = f", and again every {plural(days, 'day') if days > 1 else 'day'}" if days else ""
    return f"At the first check after it was due back{again}"


def _maintenance_rule(rules: AlertRules) -> str:
    if not rules.maintenance_on:
        return OFF
    return f"{_before(rules.maintenance_days)} it is due, or later, unless it has been started"


def _low_rule(rules: AlertRules) -> str:
    return "As soon as there is less than its threshold" if rules.low_stock_on else OFF


def _warranty_rule(rules: AlertRules) -> str:
    return f"{_before(rules.warranty_days)} it ends" if rules.warranty_on else OFF


def _before(days: int) -> str:
    return f"{plural(days, 'day')} before" if days else "On the day"


_RULES: Final[Mapping[EventName, Callable[[AlertRules], str]]] = {
    EventName.CHECKOUT_OVERDUE: _overdue_rule,
    EventName.MAINTENANCE_DUE: _maintenance_rule,
    EventName.LOW_STOCK: _low_rule,
    EventName.WARRANTY_EXPIRING: _warranty_rule,
}
