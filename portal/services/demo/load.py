"""Load the sample data as long work: once, into the empty register of a local trial."""

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
    """Queue it; return the public id of its task, or of the one under way. Raises `Refusal`."""
    with writing() as current:
        require(current, actor, PERMISSION)
        alert_settings.locked(current)  # of two at once the second finds the first one's task
        if (task := under_way()) is not None:
            return task
        if why := why_not():
            raise Refusal(why)
        return tasks.start(current, actor, NAME, total=seed.check()).public_id


def under_way() -> UUID | None:
    """The public id of the task that loads it now."""
    wanted = select(Task.public_id).where(literal_column(f"({IS_UNDER_WAY})"), Task.kind == NAME)
    return session().scalars(wanted.limit(1)).first()


def why_not() -> str:
    """Why it can’t be loaded here, and how to start over; empty where it can."""
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
    """Everything at once: while half of it is there, nobody should see or send it."""

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
