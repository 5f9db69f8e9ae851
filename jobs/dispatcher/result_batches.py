"""Collect results and write them to the database in batches."""

import random
from collections.abc import Callable, Sequence, Set
from functools import partial
from typing import Final, NamedTuple, TypeAlias
from uuid import UUID

from sqlalchemy import Connection

from jobs.dispatcher.database import DatabaseExecutor
from portal.lib.clock import since_boot
from portal.services.dispatch import record_results
from portal.services.dispatch.claim import Claim
from portal.services.dispatch.record_results import Journal
from portal.services.dispatch.request import Result

FLUSH_AFTER: Final = 0.05
FLUSH_AT: Final = 200
PART: Final = 4
RESULTS_A_WRITE: Final = 400  # more can wait after a database outage

# Takes the connection and, as `without`, the webhooks to skip.
Claiming: TypeAlias = Callable[..., list[Claim]]
# Takes the claims, or None if none were wanted, and the start time of the batch.
Recorded: TypeAlias = Callable[[list[Claim] | None, float], None]


class _Written(NamedTuple):
    claims: list[Claim]
    locked: Sequence[Result]
    journal: Journal


class ResultBatches:
    """Keeps results until the database has stored them.

    `is_behind`: a write failed, so leases may expire. Nothing is claimed then, because requests
    that have arrived would be sent again. `waits_for`: webhooks locked by another transaction,
    whose results alone still wait.
    """

    def __init__(self, database: DatabaseExecutor) -> None:
        self._database = database
        self._pending: list[Result] = []
        self._pending_since = self._locked_until = 0.0
        self.is_behind = False
        self.waits_for: Set[int] = frozenset()

    @property
    def is_empty(self) -> bool:
        """Return whether all results are written."""
        return not self._pending

    @property
    def tokens(self) -> Set[UUID]:
        """Return the lease tokens of unwritten results."""
        return {result.claim.token for result in self._pending}

    def add(self, result: Result) -> None:
        if not self._pending:
            self._pending_since = since_boot()
        self._pending.append(result)

    def is_due(self, in_flight: int) -> bool:
        """Return whether to write a batch now. `in_flight`: number of unfinished requests.

        If the database works in the background, a share of the requests is enough, so that database
        and sockets work at the same time.
        """
        ready = self._ready()
        enough = self._database.has_background and ready * PART >= ready + in_flight
        return enough or ready >= FLUSH_AT or since_boot() - self._pending_since >= FLUSH_AFTER

    def write(
        self, claim: Claiming | None = None, then: Recorded | None = None, *, in_background: bool
    ) -> bool:
        """Record a batch and `claim` for its freed places, in one transaction. Return whether there
        was a batch. `then` is called once the database has stored it."""
        if self._database.is_busy or not (batch := self._next_batch()):
            return False
        claim = None if self.is_behind else claim
        work = partial(self._database.write, partial(_record, batch, claim))
        note = partial(self._note, batch, then, since_boot(), has_claimed=claim is not None)
        self._database.submit(work, note, in_background=in_background)
        return True

    def _next_batch(self) -> list[Result]:
        """Return the next batch. Results that wait for a lock come last, and not on every call."""
        if not self.waits_for:
            return self._pending[:RESULTS_A_WRITE]
        others = [result for result in self._pending if not self._waits(result)]
        if not others and since_boot() < self._locked_until:
            return []
        waiting = [result for result in self._pending if self._waits(result)]
        return (others + waiting)[:RESULTS_A_WRITE]

    def _ready(self) -> int:
        """Count the results whose webhooks are not locked, which is nearly always all of them."""
        if not self.waits_for:
            return len(self._pending)
        return sum(not self._waits(result) for result in self._pending)

    def _waits(self, result: Result) -> bool:
        return result.claim.webhook.id in self.waits_for

    def _note(
        self,
        batch: list[Result],
        then: Recorded | None,
        began: float,
        written: _Written | None,
        *,
        has_claimed: bool,
    ) -> None:
        if written is None:  # locked or down
            self.is_behind = True
            return
        written.journal.write()
        if self.waits_for or written.locked:
            self._keep_locked(batch, written.locked)
        else:
            del self._pending[: len(batch)]
        self._pending_since = began  # the remaining results arrived later
        self.is_behind = self.is_behind and self._ready() > 0
        if then is not None:
            then(written.claims if has_claimed else None, began)

    def _keep_locked(self, batch: Sequence[Result], locked: Sequence[Result]) -> None:
        taken = set(map(id, batch)).difference(map(id, locked))
        self._pending = [result for result in self._pending if id(result) not in taken]
        waiting = self.waits_for | {result.claim.webhook.id for result in locked}
        self.waits_for = waiting & {result.claim.webhook.id for result in self._pending}
        self._locked_until = since_boot() + FLUSH_AFTER


def _record(batch: list[Result], claim: Claiming | None, connection: Connection) -> _Written:
    journal = Journal()
    locked = record_results.record(connection, batch, _jitter, journal=journal)
    webhooks = {result.claim.webhook.id for result in locked}
    return _Written(claim(connection, without=webhooks) if claim else [], locked, journal)


def _jitter() -> float:
    return random.uniform(-1, 1)  # noqa: S311 - spreads load
