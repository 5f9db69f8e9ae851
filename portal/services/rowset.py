"""Many rows in one statement: they travel as one JSON text, which the database takes apart.

A statement for each row costs several times what the database does for it: preparing its values
here, and on PostgreSQL a message there and back. One text is bound once, whatever it holds.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Select,
    Text,
    bindparam,
    cast,
    column,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import JSON
from sqlalchemy.types import TypeEngine

# What a statement that reads them is given when it runs: `as_json` of a list of dicts, of numbers.
ROWS: Final[Any] = bindparam("rows", type_=Text())
IDS: Final[Any] = bindparam("ids", type_=Text())


class Rowset:
    """A table made of `ROWS`; `rowset.name` is a column. `source` stands in FROM."""

    def __init__(self, dialect: str, **types: TypeEngine[Any]) -> None:
        self.source: FromClause
        self._columns: dict[str, ColumnElement[Any]]
        if dialect == "sqlite":
            each = func.json_each(ROWS).table_valued("value", name="given")
            self.source = each
            self._columns = {
                name: func.json_extract(each.c.value, literal_column(f"'$.{name}'"), type_=kind)
                for name, kind in types.items()
            }
        else:
            columns = [column(name, kind) for name, kind in types.items()]
            made = func.json_to_recordset(cast(ROWS, JSON)).table_valued(*columns, name="given")
            self.source = made.render_derived(with_types=True)
            self._columns = dict(self.source.c)

    def __getattr__(self, name: str) -> ColumnElement[Any]:
        try:
            return self._columns[name]
        except KeyError:
            raise AttributeError(name) from None


def given_ids(dialect: str) -> Select[int]:
    """The numbers in `IDS`, for an IN whose text is the same however many there are."""
    if dialect == "sqlite":
        each = func.json_each(IDS).table_valued(column("value", BigInteger()), name="ids_given")
        return select(each.c.value)
    found = func.json_array_elements_text(cast(IDS, JSON)).table_valued("value", name="ids_given")
    return select(cast(found.c.value, BigInteger()))


def as_json(values: Iterable[Mapping[str, Any] | int]) -> str:
    """The text for `ROWS` or `IDS`. Times become UTC as both databases read them, UUIDs hex."""
    return json.dumps(list(values), default=_plain)


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        # SQLite keeps exactly this text; a session of PostgreSQL reads it in its zone, UTC.
        return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
    if isinstance(value, UUID):
        return value.hex
    raise TypeError(f"{type(value).__name__} cannot be sent to the database as JSON")
