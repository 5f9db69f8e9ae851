"""Load the sample data as a task, once, into the empty register of a local trial."""

from dataclasses import asdict
from typing import Final
from uuid import UUID

from sqlalchemy import literal_column, select
from sqlalchemy.orm import Session

from portal.extensions import settings
from portal.models.tasks import IS_UNDER_WAY, Task, TaskState
from portal.services import audit, tasks
from portal.services.alerts import settings as alert_settings
from portal.services.core.permissions import DEMO, Actor, require
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import session, writing
from portal.services.demo import seed
from portal.services.tasks import Kind, Step

NAME: Final = "sample_data"
PERMISSION: Final = "sample_data.load"


def start(actor: Actor) -> UUID:
    """Queue the task. Return its public id, or that of the one in progress. Raises `Refusal`."""
    with writing() as current:
        require(current, actor, PERMISSION)
        # If two requests arrive at once, the second finds the task that the first one started.
        alert_settings.locked(current)
        if (task := under_way()) is not None:
            return task
        if why := why_not():
            raise Refusal(why)
        return tasks.start(current, actor, NAME, total=seed.check()).public_id


def under_way() -> UUID | None:
    """Return the public id of the loading task in progress."""
    query = select(Task.public_id).where(literal_column(f"({IS_UNDER_WAY})"), Task.kind == NAME)
    return session().scalars(query.limit(1)).first()


def why_not() -> str:
    """Return why the sample data can’t be loaded and how to start over, or "" if it can."""
    if not settings().local_trial:
        return "You can load sample data only in a local trial."
    try:
        seed.check()
    except Refusal as refusal:
        return f"{refusal.sentence} {_start_over()}"
    return ""


def _start_over() -> str:
    if settings().database_url.startswith("sqlite"):
        folder = settings().instance_dir
        return f"To start over, stop the portal, delete the folder {folder}, and start it again."
    return "To start over, start the portal with an empty database."


def _step(current: Session, task: Task) -> Step:
    """Load everything in one step, so that no one sees or sends half of it."""

    def load() -> None:
        task.counts = asdict(seed.fill(current, DEMO))

    if (refusal := tasks.refusal_of(current, load)) is not None:
        task.error = refusal.sentence
        return Step(TaskState.FAILED)
    by = tasks.actor_of(task)
    audit.record(current, by, "sample_data.loaded", target=(NAME, task.public_id, "Sample data"))
    task.done = task.total
    return tasks.DONE


KIND: Final = Kind(name=NAME, permission=PERMISSION, step=_step, can_stop=False)
