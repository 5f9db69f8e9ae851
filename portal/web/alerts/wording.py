"""Phrase alerts: events, rules of each kind, upcoming alerts, and the results of checks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
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
from portal.services.alerts import sentences
from portal.services.alerts.emails import follow
from portal.services.alerts.queries import DueNow, RunStatus
from portal.services.alerts.recipients import by_kind
from portal.services.alerts.rules import AlertRules
from portal.services.alerts.runs import AudienceCounts, audiences
from portal.services.alerts.sentences import NAMES, fired_words
from portal.services.assets.queries import Shown
from portal.services.core.permissions import SYSTEM
from portal.services.outbox.publish import Audience
from portal.web.alerts import why_not
from portal.web.alerts.recipients import Told, emailed, told
from portal.web.frame.status_tags import ALERT, ALERT_RUN, Tag
from portal.web.frame.wording import counted, exact_day, near_time, number, plural
from portal.web.help.advice import for_reader

OFF: Final = "Off"
INBOX: Final = "the built-in inbox"
# No background worker runs if a check waits longer than this.
PATIENCE: Final = timedelta(seconds=15)
EMPTY: Final[Mapping[str | None, str]] = {None: "None yet", RunOutcome.DONE: "Nothing new"}


def _overdue_rule(rules: AlertRules) -> str:
    days = rules.repeat_every_days
    again = f", and again every {_days(days)}" if days else ""
    return f"At the first check after the due time{again}"


def _days(many: int) -> str:
    return plural(many, "day") if many > 1 else "day"


def repeated_words(rules: AlertRules) -> str:
    """Return how often overdue alerts repeat, or "" if they don't."""
    days = rules.repeat_every_days
    return f"We repeat overdue alerts every {_days(days)}." if days and rules.overdue_on else ""


def _maintenance_rule(rules: AlertRules) -> str:
    days = rules.maintenance_days
    begin = f"{plural(days, 'day')} before it’s due" if days else "the due date"
    return f"From {begin} until it’s started"


def _low_rule(_rules: AlertRules) -> str:
    return "When stock falls below its threshold"


def _warranty_rule(rules: AlertRules) -> str:
    return f"{why_not.before(rules.warranty_days)} it ends"


@dataclass(frozen=True, slots=True, kw_only=True)
class KindWords:
    """The words for one kind of alert.

    `topic`: its area. `about`: its subjects, such as "overdue assets". `tab`: label of all its
    alerts. `rule`: when it is sent, if `setting` is on. `todo`: the remedy, in which `{}` becomes
    the person to ask if the reader can't do it. `label`: text of the link to `action`, or to the
    asset's maintenance. `in_state`: endpoint and `show` argument of the list of everything in that
    state.
    """

    tag: Tag
    topic: str
    about: str
    tab: str
    setting: str
    rule: Callable[[AlertRules], str]
    todo: str
    label: str
    action: Action | None = None
    in_state: tuple[str, str] | None = None

    def is_on(self, rules: AlertRules) -> bool:
        """Return whether alerts of this kind are sent."""
        return bool(getattr(rules, self.setting))

    @property
    def remedy(self) -> str:
        """Return the steps that the reader can take."""
        todo = self.todo.format("")
        return for_reader(
            "assets.edit", todo[:1].upper() + todo[1:], self.todo.format(f"{ASK} to ")
        )

    def url_of(self, alert: Alert) -> str:
        """Return the URL of the page to act on the alert."""
        if self.action is None:
            return url_for("planning.maintenance", asset=alert.asset_id)
        return url_for(f"actions.{self.action}", asset_id=alert.asset_id)


# In display order.
KINDS: Final[Mapping[str, KindWords]] = {
    EventName.CHECKOUT_OVERDUE: KindWords(
        tag=Tag(NAMES[EventName.CHECKOUT_OVERDUE], "alarm", "danger"),
        topic="Return",
        about="overdue assets",
        tab="Overdue alerts",
        setting="overdue_on",
        rule=_overdue_rule,
        todo="Contact the holder. Then {}check in the asset or extend the due date.",
        label="Check in",
        action=Action.CHECK_IN,
        in_state=("assets.index", Shown.OVERDUE),
    ),
    EventName.MAINTENANCE_DUE: KindWords(
        tag=Tag(NAMES[EventName.MAINTENANCE_DUE], "wrench", "warning"),
        topic="Maintenance",
        about="due maintenance",
        tab="Maintenance alerts",
        setting="maintenance_on",
        rule=_maintenance_rule,
        todo="After the work is finished, {}record the result.",
        label="View maintenance",
        in_state=("planning.maintenance", MaintenanceList.DUE),
    ),
    EventName.LOW_STOCK: KindWords(
        tag=Tag(NAMES[EventName.LOW_STOCK], "box-seam", "warning"),
        topic="Stock",
        about="low stock",
        tab="Low-stock alerts",
        setting="low_stock_on",
        rule=_low_rule,
        todo="Reorder. Then {}record the received items.",
        label="Receive",
        action=Action.RECEIVE_STOCK,
        in_state=("assets.index", Shown.LOW),
    ),
    EventName.WARRANTY_EXPIRING: KindWords(
        tag=Tag(NAMES[EventName.WARRANTY_EXPIRING], "shield-exclamation", "warning"),
        topic="Warranty",
        about="ending warranties",
        tab="Warranty alerts",
        setting="warranty_on",
        rule=_warranty_rule,
        todo="For a repair under warranty, {}file the claim.",
        label="Send for warranty repair",
        action=Action.SEND_TO_WARRANTY,
    ),
}


def sentence(event: str, details: Mapping[str, Any]) -> str:
    """Describe the event, with times in the reader's time zone."""
    return sentences.sentence(event, details, near_time)


def state_of(alert: Alert) -> Tag:
    """Return the tag: open, acknowledged, or over because its cause has passed."""
    if alert.resolved_at is not None:
        return ALERT["over"]
    return ALERT["open" if alert.acknowledged_at is None else "acknowledged"]


def since(alert: Alert) -> datetime:
    """Return the time since which the state lasts. A repeated alert doesn't reset it."""
    due_at = alert.details.get("due_at")
    return datetime.fromisoformat(due_at) if due_at else alert.fired_at


@dataclass(frozen=True, slots=True)
class KindLine:
    """One kind of alert as the page shows it. `rest`: the fate of due alerts, and the next one."""

    kind: Tag
    rule: str
    due: str
    due_url: str
    rest: str
    is_on: bool
    told: Told


@dataclass(frozen=True, slots=True)
class DueWords:
    """The words about upcoming alerts. `lines`: by event."""

    status: RunStatus
    due: DueNow
    lines: Mapping[str, KindLine]

    @property
    def next_check(self) -> str:
        """Return the time of the next check, and the number of alerts that it will send."""
        if self.status.running is not None:
            return "A check is running."
        coming = self.due.total_coming
        sent = f" It will send {plural(coming, 'alert')}." if coming and not self.waits else ""
        return f"Next check: {exact_day(self.status.next_at)}.{sent}"

    @property
    def last_check(self) -> str:
        return why_not.last_check(self.status.checked_at)

    @property
    def waits(self) -> int:
        """Return the number of alerts that wait for an administrator's decision."""
        return self.due.total_coming if self.status.needs_first_answer else 0

    @property
    def unheard(self) -> str:
        """Return the kinds that are on and reach no one: "overdue assets, low stock, and …"."""
        topics = [KINDS[kind].about for kind, _ in self._unheard]
        *first, last = topics or [""]
        comma = "," if len(first) > 1 else ""
        return f"{', '.join(first)}{comma} and {last}" if first else last

    @property
    def place_of_unheard(self) -> str:
        """Return where alerts appear that reach no one."""
        inbox = [line.told.has_inbox for _, line in self._unheard]
        if not any(inbox):
            return "New ones only appear here."
        some = "" if all(inbox) else ", some of them,"
        return f"New ones only appear here and{some} in the built-in inbox."

    @property
    def _unheard(self) -> Sequence[tuple[str, KindLine]]:
        lines = self.lines.items()
        return [(kind, line) for kind, line in lines if line.is_on and line.told.is_no_one]

    @property
    def late_since(self) -> datetime | None:
        """Return the time since which a check is overdue, or None."""
        return self.status.last_due_at if self.status.is_late else None


def due_words(now: datetime) -> DueWords:
    """Describe the alerts due at `now`.

    Ends its transactions, so call it before other reads.
    """
    due, status = alert_queries.due_now(now), alert_queries.run_status(now)
    rules = status.stored.rules
    recipients = by_kind()
    lines = {
        event: KindLine(
            kind=words.tag,
            rule=words.rule(rules) if words.is_on(rules) else OFF,
            due=f"{counted(due.due[EventName(event)])} due now",
            due_url=url_for(words.in_state[0], show=words.in_state[1]) if words.in_state else "",
            rest=why_not.of_kind(EventName(event), due, status, now, is_on=words.is_on(rules)),
            is_on=words.is_on(rules),
            told=told(recipients[EventName(event)]),
        )
        for event, words in KINDS.items()
    }
    return DueWords(status, due, lines)


@dataclass(frozen=True, slots=True)
class RunLine:
    """A check in the list of the latest. `task`: public id of its task, if it ran as one."""

    at: datetime
    by: str
    tag: Tag
    fired: str
    task: UUID | None


@dataclass(frozen=True, slots=True)
class RunsPanel:
    """The state of checks as the page shows it."""

    status: RunStatus
    lines: list[RunLine]
    tag: Tag
    working: str
    is_slow: bool

    @property
    def next_run(self) -> str:
        """Return the time of the next scheduled check: "May 3, 07:00"."""
        return exact_day(self.status.next_at)

    @property
    def is_live(self) -> bool:
        """Return whether a check is under way."""
        return self.status.running is not None

    @property
    def announcement(self) -> str:
        """Return the result of the check, for screen readers."""
        if self.is_live or not self.lines:
            return ""
        return f"{self.lines[0].tag.word}. {self.lines[0].fired}."


def runs_panel(now: datetime) -> RunsPanel:
    """Return the state of checks at `now`."""
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


def audience_words(of: Sequence[AudienceCounts]) -> str:
    """Return "Sent to 2 webhooks: 4 overdue. No webhook was subscribed: 1 low stock"."""
    return ". ".join(f"{_audience(audience)}: {fired_words(counts)}" for audience, counts in of)


def _audience(audience: Audience) -> str:
    """Return "Sent to 2 webhooks and the built-in inbox, on hold for 1 that is off, kept from 3 by
    their conditions"."""
    sent, held, kept, inbox = audience
    if not any(audience):
        return "No webhook was subscribed"
    parts = [
        (sent, "sent to ", f" and {INBOX}" if inbox else ""),
        (held, "on hold for ", _off(held)),
        (kept, "kept from ", f" by {'its' if kept == 1 else 'their'} conditions"),
    ]
    first, *others = [
        *([f"sent only to {INBOX}"] if inbox and not sent else []),
        *(
            f"{words}{number(many) if place else plural(many, 'webhook')}{end}"
            for place, (many, words, end) in enumerate(part for part in parts if part[0])
        ),
    ]
    return ", ".join([f"{first[0].upper()}{first[1:]}", *others])


def coming_audience(of: Sequence[AudienceCounts]) -> str:
    """Return "2 webhooks will get 4 overdue. No webhook is subscribed to 1 low stock."."""
    return " ".join(_will_get(audience, fired_words(counts)) for audience, counts in of)


def _will_get(audience: Audience, fired: str) -> str:
    """Return the sentence about one audience. "Up to 2 webhooks" if some have conditions."""
    sent, held, kept, inbox = audience
    most = "up to " if kept else ""
    if sent or inbox:
        of = number(held) if sent else plural(held, "webhook")
        also = f", and they’ll be on hold for {of}{_off(held)}" if held else ""
        getting = f"{most.capitalize()}{plural(sent, 'webhook')}{f' and {INBOX}' if inbox else ''}"
        return f"{getting if sent else f'Only {INBOX}'} will get {fired}{also}."
    if held:
        return f"{fired} will be on hold for {most}{plural(held, 'webhook')}{_off(held)}."
    return f"No webhook is subscribed to {fired}."


def _off(held: int) -> str:
    return f" that {'is' if held == 1 else 'are'} off"


def _run_line(run: AlertRun, at_work: Tag) -> RunLine:
    is_own = run.kind == RunKind.SCHEDULED or run.actor_name == SYSTEM.name
    return RunLine(
        at=run.started_at,
        by="Scheduled" if is_own else run.actor_name,
        tag=ALERT_RUN[run.outcome] if run.outcome else at_work,
        fired=_fired(run),
        task=run.task_public_id,
    )


def _fired(run: AlertRun) -> str:
    if run.outcome == RunOutcome.ASKED:
        return f"Nothing sent. {plural(run.waiting, 'alert waits', 'alerts wait')} for a decision"
    words = fired_words(run.counts)
    if not words:
        return EMPTY.get(run.outcome, "Nothing sent")
    if run.is_marking:
        return f"Marked as sent: {words}"
    to = emailed(run.mailed_to, run.holders_told)
    told = f". Emailed {to}" if to else ". Emails follow within 2 minutes" if follow(run) else ""
    return f"{audience_words(audiences(run)) or words}{told}"


def _working(task: Task) -> str:
    if task.state == TaskState.WAITING:
        return "Starting soon."
    return f"{plural(task.counts.get('fired', 0), 'alert')} so far."
