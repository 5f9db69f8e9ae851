"""Shard what is due among the processes that send: each goes on with webhooks of its own.

Without it, whoever comes first to a backlog holds all places of every webhook, and the others find
nothing to do. Nobody is kept waiting by it for long: who has nothing of its own to claim takes what
is there, and what its own process leaves lying is taken by another one.
"""

from collections.abc import Iterable, Sequence, Set
from math import inf
from time import monotonic
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from portal.models.deliveries import Priority
from portal.services.core.heartbeats import own_run
from portal.services.outbox.due import Claimable
from portal.services.outbox.reach import Machines

PATIENCE: Final = 0.3  # seconds that something due may lie at a webhook of another process


class Shard(NamedTuple):
    """The webhooks of one process: those whose id leaves `rank` when it is divided by `senders`."""

    rank: int
    senders: int

    def has(self, webhook_id: int) -> bool:
        """Whether this one is among them."""
        return webhook_id % self.senders == self.rank


ALL: Final = Shard(0, 1)


class Sharding:
    """What one process knows of it, in memory: no claim asks for it. `own`: its run; else ours.

    `shard`: which webhooks are its own.
    """

    def __init__(self, own: UUID | None = None) -> None:
        self._own = own
        self.shard = ALL
        self._left: dict[int, float] = {}  # by webhook: since when something lies there
        self._adopted: Set[int] = frozenset()

    @property
    def again_at(self) -> float:
        """When to look again for what was left to others, by the monotonic clock."""
        return min(self._left.values(), default=inf) + PATIENCE

    def refresh(self, connection: Connection, machines: Machines) -> None:
        """Note who sends: with each beat.

        On SQLite one alone writes at a time: dividing would only make its batches smaller.
        """
        runs = [] if connection.dialect.name == "sqlite" else sorted(machines.runs)
        own = self._own or own_run()
        self.shard = Shard(runs.index(own), len(runs)) if own in runs else ALL
        self._adopted = frozenset()

    def choose(self, wanted: Iterable[Claimable]) -> list[Claimable]:
        """Those of what is due that this process claims now.

        Tests and what a person sends again wait for nobody, nor do leases that have run out.
        """
        found = list(wanted)
        self._left = self._lying(found)
        return [each for each in found if each.webhook_id not in self._left]

    def _lying(self, found: Sequence[Claimable]) -> dict[int, float]:
        """What is left to others, and since when. What has lain too long is not, until the next
        beat: its process may hang, or may not reach the receiver."""
        shard = self.shard
        if not any(shard.has(each.webhook_id) for each in found):
            return {}
        now = monotonic()
        theirs = [each for each in found if not (shard.has(each.webhook_id) or _is_urgent(each))]
        since = {each.webhook_id: self._left.get(each.webhook_id, now) for each in theirs}
        self._adopted |= {id_ for id_, at in since.items() if now - at >= PATIENCE}
        return {id_: at for id_, at in since.items() if id_ not in self._adopted}


def _is_urgent(wanted: Claimable) -> bool:
    is_asked_for = wanted.test_places or Priority.INTERACTIVE in wanted.priorities
    return bool(is_asked_for or wanted.ended)


own_sharding: Final = Sharding()
