"""Parts of statements, for rows of values, bounded counts, words in columns and bounded
deletion."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any, Final
from uuid import UUID

import orjson
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    Select,
    Text,
    TextualSelect,
    Update,
    Uuid,
    bindparam,
    cast,
    column,
    delete,
    func,
    literal,
    literal_column,
    or_,
    select,
    text,
    true,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.types import TypeEngine

from portal.extensions import Base
from portal.services.core.unit_of_work import writing

# Bound at execution to `as_json` of a list of dicts (`ROWS`) or of numbers (`IDS`).
ROWS: Final[Any] = bindparam("rows", type_=Text())
IDS: Final[Any] = bindparam("ids", type_=Text())


class Rowset:
    """A table made of `ROWS`. `rowset["name"]` is a column, and `source` goes into FROM."""

    def __init__(self, dialect: str, **types: TypeEngine[Any]) -> None:
        self.source: FromClause
        self._columns: dict[str, ColumnElement[Any]]
        if dialect == "sqlite":
            # `json_each` would write each row as text, which every column would parse again.
            elements = func.jsonb_each(ROWS).table_valued("value", name="given")
            self.source = elements
            self._columns = {
                name: _extract(elements.c.value, name, kind) for name, kind in types.items()
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
    value = func.json_extract(row, literal_column(f"'$.{name}'"), type_=kind)
    if isinstance(kind, Uuid):  # SQLite stores them without the hyphens that JSON has
        return func.replace(value, literal_column("'-'"), literal_column("''"), type_=kind)
    return value


def given_ids(dialect: str) -> Select[int]:
    """Return the numbers in `IDS` for an IN. The text of the statement does not depend on their
    count."""
    if dialect == "sqlite":
        elements = func.json_each(IDS).table_valued(column("value", BigInteger()), name="ids_given")
        return select(elements.c.value)
    elements = func.json_array_elements_text(cast(IDS, postgresql.JSON)).table_valued(
        "value", name="ids_given"
    )
    return select(cast(elements.c.value, BigInteger()))


def update_rows(
    connection: Connection,
    model: type[Base],
    rows: Iterable[dict[str, Any]],
    cleared: tuple[str, ...] = (),
) -> None:
    """Update `rows`, each identified by its first key, with one statement per set of columns.

    `cleared` columns become NULL in all of them.
    """
    by_columns: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_columns[tuple(row)].append(row)
    for names, alike in by_columns.items():
        statement = _update(connection.dialect.name, model, names, cleared)
        connection.execute(statement, {"rows": as_json(alike)})


@cache
def _update(
    dialect: str, model: type[Base], names: tuple[str, ...], cleared: tuple[str, ...]
) -> Update:
    table = Base.metadata.tables[model.__tablename__]
    rowset = Rowset(dialect, **{name: table.c[name].type for name in names})
    key, *others = names
    values = {name: rowset[name] for name in others} | dict.fromkeys(cleared)
    return update(table).where(table.c[key] == rowset[key]).values(values)


@cache
def insert_many(
    dialect: str, model: type[Base], names: tuple[str, ...]
) -> postgresql.Insert | sqlite.Insert:
    """Build the `INSERT` of `ROWS` with these columns. It accepts an ON CONFLICT."""
    table = Base.metadata.tables[model.__tablename__]
    given = Rowset(dialect, **{name: table.c[name].type for name in names})
    # SQLite parses the ON of ON CONFLICT as a join's unless a WHERE precedes it.
    rows = select(*(given[name] for name in names)).select_from(given.source).where(true())
    make = sqlite.insert if dialect == "sqlite" else postgresql.insert
    return make(table).from_select(list(names), rows)


def as_json(values: Iterable[Mapping[str, Any] | int]) -> str:
    """Return the text for `ROWS` or `IDS`. Times become UTC as both databases read them.

    Raise TypeError for values that JSON does not have, lone surrogates included.
    """
    return orjson.dumps(list(values), _plain, orjson.OPT_PASSTHROUGH_DATETIME).decode()


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return _time(value)
    raise TypeError(f"{type(value).__name__} cannot be sent to the database as JSON")


@lru_cache(maxsize=64)  # many rows often share one time
def _time(value: datetime) -> str:
    # SQLite stores exactly this text. A PostgreSQL session reads it in its zone, UTC.
    utc = value if value.tzinfo is UTC else value.astimezone(UTC)
    return utc.isoformat(" ", "microseconds")[:26]


ROWS_A_STEP: Final = 1000


def remove_in_steps(
    key: InstrumentedAttribute[int] | InstrumentedAttribute[str] | InstrumentedAttribute[UUID],
    is_old: ColumnElement[bool],
) -> None:
    """Delete old rows, with one transaction per step. Rows in use are left to the next run."""
    while True:
        with writing() as current:
            statement = select(key).where(is_old).limit(ROWS_A_STEP)
            keys = current.scalars(statement.with_for_update(skip_locked=True)).all()
            current.execute(delete(key.class_).where(key.in_(keys)))
        if len(keys) < ROWS_A_STEP:
            return


def any_holds(
    columns: Iterable[ColumnElement[Any] | InstrumentedAttribute[Any]], words: str
) -> ColumnElement[bool]:
    """Return the condition that one of the columns contains `words`. `%` and `_` stand for
    themselves.

    SQLite ignores the case of ASCII letters only, so other words are searched in their usual
    spellings.
    """
    spellings = {words}
    if not words.isascii():
        spellings |= {words.lower(), words.upper(), words.capitalize(), words.title()}
    return or_(
        *(
            column.icontains(spelling, autoescape=True)
            for column in columns
            for spelling in sorted(spellings)
        )
    )


# Counting further costs time without benefit. Pages show "10,000+".
COUNT_LIMIT: Final = 10_000


def capped(current: Session, rows: Select[Any]) -> int:
    """Count the selected rows, but read at most `COUNT_LIMIT` + 1 of them."""
    limited = rows.limit(COUNT_LIMIT + 1).subquery()
    return current.execute(select(func.count()).select_from(limited)).scalar_one()


def up_to(rows: Select[Any], most: int | None = None) -> ColumnElement[int]:
    """Return the same count as a part of a query, up to one more than `most` (`COUNT_LIMIT`).

    It looks for the row beyond the limit first, which is less work than counting the rows before
    it. Most counts on one page are either low or above the limit.
    """
    limit = COUNT_LIMIT if most is None else most
    beyond = rows.with_only_columns(literal(limit + 1), maintain_column_froms=True)
    beyond = beyond.order_by(None).offset(limit).limit(1)
    every = select(func.count()).select_from(rows.order_by(None).subquery())
    return func.coalesce(beyond.scalar_subquery(), every.scalar_subquery())


_SKIP_SCAN = """WITH RECURSIVE scan(id) AS (
  SELECT min({column}) FROM {table} {by} WHERE {where}
  UNION ALL
  SELECT (SELECT min({column}) FROM {table} {by} WHERE {where} AND {column} > scan.id)
  FROM scan WHERE scan.id IS NOT NULL)
SELECT id FROM scan WHERE id IS NOT NULL"""


def skip_scan(table: str, which: str, where: str, *, by: str = "") -> TextualSelect:
    """Return the distinct numbers in the column `which` of the rows that match `where`.

    It steps from one to the next in an index on the columns of `where`, then `which`. The cost
    grows with the numbers, never with the rows. `by` names the index if the planner needs it
    (`INDEXED BY`, SQLite). All four come from our own code, never from input.
    """
    scan = _SKIP_SCAN.format(table=table, column=which, where=where, by=by)
    return text(scan).columns(column("id", Integer()))
