"""How a pump's places are shared out, so that receivers that hang never take all of them.

Each webhook to which nothing is being sent gets one place before any gets a second, and the last
eighth of all places is for such webhooks alone, unless they are throttled: a receiver that hangs
holds on to what it has, one that answers comes back for its next place. The bound: as many
receivers as `WORKER_MAX_IN_FLIGHT` that begin to hang at once, until their first timeout; from then
on they are throttled, and seven eighths of the places are all that they can have.
"""

import random
from collections.abc import Sequence
from typing import Final

from portal.models.deliveries import Priority
from portal.services.outbox.due import Claimable

SHARE: Final = 8


def kept_of(most: int) -> int:
    """How many of a pump's places are kept for webhooks to which nothing is being sent."""
    return most // SHARE


def share_out(wanted: Sequence[Claimable], places: int, kept: int) -> list[Claimable]:
    """What each may have of `places` free ones, in the order in which they take it.

    Those to which least is being sent come first, in a new order each time among equals: with
    fewer places than webhooks, none is always the last.
    """
    shuffled = random.sample(wanted, len(wanted))
    in_turn = sorted(shuffled, key=_taken)
    if sum(each.places for each in in_turn) <= places - kept:
        return in_turn
    extra = max(0, places - kept - sum(map(_first, in_turn)))
    shared = []
    for each in in_turn:
        more = min(extra, each.places - _first(each))
        extra -= more
        shared.append(each._replace(places=_first(each) + more))
    return [each for each in shared if each.places or each.test_places]


def _taken(wanted: Claimable) -> int:
    """How much of the places it has. A probe may hang, so it stands behind those that have none;
    but not behind all who are well, or a receiver that works again would wait for a quiet hour."""
    return max(wanted.leased, int(wanted.throttled))


def _first(wanted: Claimable) -> int:
    """The place that nobody has to wait for: the first one, and that of a person's Retry."""
    is_first = wanted.leased == 0 and not wanted.throttled
    is_first = is_first or Priority.INTERACTIVE in wanted.priorities
    return min(wanted.places, 1) if is_first else 0
