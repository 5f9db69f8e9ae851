"""Look for what is due, and claim it."""

from collections import deque
from collections.abc import Callable, Set
from functools import partial
from time import monotonic
from typing import Any, Final

from sqlalchemy import Connection

from jobs.dispatcher.connectivity import Connectivity
from jobs.dispatcher.database_executor import DatabaseExecutor, Done
from jobs.dispatcher.database_writer import DatabaseWriter
from jobs.dispatcher.in_flight import InFlight
from jobs.dispatcher.recorder import Claiming, Recorder
from portal.database.trouble import observed
from portal.engine.http.transport import Transport
from portal.lib.clock import since_boot
from portal.queue.names import DELIVERIES
from portal.services.core import heartbeats
from portal.services.dispatch import claim as dispatch_claim
from portal.services.dispatch.claim import kept_of
from portal.services.dispatch.claim_types import Claim
from portal.services.operations.readiness import readiness
from portal.services.outbox.sharding import own_sharding

SENDER: Final = heartbeats.worker_of(DELIVERIES)
LOOK_EVERY: Final = 0.5
# … or so many times as long as the quickest of the last looks took that found nothing: a single one
# may have waited for a machine or a network that was busy with something else.
LOOK_SHARE: Final = 50
LAST_LOOKS: Final = 3
LONGEST_PAUSE: Final = 5.0  # … however long they take: nobody may notify
LOOK_AGAIN: Final = 0.05  # while the database cannot say


class Poller:
    """Those of one dispatcher. `at`: when the next one is due, by the monotonic clock, if nothing
    is left to others sooner (`due_at`). `are_blind`: the last one failed. `last_empty_at`: when the
    last one began that found nothing."""

    def __init__(
        self,
        writer: DatabaseWriter,
        executor: DatabaseExecutor,
        recorder: Recorder,
        in_flight: InFlight,
        transport: Transport,
        connectivity: Connectivity,
        most: int,
    ) -> None:
        self._writer, self._executor, self._recorder = writer, executor, recorder
        self._in_flight, self._transport = in_flight, transport
        self._connectivity = connectivity
        self._kept = kept_of(most)
        self._took = deque([0.0] * LAST_LOOKS, LAST_LOOKS)  # seconds
        self.at, self.last_empty_at, self.are_blind = 0.0, 0.0, False

    @property
    def due_at(self) -> float:
        """When to look again, by the monotonic clock."""
        return self.at if self.are_blind else min(self.at, own_sharding.again_at)

    def look(self, polled: Callable[[], None]) -> Done | None:
        """Claim as much as there is room for. None: what came of it is told later, or never.

        `polled` is called with the answer. Nobody's answer can wait with none under way.
        """
        if self._recorder.is_behind:
            return None
        work = partial(self._writer.write, self.claiming(is_alone=True))
        note = partial(self._note, since_boot(), monotonic(), polled)
        return self._executor.submit(work, note, beside=bool(self._in_flight.count))

    def claiming(self, held: int = 0, *, is_alone: bool = False) -> Claiming:
        """A claim for the places that are free now, less those for `held` claims."""
        return partial(
            _claim,
            without=self._recorder.waits_for,
            shut=frozenset(self._in_flight.closed) | self._connectivity.offline_webhooks,
            places=self._transport.free - held,
            kept=self._kept,
            is_alone=is_alone,
        )

    def _note(
        self,
        began: float,
        at: float,
        polled: Callable[[], None],
        claims: list[Claim] | None,
    ) -> Done:
        self.are_blind = claims is None
        polled()
        if claims == []:
            self._took.append(since_boot() - began)
            self.last_empty_at = at
        self.at = monotonic() + self._pause(claims)
        return Done(claims or [], began)

    def _pause(self, claims: list[Claim] | None) -> float:
        """Seconds to the next look, after one that has claimed these."""
        if claims is None:
            return LOOK_AGAIN
        share = 0.0 if claims else LOOK_SHARE * min(self._took)
        return max(LOOK_EVERY, min(share, LONGEST_PAUSE))


def _claim(
    connection: Connection, *, without: Set[int], shut: Set[int], **room: Any
) -> list[Claim]:
    """`without`: a recorder, which claims with what it writes, knows better which results wait."""
    claims = dispatch_claim.claim(connection, without=without | shut, **room)
    # Others may take us for gone who have stood still, and would free and send these as well.
    if claims and readiness.is_overdue:
        heartbeats.record_own(connection, SENDER, trouble=observed.trouble)
    return claims
