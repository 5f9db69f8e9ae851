"""The one way to count what may be many: up to a limit, where one more means "more than that"."""

from typing import Any, Final

from sqlalchemy import ScalarSelect, Select, func, select
from sqlalchemy.orm import Session

# Counting further costs time and tells nobody more; pages write "10 000+".
COUNT_LIMIT: Final = 10_000


def capped(current: Session, rows: Select[Any]) -> int:
    """How many rows `rows` selects, up to one more than `COUNT_LIMIT`. Reads no more of them."""
    return current.execute(select(up_to(rows))).scalar_one()


def up_to(rows: Select[Any], most: int | None = None) -> ScalarSelect[int]:
    """The same as a part of a query, up to one more than `most` (`COUNT_LIMIT`)."""
    limit = COUNT_LIMIT if most is None else most
    return select(func.count()).select_from(rows.limit(limit + 1).subquery()).scalar_subquery()
