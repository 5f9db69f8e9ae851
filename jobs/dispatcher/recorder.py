"""Results on their way into the database: gathered, and written in batches."""

import random
from collections.abc import Callable, Sequence, Set
from functools import partial
from typing import Final, NamedTuple, TypeAlias
from uuid import UUID

from sqlalchemy import Connection

from jobs.dispatcher.database_executor import DatabaseExecutor, Done
from jobs.dispatcher.database_writer import DatabaseWriter
from portal.lib.clock import since_boot
from portal.services.dispatch import record
from portal.services.dispatch.claim_types import Claim
from portal.services.dispatch.results import Journal, Result

FLUSH_AFTER: Final = 0.05
FLUSH_AT: Final = 200
PART: Final = 4
RESULTS_A_WRITE: Final = 400  # after an outage of the database there are more

# Given the connection, and `without` which webhooks.
Claiming: TypeAlias = Callable[..., list[Claim]]


class _Written(NamedTuple):
    claims: list[Claim]
    later: Sequence[Result]
    journal: Journal


class Recorder:
    """Keeps results until the database has taken them.

    `is_behind`: it did not take some of them, so leases may run out meanwhile. Then nothing is
    claimed: what has arrived would go again. `waits_for`: webhooks that somebody else has locked,
    whose results alone are still to be taken.
    """

    def __init__(self, writer: DatabaseWriter, executor: DatabaseExecutor) -> None:
        self._writer, self._executor = writer, executor
        self._kept: list[Result] = []
        self._kept_since = 0.0
        self._again_at = 0.0
        self.is_behind = False
        self.waits_for: Set[int] = frozenset()

    @property
    def is_empty(self) -> bool:
        """Whether everything is written."""
        return not self._kept

    @property
    def tokens(self) -> Set[UUID]:
        """Of the leases under which was sent what is not written yet."""
        return {each.claim.token for each in self._kept}

    def add(self, result: Result) -> None:
        """One more to be recorded."""
        if not self._kept:
            self._kept_since = since_boot()
        self._kept.append(result)

    def is_due(self, in_flight: int) -> bool:
        """Whether enough has been gathered, or for long enough. `in_flight`: what has not ended.

        Where the database works beside us, a part of what is under way is enough: waiting for half
        of it, the one would stand still while the other works, in turn.
        """
        kept = self._ready()
        enough = kept * PART >= kept + in_flight if self._executor.works_beside else False
        return enough or kept >= FLUSH_AT or since_boot() - self._kept_since >= FLUSH_AFTER

    def write(self, claim: Claiming | None, *, beside: bool) -> Done | None:
        """Record a batch, then `claim`, in one transaction; the claims are for the places that it
        has left. None: not done (yet).

        `beside` the sockets: the desk tells how it ended.
        """
        if self._executor.is_busy or not (batch := self._next()):
            return None
        claim = None if self.is_behind else claim
        work = partial(self._writer.write, partial(_write, batch, claim))
        note = partial(self._note, batch, claim is not None, since_boot())
        return self._executor.submit(work, note, beside=beside)

    def _next(self) -> list[Result]:
        """What is written next: those last that wait for another's lock, and not all the time."""
        if not self.waits_for:
            return self._kept[:RESULTS_A_WRITE]
        others = [each for each in self._kept if not self._waits(each)]
        if not others and since_boot() < self._again_at:
            return []
        waiting = [each for each in self._kept if self._waits(each)]
        return (others + waiting)[:RESULTS_A_WRITE]

    def _ready(self) -> int:
        """How many wait for nobody's lock, as nearly always all."""
        if not self.waits_for:
            return len(self._kept)
        return sum(not self._waits(each) for each in self._kept)

    def _waits(self, result: Result) -> bool:
        return result.claim.webhook.id in self.waits_for

    def _note(
        self, batch: list[Result], claims: bool, began: float, made: _Written | None
    ) -> Done | None:
        if made is None:  # locked or down
            self.is_behind = True
            return None
        made.journal.write()
        if self.waits_for or made.later:
            self._keep_what_waits(batch, made.later)
        else:
            del self._kept[: len(batch)]
        self._kept_since = began  # what is left has come since then
        self.is_behind = self.is_behind and self._ready() > 0
        return Done(made.claims if claims else None, began)

    def _keep_what_waits(self, batch: Sequence[Result], later: Sequence[Result]) -> None:
        taken = set(map(id, batch)).difference(map(id, later))
        self._kept = [each for each in self._kept if id(each) not in taken]
        waiting = self.waits_for | {each.claim.webhook.id for each in later}
        self.waits_for = waiting & {each.claim.webhook.id for each in self._kept}
        self._again_at = since_boot() + FLUSH_AFTER


def _write(batch: list[Result], claim: Claiming | None, connection: Connection) -> _Written:
    journal = Journal()
    later = record.record(connection, batch, _jitter, journal=journal)
    locked = {each.claim.webhook.id for each in later}
    return _Written(claim(connection, without=locked) if claim else [], later, journal)


def _jitter() -> float:
    return random.uniform(-1, 1)  # noqa: S311 - spreads load
