"""A file on its way into the register, step by step, with the job at work in between."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import select

from jobs import tasks as job
from portal.lib.spreadsheets.sheets import read_csv
from portal.models.deliveries import Event
from portal.models.tasks import Task, TaskRow
from portal.services import tasks
from portal.services.core.unit_of_work import session
from portal.services.csv import import_task
from portal.services.task_kinds import KINDS
from tests.support.factories import Person


def check(
    person: Person,
    text: str,
    *,
    change_existing: bool = False,
    file_name: str = "",
) -> UUID:
    """Upload it and have it checked; the public id of the check."""
    sheet = read_csv(text.encode())
    public_id = import_task.upload(
        person.actor,
        sheet,
        change_existing=change_existing,
        file_name=file_name,
    )
    job.work(KINDS)
    return public_id


def found(public_id: UUID) -> list[tuple[int, str | None, str]]:
    """Each row: its number, what became of it, and why."""
    return [(row.number, row.outcome, row.message) for row in rows_of(public_id)]


def shown(public_id: UUID) -> list[dict[str, tuple[Any, Any]]]:
    """What the check shows of each row: {field: (old, new)}."""
    return [sides(row.data.get("changes", {})) for row in rows_of(public_id)]


def sides(changes: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """{field: (old, new)}, where what has a name is its name."""
    named = {name: (change["from"], change["to"]) for name, change in changes.items()}
    return {name: (plain(old), plain(new)) for name, (old, new) in named.items()}


def plain(value: Any) -> Any:
    """A value without its id."""
    return value["name"] if isinstance(value, dict) else value


def rows_of(public_id: UUID) -> list[TaskRow]:
    """The check's rows as they are stored now."""
    session().rollback()
    task_id = import_task.find_check(public_id).id
    wanted = select(TaskRow).where(TaskRow.task_id == task_id).order_by(TaskRow.number)
    return list(session().scalars(wanted.execution_options(populate_existing=True)))


def run(person: Person, public_id: UUID) -> Task:
    """Say yes, and have it done."""
    task_id = import_task.confirm(person.actor, public_id)
    job.work(KINDS, seconds=60)
    session().rollback()
    return tasks.find(task_id)


def bodies() -> list[dict[str, Any]]:
    """What webhooks would get, in the order of the events."""
    session().rollback()
    return [json.loads(body) for body in session().scalars(select(Event.body).order_by(Event.id))]
