"""The organization's own name, time zone and currency, in one row that every process applies.

They are part of `settings()`, so that reading them costs nothing. Each process reads the row when
it starts and with each heartbeat. A web process also does so when a signed-in person's session
shows a newer version. Values from the environment stay in force.
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
FIRST: Final = 1  # the version before anybody has saved
# Names in `Settings` of values that the environment can set.
TIME_ZONE, MONEY = "timezone", "currency"


# The stored version, as a part of another query. NULL until the page is saved once.
STORED_VERSION: Final = (
    select(Organization.version).where(Organization.id == ONE_ROW).scalar_subquery()
)


def is_in_force(version: int | None) -> bool:
    """Return whether this process uses that version."""
    return settings().organization_version == (version or FIRST)


def refresh(connection: Connection) -> None:
    """Apply the stored row."""
    apply(connection.execute(select(Organization.__table__)).one_or_none())


def load() -> None:
    """Apply the stored row at the start of a process, if the database is available."""
    current = settings()
    url = make_url(current.database_url)
    if url.get_backend_name() == "sqlite" and not _exists(url.database):
        return  # connecting would create it
    engine = brief_engine(current.database_url, current.database_options)
    try:
        with engine.connect() as connection:
            refresh(connection)
    except SQLAlchemyError:  # unavailable or of another version, so heartbeats keep trying
        pass
    finally:
        engine.dispose()


def apply(row: Any) -> None:
    """Apply this row, or the defaults without one."""
    current = settings()
    chosen = replace(
        current,
        organization=row.name if row else NAME,
        organization_version=row.version if row else FIRST,
        timezone=current.timezone
        if TIME_ZONE in current.fixed
        else _zone(row.time_zone if row else ZONE),
        currency=current.currency
        if MONEY in current.fixed
        else (row.currency if row else CURRENCY),
    )
    if chosen != current:
        use_settings(chosen)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):  # a zone that newer data does not contain
        return ZoneInfo(ZONE)


def _exists(path: str | None) -> bool:
    return bool(path) and Path(path or "").exists()
