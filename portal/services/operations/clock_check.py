"""Whether this machine's clock may be trusted with what cannot be brought back."""

from datetime import timedelta
from typing import Final

from portal.lib.clock import learn, told
from portal.lib.durations import in_words
from portal.services.core.unit_of_work import database_time, session

DISTRUSTED: Final = timedelta(minutes=5)


class WrongClock(Exception):
    """This machine's clock is too far from the database's; the message is a sentence."""


def trust() -> None:
    """Compare the two clocks. Raises `WrongClock`."""
    session().rollback()
    ahead = learn(database_time(session()))
    if told() is None and abs(ahead) > DISTRUSTED:
        order = "behind" if ahead > timedelta() else "ahead of"
        raise WrongClock(
            f"The clock of this machine is {in_words(abs(ahead.total_seconds()))} {order} the "
            "database's: nothing is removed from here until both agree."
        )
