"""The organization's own name, time zone and currency: one row, which every process puts in force.

They stand in `settings()`, so that reading them costs nothing. Each process reads the row when it
starts and with each of its heartbeats, a web process also when a signed-in person's session shows
that there is a newer version of it. What the environment sets stays in force.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import Connection, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from portal.config.settings import CURRENCY, NAME, ZONE
from portal.database.engine import brief_engine
from portal.extensions import settings, use_settings
from portal.models.operations import Organization

ONE_ROW: Final = 1
FIRST: Final = 1  # the version that nobody has saved yet
# What the environment may set, by its name in `Settings`.
TIME_ZONE, MONEY = "timezone", "currency"


# The version that is stored, as a part of another query; none until somebody saved.
STORED_VERSION: Final = (
    select(Organization.version).where(Organization.id == ONE_ROW).scalar_subquery()
)


def is_in_force(version: int | None) -> bool:
    """Return whether this process goes by that version."""
    return settings().organization_version == (version or FIRST)


def refresh(connection: Connection) -> None:
    """Put in force what is stored."""
    apply(connection.execute(select(Organization.__table__)).one_or_none())


def load() -> None:
    """The same at the start of a process, if the database is there."""
    found = settings()
    url = make_url(found.database_url)
    if url.get_backend_name() == "sqlite" and not _exists(url.database):
        return  # to connect would make it
    engine = brief_engine(found.database_url, found.database_options)
    try:
        with engine.connect() as connection:
            refresh(connection)
    except SQLAlchemyError:  # away, or not of this version: heartbeats go on trying
        pass
    finally:
        engine.dispose()


def apply(row: Any) -> None:
    """Put in force this row, or what there is without one."""
    now = settings()
    chosen = replace(
        now,
        organization=row.name if row else NAME,
        organization_version=row.version if row else FIRST,
        timezone=now.timezone if TIME_ZONE in now.fixed else _zone(row.time_zone if row else ZONE),
        currency=now.currency if MONEY in now.fixed else (row.currency if row else CURRENCY),
    )
    if chosen != now:
        use_settings(chosen)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):  # a zone that newer data no longer knows
        return ZoneInfo(ZONE)


def _exists(path: str | None) -> bool:
    return bool(path) and Path(path or "").exists()
