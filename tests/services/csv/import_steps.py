"""Steps of an import, with the background job run in between."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import select

from jobs import tasks as job
from portal.lib.spreadsheets.sheets import read_csv
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
    """Upload the text, run its check, and return the public id of the check."""
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
    """Return number, outcome and message of each row."""
    return [(row.number, row.outcome, row.message) for row in rows_of(public_id)]


def shown(public_id: UUID) -> list[dict[str, tuple[Any, Any]]]:
    """Return the changes that the check shows for each row: {field: (old, new)}."""
    return [sides(row.data.get("changes", {})) for row in rows_of(public_id)]


def sides(changes: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return {field: (old, new)}, with related rows as their names."""
    named = {name: (change["from"], change["to"]) for name, change in changes.items()}
    return {name: (plain(old), plain(new)) for name, (old, new) in named.items()}


def plain(value: Any) -> Any:
    """Return the name of a related row, or else the value itself."""
    return value["name"] if isinstance(value, dict) else value


def rows_of(public_id: UUID) -> list[TaskRow]:
    """Reload the rows of the check."""
    session().rollback()
    task_id = import_task.find_check(public_id).id
    query = select(TaskRow).where(TaskRow.task_id == task_id).order_by(TaskRow.number)
    return list(session().scalars(query.execution_options(populate_existing=True)))


def run(person: Person, public_id: UUID) -> Task:
    """Confirm the import and run it."""
    task_id = import_task.confirm(person.actor, public_id)
    job.work(KINDS, seconds=60)
    session().rollback()
    return tasks.find(task_id)
