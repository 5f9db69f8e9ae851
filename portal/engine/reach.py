"""Who is in trouble when nobody answers: the sender or the receiver. Pure.

Each machine that could not connect to a receiver says so in a row of its own, a doubt. The first
gives its delivery back, for a machine that has no doubt may bring it; when that one fails as well,
two have judged, and it is the receiver's.
"""

from collections.abc import Collection, Iterable, Sequence, Set
from datetime import datetime
from typing import Final, NamedTuple

FIRST_PAUSE: Final = 0  # seconds from the failure to the first bare probe
SECOND_PAUSE: Final = 5  # … from that one to the next; doubles with each
LONGEST_PAUSE: Final = 60
REFUTED_DOUBTS: Final = 3  # so many, and the machine sends nothing for a while
# Seconds for connecting, and for what was sent to be acknowledged: while others may take it over,
# and while nobody may.
SHORT_PATIENCE: Final = 2.0
LONG_PATIENCE: Final = 5.0
# … over a new connection, while this machine has met one that it alone cannot reach: perhaps it
# reaches nobody.
WARY_PATIENCE: Final = 0.6
SLOW_CONNECT: Final = 0.5  # a connect that has lasted so long may be one that never ends


class Doubt(NamedTuple):
    """A machine that could not connect to a webhook's receiver, since when, and when it last could
    not. `refuted`: another has delivered there meanwhile, and it still could not."""

    webhook_id: int
    machine: str
    since: datetime
    failed_at: datetime
    refuted: bool = False


def goes_back(
    doubts: Sequence[Doubt], others: Set[str], last_delivered_at: datetime | None
) -> bool:
    """Whether what this machine could not bring to a receiver is left to another one.

    `doubts`: of other machines about the same receiver. `others`: those that live and are not
    benched.
    """
    has_judge = bool(others - {each.machine for each in doubts})
    return has_judge and not any(_weighs(each, others, last_delivered_at) for each in doubts)


def _weighs(doubt: Doubt, others: Set[str], last_delivered_at: datetime | None) -> bool:
    """Whether it says something of the receiver: its machine is well, and nobody has delivered
    since."""
    is_known_sick = doubt.refuted or doubt.machine not in others
    is_newer = last_delivered_at is None or doubt.failed_at > last_delivered_at
    return is_newer and not is_known_sick


def left_to_others(doubts: Iterable[Doubt], machine: str, others: Set[str]) -> frozenset[int]:
    """The webhooks that `machine` cannot reach, and for which there is another that may."""
    own, known = set(), set()
    for each in doubts:
        if each.machine == machine:
            own.add(each.webhook_id)
        else:
            known.add((each.webhook_id, each.machine))
    return frozenset(each for each in own if any((each, other) not in known for other in others))


def is_refuted(
    own: Doubt, others_doubts: Sequence[Doubt], last_delivered_at: datetime | None
) -> bool:
    """Whether another machine has shown, after this one had begun to doubt, that the receiver can
    be reached. Not while somebody else has failed since then as well."""
    if last_delivered_at is None or last_delivered_at <= own.since:
        return False
    return not any(
        each.failed_at > last_delivered_at and not each.refuted for each in others_doubts
    )


def is_sick(refuted: int, others: Collection[str]) -> bool:
    """Whether a machine with so many doubts that were refuted is to send nothing: somebody else
    has to be there to do it."""
    return refuted >= REFUTED_DOUBTS and bool(others)


def next_pause(pause: int) -> int:
    """Seconds to the next bare probe after one that failed `pause` seconds after the one before."""
    return min(max(SECOND_PAUSE, pause * 2), LONGEST_PAUSE)
