"""The one way to count what may be many: up to a limit, where one more means "more than that"."""

from typing import Any, Final

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

# Counting further costs time and tells nobody more; pages write "10 000+".
COUNT_LIMIT: Final = 10_000


def capped(current: Session, rows: Select[Any]) -> int:
    """How many rows `rows` selects, up to one more than `COUNT_LIMIT`. Reads no more of them."""
    some = rows.limit(COUNT_LIMIT + 1).subquery()
    return current.execute(select(func.count()).select_from(some)).scalar_one()
