"""Label erased people with a number in place of their name, the same everywhere."""

from collections.abc import Collection, Sequence
from typing import Final

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from portal.models.audit import ErasedKind, Erasure
from portal.models.tasks import Task, TaskState
from portal.services.core.refusals import Refusal

# The triggers of append-only tables contain these words
# (migrations/versions/0100_first_release.py).
LABEL: Final = "Erased person {number}"
ENDED: Final = (TaskState.DONE, TaskState.STOPPED, TaskState.FAILED)


def label_of(erasure: Erasure) -> str:
    """Return the text that replaces the name and the email address."""
    return LABEL.format(number=erasure.id)


def find_erasure(current: Session, kind: ErasedKind, person_id: int) -> Erasure | None:
    """Return the erasure of this person, running or finished."""
    statement = select(Erasure).where(Erasure.kind == kind, Erasure.person_id == person_id)
    return current.scalar(statement)


def erased_among(current: Session, kind: ErasedKind, ids: Sequence[int]) -> Collection[int]:
    """Return the ids of erased people among these row ids."""
    statement = select(Erasure.person_id).where(Erasure.kind == kind, Erasure.person_id.in_(ids))
    return set(current.scalars(statement))


def stuck_erasures(current: Session) -> Sequence[Erasure]:
    """Return unfinished erasures that no task works on."""
    statement = (
        select(Erasure)
        .outerjoin(Task, Task.public_id == Erasure.task_public_id)
        .where(Erasure.finished_at.is_(None), or_(Task.id.is_(None), Task.state.in_(ENDED)))
    )
    return current.scalars(statement.order_by(Erasure.id)).all()


def refuse_erased(current: Session, kind: ErasedKind, person_id: int) -> None:
    """Raise `Refusal` if the person was erased, because nothing about them changes any more."""
    if find_erasure(current, kind, person_id) is not None:
        raise Refusal("This person was erased. You can’t undo this.")
