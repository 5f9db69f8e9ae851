"""Remove rows that nobody asks about any more, however many they are."""

from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import InstrumentedAttribute

from portal.services.core.unit_of_work import writing

ROWS_A_STEP: Final = 1000


def remove_in_steps(
    key: InstrumentedAttribute[int] | InstrumentedAttribute[str] | InstrumentedAttribute[UUID],
    is_old: ColumnElement[bool],
) -> None:
    """Each step a transaction of its own; rows in use are left to the next time."""
    while True:
        with writing() as current:
            wanted = select(key).where(is_old).limit(ROWS_A_STEP)
            keys = current.scalars(wanted.with_for_update(skip_locked=True)).all()
            current.execute(delete(key.class_).where(key.in_(keys)))
        if len(keys) < ROWS_A_STEP:
            return
