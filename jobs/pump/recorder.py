"""Results on their way into the database: gathered, and written in batches."""

import random
from collections.abc import Callable, Sequence, Set
from concurrent.futures import Future, wait
from functools import partial
from time import monotonic
from typing import Final, NamedTuple, TypeAlias

from sqlalchemy import Connection

from jobs.pump.database_writer import DatabaseWriter
from portal.services.dispatch import record
from portal.services.dispatch.claim_types import Claim
from portal.services.dispatch.results import Result

FLUSH_AFTER: Final = 0.05
FLUSH_AT: Final = 200
PART: Final = 4
RESULTS_A_WRITE: Final = 400  # after an outage of the database there are more

# Given the connection, and `without` which webhooks.
Claiming: TypeAlias = Callable[..., list[Claim]]


class Recorded(NamedTuple):
    """A batch is written. `claims`: for the places it has left, None where none were to be made.

    `began`: when the writing did, by the monotonic clock.
    """

    claims: list[Claim] | None
    began: float


class _Written(NamedTuple):
    claims: list[Claim]
    later: Sequence[Result]


class _Writing(NamedTuple):
    answer: Future[_Written | None]
    batch: list[Result]
    claims: bool
    began: float


class Recorder:
    """Keeps results until the database has taken them.

    `is_behind`: it did not take some of them, so leases may run out meanwhile. Then nothing is
    claimed: what has arrived would go again. `waits_for`: webhooks that somebody else has locked,
    whose results alone are still to be taken.
    """

    def __init__(self, writer: DatabaseWriter) -> None:
        self._writer = writer
        self._kept: list[Result] = []
        self._kept_since = 0.0
        self._writing: _Writing | None = None
        self._again_at = 0.0
        self.is_behind = False
        self.waits_for: Set[int] = frozenset()

    @property
    def is_empty(self) -> bool:
        """Whether everything is written."""
        return not self._kept

    @property
    def is_writing(self) -> bool:
        """Whether the database is at work; nothing else may be written now."""
        return self._writing is not None

    def add(self, result: Result) -> None:
        """One more to be recorded."""
        if not self._kept:
            self._kept_since = monotonic()
        self._kept.append(result)

    def is_due(self, in_flight: int) -> bool:
        """Whether enough has been gathered, or for long enough. `in_flight`: what has not ended.

        Where the database works beside us, a part of what is under way is enough: waiting for half
        of it, the one would stand still while the other works, in turn.
        """
        kept = self._ready()
        enough = kept * PART >= kept + in_flight if self._writer.works_beside else False
        return enough or kept >= FLUSH_AT or monotonic() - self._kept_since >= FLUSH_AFTER

    def write(self, claim: Claiming | None, *, beside: bool) -> Recorded | None:
        """Record a batch, then `claim`, in one transaction. None: not done (yet).

        `beside` the sockets, in a thread: `take_up` tells how it ended.
        """
        if self._writing or not (batch := self._next()):
            return None
        began = monotonic()
        claim = None if self.is_behind else claim
        work = partial(_write, batch, claim)
        if beside:
            answer = self._writer.hand_in(work)
            self._writing = _Writing(answer, batch, claim is not None, began)
            return None
        return self._note(self._writer.write(work), batch, claim is not None, began)

    def take_up(self, patience: float = 0.0) -> Recorded | None:
        """What came of `write` beside the sockets, once it has ended. None: nothing new."""
        writing = self._writing
        if writing is None or not wait([writing.answer], patience).done:
            return None
        self._writing = None
        return self._note(writing.answer.result(), *writing[1:])

    def _next(self) -> list[Result]:
        """What is written next: those last that wait for another's lock, and not all the time."""
        if not self.waits_for:
            return self._kept[:RESULTS_A_WRITE]
        others = [each for each in self._kept if not self._waits(each)]
        if not others and monotonic() < self._again_at:
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
        self, made: _Written | None, batch: list[Result], claims: bool, began: float
    ) -> Recorded | None:
        if made is None:  # locked or down
            self.is_behind = True
            return None
        if self.waits_for or made.later:
            self._keep_what_waits(batch, made.later)
        else:
            del self._kept[: len(batch)]
        self._kept_since = began  # what is left has come since then
        self.is_behind = self.is_behind and self._ready() > 0
        return Recorded(made.claims if claims else None, began)

    def _keep_what_waits(self, batch: Sequence[Result], later: Sequence[Result]) -> None:
        taken = set(map(id, batch)).difference(map(id, later))
        self._kept = [each for each in self._kept if id(each) not in taken]
        waiting = self.waits_for | {each.claim.webhook.id for each in later}
        self.waits_for = waiting & {each.claim.webhook.id for each in self._kept}
        self._again_at = monotonic() + FLUSH_AFTER


def _write(batch: list[Result], claim: Claiming | None, connection: Connection) -> _Written:
    later = record.record(connection, batch, lambda: random.uniform(-1, 1))  # noqa: S311 - jitter
    locked = {each.claim.webhook.id for each in later}
    return _Written(claim(connection, without=locked) if claim else [], later)
