"""Shard due deliveries among the sender processes, so that each prefers its own webhooks.

Without shards, the first process to find a backlog holds all places of every webhook, and the
others find nothing to do. No delivery waits long. A process without claimable webhooks of its own
takes any, and others adopt deliveries that their own process leaves.
"""

from collections.abc import Iterable, Sequence, Set
from math import inf
from time import monotonic
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, select

from portal.database.engine import database_now
from portal.models.deliveries import Priority
from portal.models.operations import Process
from portal.queue.names import DELIVERIES
from portal.services.core.heartbeats import SILENT_AFTER, own_process, worker_of
from portal.services.outbox.claimable import Claimable, DueWebhooks, due_since

PATIENCE: Final = 0.3  # seconds that a due delivery can wait for the process of its webhook
# … or at a webhook that this process could not connect to, because another may be able to.
UNCONNECTED_PATIENCE: Final = 2.0
# Seconds between two polls for the pace of chats. A hundred chats come due at different times.
TOGETHER: Final = 0.02


class Shard(NamedTuple):
    """The webhooks of one process, whose id modulo `senders` is `rank`."""

    rank: int
    senders: int

    def has(self, webhook_id: int) -> bool:
        """Return whether the webhook belongs to this shard."""
        return webhook_id % self.senders == self.rank


ALL: Final = Shard(0, 1)


class Sharding:
    """The sharding as one process knows it, kept in memory so that no claim queries it. `own`: its
    run, by default that of this process.

    `shard`: its own webhooks. `paced_at`: when the first chat takes its next delivery, by the
    monotonic clock.
    """

    def __init__(self, own: UUID | None = None) -> None:
        self._own = own
        self.shard = ALL
        self.paced_at = inf
        self._left: dict[int, float] = {}  # by webhook, since when deliveries wait there
        self._adopted: Set[int] = frozenset()
        self._unconnected: set[int] = set()

    @property
    def again_at(self) -> float:
        """Return when to poll again for deliveries left to others or to their pace, by the
        monotonic clock."""
        left = [at + self._patience(id_) for id_, at in self._left.items()]
        return min([self.paced_at, *left])

    def note_pace(self, due: DueWebhooks) -> None:
        """Note when a chat takes its next delivery."""
        self.paced_at = inf
        if due.now and due.next_at:
            self.paced_at = monotonic() + max(TOGETHER, (due.next_at - due.now).total_seconds())

    def note(self, webhook_id: int, *, has_connected: bool) -> None:
        """Note whether this process could connect to the webhook's receiver."""
        if not has_connected and self.shard.senders > 1:
            self._unconnected.add(webhook_id)
        elif self._unconnected:
            self._unconnected.discard(webhook_id)

    def refresh(self, connection: Connection) -> None:
        """Reload the list of senders, with each heartbeat.

        On SQLite only one process writes at a time, so shards would only make its batches smaller.
        """
        runs = [] if connection.dialect.name == "sqlite" else _sending_runs(connection)
        own = self._own or own_process()
        self.shard = Shard(runs.index(own), len(runs)) if own in runs else ALL
        self._adopted = frozenset()
        if self.shard.senders == 1:
            self._unconnected.clear()

    def choose(self, connection: Connection, claimable: Iterable[Claimable]) -> list[Claimable]:
        """Return the webhooks that this process claims for now.

        Tests, a person's resends and expired leases do not wait, unless this process could not
        connect.
        """
        candidates = list(claimable)
        self._left = self._lying(connection, candidates)
        return [candidate for candidate in candidates if candidate.webhook_id not in self._left]

    def _patience(self, webhook_id: int) -> float:
        return UNCONNECTED_PATIENCE if webhook_id in self._unconnected else PATIENCE

    def _lying(self, connection: Connection, found: Sequence[Claimable]) -> dict[int, float]:
        """Return the webhooks left to others, and since when. Overdue ones are adopted until the
        next heartbeat, because their process may hang or fail to reach the receiver."""
        shard, now = self.shard, monotonic()
        has_own = any(shard.has(candidate.webhook_id) for candidate in found)
        left = {}
        for candidate in found:
            id_ = candidate.webhook_id
            is_theirs = has_own and not (shard.has(id_) or _is_urgent(candidate))
            is_unconnected = id_ in self._unconnected
            if not (is_unconnected or (is_theirs and id_ not in self._adopted)):
                continue
            since = self._left.get(id_, now)
            if now - since >= self._patience(id_) and is_unconnected:
                # Each poll may have found another delivery, which others send in time.
                since = now - _seconds_due(connection, candidate)
            if now - since < self._patience(id_):
                left[id_] = since
            elif not is_unconnected:
                self._adopted |= {id_}
        return left


def _sending_runs(connection: Connection) -> list[UUID]:
    """Return the runs of live senders that can connect."""
    since = database_now(connection) - SILENT_AFTER
    living = select(Process.run).where(
        Process.kind == worker_of(DELIVERIES),
        Process.seen_at > since,
        Process.offline_since.is_(None),
    )
    return sorted(run for run in connection.scalars(living) if run)


def _seconds_due(connection: Connection, due: Claimable) -> float:
    since = due_since(connection, due)
    return (database_now(connection) - since).total_seconds() if since else 0.0


def _is_urgent(due: Claimable) -> bool:
    is_asked_for = due.test_places or Priority.INTERACTIVE in due.priorities
    return bool(is_asked_for or due.ended)


own_sharding: Final = Sharding()
