"""A database that takes nothing for a while, and a clock that a test turns."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, event
from sqlalchemy.exc import OperationalError

from jobs.deliver import equip


@contextmanager
def refused() -> Iterator[None]:
    """The database takes nothing for a while."""

    def refuse(_connection: Connection) -> None:
        raise OperationalError("COMMIT", {}, OSError("cut"), connection_invalidated=True)

    event.listen(equip().engine, "commit", refuse)
    yield
    event.remove(equip().engine, "commit", refuse)


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now
