"""Duties: jobs that come again and again, each done by one process for all of them."""

from collections.abc import Callable
from functools import wraps
from threading import RLock
from typing import Final

from portal.extensions import settings
from portal.queue.schedule import entry_of
from portal.services.core import heartbeats
from portal.services.core.unit_of_work import writing

# rq-scheduler is not exact, and what comes a little early must not wait for the time after next.
SHARE: Final = 0.5

at_work: Final = RLock()
"""Held by the one thread of this process that does a duty, or works at tasks."""


def duty(share: float = SHARE, job: str = "") -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Do it unless somebody has begun it within a `share` of the interval at which it is scheduled.

    `job`: of which it is a part, where it is not the job itself.

    So it does not matter who starts it: rq-scheduler, two of them, or who does without.
    """

    def decorate(function: Callable[[], None]) -> Callable[[], None]:
        name = job or f"{function.__module__}.{function.__name__}"

        @wraps(function)
        def run() -> None:
            entry = entry_of(settings(), name)
            with at_work:
                with writing() as current:
                    pause = share * entry.interval
                    is_due = heartbeats.take_duty(current.connection(), entry.id, pause)
                if is_due:
                    function()

        return run

    return decorate
