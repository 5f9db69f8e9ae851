"""A simulated database outage and a clock that tests set."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import OperationalError

from jobs.deliver import equip


@contextmanager
def refused(engine: Engine | None = None) -> Iterator[None]:
    """Refuse every commit of `engine`, or of the dispatcher's engine."""
    target = engine or equip().engine

    def refuse(_connection: Connection) -> None:
        raise OperationalError("COMMIT", {}, OSError("cut"), connection_invalidated=True)

    event.listen(target, "commit", refuse)
    yield
    event.remove(target, "commit", refuse)


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now
