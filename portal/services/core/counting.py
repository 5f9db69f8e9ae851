"""The one way to count what may be many: up to a limit, where one more means "more than that"."""

from typing import Any, Final

from sqlalchemy import ColumnElement, Select, func, literal, select
from sqlalchemy.orm import Session

# Counting further costs time and tells nobody more; pages write "10 000+".
COUNT_LIMIT: Final = 10_000


def capped(current: Session, rows: Select[Any]) -> int:
    """How many rows `rows` selects, up to one more than `COUNT_LIMIT`. Reads no more of them."""
    some = rows.limit(COUNT_LIMIT + 1).subquery()
    return current.execute(select(func.count()).select_from(some)).scalar_one()


def up_to(rows: Select[Any], most: int | None = None) -> ColumnElement[int]:
    """The same as a part of a query, up to one more than `most` (`COUNT_LIMIT`).

    It looks for the row beyond the limit first, which is less work than counting the rows before
    it, and most of what is counted on one page has either few rows or more than the limit.
    """
    limit = COUNT_LIMIT if most is None else most
    beyond = rows.with_only_columns(literal(limit + 1), maintain_column_froms=True)
    beyond = beyond.order_by(None).offset(limit).limit(1)
    every = select(func.count()).select_from(rows.order_by(None).subquery())
    return func.coalesce(beyond.scalar_subquery(), every.scalar_subquery())
