"""The last weeks: things go out and come back day by day, until a moment ago."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from random import Random
from typing import Final

from portal.lib.clock import utcnow
from portal.services.actions import assignments
from portal.services.demo.data import KEPT, PURPOSES
from portal.services.demo.diary import Diary
from portal.services.demo.histories import Thing, whole_hour

LENT: Final = 11  # so many things go out and come back
LONGEST: Final = 28  # days ago
SHORTLY: Final = 10  # … and so many today, for an hour
BETWEEN: Final = timedelta(minutes=31)
# What happened so lately waits to be sent when the story ends.
JUST_NOW: Final = (timedelta(seconds=3), timedelta(seconds=2), timedelta(seconds=1))


def note(diary: Diary, things: Sequence[Thing], chance: Random, now: datetime) -> None:
    """Lend what is free: over the last weeks, over the last hours, and just now."""
    free = iter([it for it in things if it.is_free and it.category not in KEPT])
    for it in islice(free, LENT):
        _now_and_then(it, chance)
    for number, it in enumerate(islice(free, SHORTLY)):
        out_at = now - BETWEEN * 2 * (SHORTLY - number)
        diary.note(out_at, partial(_lend, it, chance))
        diary.note(out_at + BETWEEN * 1.5, partial(_back, it))
    for age, it in zip(JUST_NOW, free, strict=False):
        diary.note(now - age, partial(_lend, it, chance))


def _now_and_then(it: Thing, chance: Random) -> None:
    """Out in the morning of one day, back on one of the next, after all earlier chapters."""
    days_ago = it.chapters_end(LONGEST)
    while days_ago > 2:
        back = days_ago - chance.randint(1, 2)
        due_in = timedelta(days=days_ago - back + 1)
        it.then(days_ago, partial(_out, it, it.someone(), chance.choice(PURPOSES), due_in))
        it.then(back, partial(_back, it))
        days_ago = back - chance.randint(1, 6)


def _lend(it: Thing, chance: Random) -> None:
    until = whole_hour(chance.randint(1, 9), 17)
    _out(it, it.someone(), chance.choice(PURPOSES), until - utcnow())


def _out(it: Thing, someone: int, purpose: str, due_in: timedelta) -> None:
    due_at = utcnow() + due_in
    assignments.check_out(it.actor, it.asset_id, staff_id=someone, due_at=due_at, purpose=purpose)


def _back(it: Thing) -> None:
    assignments.check_in(it.actor, it.asset_id)
