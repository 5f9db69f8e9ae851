"""Serve the start page: webhooks with problems, the last day's deliveries, and needs of assets."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from portal.engine.events.catalogue import EventName
from portal.engine.next_steps import ASK, SYSTEM
from portal.lib.clock import utcnow
from portal.models.deliveries import OPEN, DeliveryStatus
from portal.services.actions.planning.queries import MaintenanceList
from portal.services.alerts import queries as alert_queries
from portal.services.alerts.queries import AlertFilter
from portal.services.assets import queries as asset_queries
from portal.services.assets.queries import AssetFilter, Shown
from portal.services.deliveries import trends
from portal.services.deliveries.trends import Trend
from portal.services.demo import load
from portal.services.operations.health import read_ready
from portal.services.operations.overview import Overview, overview
from portal.services.operations.readiness import OK, Ready
from portal.services.outbox.at_rest import held_until
from portal.services.webhooks.backlog import Backlog, WebhookStatus
from portal.services.webhooks.held_deliveries import Held, held_at
from portal.web.deliveries import bulk_retry_wording
from portal.web.deliveries.backlog import table_of
from portal.web.deliveries.log_presenter import failures_url, span_url
from portal.web.deliveries.wording import turns_on_at
from portal.web.forms.base import refusals_flashed
from portal.web.frame import charts
from portal.web.frame.access import actor, can, requires
from portal.web.frame.charts import Chart
from portal.web.frame.site_state import in_trouble, offline_senders, sending_stop
from portal.web.frame.wording import counted, day_of, due_words, number, percent
from portal.web.help.advice import Advice, Context, advise
from portal.web.home.first_run import first_steps, sample_data
from portal.web.home.us_or_them import Sides, us_or_them

# Rows for webhooks with problems. If there are more, a link leads to all.
IN_SIGHT: Final = 5

blueprint = Blueprint("home", __name__)


class Figure(NamedTuple):
    """A number with its label and its link. `more`: its breakdown."""

    value: str
    label: str
    path: str
    more: str = ""
    is_bad: bool = False


@dataclass(frozen=True, slots=True)
class Todo:
    """One kind of open task with its count. `tone`: danger, warning, or blank."""

    label: str
    count: int
    path: str
    icon: str
    tone: str = ""


@blueprint.get("/")
@requires("home.read")
def index() -> str:
    """Show first steps in a new portal, then everything that needs attention, counted once."""
    now = overview()
    day = trends.trend(charts.last_hours()) if now.has_deliveries else None
    wrong = what_is_wrong()
    is_sending = not (wrong or sending_stop() or offline_senders())
    return render_template(
        "home/index.html",
        steps=first_steps(),
        sample=sample_data(),
        backlog=table_of(in_trouble(), IN_SIGHT),
        bulk_retry_lines=bulk_retry_wording.under_way(),
        now=now,
        wrong=wrong,
        is_sending=is_sending,
        sides=us_or_them(in_trouble()) if is_sending else Sides(),
        held=held_at([backlog.webhook_id for backlog in in_trouble()]) if now.held else [],
        held_then=held_then,
        figures=delivery_figures(now, day) if day else [],
        attempts=_chart(day) if day else None,
        periods=charts.period_tabs("home.index", is_week=_is_week()),
        assets=asset_figures(now),
        todo=list(todo()),
    )


def _is_week() -> bool:
    return request.args.get("period") == charts.WEEK


def _chart(day: Trend) -> Chart:
    if _is_week():
        return charts.days_chart(trends.trend(charts.last_days()), place=span_url)
    return charts.hours_chart(day, span_url)


@blueprint.post("/sample-data")
@requires("sample_data.load")
def load_sample_data() -> Response:
    """Start loading sample data, at most once, and show the progress."""
    path = url_for("home.index")
    with refusals_flashed("error"):
        path = url_for("tasks.show", public_id=load.start(actor()))
    return redirect(path)


def delivery_figures(now: Overview, day: Trend) -> list[Figure]:
    """Count deliveries, and link each number to the rows that it counts."""
    log = f"{request.script_root}/deliveries"
    backlogs = in_trouble()
    attempts = day.delivered + day.failed_attempts
    return [
        Figure(
            counted(len(backlogs)),
            "Webhooks with problems",
            "#needs" if backlogs else url_for("webhooks.index"),
            ", ".join(_kinds(backlogs)) or f"{counted(now.webhooks_on)} active",
            is_bad=bool(backlogs),
        ),
        Figure(
            number(day.delivered),
            "Delivered, last 24 hours",
            f"{log}?status=delivered&time=day",
            f"{number(day.late)} late" if day.late else "",
        ),
        Figure(
            number(day.failed_attempts),
            "Failed attempts, last 24 hours",
            failures_url(day.spans[0].begins, day.spans[-1].ends),
            f"{percent(day.failed_attempts, attempts)} of {number(attempts)}" if attempts else "",
        ),
        Figure(
            counted(now.queued + now.retrying),
            "Queued or retrying",
            f"{log}?status=open",
            _share_of(backlogs, *OPEN) if now.queued or now.retrying else "",
        ),
        Figure(
            counted(now.held),
            "On hold",
            f"{log}?status=on_hold",
            _share_of(backlogs, DeliveryStatus.ON_HOLD) if now.held else "",
        ),
    ]


def held_then(held: Held) -> str:
    """Return when its deliveries on hold are sent, or from which day on they are dismissed."""
    if until := turns_on_at(held.off_until):
        return f"Turns on {due_words(until)}"
    return f"Dismissed from {day_of(held_until(held.oldest_at, held.off_at))}"


def _kinds(found: Sequence[Backlog]) -> Iterator[str]:
    """Yield how many of the webhooks with problems are failing, off, or deleted."""
    failing = sum(backlog.status is WebhookStatus.FAILING for backlog in found)
    deleted = sum(backlog.is_deleted for backlog in found)
    for many, word in (
        (failing, "failing"),
        (len(found) - failing - deleted, "off automatically"),
        (deleted, "deleted"),
    ):
        if many:
            yield f"{counted(many)} {word}"


def _share_of(found: Sequence[Backlog], *statuses: DeliveryStatus) -> str:
    """Return how many deliveries in these statuses the rows below cover, or "" without rows."""
    many = sum(backlog.counts[status] for backlog in found for status in statuses)
    return f"{counted(many)} in webhooks with problems" if found else ""


def asset_figures(now: Overview) -> list[Figure]:
    """Count the register's assets: total, in use, lost."""
    shown = ((Shown.OUT, "In use"), (Shown.LOST, "Lost"))
    return [
        Figure(counted(now.assets), "Total", url_for("assets.index")),
        *(Figure(counted(_count(which)), label, _shown(which)) for which, label in shown),
    ]


def todo() -> Iterator[Todo]:
    """Yield the open tasks about assets, including zero counts.

    For administrators, a late alert check and alerts that wait for their decision come first.
    """
    now = utcnow()
    if can("alerts.settings"):
        status, path = alert_queries.run_status(now), url_for("alert_settings.index")
        if status.is_late:
            yield Todo("Late alert check", 1, path, "alarm", "danger")
        if status.needs_first_answer:
            coming = alert_queries.due_now(now).total_coming
            yield Todo("Alerts waiting for your decision", coming, path, "bell", "warning")
    maintenance = url_for("planning.maintenance", show=MaintenanceList.DUE)
    due = alert_queries.count_due(EventName.MAINTENANCE_DUE, now)
    alerts = alert_queries.count_alerts(AlertFilter())
    yield Todo("Overdue assets", _count(Shown.OVERDUE), _shown(Shown.OVERDUE), "alarm", "danger")
    yield Todo("Maintenance due", due, maintenance, "wrench", "warning")
    yield Todo("Low stock", _count(Shown.LOW), _shown(Shown.LOW), "box-seam", "warning")
    yield Todo("Open alerts", alerts, url_for("alerts.index"), "bell")


def _count(which: Shown) -> int:
    return asset_queries.count(AssetFilter(shown=which))


def _shown(which: Shown) -> str:
    return url_for("assets.index", show=which)


def what_is_wrong() -> Advice | None:
    """Return advice about failed readiness checks, or None.

    Paused sending and unreachable receivers are left out, because every page shows them.
    """
    missing = " ".join(_missing(read_ready()))
    if not missing:
        return None
    return advise(
        SYSTEM,
        missing,
        f"{missing} {ASK} to check System.",
        context=Context(happened=missing, path="/settings/system"),
        links=[("View System", url_for("system.index"))],
        needed="Check System for problems.",
    )


def _missing(ready: Ready) -> Iterator[str]:
    if ready.database != OK:
        yield "The database can’t save changes."
    if ready.migrations != OK:
        yield "The database schema doesn’t match this version."
    if ready.sending != OK:
        yield "We can’t send deliveries because no delivery worker is running."
