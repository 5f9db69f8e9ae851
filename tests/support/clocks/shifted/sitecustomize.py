"""Read by Python itself at its start when this folder is on PYTHONPATH: a machine whose clock is
wrong by CLOCK_SHIFT seconds, for all that Python asks. The databases ask the system."""

import datetime
import os
import time
from typing import Any

_datetime, _time, _time_ns = datetime.datetime, time.time, time.time_ns


def shift() -> float:
    """Seconds. Asked each time: a fork may have another clock than what it is a fork of."""
    return float(os.environ.get("CLOCK_SHIFT") or 0)


class _Kind(type):
    """What the unshifted class made is one of these, too."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, _datetime)


class ShiftedDatetime(_datetime, metaclass=_Kind):
    """A datetime whose `now` is wrong."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        """The wrong time."""
        return _datetime.now(tz) + datetime.timedelta(seconds=shift())

    @classmethod
    def utcnow(cls) -> Any:
        """The wrong time, naive."""
        return cls.now(datetime.UTC).replace(tzinfo=None)


datetime.datetime = ShiftedDatetime  # type: ignore[misc]  # that is the point
time.time = lambda: _time() + shift()
time.time_ns = lambda: _time_ns() + int(shift() * 1e9)
