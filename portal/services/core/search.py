"""Looking for words in columns, whatever their case, on both databases."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, or_
from sqlalchemy.orm import InstrumentedAttribute


def any_holds(
    columns: Iterable[ColumnElement[Any] | InstrumentedAttribute[Any]], words: str
) -> ColumnElement[bool]:
    """Whether one of the columns contains `words`; `%` and `_` stand for themselves.

    SQLite knows the case of ASCII letters alone: others are looked for as people write them.
    """
    spellings = {words}
    if not words.isascii():
        spellings |= {words.lower(), words.upper(), words.capitalize(), words.title()}
    return or_(
        *(
            column.icontains(each, autoescape=True)
            for column in columns
            for each in sorted(spellings)
        )
    )
