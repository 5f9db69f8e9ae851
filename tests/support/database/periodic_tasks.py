"""Move the last runs of periodic tasks into the past."""

from datetime import timedelta

from sqlalchemy import select

from portal.models.operations import Process
from portal.services.core.unit_of_work import database_time, writing


def let_periodic_tasks_age(seconds: float) -> None:
    """Move the last run of every periodic task into the past."""
    with writing() as current:
        for row in current.scalars(select(Process).where(Process.name == Process.kind)):
            row.seen_at -= timedelta(seconds=seconds)


def begin_periodic_task(name: str, seconds_ago: float) -> None:
    """Record that a periodic task started `seconds_ago`."""
    with writing() as current:
        at = database_time(current) - timedelta(seconds=seconds_ago)
        values = {"kind": name, "host": "", "started_at": at, "seen_at": at}
        current.merge(Process(name=name, **values))
