"""A database that takes nothing for a while, and a clock that a test turns."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import OperationalError

from jobs.deliver import equip


@contextmanager
def refused(engine: Engine | None = None) -> Iterator[None]:
    """The database takes nothing for a while. `engine`: from whom; the dispatcher's, if not
    said."""
    asked = engine or equip().engine

    def refuse(_connection: Connection) -> None:
        raise OperationalError("COMMIT", {}, OSError("cut"), connection_invalidated=True)

    event.listen(asked, "commit", refuse)
    yield
    event.remove(asked, "commit", refuse)


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now
