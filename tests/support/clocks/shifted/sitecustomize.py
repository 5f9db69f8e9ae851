"""Shift Python's clock by CLOCK_SHIFT seconds.

Python imports this module at startup if this folder is on PYTHONPATH. The databases use the
system's clock, which isn't shifted.
"""

import datetime
import os
import time
from typing import Any

_datetime, _time, _time_ns = datetime.datetime, time.time, time.time_ns


def shift() -> float:
    """Return the shift in seconds. Read each time, because a fork can have another clock."""
    return float(os.environ.get("CLOCK_SHIFT") or 0)


class _Kind(type):
    """A metaclass that lets instances of the original datetime pass isinstance checks."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, _datetime)


class ShiftedDatetime(_datetime, metaclass=_Kind):
    """A datetime whose `now` is wrong."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        return _datetime.now(tz) + datetime.timedelta(seconds=shift())

    @classmethod
    def utcnow(cls) -> Any:
        """Return the wrong time, naive."""
        return cls.now(datetime.UTC).replace(tzinfo=None)


datetime.datetime = ShiftedDatetime  # type: ignore[misc]  # on purpose
time.time = lambda: _time() + shift()
time.time_ns = lambda: _time_ns() + int(shift() * 1e9)
