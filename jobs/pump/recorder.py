"""Results on their way into the database: gathered, and written in batches."""

import random
from collections.abc import Callable
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

Claiming: TypeAlias = Callable[[Connection], list[Claim]]


class Recorded(NamedTuple):
    """A batch is written. `claims`: for the places it has left, None where none were to be made.

    `began`: when the writing did, by the monotonic clock.
    """

    claims: list[Claim] | None
    began: float


class _Writing(NamedTuple):
    answer: Future[list[Claim] | None]
    size: int
    claims: bool
    began: float


class Recorder:
    """Keeps results until the database has taken them.

    `is_behind`: it did not take some of them, so leases may run out meanwhile. Then nothing is
    claimed: what has arrived would go again.
    """

    def __init__(self, writer: DatabaseWriter) -> None:
        self._writer = writer
        self._kept: list[Result] = []
        self._kept_since = 0.0
        self._writing: _Writing | None = None
        self.is_behind = False

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
        kept = len(self._kept)
        enough = kept * PART >= kept + in_flight if self._writer.works_beside else False
        return enough or kept >= FLUSH_AT or monotonic() - self._kept_since >= FLUSH_AFTER

    def write(self, claim: Claiming | None, *, beside: bool) -> Recorded | None:
        """Record a batch, then `claim`, in one transaction. None: not done (yet).

        `beside` the sockets, in a thread: `take_up` tells how it ended.
        """
        if not self._kept or self._writing:
            return None
        batch, began = self._kept[:RESULTS_A_WRITE], monotonic()
        claim = None if self.is_behind else claim
        work = partial(_write, batch, claim)
        if beside:
            answer = self._writer.hand_in(work)
            self._writing = _Writing(answer, len(batch), claim is not None, began)
            return None
        return self._note(self._writer.write(work), len(batch), claim is not None, began)

    def take_up(self, patience: float = 0.0) -> Recorded | None:
        """What came of `write` beside the sockets, once it has ended. None: nothing new."""
        writing = self._writing
        if writing is None or not wait([writing.answer], patience).done:
            return None
        self._writing = None
        return self._note(writing.answer.result(), *writing[1:])

    def _note(
        self, made: list[Claim] | None, size: int, claims: bool, began: float
    ) -> Recorded | None:
        if made is None:  # locked or down
            self.is_behind = True
            return None
        del self._kept[:size]
        self._kept_since = began  # what is left has come since then
        self.is_behind = self.is_behind and not self.is_empty
        return Recorded(made if claims else None, began)


def _write(batch: list[Result], claim: Claiming | None, connection: Connection) -> list[Claim]:
    record.record(connection, batch, lambda: random.uniform(-1, 1))  # noqa: S311 - jitter
    return claim(connection) if claim else []
