"""Many rows in one statement: they travel as one JSON text, which the database takes apart.

A statement for each row costs several times what the database does for it: preparing its values
here, and on PostgreSQL a message there and back. One text is bound once, whatever it holds.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any, Final

import orjson
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Select,
    Text,
    Update,
    Uuid,
    bindparam,
    cast,
    column,
    func,
    literal_column,
    select,
    true,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import TypeEngine

from portal.extensions import Base

# What a statement that reads them is given when it runs: `as_json` of a list of dicts, of numbers.
ROWS: Final[Any] = bindparam("rows", type_=Text())
IDS: Final[Any] = bindparam("ids", type_=Text())


class Rowset:
    """A table made of `ROWS`; `rowset["name"]` is a column. `source` stands in FROM."""

    def __init__(self, dialect: str, **types: TypeEngine[Any]) -> None:
        self.source: FromClause
        self._columns: dict[str, ColumnElement[Any]]
        if dialect == "sqlite":
            # `json_each` would write each row as text, for every column to read that again.
            each = func.jsonb_each(ROWS).table_valued("value", name="given")
            self.source = each
            self._columns = {
                name: _extract(each.c.value, name, kind) for name, kind in types.items()
            }
        else:
            columns = [column(name, kind) for name, kind in types.items()]
            made = func.json_to_recordset(cast(ROWS, postgresql.JSON)).table_valued(
                *columns, name="given"
            )
            self.source = made.render_derived(with_types=True)
            self._columns = dict(self.source.c)

    def __getitem__(self, name: str) -> ColumnElement[Any]:
        return self._columns[name]


def _extract(row: ColumnElement[Any], name: str, kind: TypeEngine[Any]) -> ColumnElement[Any]:
    found = func.json_extract(row, literal_column(f"'$.{name}'"), type_=kind)
    if isinstance(kind, Uuid):  # SQLite keeps them without the hyphens that JSON has
        return func.replace(found, literal_column("'-'"), literal_column("''"), type_=kind)
    return found


def given_ids(dialect: str) -> Select[int]:
    """The numbers in `IDS`, for an IN whose text is the same however many there are."""
    if dialect == "sqlite":
        each = func.json_each(IDS).table_valued(column("value", BigInteger()), name="ids_given")
        return select(each.c.value)
    found = func.json_array_elements_text(cast(IDS, postgresql.JSON)).table_valued(
        "value", name="ids_given"
    )
    return select(cast(found.c.value, BigInteger()))


def update_rows(
    connection: Connection,
    model: type[Base],
    rows: Iterable[dict[str, Any]],
    cleared: tuple[str, ...] = (),
) -> None:
    """Write `rows`, whose first key says which row is meant: a statement for each set of columns.

    `cleared` become NULL in all of them.
    """
    by_columns: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_columns[tuple(row)].append(row)
    for names, some in by_columns.items():
        statement = _update(connection.dialect.name, model, names, cleared)
        connection.execute(statement, {"rows": as_json(some)})


@cache
def _update(
    dialect: str, model: type[Base], names: tuple[str, ...], cleared: tuple[str, ...]
) -> Update:
    table = Base.metadata.tables[model.__tablename__]
    given = Rowset(dialect, **{name: table.c[name].type for name in names})
    key, *others = names
    values = {name: given[name] for name in others} | dict.fromkeys(cleared)
    return update(table).where(table.c[key] == given[key]).values(values)


@cache
def insert_many(
    dialect: str, model: type[Base], names: tuple[str, ...]
) -> postgresql.Insert | sqlite.Insert:
    """`INSERT` of `ROWS` with these columns; it takes an ON CONFLICT."""
    table = Base.metadata.tables[model.__tablename__]
    given = Rowset(dialect, **{name: table.c[name].type for name in names})
    # SQLite reads the ON of ON CONFLICT as a join's unless there is a WHERE before it.
    rows = select(*(given[name] for name in names)).select_from(given.source).where(true())
    make = sqlite.insert if dialect == "sqlite" else postgresql.insert
    return make(table).from_select(list(names), rows)


def as_json(values: Iterable[Mapping[str, Any] | int]) -> str:
    """The text for `ROWS` or `IDS`. Times become UTC as both databases read them.

    Raises TypeError for what JSON does not have, lone surrogates included.
    """
    return orjson.dumps(list(values), _plain, orjson.OPT_PASSTHROUGH_DATETIME).decode()


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return _time(value)
    raise TypeError(f"{type(value).__name__} cannot be sent to the database as JSON")


@lru_cache(maxsize=64)  # one moment often stands in many rows
def _time(value: datetime) -> str:
    # SQLite keeps exactly this text; a session of PostgreSQL reads it in its zone, UTC.
    utc = value if value.tzinfo is UTC else value.astimezone(UTC)
    return utc.isoformat(" ", "microseconds")[:26]
