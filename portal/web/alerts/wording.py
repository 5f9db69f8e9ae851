"""Sentences about alerts: their rules, what is due, and what a run did."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from flask import url_for

from portal.engine.events.catalogue import EventName
from portal.engine.next_steps import ASK
from portal.models.alerts import Alert, AlertRun, RunKind, RunOutcome
from portal.models.assets import Action
from portal.models.tasks import Task, TaskState
from portal.services import tasks
from portal.services.actions.planning.queries import MaintenanceList
from portal.services.alerts import queries as alert_queries
from portal.services.alerts.queries import DueNow, RunStatus
from portal.services.alerts.rules import AlertRules
from portal.services.alerts.runs import AudienceCounts, audiences
from portal.services.assets.queries import Shown
from portal.services.core.permissions import SYSTEM
from portal.services.core.time_zones import today
from portal.services.outbox.publish import Audience
from portal.web.frame.status_tags import ALERT, ALERT_RUN, Tag
from portal.web.frame.wording import counted, day_of, exact_day, near_time, number, plural

Details = Mapping[str, Any]
OFF: Final = "Never: it is switched off"


def _overdue(details: Details) -> str:
    due = near_time(datetime.fromisoformat(details["due_at"]))
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
    return day_of(date.fromisoformat(day))


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


@dataclass(frozen=True, slots=True, kw_only=True)
class KindWords:
    """The words of one kind of alert.

    `sentence`: what happened, as of now: what was still to come when it fired may be past. `rule`:
    when it is sent. `todo`: the remedy, `others` for those who may not change the register, in
    which `ASK` stands; `label` leads to `action`, or to the asset's maintenance. `in_state`: the
    endpoint and arguments of the list of what is in that state.
    """

    tag: Tag
    sentence: Callable[[Details], str]
    rule: Callable[[AlertRules], str]
    todo: str
    others: str
    label: str
    action: Action | None = None
    in_state: tuple[str, str] | None = None

    def url_of(self, alert: Alert) -> str:
        """Where a person does something about it."""
        if self.action is None:
            return url_for("planning.maintenance", asset=alert.asset_id)
        return url_for(f"actions.{self.action}", asset_id=alert.asset_id)


# In the order of the pages.
KINDS: Final[Mapping[str, KindWords]] = {
    EventName.CHECKOUT_OVERDUE: KindWords(
        tag=Tag("Overdue", "alarm", "danger"),
        sentence=_overdue,
        rule=_overdue_rule,
        todo="Ask for it. Check it in when it is back, or give it more time.",
        others=f"Ask for it. Then {ASK} to check it in, or to give it more time.",
        label="Check in",
        action=Action.CHECK_IN,
        in_state=("assets.index", Shown.OVERDUE),
    ),
    EventName.MAINTENANCE_DUE: KindWords(
        tag=Tag("Maintenance due", "wrench", "warning"),
        sentence=_maintenance,
        rule=_maintenance_rule,
        todo="Have it done, then enter how it ended.",
        others=f"Have it done, then {ASK} to enter how it ended.",
        label="See maintenance",
        in_state=("planning.maintenance", MaintenanceList.DUE),
    ),
    EventName.LOW_STOCK: KindWords(
        tag=Tag("Low stock", "box-seam", "warning"),
        sentence=_low,
        rule=_low_rule,
        todo="Order more, and enter what comes in.",
        others=f"Order more, and {ASK} to enter what comes in.",
        label="Receive",
        action=Action.RECEIVE_STOCK,
        in_state=("assets.index", Shown.LOW),
    ),
    EventName.WARRANTY_EXPIRING: KindWords(
        tag=Tag("Warranty ends soon", "shield-exclamation", "warning"),
        sentence=_warranty,
        rule=_warranty_rule,
        todo="If something is wrong with it, claim it now.",
        others=f"If something is wrong with it, {ASK} to claim it now.",
        label="Send to warranty",
        action=Action.SEND_TO_WARRANTY,
    ),
}


def state_of(alert: Alert) -> Tag:
    """Open, acknowledged, or over because its matter has passed."""
    if alert.resolved_at is not None:
        return ALERT["over"]
    return ALERT["open" if alert.acknowledged_at is None else "acknowledged"]


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
    """The words about alerts that are still to come."""

    status: RunStatus
    due: DueNow
    lines: list[KindLine]

    @property
    def next_look(self) -> str:
        """When the next check is, and what it sends."""
        if self.status.running is not None:
            return "A check is running."
        coming = self.due.total_coming
        sent = f" {plural(coming, 'more alert goes', 'more alerts go')} out then."
        at = exact_day(self.status.next_at)
        return f"Next check: {at}.{sent if coming and not self.waits else ''}"

    @property
    def waits(self) -> int:
        """The number of alerts that wait for an administrator's decision."""
        return self.due.total_coming if self.status.needs_first_answer else 0

    @property
    def late_since(self) -> datetime | None:
        """Since when a check is overdue; None while none is."""
        return self.status.last_due_at if self.status.is_late else None


def due_words(now: datetime) -> DueWords:
    """Describe what is due at `now`. Ends its transactions: call it before anything else is
    read."""
    due, status = alert_queries.due_now(now), alert_queries.run_status(now)
    lines = [
        KindLine(
            kind=words.tag,
            rule=words.rule(status.stored.rules),
            due=counted(due.due[EventName(event)]),
            due_url=url_for(words.in_state[0], show=words.in_state[1]) if words.in_state else "",
            coming=counted(due.coming.get(EventName(event), 0)),
        )
        for event, words in KINDS.items()
    ]
    return DueWords(status, due, lines)


# A run that waits for longer than this has nobody to do it.
PATIENCE: Final = timedelta(seconds=15)
NOBODY: Final = "Nobody asked for it"


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run in the list of the latest. `task`: its progress, where it was long work."""

    at: datetime
    by: str
    tag: Tag
    fired: str
    task: UUID | None


@dataclass(frozen=True, slots=True)
class RunsPanel:
    """Everything that the page says of the runs."""

    status: RunStatus
    lines: list[RunLine]
    tag: Tag
    working: str
    is_slow: bool

    @property
    def next_run(self) -> str:
        """When the clock starts the next one: "May 3, 07:00"."""
        return exact_day(self.status.next_at)

    @property
    def is_live(self) -> bool:
        """Return whether a run is at work."""
        return self.status.running is not None

    @property
    def announcement(self) -> str:
        """The result of the run, for screen readers."""
        if self.is_live or not self.lines:
            return ""
        return f"{self.lines[0].tag.word}. {self.lines[0].fired}."


def runs_panel(now: datetime) -> RunsPanel:
    """The runs as of `now`."""
    status = alert_queries.run_status(now)
    task = tasks.find(status.running) if status.running else None
    is_queued = task is not None and task.state == TaskState.WAITING
    tag = ALERT_RUN["queued" if is_queued else "working"]
    return RunsPanel(
        status=status,
        lines=[_run_line(run, tag) for run in alert_queries.runs()],
        tag=tag,
        working=_working(task) if task else "",
        is_slow=is_queued and task is not None and now - task.created_at > PATIENCE,
    )


def fired_words(counts: Mapping[str, int]) -> str:
    """The counts in words: "2 overdue, 1 low stock"."""
    return ", ".join(
        f"{number(counts[event])} {words.tag.word.lower()}"
        for event, words in KINDS.items()
        if counts.get(event)
    )


def audience_words(
    audiences: Sequence[AudienceCounts], verb: str = "Sent", nobody: str = NOBODY
) -> str:
    """ "Sent to 2 webhooks: 4 overdue. Nobody asked for it: 1 low stock"."""
    return ". ".join(
        f"{_audience(audience, verb) or nobody}: {fired_words(counts)}"
        for audience, counts in audiences
    )


def _audience(audience: Audience, verb: str) -> str:
    """ "Sent to 2 webhooks, held for 1 that is off"; empty: nobody."""
    off = "that is off" if audience.held == 1 else "that are off"
    if audience.sent and audience.held:
        return (
            f"{verb} to {plural(audience.sent, 'webhook')}, held for {number(audience.held)} {off}"
        )
    if audience.held:
        return f"Held for {plural(audience.held, 'webhook')} {off}"
    return f"{verb} to {plural(audience.sent, 'webhook')}" if audience.sent else ""


def _run_line(run: AlertRun, at_work: Tag) -> RunLine:
    return RunLine(
        at=run.started_at,
        by=_by(run),
        tag=ALERT_RUN[run.outcome] if run.outcome else at_work,
        fired=_fired(run),
        task=run.task_public_id,
    )


def _by(run: AlertRun) -> str:
    if run.kind == RunKind.SCHEDULED:
        return "On schedule"
    return "By the portal" if run.actor_name == SYSTEM.name else f"By {run.actor_name}"


def _fired(run: AlertRun) -> str:
    if run.outcome == RunOutcome.ASKED:
        waited = plural(run.waiting, "alert waited", "alerts waited")
        return f"Nothing was sent: {waited} for a decision"
    words = fired_words(run.counts)
    if not words:
        return "Nothing so far" if run.outcome is None else "Nothing had become due"
    if run.is_marking:
        return f"Marked as already sent: {words}"
    return audience_words(audiences(run)) or words


def _working(task: Task) -> str:
    if task.state == TaskState.WAITING:
        return "A run begins in a moment."
    so_far = plural(task.counts.get("fired", 0), "alert")
    return f"{so_far} so far."
