"""Note in memory the day a session or token was last used, for the heartbeat to write.

A row is written once a day, because a GET writes nothing. Days are in the portal's time zone.
"""

from datetime import date
from threading import Lock
from typing import Any, Final

from sqlalchemy import or_, select
from sqlalchemy.orm import InstrumentedAttribute

from portal.services.core.time_zones import today
from portal.services.core.unit_of_work import writing

AT_ONCE: Final = 1000

Column = InstrumentedAttribute[Any]


class LastSeen:
    """Rows to mark as used today. `key` is their id column, and `day` the column to write."""

    def __init__(self, key: Column, day: Column) -> None:
        self._key, self._day = key, day
        self._seen: set[Any] = set()
        self._lock = Lock()

    def note(self, key: object, known: date | None) -> None:
        """Note that a row is in use, unless `known`, its stored day, says so."""
        if known is None or known < today():
            with self._lock:
                self._seen.add(key)

    def write(self) -> None:
        """Write the noted rows. After a failure, they are written the next time."""
        with self._lock:
            seen = sorted(self._seen)[:AT_ONCE]
        if not seen:
            return
        with writing() as current:
            now = today()
            is_older = or_(self._day.is_(None), self._day < now)
            query = select(self._key.class_).where(self._key.in_(seen), is_older)
            # Another process can write the same rows, and neither waits.
            for row in current.scalars(query.with_for_update(skip_locked=True)):
                setattr(row, self._day.key, now)
        with self._lock:
            self._seen.difference_update(seen)
