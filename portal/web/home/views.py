"""The start page for two jobs: deliveries and things, each with what needs attention first."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from portal.engine.events.catalogue import EventName
from portal.engine.next_steps import ASK, SYSTEM
from portal.lib.clock import utcnow
from portal.services.actions.planning.queries import MaintenanceList
from portal.services.alerts import queries as alert_queries
from portal.services.alerts import settings as alert_settings
from portal.services.alerts.queries import AlertFilter
from portal.services.assets import queries as asset_queries
from portal.services.assets.queries import AssetFilter, Shown
from portal.services.deliveries import trends
from portal.services.demo import load
from portal.services.operations.health import read_ready
from portal.services.operations.overview import Overview, overview
from portal.services.operations.readiness import OK, Ready
from portal.services.outbox.claimable import find_stop
from portal.services.outbox.connectivity import find_offline
from portal.web.deliveries import bulk_retry_wording
from portal.web.deliveries.backlog import table_of
from portal.web.deliveries.log_presenter import failures_url
from portal.web.forms.base import refusals_flashed
from portal.web.frame import charts
from portal.web.frame.access import actor, can, requires
from portal.web.frame.site_state import in_trouble
from portal.web.frame.wording import counted, plural
from portal.web.help.advice import Advice, Context, advise, for_reader
from portal.web.home.first_run import first_steps, sample_data

# So many webhooks in trouble stand on the page; the others are folded away.
IN_SIGHT: Final = 5

blueprint = Blueprint("home", __name__)


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of the start page, with what it counts and where it leads."""

    value: str
    label: str
    path: str


@blueprint.get("/")
@requires("home.read")
def index() -> str:
    """First steps while the portal is new; then what needs attention, each thing counted once."""
    now = overview()
    return render_template(
        "home/index.html",
        steps=first_steps(),
        sample=sample_data(),
        backlog=table_of(in_trouble(), IN_SIGHT),
        bulk_retry_lines=bulk_retry_wording.under_way(),
        now=now,
        our_side=our_side(),
        delivery_needs=list(held_deliveries(now)),
        register_needs=[need for source in REGISTER_NEEDS for need in source()],
        is_well=now.has_deliveries and not in_trouble() and not find_stop(),
        delivery_figures=delivery_figures(now),
        thing_figures=thing_figures(now),
        day=charts.hours_chart(trends.trend(charts.last_hours()), failures_url)
        if now.has_deliveries
        else None,
    )


@blueprint.post("/sample-data")
@requires("sample_data.load")
def load_sample_data() -> Response:
    """Queue it, once; show how far it is."""
    path = url_for("home.index")
    with refusals_flashed("error"):
        path = url_for("tasks.show", public_id=load.start(actor()))
    return redirect(path)


def delivery_figures(now: Overview) -> list[Figure]:
    """Return what else there is of deliveries, each as the page that it leads to counts it. What
    needs attention and what is held stand above them already."""
    log = f"{request.script_root}/deliveries"
    off = f", {counted(now.webhooks_off)} off" if now.webhooks_off else ""
    return [
        Figure(counted(now.open), "retrying or queued", f"{log}?status=open"),
        Figure(
            counted(now.webhooks_on),
            f"{'webhook is' if now.webhooks_on == 1 else 'webhooks are'} on{off}",
            f"{request.script_root}/settings/webhooks",
        ),
    ]


def thing_figures(now: Overview) -> list[Figure]:
    """Count what else there is in the register. What is late, due or low stands above it."""
    assets = f"{request.script_root}/assets"
    return [
        Figure(counted(now.assets), "asset" if now.assets == 1 else "assets", assets),
        *(
            Figure(
                counted(asset_queries.count(AssetFilter(shown=shown))),
                words,
                f"{assets}?show={shown}",
            )
            for shown, words in ((Shown.OUT, "out"), (Shown.LOST, "lost"))
        ),
    ]


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that wants a person. Tones: danger, warning or info."""

    title: str
    text: str
    label: str
    path: str
    icon: str
    tone: str


def held_deliveries(now: Overview) -> Iterator[Need]:
    """Yield what is kept because its webhook is off."""
    if not now.held:
        return
    one = now.held == 1
    turn = (
        f"urn {'its' if one else 'their'} webhook on to send or dismiss {'it' if one else 'them'}."
    )
    text = for_reader("webhooks.switch", f"T{turn}", f"{ASK} to t{turn}")
    yield Need(
        f"{counted(now.held)} {'delivery is' if one else 'deliveries are'} held",
        text,
        "See what is held",
        f"{request.script_root}/deliveries?status=on_hold",
        "pause-circle",
        "warning",
    )


PAGE: Final = "/settings/system"
WORKS: Final = "Our side is working: sending, pages and database."
STOPPED: Final = "Pages and database are working. A person has stopped all sending."


@dataclass(frozen=True, slots=True)
class OurSide:
    """`advice`: where one sees more, or whom to ask."""

    is_working: bool
    sentence: str
    advice: Advice


def our_side() -> OurSide:
    """Return how the portal itself is, for people who may not see System too."""
    ready = read_ready()
    missing = [*_missing(ready)]
    if find_offline():
        missing.append("a machine cannot connect to receivers")
    works = WORKS if ready.switch == OK else STOPPED
    sentence = f"Our side is not working: {' and '.join(missing)}." if missing else works
    return OurSide(
        not missing,
        sentence,
        advise(
            SYSTEM,
            "System shows every part.",
            f"Only administrators see more: {ASK}.",
            context=Context(happened=sentence, path=PAGE),
            link=("System", url_for("system.index")),
            needed="Look under System for what is running.",
        ),
    )


def _missing(ready: Ready) -> Iterator[str]:
    if ready.database != OK:
        yield "the database takes no changes"
    if ready.migrations != OK:
        yield "the database is not of this version"
    if ready.sending != OK:
        yield "no process is sending deliveries, and what is to be sent waits"


def daily_alerts() -> Iterator[Need]:
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
    daily_alerts,
    overdue_assets,
    due_maintenance,
    low_stock,
    open_alerts,
)
