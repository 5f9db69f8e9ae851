"""What needs attention in the register, for the start page: late, due, low, and alerts."""

from collections.abc import Callable, Iterator
from typing import Final

from flask import url_for

from portal.engine.events.names import EventName
from portal.engine.next_steps import ASK
from portal.lib.clock import utcnow
from portal.services.actions.planning.queries import MaintenanceList
from portal.services.alerts import queries as alert_queries
from portal.services.alerts import settings as alert_settings
from portal.services.alerts.queries import AlertFilter
from portal.services.assets import queries as asset_queries
from portal.services.assets.queries import AssetFilter, Shown
from portal.web.frame.access import can
from portal.web.frame.wording import counted, plural
from portal.web.help.advice import for_reader
from portal.web.home.needs import Need


def register_needs() -> list[Need]:
    """Everything that wants a look, the most pressing first."""
    return [need for source in REGISTER_NEEDS for need in source()]


def the_look_for_alerts() -> Iterator[Need]:
    """For administrators: the daily run is late, or waits for an answer."""
    if not can("alerts.settings"):
        return
    status = alert_queries.run_status(utcnow())
    path = url_for("alert_settings.index")
    if status.is_late:
        yield Need(
            "Alerts are late",
            "The daily check for them has not ended. The next run makes up for it.",
            "See what is wrong",
            path,
            "alarm",
            "danger",
        )
    if status.needs_first_answer:
        count = alert_queries.due_now(utcnow()).total_coming
        yield Need(
            f"{counted(count)} {'alert waits' if count == 1 else 'alerts wait'} for your decision",
            "Due, and not sent so far. Send, or mark as already sent?",
            "Decide",
            path,
            "question-circle-fill",
            "warning",
        )


def overdue_assets() -> Iterator[Need]:
    """Lent, and not back in time."""
    count = asset_queries.count(AssetFilter(shown=Shown.OVERDUE))
    if count:
        yield Need(
            f"{counted(count)} {'asset is' if count == 1 else 'assets are'} overdue",
            "Ask for what was lent and did not come back in time.",
            "See what is late",
            url_for("assets.index", show=Shown.OVERDUE),
            "alarm",
            "danger",
        )


def due_maintenance() -> Iterator[Need]:
    """Late, or due as soon as alerts tell of it, and not begun."""
    days = alert_settings.read().rules.maintenance_days
    count = alert_queries.count_due(EventName.MAINTENANCE_DUE, utcnow())
    if count:
        enter = for_reader(
            "assets.edit",
            "Enter how it ended once it is done.",
            f"Once it is done, {ASK} to enter how it ended.",
        )
        yield Need(
            f"{counted(count)} maintenance {'job is' if count == 1 else 'jobs are'} due",
            f"Late, or due within {plural(days, 'day')}. {enter}",
            "See what is due",
            url_for("planning.maintenance", show=MaintenanceList.DUE),
            "wrench",
            "warning",
        )


def low_stock() -> Iterator[Need]:
    """Less than there should be."""
    count = asset_queries.count(AssetFilter(shown=Shown.LOW))
    if count:
        order = for_reader(
            "assets.edit",
            "Order more, and enter what comes in.",
            f"Order more, and {ASK} to enter what comes in.",
        )
        yield Need(
            f"{counted(count)} {'consumable is' if count == 1 else 'consumables are'} low",
            f"There is less than the threshold. {order}",
            "See what is low",
            url_for("assets.index", show=Shown.LOW),
            "box-seam",
            "warning",
        )


def open_alerts() -> Iterator[Need]:
    """Nobody has acknowledged them."""
    count = alert_queries.count_alerts(AlertFilter())
    if count:
        yield Need(
            f"{counted(count)} {'alert is' if count == 1 else 'alerts are'} open",
            "Nobody has acknowledged " + ("it." if count == 1 else "them."),
            "See the alerts",
            url_for("alerts.index"),
            "bell",
            "info",
        )


# One line a kind, in the order of the page.
REGISTER_NEEDS: Final[tuple[Callable[[], Iterator[Need]], ...]] = (
    the_look_for_alerts,
    overdue_assets,
    due_maintenance,
    low_stock,
    open_alerts,
)
