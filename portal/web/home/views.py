"""The start page: first steps, then what needs attention, and how the last day went."""

from dataclasses import dataclass
from typing import Final

from flask import Blueprint, render_template, request

from portal.services.deliveries import trends
from portal.services.operations.overview import Overview, overview
from portal.web.deliveries.bulk_retries import lines as run_lines
from portal.web.deliveries.problems import lines as problem_lines
from portal.web.frame import charts
from portal.web.frame.access import can, requires
from portal.web.frame.wording import counted, plural
from portal.web.help.advice import whom
from portal.web.home.needs import needs
from portal.web.home.register_needs import register_needs

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
        """Whether the reader may take it."""
        return can(self.permission)

    @property
    def others(self) -> str:
        """Who takes it, where the reader may not."""
        return f"Ask {whom(self.permission)}."


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of the start page, with what it means and where it leads."""

    value: str
    label: str
    text: str
    path: str
    icon: str
    tone: str


@blueprint.get("/")
@requires("home.read")
def index() -> str:
    """First steps until a message has been sent; then what needs attention, and the last day."""
    now = overview()
    steps = first_steps(now)
    return render_template(
        "home/index.html",
        steps=[] if all(step.is_done for step in steps) else steps,
        problem_lines=problem_lines.problems_of(now.problems, IN_SIGHT),
        run_lines=run_lines.under_way(),
        needs=[*needs(now), *register_needs()],
        is_well=now.has_deliveries,
        figures=figures(now),
        day=charts.hours_chart(trends.trend(charts.last_hours())) if now.has_deliveries else None,
    )


def first_steps(now: Overview) -> list[FirstStep]:
    """The way to the first message."""
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


def figures(now: Overview) -> list[Figure]:
    """What there is, and what wants a look, each as the page that it leads to counts it."""
    root = request.script_root
    off = f"{plural(now.webhooks_off, 'more is', 'more are')} off" if now.webhooks_off else ""
    return [
        Figure(
            counted(now.attention),
            "delivery needs attention" if now.attention == 1 else "deliveries need attention",
            _waiting(now),
            f"{root}/deliveries?status=attention",
            "x-octagon-fill" if now.attention else "check-circle-fill",
            "danger" if now.attention else "success",
        ),
        Figure(
            counted(now.webhooks_on),
            "webhook is on" if now.webhooks_on == 1 else "webhooks are on",
            off or "Each tells one system about your assets",
            f"{root}/settings/webhooks",
            "broadcast",
            "info",
        ),
        Figure(
            counted(now.assets),
            "asset" if now.assets == 1 else "assets",
            "In the register",
            f"{root}/assets",
            "box-seam",
            "info",
        ),
    ]


def _waiting(now: Overview) -> str:
    parts = {
        "failed": now.failed,
        "will retry": now.retrying,
        "paused": now.paused,
        "held": now.held,
    }
    told = ", ".join(f"{counted(count)} {words}" for words, count in parts.items() if count)
    return told or "All clear"
