"""What happened in the demo, gathered in any order and told in the order of its times."""

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from portal.lib.clock import frozen

Act = Callable[[], object]


class Diary:
    """Acts and their times. Two at one time are told in the order in which they were noted."""

    def __init__(self) -> None:
        self._noted: list[tuple[datetime, int, Act]] = []

    def note(self, at: datetime, act: Act) -> None:
        """`act` happened `at` that time."""
        self._noted.append((at, len(self._noted), act))

    def tell(self, current: Session, before: Callable[[datetime], None]) -> None:
        """Do all of it, each at its time. `before` is given the time of each act before it."""
        for at, _, act in sorted(self._noted, key=lambda each: each[:2]):
            before(at)
            with frozen(at):
                act()
                current.flush()  # rows get their time when they are written


def ago(now: datetime, days: float = 0, hours: float = 0) -> datetime:
    """So long before `now`."""
    return now - timedelta(days=days, hours=hours)
