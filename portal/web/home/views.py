"""The start page for two jobs: deliveries and things, each with what needs attention first."""

from dataclasses import dataclass
from typing import Final

from flask import Blueprint, render_template, request

from portal.services.assets.queries import AssetFilter, Shown, count
from portal.services.deliveries import trends
from portal.services.operations.overview import Overview, overview
from portal.services.outbox.due import find_stop
from portal.web.deliveries import bulk_retry_wording
from portal.web.deliveries import problems as problem_lines
from portal.web.deliveries.log_presenter import failures_url
from portal.web.frame import charts
from portal.web.frame.access import can, requires
from portal.web.frame.wording import counted
from portal.web.help.advice import contact
from portal.web.home.needs import needs, our_side, register_needs

# So many problems stand on the page; the others are folded away.
IN_SIGHT: Final = 5

blueprint = Blueprint("home", __name__)


@dataclass(frozen=True, slots=True)
class FirstStep:
    """One of the first steps: done, or a link for those who may take it."""

    title: str
    text: str
    is_done: bool
    label: str
    path: str
    permission: str
    other: tuple[str, str] = ("", "")  # the words and the address of another way

    @property
    def may(self) -> bool:
        """Return whether the reader may take it."""
        return can(self.permission)

    @property
    def others(self) -> str:
        """Return who takes it, where the reader may not."""
        return f"Ask {contact(self.permission)}."


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of the start page, with what it counts and where it leads."""

    value: str
    label: str
    path: str


@blueprint.get("/")
@requires("home.read")
def index() -> str:
    """First steps until a delivery was made; then what needs attention, each thing counted once."""
    now = overview()
    steps = first_steps(now)
    return render_template(
        "home/index.html",
        steps=[] if all(step.is_done for step in steps) else steps,
        problem_lines=problem_lines.problems_of(now.problems, IN_SIGHT),
        bulk_retry_lines=bulk_retry_wording.under_way(),
        now=now,
        our_side=our_side(),
        delivery_needs=needs(now),
        register_needs=register_needs(),
        is_well=now.has_deliveries and not now.problems and not find_stop(),
        delivery_figures=delivery_figures(now),
        thing_figures=thing_figures(now),
        day=charts.hours_chart(trends.trend(charts.last_hours()), failures_url)
        if now.has_deliveries
        else None,
    )


def first_steps(now: Overview) -> list[FirstStep]:
    """Return the way to the first message."""
    root = request.script_root
    return [
        FirstStep(
            "Connect a system",
            "Tell us the address of a system that wants to know about your assets.",
            now.webhooks > 0,
            "Add a webhook",
            f"{root}/settings/webhooks/new",
            "webhooks.edit",
            ("Or try it without a receiver", f"{root}/inbox"),
        ),
        FirstStep(
            "Add an asset",
            "From then on, each change to it is sent.",
            now.assets > 0,
            "Add an asset",
            f"{root}/assets/new",
            "assets.edit",
        ),
        FirstStep(
            "See the delivery arrive",
            "Every delivery is listed with what came back, and can be sent again.",
            now.has_deliveries,
            "See deliveries",
            f"{root}/deliveries",
            "deliveries.read",
        ),
    ]


def delivery_figures(now: Overview) -> list[Figure]:
    """Return what else there is of deliveries, each as the page that it leads to counts it. What
    needs attention and what is held stand above them already."""
    log = f"{request.script_root}/deliveries"
    off = f", {counted(now.webhooks_off)} off" if now.webhooks_off else ""
    return [
        Figure(counted(now.retrying), "will retry", f"{log}?status=retrying"),
        Figure(counted(now.paused), "paused", f"{log}?status=paused"),
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
            Figure(counted(count(AssetFilter(shown=shown))), words, f"{assets}?show={shown}")
            for shown, words in ((Shown.OUT, "out"), (Shown.LOST, "lost"))
        ),
    ]
