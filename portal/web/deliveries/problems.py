"""Sentences about problems, and the line of each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final
from uuid import UUID

from flask import url_for
from markupsafe import Markup

from portal.engine.circuit_breaker import PATIENCE_IN_WORDS, has_asked
from portal.engine.reasons import title
from portal.lib.clock import utcnow
from portal.models.webhooks import OffReason
from portal.services.deliveries.problems import Problem, find_problems, total_of
from portal.services.deliveries.statuses import LogFilter, StatusFilter
from portal.services.operations.retention import held_until
from portal.services.webhooks import queries as webhook_queries
from portal.services.webhooks.notices import News
from portal.services.webhooks.queries import WebhookStatus, WebhookTrouble, troubles
from portal.web.deliveries.bulk_retry_wording import QueuedDeliveries, queued
from portal.web.deliveries.forms import UNTRIED
from portal.web.frame.access import can
from portal.web.frame.site_state import may_send, sending_stop, share_problem_total
from portal.web.frame.wording import counted, day_of, near_time, plural, time_tag

PAUSED: Final = "paused: the receiver isn't responding"
ASKED: Final = "paused: the receiver asked us to wait"


def why_untried(problem: Problem) -> str:
    """Return what is told in place of a reason."""
    if not problem.is_paused:
        return "not attempted yet"
    return ASKED if has_asked(problem.next_retry_at, utcnow()) else PAUSED


def filter_of(problem: Problem) -> dict[str, Any]:
    """Return the filter of the log that shows exactly these."""
    return {
        "status": str(StatusFilter.ATTENTION),
        "webhook": problem.webhook_id,
        "reason": str(problem.reason or UNTRIED),
        "code": problem.code,
    }


def span_of(problem: Problem) -> str:
    """Say "03:11 to 13:11": when they were stored."""
    first, last = problem.first_at, problem.last_at
    if last is None:
        return ""
    if first is None:
        return Markup("until {}").format(time_tag(last))
    begin, end = near_time(first), near_time(last)
    if begin == end:
        return time_tag(first)
    is_later_day = " " in begin and " " not in end
    today = "today " if is_later_day else ""
    return Markup("{} to {}{}").format(time_tag(first), today, time_tag(last))


def earlier_of(problem: Problem) -> Iterator[str]:
    """Yield why they failed before a Retry failed for another reason."""
    if problem.earlier:
        times = f", {plural(problem.earlier.count, 'time')}" if problem.count == 1 else ""
        part = "some " if problem.is_earlier_of_some else ""
        yield f"{part}earlier: {problem.earlier.words}{times}"


def behind_of(problem: Problem) -> str:
    """Say how many an order holds up."""
    if not problem.waits_behind:
        return ""
    waits = "waits" if problem.waits_behind == 1 else "wait"
    return f"and {counted(problem.waits_behind)} {waits} behind it, in order"


def how_it_goes_on(problem: Problem) -> Iterator[str]:
    """Yield how it goes on there."""
    if problem.is_deleted:
        yield "webhook deleted"
    elif problem.standing is WebhookStatus.OFF:
        yield "webhook off"
    elif sending_stop():
        yield "waits until sending is started"
    elif problem.next_retry_at:
        what = "next automatic retry" if problem.reason else "first attempt not before"
        yield Markup("{} {}").format(what, time_tag(problem.next_retry_at))
    elif problem.is_failing:
        yield "none has arrived since"
        if problem.is_paused:  # others there are retried automatically
            yield "not retried automatically"
    elif problem.has_recovered:
        yield "deliveries arrive again"


MOST_LINES: Final = 40
# Troubles are few; each of these is looked up by itself.
MOST_TROUBLES: Final = 10
WHY_OFF: Final = {
    OffReason.GONE: "address closed for good (410)",
    OffReason.FAILING: f"nothing arrived for {PATIENCE_IN_WORDS}",
    OffReason.LOST_KEY: "its secrets cannot be opened",
}
# Under any other filter the log shows something else than problems.
LISTED_UNDER: Final = (None, StatusFilter.ATTENTION)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemLine:
    """One line: name, `told`, `why`, the strong `figure` with its `end`, and `more`. A narrow
    screen leaves out `why` and `more`. `total`: how many stand still for it (`capped`).
    `name_url`: the webhook's page. `label` and `url`: where one looks at it.
    """

    name: str
    name_url: str
    told: str
    why: str = ""
    figure: str = ""
    end: str = ""
    more: Sequence[str] = field(default=())
    icon: str = "x-octagon-fill"
    tone: str = "danger"
    label: str = "Open"
    url: str
    retry_url: str = ""
    retry_count: str = ""
    total: int = 0
    dismiss_url: str = ""
    dismiss_count: str = ""


@dataclass(frozen=True, slots=True)
class ProblemList:
    """The lines of a page: `first` in sight, `rest` folded away; `left_out` have no line.

    `deliveries`: how many need attention (`capped`), with those that other filters leave out; None
    where nobody looked.
    """

    first: Sequence[ProblemLine]
    rest: Sequence[ProblemLine]
    left_out: int = 0
    deliveries: int | None = None

    def __bool__(self) -> bool:
        """Return whether there is any."""
        return bool(self.first)

    @property
    def summary(self) -> str:
        """Return what the rest is: "2 more problems: Helpdesk 212, Door 16"."""
        count = len(self.rest) + self.left_out
        totals: dict[str, int] = {}
        for line in self.rest:
            totals[line.name] = totals.get(line.name, 0) + line.total
        short = [f"{name} {counted(many)}" if many else name for name, many in totals.items()]
        names = ", ".join(short[:3])
        more = ", …" if len(short) > 3 or self.left_out else ""
        return f"{count} more {'problem' if count == 1 else 'problems'}: {names}{more}"


NO_PROBLEMS: Final = ProblemList((), ())


def problems_of(problems: Sequence[Problem], in_sight: int) -> ProblemList:
    """List all problems, and webhooks in trouble that need a person although no delivery does."""
    share_problem_total(total_of(problems))
    return _folded([*_lines(problems, troubles())], in_sight)


def problems_beside(log_filter: LogFilter, in_sight: int) -> ProblemList:
    """List those that stand above the log under this filter, if it asks for problems."""
    plain = LogFilter(
        status=log_filter.status,
        webhook=log_filter.webhook,
        reasons=log_filter.reasons,
        untried=log_filter.untried,
        codes=log_filter.codes,
    )
    if log_filter != plain or log_filter.status not in LISTED_UNDER:
        return NO_PROBLEMS
    every = find_problems(log_filter.webhook)
    listed = [problem for problem in every if _fits(problem, log_filter)]
    is_narrow = bool(log_filter.reasons or log_filter.untried or log_filter.codes)
    known = [] if is_narrow else troubles()
    mine = [trouble for trouble in known if log_filter.webhook in (None, trouble.webhook)]
    if log_filter.webhook is None:
        share_problem_total(total_of(every))
    return replace(_folded([*_lines(listed, mine)], in_sight), deliveries=total_of(every))


def _fits(problem: Problem, log_filter: LogFilter) -> bool:
    """Return whether the log shows all of it: a part would be a problem with another number."""
    if log_filter.reasons and problem.reason not in log_filter.reasons:
        return False
    if log_filter.untried and problem.reason is not None:
        return False
    first, last = log_filter.codes or (0, 999)
    return log_filter.codes is None or (problem.code is not None and first <= problem.code <= last)


def _folded(lines: Sequence[ProblemLine], in_sight: int) -> ProblemList:
    # What is folded away alone takes as much room as its line.
    first = lines[: in_sight if len(lines) > in_sight + 1 else in_sight + 1]
    rest = lines[len(first) : MOST_LINES]
    return ProblemList(first, rest, len(lines) - len(first) - len(rest))


def _lines(problems: Sequence[Problem], known: Sequence[WebhookTrouble]) -> Iterator[ProblemLine]:
    with_problems = {problem.webhook_id for problem in problems}
    off = [trouble for trouble in known if trouble.news is News.OFF]
    failing = [trouble for trouble in known if trouble.news is not News.OFF and trouble.is_urgent]
    yield from map(_off, off[:MOST_TROUBLES])
    in_bulk_retries = queued()
    yield from (_of_deliveries(problem, in_bulk_retries) for problem in problems)
    others = [trouble for trouble in failing if trouble.webhook not in with_problems]
    yield from map(_failing, others[:MOST_TROUBLES])


def _off(trouble: WebhookTrouble) -> ProblemLine:
    webhook = webhook_queries.show(trouble.webhook)
    why = WHY_OFF.get(trouble.off_reason or OffReason.PERSON, "")
    oldest = webhook.oldest_held_at
    day = day_of(held_until(oldest, webhook.off_at)) if oldest else ""
    until = f"(the first until {day})" if webhook.held > 1 else f"until {day}"
    return ProblemLine(
        name=trouble.name,
        name_url=_page(trouble.webhook),
        told=Markup("off since {}").format(time_tag(trouble.since)),
        why=why,
        figure=f"{counted(webhook.held)} held" if webhook.held else "",
        total=webhook.held,
        end=until if day else "",
        icon="power",
        label="Fix" if can("webhooks.switch") else "Open",
        url=_page(trouble.webhook),
    )


def _failing(trouble: WebhookTrouble) -> ProblemLine:
    return ProblemLine(
        name=trouble.name,
        name_url=_page(trouble.webhook),
        told=Markup("failing since {}").format(time_tag(trouble.since)),
        more=["each delivery is still retried automatically"],
        icon="exclamation-triangle-fill",
        tone="warning",
        url=_page(trouble.webhook),
    )


def _of_deliveries(problem: Problem, in_bulk_retries: QueuedDeliveries) -> ProblemLine:
    taken = in_bulk_retries.count(problem.webhook_id, problem.reason)
    to_retry = problem.retryable - taken
    words = title(problem.reason, problem.code) if problem.reason else why_untried(problem)
    which = "delivery" if problem.count == 1 else "deliveries"
    may_retry = to_retry > 0 and may_send("deliveries.retry")
    return ProblemLine(
        name=problem.webhook_name,
        name_url="" if problem.is_deleted else _page(problem.webhook_id),
        told=words,
        figure=f"{counted(problem.count)} {which}",
        more=[
            span_of(problem),
            *earlier_of(problem),
            *in_bulk_retries.words(problem.webhook_id, problem.reason),
            *how_it_goes_on(problem),
        ],
        end=behind_of(problem),
        icon="pause-fill" if problem.is_paused and not problem.failed else "x-octagon-fill",
        tone="danger" if problem.failed else "warning",
        url=url_for("deliveries.index", **filter_of(problem)),
        retry_url=url_for("batches.confirm", **filter_of(problem), all="1") if may_retry else "",
        retry_count=counted(to_retry),
        total=problem.count + problem.waits_behind,
        dismiss_url=url_for("dismissals.dismiss", **filter_of(problem), all="1")
        if can("deliveries.dismiss")
        else "",
        dismiss_count=counted(problem.count),
    )


def _page(webhook: UUID) -> str:
    return url_for("webhooks.show", public_id=webhook)
