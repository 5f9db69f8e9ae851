"""What the line of a problem tells: since when, why before, who waits behind it, how it goes on."""

from collections.abc import Iterator
from typing import Any, Final

from markupsafe import Markup

from portal.engine.health import has_asked
from portal.lib.clock import utcnow
from portal.services.deliveries.log.filters import StatusFilter
from portal.services.deliveries.problems.queries import Problem
from portal.services.webhooks.summary import Standing
from portal.web.deliveries.forms import UNTRIED
from portal.web.frame.banner_views import sending_stop
from portal.web.frame.wording import counted, near_time, plural, time_tag

PAUSED: Final = "paused: the receiver isn't responding"
ASKED: Final = "paused: the receiver asked us to wait"


def why_untried(problem: Problem) -> str:
    """What is told in place of a reason."""
    if not problem.is_paused:
        return "not attempted yet"
    return ASKED if has_asked(problem.next_retry_at, utcnow()) else PAUSED


def filter_of(problem: Problem) -> dict[str, Any]:
    """The filter of the log that shows exactly these."""
    return {
        "status": str(StatusFilter.ATTENTION),
        "webhook": problem.webhook_id,
        "reason": str(problem.reason or UNTRIED),
        "code": problem.code,
    }


def span_of(problem: Problem) -> str:
    """ "03:11 to 13:11": when they were stored."""
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
    """Why they failed before a Retry failed for another reason."""
    if problem.earlier:
        times = f", {plural(problem.earlier.count, 'time')}" if problem.count == 1 else ""
        some = "some " if problem.is_earlier_of_some else ""
        yield f"{some}earlier: {problem.earlier.words}{times}"


def behind_of(problem: Problem) -> str:
    """How many an order holds up."""
    if not problem.waits_behind:
        return ""
    waits = "waits" if problem.waits_behind == 1 else "wait"
    return f"and {counted(problem.waits_behind)} {waits} behind it, in order"


def how_it_goes_on(problem: Problem) -> Iterator[str]:
    """How it goes on there."""
    if problem.is_deleted:
        yield "webhook deleted"
    elif problem.standing is Standing.OFF:
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
