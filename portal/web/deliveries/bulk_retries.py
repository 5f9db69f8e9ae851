"""What lists and pages of deliveries say of bulk retries."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from flask import url_for
from flask_login import current_user
from markupsafe import Markup

from portal.engine.events.catalogue import event_type
from portal.engine.reasons import Reason, ReasonGroup, alike, reasons_in, title
from portal.models.deliveries import RowOutcome
from portal.models.tasks import Task, TaskState
from portal.services.bulk_retry import batches
from portal.services.bulk_retry import task as bulk_retry_task
from portal.services.bulk_retry.batches import MOST_FAILURES, Retrier, Standstill, standstills
from portal.services.bulk_retry.selection import Selection, filter_of
from portal.services.core.unit_of_work import session
from portal.services.deliveries import log as log_pages
from portal.services.deliveries import retry
from portal.services.deliveries.detail import DeliveryDetail
from portal.services.deliveries.log import LogRow
from portal.services.deliveries.retry import Queued
from portal.services.deliveries.statuses import LogFilter, StatusFilter
from portal.services.outbox.due import ShownStatus
from portal.services.tasks import ENDED
from portal.web.deliveries.forms import status_words
from portal.web.frame.access import can
from portal.web.frame.banner_views import sending_stop
from portal.web.frame.status_tags import BULK_RETRY, PARTLY, Tag
from portal.web.frame.wording import counted, near_time, number, plural

NO_LONGER: Final = "a webhook that is no longer kept"
EVERYTHING: Final = "all deliveries"


class Names:
    """The names of webhooks, looked up once for all that is put into words."""

    def __init__(self) -> None:
        self._known: dict[UUID, str] | None = None

    def of(self, webhook: UUID) -> str:
        """The name, also of one that was deleted."""
        if self._known is None:
            self._known = {row[0]: row[1] for row in log_pages.webhook_names()}
        return self._known.get(webhook, NO_LONGER)


def kept_words(params: Mapping[str, Any], names: Names) -> str:
    """What a task was started for: "Finance depreciation, Server error (500), since 03:11"."""
    if "rest" in params:
        return "what a stopped bulk retry did not send"
    if "ticked" in params:
        return plural(len(params["ticked"]), "selected delivery", "selected deliveries")
    return filter_words(filter_of(params), names)


def choice_words(choice: Selection, names: Names) -> str:
    """The same of what is only asked about yet; blank for what was ticked."""
    return filter_words(choice.wanted, names) if choice.wanted else ""


def heading(params: Mapping[str, Any], names: Names) -> str:
    """What stands above its page: "Retry to Finance depreciation, Server error (500)"."""
    is_to_one = "filter" in params and params["filter"].get("webhook")
    return f"Retry {'to ' if is_to_one else ''}{kept_words(params, names)}"


def filter_words(wanted: LogFilter, names: Names) -> str:
    """A filter of the log."""
    return ", ".join(_parts(wanted, names)) or EVERYTHING


def _parts(wanted: LogFilter, names: Names) -> Iterator[str]:
    if wanted.webhook:
        yield names.of(wanted.webhook)
    if wanted.status and not (wanted.status is StatusFilter.ATTENTION and _has_reason(wanted)):
        yield f"all with status {status_words(wanted.status)}"
    if wanted.reasons:
        yield _reasons(wanted)
    elif wanted.codes:
        yield f"code {_code(wanted.codes)}"
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
        yield _failed(*wanted.failed)
    if wanted.since:
        yield f"since {near_time(wanted.since)}"
    if wanted.until:
        yield f"until {near_time(wanted.until)}"


def _failed(since: datetime | None, until: datetime | None) -> str:
    """ "an attempt failed since 18:00 until 08:00"."""
    begin = f" since {near_time(since)}" if since else ""
    end = f" until {near_time(until)}" if until else ""
    return f"an attempt failed{begin}{end}"


def _has_reason(wanted: LogFilter) -> bool:
    return bool(wanted.reasons or wanted.untried or wanted.codes)


def _reasons(wanted: LogFilter) -> str:
    words = _reason_words(wanted.reasons)
    return f"{words} ({_code(wanted.codes)})" if wanted.codes else words


def _reason_words(reasons: Sequence[Reason]) -> str:
    group = next((each for each in ReasonGroup if set(reasons_in(each)) == set(reasons)), None)
    return group.label if group else " or ".join(dict.fromkeys(map(title, reasons)))


def _code(codes: tuple[int, int]) -> str:
    """As it is typed: 404, 50x, 5xx."""
    first, last = str(codes[0]), str(codes[1])
    same = (
        len(first)
        if first == last
        else next(place for place in range(3) if first[place] != last[place])
    )
    return first[:same] + "x" * (3 - same)


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
        """The name of who sends it."""
        return self.continued_by or self.by


def under_way() -> list[BulkRetryLine]:
    """Those that run, wait or were interrupted, the newest first."""
    return lines_of(batches.under_way())


def lines_of(tasks: Sequence[Task]) -> list[BulkRetryLine]:
    """These, in their order."""
    names, taken_up = Names(), batches.taken_up([task for task in tasks if task.state in ENDED])
    return [line_of(task, names, is_taken_up=task.public_id in taken_up) for task in tasks]


def line_of(task: Task, names: Names, *, is_taken_up: bool) -> BulkRetryLine:
    """One in words."""
    left = batches.remaining(task)
    is_over = task.state in (TaskState.STOPPED, TaskState.FAILED)
    may = left > 0 and can(bulk_retry_task.PERMISSION) and not sending_stop()
    continues = may and task.state == TaskState.PAUSED
    takes_up = may and is_over and not is_taken_up
    sender = batches.sender(task)
    line = BulkRetryLine(
        url=url_for("batches.show", public_id=task.public_id),
        what=kept_words(task.params, names),
        title=heading(task.params, names),
        by=task.actor_name,
        at=task.created_at,
        continued_by="" if sender.user_id == task.actor_id else sender.name,
        tag=_tag(task),
        done=task.done,
        total=task.total,
        progress=_progress(task),
        note=_note(task, left),
        action_label=f"Retry the remaining {number(left)}" if continues or takes_up else "",
        ask_url=url_for("batches.confirm", rest=task.public_id) if takes_up else "",
    )
    return with_way_on(line, task) if continues else line


def with_way_on(line: BulkRetryLine, task: Task) -> BulkRetryLine:
    """With how it is continued; `action_label` is kept if there is one."""
    label = line.action_label or "Continue"
    by = batches.sender(task).user_id
    if by is not None and by == current_user.user_id:
        url = url_for("batches.go_on", public_id=task.public_id)
        return replace(line, action_label=label, continue_url=url)
    url = url_for("batches.ask_go_on", public_id=task.public_id)
    return replace(line, action_label=label, ask_url=url)


def _progress(task: Task) -> str:
    is_looking = task.state not in ENDED and not task.cursor.get("collected")
    return (
        f"{number(task.total)} found so far"
        if is_looking
        else (f"{number(task.done)} of {number(task.total)}")
    )


def _tag(task: Task) -> Tag:
    is_partly = task.state == TaskState.DONE and task.counts.get(RowOutcome.FAILED)
    return PARTLY if is_partly else BULK_RETRY[task.state]


def _note(task: Task, left: int) -> str:
    if task.state == TaskState.PAUSED:
        return f"{MOST_FAILURES} failed in a row"
    if task.state in (TaskState.STOPPED, TaskState.FAILED) and left:
        return f"{number(left)} {'was' if left == 1 else 'were'} not sent"
    counts = {each: task.counts.get(each, 0) for each in OUTCOMES}
    # That none arrived is what one looks for.
    told = [each for each, many in counts.items() if many or each is RowOutcome.DELIVERED]
    some = any(counts.values())
    return ", ".join(f"{number(counts[each])} {OUTCOMES[each]}" for each in told) if some else ""


# What to tell whoever asks about one.
TO_THE_CALLER: Final = {
    None: "It is being sent again now, in a bulk retry.",
    Standstill.INTERRUPTED: "It waits in a bulk retry that was interrupted: somebody has to "
    "continue it.",
    Standstill.STOPPED: "We have stopped all sending for now. It is going to be sent again, in a "
    "bulk retry, once that is started again.",
    Standstill.RECEIVER: "It is going to be sent again, in a bulk retry.",
}


class _Part(NamedTuple):
    """What of a problem is in one bulk retry: who sends it, how many, where that is shown."""

    by: Retrier
    many: int
    url: str


@dataclass(frozen=True, slots=True)
class QueuedDeliveries:
    """Those of problems, by webhook and reason, with the bulk retries that they wait in: who sends
    each (by its row id), and where that sends nothing at this moment.
    """

    by_problem: dict[tuple[UUID, str | None], dict[int, Queued]] = field(default_factory=dict)
    senders: dict[int, Retrier] = field(default_factory=dict)
    still: dict[tuple[int, UUID], Standstill] = field(default_factory=dict)
    urls: dict[int, str] = field(default_factory=dict)

    def count(self, webhook: UUID, reason: Reason | None) -> int:
        """How many of a problem wait in them: what is handed over goes out by itself."""
        return sum(each.waiting for each in self._tasks(webhook, reason).values())

    def words(self, webhook: UUID, reason: Reason | None) -> list[str]:
        """ "Sam is retrying 9 of these now": of each person, and what is not sent now apart; who
        began first stands first."""
        found: dict[tuple[int | str, Standstill | None], list[_Part]] = {}
        for task_id, each in sorted(self._tasks(webhook, reason).items()):
            by, still = self.senders[task_id], self.still.get((task_id, webhook))
            found.setdefault((by.user_id or by.name, still), []).append(
                _Part(by, each.all, self.urls[task_id])
            )
        return [
            _words(
                of[0].by,
                still,
                many=sum(each.many for each in of),
                in_runs=len(of),
                url=of[0].url if len(of) == 1 else "",
            )
            for (_, still), of in found.items()
        ]

    def _tasks(self, webhook: UUID, reason: Reason | None) -> dict[int, Queued]:
        found: dict[int, Queued] = {}
        for key in map(str, alike(reason)) if reason else [None]:
            for task_id, each in self.by_problem.get((webhook, key), {}).items():
                found[task_id] = found.get(task_id, Queued()).with_more(each)
        return found


class TakenDelivery(NamedTuple):
    """One in a bulk retry: who sends it, and what to tell whoever asks about it. `linked`: the
    same words, with a link to the bulk retry."""

    words: str
    linked: str
    to_the_caller: str


def queued() -> QueuedDeliveries:
    """All that waits in bulk retries now."""
    found = retry.queued(session())
    tasks = batches.named(list({task_id for each in found.values() for task_id in each}))
    still = standstills(tasks, {webhook for webhook, _ in found})
    senders = {task.id: batches.sender(task) for task in tasks}
    return QueuedDeliveries(found, senders, still, _urls(tasks))


def taken_words(rows: Sequence[LogRow]) -> dict[UUID, str]:
    """Those of a page of the log that are in a bulk retry now, each with who sends it."""
    found = _taken({row.id: (row.webhook_id, row.status) for row in rows})
    return {row.public_id: found[row.id].words for row in rows if row.id in found}


def taken_now(delivery: DeliveryDetail) -> TakenDelivery | None:
    """How this one stands that is in a bulk retry now; None where it is in none."""
    at = delivery.webhook_id, delivery.status
    return _taken({delivery.row_id: at}).get(delivery.row_id)


def _taken(places: Mapping[int, tuple[UUID, ShownStatus]]) -> dict[int, TakenDelivery]:
    """Of deliveries by row id, with webhook and status: those in a bulk retry."""
    taken = retry.taken(session(), list(places))
    tasks = batches.named(list(set(taken.values())))
    senders = {task.id: batches.sender(task) for task in tasks}
    urls = _urls(tasks)
    all_still = standstills(tasks, {places[row_id][0] for row_id in taken})
    found = {}
    for row_id, task_id in taken.items():
        webhook, status = places[row_id]
        is_sent = status is ShownStatus.SENDING
        still = None if is_sent else all_still.get((task_id, webhook))
        by, url = senders[task_id], urls[task_id]
        linked = _words(by, still, url=url)
        found[row_id] = TakenDelivery(_words(by, still), linked, TO_THE_CALLER[still])
    return found


def _urls(tasks: Sequence[Task]) -> dict[int, str]:
    return {task.id: url_for("batches.show", public_id=task.public_id) for task in tasks}


def _words(
    by: Retrier, still: Standstill | None, *, many: int = 0, in_runs: int = 1, url: str = ""
) -> Markup:
    """`many`: of a problem, in so many bulk retries of this person; 0: it is one delivery. `url`:
    of the bulk retry, to be linked."""
    is_mine = by.user_id is not None and by.user_id == current_user.user_id
    which = f"{counted(many)} of these" if many else "it"
    if still is None:
        retrying = _linked(f"retrying {which} now", url)
        return Markup("{} {}").format("You are" if is_mine else f"{by.name} is", retrying)
    run = "bulk retry" if in_runs == 1 else "bulk retries"
    whose = _linked(f"your {run}" if is_mine else f"the {run} of {by.name}", url)
    was = "was" if in_runs == 1 else "were"
    end = f", which {was} interrupted" if still is Standstill.INTERRUPTED else ""
    which = f"{which[:1].upper()}{which[1:]}"
    return Markup("{} {} in {}{}").format(which, "wait" if many > 1 else "waits", whose, end)


def _linked(words: str, url: str) -> str:
    return Markup('<a href="{}">{}</a>').format(url, words) if url else words
