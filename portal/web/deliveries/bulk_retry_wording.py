"""Sentences about bulk retries: their lines in lists, the question, the page, the report."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from flask import url_for
from flask_login import current_user
from markupsafe import Markup

from portal.database.engine import AnyRow
from portal.engine.events.catalogue import event_type
from portal.engine.reasons import Reason, ReasonGroup, reasons_in, title
from portal.models.deliveries import RowOutcome
from portal.models.tasks import Task, TaskState
from portal.services.core.queries import COUNT_LIMIT
from portal.services.core.unit_of_work import session
from portal.services.deliveries import bulk_retry, retry
from portal.services.deliveries import log as log_pages
from portal.services.deliveries.bulk_retry import (
    MOST_FAILURES,
    NOT_ARRIVED,
    HaltedWebhook,
    Retrier,
    Standstill,
    is_stopping,
    standstills,
)
from portal.services.deliveries.bulk_retry_selection import Count, Selection, Skip, filter_of
from portal.services.deliveries.detail import DeliveryDetail
from portal.services.deliveries.log import LogRow
from portal.services.deliveries.statuses import LogFilter, StatusFilter
from portal.services.tasks import ENDED
from portal.web.deliveries.forms import status_words
from portal.web.deliveries.wording import event_name
from portal.web.frame.site_state import may_send
from portal.web.frame.status_tags import BULK_RETRY, PARTLY, Tag
from portal.web.frame.wording import counted, near_time, number, plural, time_left

NO_LONGER: Final = "a webhook that is no longer kept"
EVERYTHING: Final = "all deliveries"


class Names:
    """The names of webhooks, looked up once for all that is put into words."""

    def __init__(self) -> None:
        self._known: dict[UUID, str] | None = None

    def of(self, webhook: UUID) -> str:
        """Return the name, also of one that was deleted."""
        if self._known is None:
            self._known = {row[0]: row[1] for row in log_pages.webhook_names()}
        return self._known.get(webhook, NO_LONGER)


def kept_words(params: Mapping[str, Any], names: Names) -> str:
    """Say what a task was started for: "Finance depreciation, Server error (500), since 03:11"."""
    if "rest" in params:
        return "what a stopped bulk retry did not send"
    if "ticked" in params:
        return plural(len(params["ticked"]), "selected delivery", "selected deliveries")
    return filter_words(filter_of(params), names)


def choice_words(choice: Selection, names: Names) -> str:
    """Say the same of a question; blank for what was ticked."""
    return filter_words(choice.wanted, names) if choice.wanted else ""


def heading(params: Mapping[str, Any], names: Names) -> str:
    """Return the heading of its page: "Retry to Finance depreciation, Server error (500)"."""
    is_to_one = "filter" in params and params["filter"].get("webhook")
    return f"Retry {'to ' if is_to_one else ''}{kept_words(params, names)}"


def filter_words(log_filter: LogFilter, names: Names) -> str:
    """Put a filter of the log into words."""
    return ", ".join(_parts(log_filter, names)) or EVERYTHING


def _parts(wanted: LogFilter, names: Names) -> Iterator[str]:
    if wanted.webhook:
        yield names.of(wanted.webhook)
    has_reason = wanted.reasons or wanted.untried or wanted.codes
    if wanted.status and not (wanted.status is StatusFilter.ATTENTION and has_reason):
        yield f"all with status {status_words(wanted.status)}"
    code = _code(*wanted.codes) if wanted.codes else ""
    if wanted.reasons:
        yield f"{_reasons(wanted.reasons)} ({code})" if code else _reasons(wanted.reasons)
    elif code:
        yield f"code {code}"
    if wanted.untried:
        yield "no attempt yet"
    if wanted.event:
        yield event_type(wanted.event).name
    if wanted.asset_id:
        yield "one asset"
    if wanted.search:
        yield f"“{wanted.search}”"
    if wanted.delivery:
        yield "one delivery"
    if wanted.answer:
        yield f"answered “{wanted.answer}”"
    if wanted.failed:
        begin, end = wanted.failed
        since = f" since {near_time(begin)}" if begin else ""
        yield f"an attempt failed{since}{f' until {near_time(end)}' if end else ''}"
    if wanted.since:
        yield f"since {near_time(wanted.since)}"
    if wanted.until:
        yield f"until {near_time(wanted.until)}"


def _reasons(reasons: Sequence[Reason]) -> str:
    for group in ReasonGroup:
        if set(reasons_in(group)) == set(reasons):
            return group.label
    return " or ".join(dict.fromkeys(map(title, reasons)))


def _code(first: int, last: int) -> str:
    """Write codes as they are typed: 404, 50x, 5xx."""
    digits = zip(str(first), str(last), strict=True)
    return "".join(one if one == other else "x" for one, other in digits)


OUTCOMES: Final = {
    RowOutcome.DELIVERED: "delivered",
    RowOutcome.FAILED: "failed",
    RowOutcome.SKIPPED: "skipped",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkRetryLine:
    """One bulk retry. `what`: its filter in words, `title`: the same as a heading. `note`: why it
    does not go on, or what it did. `continue_url` or `ask_url`: how what remains is sent, at once
    or after a question, where a new one takes it up or it is another person's. `by` started it,
    `at` that time; `continued_by`: who else had it continue last, if anybody.
    """

    url: str
    what: str
    title: str
    by: str
    at: datetime
    tag: Tag
    done: int
    total: int
    progress: str
    note: str
    action_label: str = ""
    continue_url: str = ""
    ask_url: str = ""
    continued_by: str = ""

    @property
    def sender(self) -> str:
        """The name of whoever sends it."""
        return self.continued_by or self.by


def under_way() -> list[BulkRetryLine]:
    """Describe those that run, wait or were interrupted, the newest first."""
    return lines_of(bulk_retry.under_way())


def lines_of(tasks: Sequence[Task]) -> list[BulkRetryLine]:
    """Describe these, in their order."""
    names = Names()
    taken_up = bulk_retry.taken_up([task for task in tasks if task.state in ENDED])
    return [line_of(task, names, is_taken_up=task.public_id in taken_up) for task in tasks]


def line_of(task: Task, names: Names, *, is_taken_up: bool) -> BulkRetryLine:
    """Describe one."""
    left = bulk_retry.remaining(task)
    is_over = task.state in (TaskState.STOPPED, TaskState.FAILED)
    may = left > 0 and may_send(bulk_retry.PERMISSION)
    continues = may and task.state == TaskState.PAUSED
    takes_up = may and is_over and not is_taken_up
    sender = bulk_retry.sender(task)
    is_looking = task.state not in ENDED and not task.cursor.get("collected")
    is_partly = task.state == TaskState.DONE and task.counts.get(RowOutcome.FAILED)
    line = BulkRetryLine(
        url=_url(task),
        what=kept_words(task.params, names),
        title=heading(task.params, names),
        by=task.actor_name,
        at=task.created_at,
        continued_by="" if sender.user_id == task.actor_id else sender.name,
        tag=PARTLY if is_partly else BULK_RETRY[task.state],
        done=task.done,
        total=task.total,
        progress=f"{number(task.total)} found so far" if is_looking else _so_far(task),
        note=_note(task, left),
        action_label=f"Retry the remaining {number(left)}" if continues or takes_up else "",
        ask_url=url_for("batches.confirm", rest=task.public_id) if takes_up else "",
    )
    return with_way_on(line, task) if continues else line


def with_way_on(line: BulkRetryLine, task: Task) -> BulkRetryLine:
    """Add how it is continued; `action_label` is kept if there is one."""
    label = line.action_label or "Continue"
    if _is_me(bulk_retry.sender(task)):
        url = url_for("batches.go_on", public_id=task.public_id)
        return replace(line, action_label=label, continue_url=url)
    url = url_for("batches.ask_go_on", public_id=task.public_id)
    return replace(line, action_label=label, ask_url=url)


def _so_far(task: Task) -> str:
    return f"{number(task.done)} of {number(task.total)}"


def _note(task: Task, left: int) -> str:
    if task.state == TaskState.PAUSED:
        return f"{MOST_FAILURES} failed in a row"
    if task.state in (TaskState.STOPPED, TaskState.FAILED) and left:
        return f"{number(left)} {'was' if left == 1 else 'were'} not sent"
    words = _outcomes(task)
    # That none arrived is what one looks for.
    has_none = words and not task.counts.get(RowOutcome.DELIVERED)
    return f"0 {OUTCOMES[RowOutcome.DELIVERED]}, {words}" if has_none else words


def _outcomes(task: Task) -> str:
    counts = {words: task.counts.get(outcome, 0) for outcome, words in OUTCOMES.items()}
    return ", ".join(f"{number(count)} {words}" for words, count in counts.items() if count)


# What to tell whoever asks about one.
TO_THE_CALLER: Final = {
    None: "It is being sent again now, in a bulk retry.",
    Standstill.INTERRUPTED: "It waits in a bulk retry that was interrupted: somebody has to "
    "continue it.",
    Standstill.STOPPED: "We have stopped all sending for now. It is going to be sent again, in a "
    "bulk retry, once that is started again.",
    Standstill.RECEIVER: "It is going to be sent again, in a bulk retry.",
}


class _Sending(NamedTuple):
    """The sender of a bulk retry, and its address."""

    by: Retrier
    url: str


@dataclass(frozen=True, slots=True)
class QueuedDeliveries:
    """How many of each webhook are in which bulk retries now: how each of these is sent (by its
    row id), and where that sends nothing at this moment.
    """

    by_webhook: dict[UUID, dict[int, int]] = field(default_factory=dict)
    sending: dict[int, _Sending] = field(default_factory=dict)
    still: dict[tuple[int, UUID], Standstill] = field(default_factory=dict)

    def count(self, webhook: UUID) -> int:
        """Count those of a webhook."""
        return sum(self.by_webhook.get(webhook, {}).values())

    def words(self, webhook: UUID) -> list[str]:
        """Say "Sam is retrying 9 of these now", once a person; what is not sent now apart."""
        groups: dict[tuple[int | str, Standstill | None], list[tuple[_Sending, int]]] = {}
        for task_id, many in sorted(self.by_webhook.get(webhook, {}).items()):
            sending, still = self.sending[task_id], self.still.get((task_id, webhook))
            key = sending.by.user_id or sending.by.name, still
            groups.setdefault(key, []).append((sending, many))
        return [
            _words(
                parts[0][0].by,
                still,
                many=sum(many for _, many in parts),
                batches=len(parts),
                url=parts[0][0].url if len(parts) == 1 else "",
            )
            for (_, still), parts in groups.items()
        ]


class TakenDelivery(NamedTuple):
    """One in a bulk retry: who sends it, and what to tell whoever asks about it. `linked`: the
    same words, with a link to the bulk retry."""

    words: str
    linked: str
    to_the_caller: str


def queued() -> QueuedDeliveries:
    """Find all that waits in bulk retries now."""
    by_webhook = retry.queued(session())
    tasks = bulk_retry.named(list({task_id for part in by_webhook.values() for task_id in part}))
    return QueuedDeliveries(by_webhook, _sending(tasks), standstills(tasks, set(by_webhook)))


def taken_words(rows: Sequence[LogRow]) -> dict[UUID, str]:
    """Say who sends those of a page of the log that are in a bulk retry now."""
    taken = _taken({row.id: (row.webhook_id, row.is_being_sent) for row in rows})
    return {row.public_id: taken[row.id].words for row in rows if row.id in taken}


def taken_now(delivery: DeliveryDetail) -> TakenDelivery | None:
    """Say how this one stands that is in a bulk retry now; None where it is in none."""
    at = delivery.webhook_id, delivery.is_being_sent
    return _taken({delivery.row_id: at}).get(delivery.row_id)


def _taken(places: Mapping[int, tuple[UUID, bool]]) -> dict[int, TakenDelivery]:
    """Find those in a bulk retry, of deliveries by row id, with webhook and whether they are being
    sent."""
    taken = retry.taken(session(), list(places))
    tasks = bulk_retry.named(list(set(taken.values())))
    all_still = standstills(tasks, {places[row_id][0] for row_id in taken})
    sending, by_row = _sending(tasks), {}
    for row_id, task_id in taken.items():
        webhook, is_being_sent = places[row_id]
        still = None if is_being_sent else all_still.get((task_id, webhook))
        by, url = sending[task_id]
        linked = _words(by, still, url=url)
        by_row[row_id] = TakenDelivery(_words(by, still), linked, TO_THE_CALLER[still])
    return by_row


def _sending(tasks: Sequence[Task]) -> dict[int, _Sending]:
    return {task.id: _Sending(bulk_retry.sender(task), _url(task)) for task in tasks}


def _url(task: Task) -> str:
    return url_for("batches.show", public_id=task.public_id)


def _words(
    by: Retrier, still: Standstill | None, *, many: int = 0, batches: int = 1, url: str = ""
) -> Markup:
    """Say who sends it. `many`: of a problem, in so many bulk retries of this person; 0: it is one
    delivery. `url`: of the bulk retry, to be linked."""
    is_mine = _is_me(by)
    which = f"{counted(many)} of these" if many else "it"
    if still is None:
        retrying = _linked(f"retrying {which} now", url)
        return Markup("{} {}").format("You are" if is_mine else f"{by.name} is", retrying)
    batch, was = ("bulk retry", "was") if batches == 1 else ("bulk retries", "were")
    whose = _linked(f"your {batch}" if is_mine else f"the {batch} of {by.name}", url)
    end = f", which {was} interrupted" if still is Standstill.INTERRUPTED else ""
    which = f"{which[:1].upper()}{which[1:]}"
    return Markup("{} {} in {}{}").format(which, "wait" if many > 1 else "waits", whose, end)


def _is_me(by: Retrier) -> bool:
    return by.user_id is not None and by.user_id == current_user.user_id


def _linked(words: str, url: str) -> str:
    return Markup('<a href="{}">{}</a>').format(url, words) if url else words


SKIPS: Final = {
    Skip.ARRIVED: "arrived already",
    Skip.QUEUED: "already waiting to be sent",
    Skip.SENDING: "being sent now",
    Skip.ON_HOLD: "held, because the webhook is off",
    Skip.DISMISSED: "dismissed: restore them first",
    Skip.TAKEN: "in another bulk retry that has not ended",
    Skip.TEST: "sent as a test",
    Skip.OFF: "for a webhook that is off or deleted",
    Skip.GONE: "no longer kept",
}
IN_REPORT: Final = {
    RowOutcome.WAITING: "Not sent yet",
    RowOutcome.SENT: "Being sent",
    RowOutcome.DELIVERED: "Delivered",
    RowOutcome.FAILED: "Failed",
    RowOutcome.SKIPPED: "Skipped",
    RowOutcome.UNSENT: "Not sent: stopped before",
}
ARRIVED_SINCE: Final = "Arrived since"


@dataclass(frozen=True, slots=True)
class BatchPage:
    """Everything that the templates print; `is_live` while it may still change."""

    task: Task
    line: BulkRetryLine
    sentence: str
    details: str
    is_live: bool
    time_left: str
    troubles: Sequence[HaltedWebhook]
    not_arrived: Sequence[AnyRow]
    not_arrived_count: int

    @property
    def announcement(self) -> str:
        """Return what is read out: only how it ends, not each row."""
        return "" if self.is_live else f"{self.sentence} {self.details}".strip()

    @property
    def arrived_since(self) -> int:
        """Return how many of those that failed or were skipped have arrived in another way."""
        ended = sum(self.task.counts.get(outcome, 0) for outcome in NOT_ARRIVED)
        is_counted = self.not_arrived_count <= COUNT_LIMIT
        return max(0, ended - self.not_arrived_count) if is_counted else 0

    @property
    def is_stopping(self) -> bool:
        """Return whether it was stopped and only waits for what is being sent."""
        return is_stopping(self.task)

    @property
    def way_on(self) -> BulkRetryLine | None:
        """The same line with how it is continued; None where that would not help."""
        is_halted = any(webhook.is_halted for webhook in self.troubles)
        return with_way_on(self.line, self.task) if is_halted else None


def page_of(task: Task) -> BatchPage:
    """Put a bulk retry into words."""
    is_live = task.state not in ENDED
    return BatchPage(
        task,
        lines_of([task])[0],
        _sentence(task),
        f"{words}." if (words := _outcomes(task)) else "",
        is_live,
        time_left(task),
        bulk_retry.troubles(task) if is_live else [],
        *bulk_retry.not_arrived(task),
    )


def others(count: Count) -> list[tuple[str, BulkRetryLine]]:
    """Describe the bulk retries that some of a choice are in now, and say how many stay there."""
    tasks = bulk_retry.named(list(count.taken))
    more = " more" if count.total or count.arrived else ""
    return [
        (_taken_words(task, line, count.taken[task.id], more), line)
        for task, line in zip(tasks, lines_of(tasks), strict=True)
    ]


def beginning(choice: Selection) -> list[tuple[str, BulkRetryLine]]:
    """Describe those that are only looking for their deliveries, which may be some of these."""
    tasks = [task for task in bulk_retry.under_way() if _may_meet(task, choice)]
    just = "just started another bulk retry. What it takes is left out of this one:"
    return [
        (f"{'You have' if _is_me(bulk_retry.sender(task)) else f'{line.sender} has'} {just}", line)
        for task, line in zip(tasks, lines_of(tasks), strict=True)
    ]


def _taken_words(task: Task, line: BulkRetryLine, many: int, more: str) -> str:
    """Say "14 more are in a bulk retry of Sam, which sends them": beside what is asked about."""
    whose = "yours" if _is_me(bulk_retry.sender(task)) else line.sender
    is_one = many == 1
    sends = f"sends {'it' if is_one else 'them'}"
    which = "was interrupted" if task.state == TaskState.PAUSED else sends
    are = "is" if is_one else "are"
    return f"{number(many)}{more} {are} in a bulk retry of {whose}, which {which}."


def how_many(count: Count) -> str:
    """Say "312 deliveries"; "at least 10,000" when counting ended early."""
    at_least = "at least " if count.is_more else ""
    return at_least + plural(count.total, "delivery", "deliveries")


def reasons(count: Count) -> list[tuple[str, int]]:
    """Put the reasons of a count into words, the most frequent first."""
    words: dict[str, int] = {}
    for (reason, code), many in count.by_reason.items():
        text = title(Reason(reason), code) if reason else "No failure so far"
        words[text] = words.get(text, 0) + many
    return sorted(words.items(), key=lambda pair: -pair[1])


def skipped(count: Count) -> list[tuple[str, int]]:
    """Say what is left out and why."""
    return [(SKIPS[skip], many) for skip, many in count.skipped.most_common()]


def why(row: AnyRow) -> str:
    """Say why one did not arrive."""
    if row.outcome == RowOutcome.SKIPPED or row.message:
        return str(row.message)
    return title(Reason(row.reason), row.code) if row.reason else ""


def _became(row: AnyRow) -> str:
    return ARRIVED_SINCE if row.has_arrived else IN_REPORT[row.outcome]


def _reason_in_report(row: AnyRow) -> str:
    is_missing = row.outcome in NOT_ARRIVED and not row.has_arrived
    return why(row) if is_missing else ""


COLUMNS: Final[Mapping[str, Callable[[AnyRow], object]]] = {
    "delivery_id": lambda row: row.public_id,
    "outcome": _became,
    "reason": _reason_in_report,
    "code": lambda row: row.code,
    "event": lambda row: row.event,
    "event_name": lambda row: event_name(row.event) if row.event else "",
    "asset_tag": lambda row: row.asset_tag,
    "asset_name": lambda row: row.asset_name,
    "webhook": lambda row: row.webhook_name,
    "stored_at": lambda row: row.stored_at,
}


def report_lines(task: Task) -> Iterator[Sequence[object]]:
    """Write the report as lines for a spreadsheet."""
    yield list(COLUMNS)
    for row in bulk_retry.report_rows(task):
        yield [read(row) for read in COLUMNS.values()]


def _may_meet(task: Task, choice: Selection) -> bool:
    kept = task.params.get("filter", {}).get("webhook")
    mine = choice.wanted.webhook if choice.wanted else None
    is_elsewhere = kept and mine and kept != str(mine)
    return not task.cursor.get("collected") and not is_elsewhere


def _sentence(task: Task) -> str:
    so_far = _so_far(task)
    if task.state == TaskState.STOPPED:
        return f"{task.stopped_by} stopped this after {so_far}. What was not sent is as before."
    if task.state == TaskState.FAILED:
        return f"{task.error} {so_far} are done."
    if is_stopping(task):
        sent = "What is being sent now is waited for; the rest is as before."
        return f"{task.stopped_by} stopped this after {so_far}. {sent}"
    if not task.cursor.get("collected"):
        return f"Looking for what is to be sent: {number(task.total)} so far."
    if task.state == TaskState.DONE:
        deliveries = plural(task.total, "delivery", "deliveries")
        return f"Finished: {deliveries}." if task.total else "There was nothing left to retry."
    return f"{so_far} finished."
