"""Time that goes by between two turns at a periodic task."""

from datetime import timedelta

from sqlalchemy import select

from portal.models.operations import Process
from portal.services.core.unit_of_work import database_time, writing


def let_periodic_tasks_age(seconds: float) -> None:
    """Whatever was done was done that much earlier."""
    with writing() as current:
        for row in current.scalars(select(Process).where(Process.name == Process.kind)):
            row.seen_at -= timedelta(seconds=seconds)


def begin_periodic_task(name: str, seconds_ago: float) -> None:
    """Somebody began it then."""
    with writing() as current:
        at = database_time(current) - timedelta(seconds=seconds_ago)
        values = {"kind": name, "host": "", "started_at": at, "seen_at": at}
        current.merge(Process(name=name, **values))
