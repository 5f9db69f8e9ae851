"""Alerts in words: what happened, what to do about it, and the page where it is done."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from flask import url_for

from portal.engine.events.names import EventName
from portal.engine.next_steps import ASK
from portal.lib.clock import utcnow
from portal.models.alerts import Alert
from portal.models.assets import Action
from portal.services.core.time_zones import today
from portal.web.assets.state import moment_words
from portal.web.frame.status_tags import ALERT, Tag
from portal.web.frame.wording import number
from portal.web.planning.words import day_in_words

Details = Mapping[str, Any]

KINDS: Final[Mapping[str, Tag]] = {
    EventName.CHECKOUT_OVERDUE: Tag("Overdue", "alarm", "danger"),
    EventName.MAINTENANCE_DUE: Tag("Maintenance due", "wrench", "warning"),
    EventName.LOW_STOCK: Tag("Low stock", "box-seam", "warning"),
    EventName.WARRANTY_EXPIRING: Tag("Warranty ends soon", "shield-exclamation", "warning"),
}


@dataclass(frozen=True, slots=True)
class Remedy:
    """What to do about one kind of alert. `label`: of the link to where it is done.

    `others`: for those who may not change the register, see `web/help/advice.py`.
    """

    words: str
    others: str
    label: str
    action: Action | None


REMEDIES: Final[Mapping[str, Remedy]] = {
    EventName.CHECKOUT_OVERDUE: Remedy(
        "Ask for it. Check it in when it is back, or give it more time.",
        f"Ask for it. Then {ASK} to check it in, or to give it more time.",
        "Check in",
        Action.CHECK_IN,
    ),
    EventName.MAINTENANCE_DUE: Remedy(
        "Have it done, then enter how it ended.",
        f"Have it done, then {ASK} to enter how it ended.",
        "See maintenance",
        None,
    ),
    EventName.LOW_STOCK: Remedy(
        "Order more, and enter what comes in.",
        f"Order more, and {ASK} to enter what comes in.",
        "Receive",
        Action.RECEIVE_STOCK,
    ),
    EventName.WARRANTY_EXPIRING: Remedy(
        "If something is wrong with it, claim it now.",
        f"If something is wrong with it, {ASK} to claim it now.",
        "Send to warranty",
        Action.SEND_TO_WARRANTY,
    ),
}


def sentence_of(event: str, details: Details) -> str:
    """What happened, as of now: what was still to come when it fired may be past."""
    return _SENTENCES[event](details)


def remedy_url(alert: Alert) -> str:
    """Where a person does something about it."""
    action = REMEDIES[alert.event].action
    if action is None:
        return url_for("planning.maintenance", asset=alert.asset_id)
    return url_for(f"actions.{action}", asset_id=alert.asset_id)


def state_of(alert: Alert) -> Tag:
    """Open, acknowledged, or over because its matter has passed."""
    if alert.resolved_at is not None:
        return ALERT["over"]
    return ALERT["open" if alert.acknowledged_at is None else "acknowledged"]


def _overdue(details: Details) -> str:
    due = moment_words(datetime.fromisoformat(details["due_at"]), utcnow())
    earlier = details["reminder_no"] - 1
    reminder = f" This is reminder {earlier}." if earlier else ""
    return f"{details['staff']['name']} should have brought it back by {due}.{reminder}"


def _maintenance(details: Details) -> str:
    return f"“{details['title']}” {_is_or_was(details['due_on'])} due on {_day(details['due_on'])}."


def _warranty(details: Details) -> str:
    verb = "ends" if _is_or_was(details["warranty_expires"]) == "is" else "ended"
    return f"Its warranty {verb} on {_day(details['warranty_expires'])}."


def _low(details: Details) -> str:
    quantity, unit = details["quantity"], details.get("unit")
    left = f"{number(quantity)} {unit or ''}".strip() if quantity else "Nothing"
    return f"{left} left. It counts as low below {number(details['min_quantity'])}."


def _is_or_was(day: str) -> str:
    return "was" if date.fromisoformat(day) < today() else "is"


def _day(day: str) -> str:
    return day_in_words(date.fromisoformat(day))


_SENTENCES: Final[Mapping[str, Callable[[Details], str]]] = {
    EventName.CHECKOUT_OVERDUE: _overdue,
    EventName.MAINTENANCE_DUE: _maintenance,
    EventName.LOW_STOCK: _low,
    EventName.WARRANTY_EXPIRING: _warranty,
}
