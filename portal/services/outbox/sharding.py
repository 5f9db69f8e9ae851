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

from sqlalchemy import Connection, select

from portal.database.engine import database_now
from portal.models.deliveries import Priority
from portal.models.operations import Process
from portal.queue.names import DELIVERIES
from portal.services.core.heartbeats import SILENT_AFTER, own_process, worker_of
from portal.services.outbox.claimable import Claimable, DueWebhooks, due_since

PATIENCE: Final = 0.3  # seconds that something due may lie at a webhook of another process
# … or at one to which this process could not connect: another may have a way there.
UNCONNECTED_PATIENCE: Final = 2.0
# Seconds between two polls for a chat's pace: a hundred chats come due at times of their own.
TOGETHER: Final = 0.02


class Shard(NamedTuple):
    """The webhooks of one process: those whose id leaves `rank` when it is divided by `senders`."""

    rank: int
    senders: int

    def has(self, webhook_id: int) -> bool:
        """Return whether this one is among them."""
        return webhook_id % self.senders == self.rank


ALL: Final = Shard(0, 1)


class Sharding:
    """The sharding as one process knows it, in memory: no claim asks for it. `own`: its run; else
    ours.

    `shard`: which webhooks are its own. `paced_at`: when the first of the chats takes its next one,
    by the monotonic clock.
    """

    def __init__(self, own: UUID | None = None) -> None:
        self._own = own
        self.shard = ALL
        self.paced_at = inf
        self._left: dict[int, float] = {}  # by webhook: since when something lies there
        self._adopted: Set[int] = frozenset()
        self._unconnected: set[int] = set()

    @property
    def again_at(self) -> float:
        """When to poll again for what was left to others or to its pace, by the monotonic clock."""
        left = [at + self._patience(id_) for id_, at in self._left.items()]
        return min([self.paced_at, *left])

    def note_pace(self, due: DueWebhooks) -> None:
        """Note when a chat takes its next one."""
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
        """Note who sends: with each beat.

        On SQLite one alone writes at a time: dividing would only make its batches smaller.
        """
        runs = [] if connection.dialect.name == "sqlite" else _sending_runs(connection)
        own = self._own or own_process()
        self.shard = Shard(runs.index(own), len(runs)) if own in runs else ALL
        self._adopted = frozenset()
        if self.shard.senders == 1:
            self._unconnected.clear()

    def choose(self, connection: Connection, claimable: Iterable[Claimable]) -> list[Claimable]:
        """Return what of it this process claims now.

        Tests, what a person sends again, and leases that have run out wait for nobody, but where
        this process could not connect.
        """
        found = list(claimable)
        self._left = self._lying(connection, found)
        return [each for each in found if each.webhook_id not in self._left]

    def _patience(self, webhook_id: int) -> float:
        return UNCONNECTED_PATIENCE if webhook_id in self._unconnected else PATIENCE

    def _lying(self, connection: Connection, found: Sequence[Claimable]) -> dict[int, float]:
        """Return what is left to others, and since when. What has lain too long is not, until the
        next beat: its process may hang, or may not reach the receiver."""
        shard, now = self.shard, monotonic()
        has_own = any(shard.has(each.webhook_id) for each in found)
        left = {}
        for each in found:
            id_ = each.webhook_id
            is_theirs = has_own and not (shard.has(id_) or _is_urgent(each))
            is_unconnected = id_ in self._unconnected
            if not (is_unconnected or (is_theirs and id_ not in self._adopted)):
                continue
            since = self._left.get(id_, now)
            if now - since >= self._patience(id_) and is_unconnected:
                # Each poll may have found another delivery, which others send in time.
                since = now - _seconds_due(connection, each)
            if now - since < self._patience(id_):
                left[id_] = since
            elif not is_unconnected:
                self._adopted |= {id_}
        return left


def _sending_runs(connection: Connection) -> list[UUID]:
    """The processes that send, live, and can connect."""
    since = database_now(connection) - SILENT_AFTER
    living = select(Process.run).where(
        Process.kind == worker_of(DELIVERIES),
        Process.seen_at > since,
        Process.offline_since.is_(None),
    )
    return sorted(each for each in connection.scalars(living) if each)


def _seconds_due(connection: Connection, due: Claimable) -> float:
    since = due_since(connection, due)
    return (database_now(connection) - since).total_seconds() if since else 0.0


def _is_urgent(due: Claimable) -> bool:
    is_asked_for = due.test_places or Priority.INTERACTIVE in due.priorities
    return bool(is_asked_for or due.ended)


own_sharding: Final = Sharding()
