"""The different values at one place of an index, found without reading what lies between them."""

from sqlalchemy import Integer, TextualSelect, column, text

_WALK = """WITH RECURSIVE walk(id) AS (
  SELECT min({column}) FROM {table} {by} WHERE {where}
  UNION ALL
  SELECT (SELECT min({column}) FROM {table} {by} WHERE {where} AND {column} > walk.id)
  FROM walk WHERE walk.id IS NOT NULL)
SELECT id FROM walk WHERE id IS NOT NULL"""


def skip_scan(table: str, which: str, where: str, *, by: str = "") -> TextualSelect:
    """The different numbers in the column `which` of the rows for which `where` holds.

    Steps from one to the next through an index that begins with what `where` asks for, then
    `which`: the cost grows with the numbers, never with the rows. `by` names the index where the
    planner has to be told (`INDEXED BY`, SQLite). All four are ours, never anybody's input.
    """
    walk = _WALK.format(table=table, column=which, where=where, by=by)
    return text(walk).columns(column("id", Integer()))
