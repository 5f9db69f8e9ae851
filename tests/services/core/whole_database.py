"""The content of the database without values that differ each time: times, UUIDs, secrets."""

import json
import re
from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select

from portal.extensions import Base
from portal.services.core.unit_of_work import session

MOMENT = re.compile(
    r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?([+-]\d{2}:\d{2}|Z)?"
    r"|[A-Z][a-z]+ \d{1,2}(, \d{4})?, \d{2}:\d{2}"  # in words
)
# Values that tests generate differ each time: numbered names and ports.
MADE_UP = re.compile(r"(?<=Receiver )\d+|(?<=127\.0\.0\.1:)\d+|(?<=\.)\d+(?=@example\.com)")
NAMED = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MEASURED = frozenset({"took_ms"})
# The results of the workers show how far they are.
MACHINERY = frozenset({"processes", "alembic_version"})


def whole_database(besides: Collection[str] = ()) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of every nonempty table, sorted by key. `besides`: tables to leave out."""
    current = session()
    current.rollback()
    tables = {}
    for table in Base.metadata.sorted_tables:
        if table.name in MACHINERY or table.name in besides:
            continue
        rows = current.execute(select(table).order_by(*table.primary_key.columns)).all()
        if rows:
            tables[table.name] = [
                {name: _lasting(v) for name, v in row._mapping.items() if name not in MEASURED}
                for row in rows
            ]
    current.rollback()
    return tables


def _lasting(value: Any) -> Any:
    if isinstance(value, datetime):
        return "a moment"
    if isinstance(value, UUID):
        return "a UUID"
    if isinstance(value, bytes):
        return _lasting(_text_of(value))
    if isinstance(value, dict | list):
        return _lasting(json.dumps(value, sort_keys=True))
    if isinstance(value, str):
        return MADE_UP.sub("#", NAMED.sub("a UUID", MOMENT.sub("a moment", value)))
    return value


def _text_of(value: bytes) -> str:
    """Return a body as text, or one word for a ciphertext, which differs each time."""
    return value.decode() if value[:1] == b"{" else "sealed"


def differences(one: dict[str, list[Any]], other: dict[str, list[Any]]) -> list[str]:
    """Return one line for each difference."""
    lines = [f"only one has {name}" for name in sorted(one.keys() ^ other.keys())]
    for name in sorted(one.keys() & other.keys()):
        if len(one[name]) != len(other[name]):
            lines.append(f"{name}: {len(one[name])} rows and {len(other[name])}")
        for number, (row, its) in enumerate(zip(one[name], other[name], strict=False)):
            lines += [
                f"{name}[{number}].{column}: {row[column]!r} and {its[column]!r}"
                for column in row
                if row[column] != its[column]
            ]
    return lines
