"""The dispatcher polls for due deliveries, claims and sends them, and records their results.

One thread drives the sockets. On PostgreSQL the database works in the background while requests are
in flight. On SQLite it works in this thread, for at most 100 ms. While the database is locked or
down, results are kept and the sockets go on.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from functools import partial
from math import inf
from time import monotonic, sleep
from typing import Any, Final

from sqlalchemy import Connection, Engine

from jobs.dispatcher.connectivity import Connectivity
from jobs.dispatcher.database import DatabaseExecutor
from jobs.dispatcher.in_flight import InFlight
from jobs.dispatcher.maintenance import Maintenance
from jobs.dispatcher.redis_notifications import TOGETHER, Notifications, Wake
from jobs.dispatcher.result_batches import Claiming, ResultBatches
from portal.config.settings import Settings
from portal.database.trouble import observed
from portal.engine.http.transport import Transport
from portal.lib.clock import since_boot
from portal.queue.names import DELIVERIES
from portal.queue.notifier import Notifier
from portal.services.core import heartbeats
from portal.services.dispatch import claim as dispatch_claim
from portal.services.dispatch import maintenance
from portal.services.dispatch.claim import Claim
from portal.services.dispatch.request import Result
from portal.services.operations.readiness import readiness
from portal.services.outbox.sharding import own_sharding

log = logging.getLogger(__name__)

SENDER: Final = heartbeats.worker_of(DELIVERIES)
POLL_EVERY: Final = 0.5
# … or this many times the fastest of the last empty polls. A single poll may have waited for a busy
# machine or network.
POLL_SHARE: Final = 50
LAST_POLLS: Final = 3
LONGEST_PAUSE: Final = 5.0  # … however long polls take, because notifications may be lost
RETRY_AFTER: Final = 0.05  # while the database does not answer
UNHEARD_EVERY: Final = 0.5  # seconds between checks for requests without a connection
# Seconds from a claim to its requests. After three times as long without a heartbeat, others end a
# process's leases and send the deliveries that it still holds.
FRESH: Final = 5.0
LAST_WAIT: Final = 13.0  # seconds that a warm shutdown gives to requests in flight
LAST_RECORD: Final = 13.7  # … and to the shutdown as a whole (see `worker.py`)


class Dispatcher:
    """Sends due deliveries in the one thread that calls it."""

    def __init__(
        self,
        *,
        settings: Settings,
        engine: Engine,
        transport: Transport,
        notifier: Notifier,
        wake: Wake,
        connectivity: Connectivity,
        is_stopping: Callable[[], bool],
    ) -> None:
        self._database = DatabaseExecutor(engine, wake.wake)
        self._batches = ResultBatches(self._database)
        self._in_flight = InFlight(settings, transport)
        self._maintenance = Maintenance(notifier, self._database, settings.maintenance_seconds)
        self._notifications = Notifications(notifier, transport)
        self._transport, self._notifier, self._wake = transport, notifier, wake
        self._connectivity, self._is_stopping = connectivity, is_stopping
        self._reserved = dispatch_claim.reserved_of(settings.worker_max_in_flight)
        self._fresh = min(FRESH, settings.lease_margin)
        self._claimed: list[Claim] = []  # to be sent
        self._claimed_at = 0.0  # by `since_boot`
        self._unsent: list[Claim] = []  # to be released
        self._interrupted: list[Claim] = []  # … though they may have arrived
        self._is_release_refused = False  # the database refused, and has recorded no batch since
        self._poll_at = self._empty_poll_at = self._unheard_at = 0.0
        self._empty_polls = deque([0.0] * LAST_POLLS, LAST_POLLS)  # seconds
        self._is_answered = True  # whether the database answered the last poll

    def run(self) -> None:
        """Send until a stop is requested."""
        with self._subscribed():
            while not self._is_stopping():
                self._step()

    def run_until_idle(self, until: float = 0.0) -> None:
        """Send until idle, but not before `until` (monotonic), or until a stop is requested.

        Idle means that nothing is claimable, in flight, or delayed by a chat's rate limit.
        """
        with self._subscribed():
            while not self._is_stopping():
                began = monotonic()
                if self._is_idle and self._is_answered and own_sharding.paced_at == inf:
                    self._poll_at = min(self._poll_at, until)
                self._step()
                is_empty = self._empty_poll_at >= max(began, until) and own_sharding.paced_at == inf
                if self._is_idle and is_empty and self._maintenance.at:  # maintenance has run, too
                    break

    @contextmanager
    def _subscribed(self) -> Iterator[None]:
        self._transport.watch(self._wake.fileno)
        self._notifications.start()
        try:
            self._poll()  # due deliveries come before maintenance
            self._send_claimed()
            yield
            if self._is_stopping():
                self._shut_down()
        finally:
            self._notifications.stop()
            self._transport.unwatch(self._wake.fileno)
            # The transport outlives the dispatcher, and nothing handles requests left over by an
            # error.
            self._transport.abandon()
            self._connectivity.take_pending()
            self._database.close()

    def _step(self) -> None:
        self._drive()
        self._judge_connectivity()
        self._database.poll()
        self._maintain()
        self._release()
        # Submit the next batch before composing the last claims, so that the database has work.
        self._record_and_claim()
        self._poll()
        self._send_claimed()

    def _drive(self) -> None:
        for result in self._in_flight.drive(self._timeout()):
            if not self._connectivity.keeps(result):
                self._batches.add(result)
        is_woken = self._transport.is_readable(self._wake.fileno) and self._wake.read()
        self._notifications.receive()
        if is_woken:
            self._poll_at = 0.0

    def _timeout(self) -> float:
        """Return the seconds for which the only work is to wait for sockets and wake-ups."""
        if not self._batches.is_empty or self._database.is_busy:
            return TOGETHER
        if self._is_stopping():
            return RETRY_AFTER
        until = min(self._maintenance.at - monotonic(), self._connectivity.timeout)
        if self._in_flight.count:
            until = min(until, self._unheard_at - monotonic())
        if self._transport.free > 0:
            until = min(until, self._next_poll - monotonic(), self._notifications.patience)
        return max(0.0, until)

    def _judge_connectivity(self) -> None:
        """Record the receivers' failures and release deliveries that this sender could not connect
        for."""
        unheard: dict[int, Claim] = {}
        if monotonic() >= self._unheard_at:
            self._unheard_at = monotonic() + UNHEARD_EVERY
            unheard = self._in_flight.unheard()
        verdict = self._connectivity.check(unheard.values())
        offline = self._connectivity.offline_webhooks
        if lost := {key for key, claim in unheard.items() if claim.webhook.id in offline}:
            sent, unsent = self._in_flight.abort(lost)
            self._interrupted += sent
            self._unsent += unsent
        if verdict is not None:
            for result in verdict.record:
                self._batches.add(result)
            self._release_results(verdict.release)
            self._poll_at = 0.0

    def _release_results(self, results: Sequence[Result]) -> None:
        for result in results:
            (self._interrupted if result.may_have_arrived else self._unsent).append(result.claim)

    def _maintain(self) -> None:
        if self._is_stopping() or not self._maintenance.is_due:
            return
        waiting = (*self._claimed, *self._unsent, *self._interrupted)
        held = {claim.token for claim in waiting} | self._in_flight.tokens
        held |= self._batches.tokens | self._connectivity.tokens
        self._maintenance.do(
            held,
            self._batches.waits_for,
            is_behind=self._batches.is_behind,
            in_background=self._is_sending,
        )

    def _release(self) -> None:
        """Release the leases of unsent and interrupted deliveries."""
        if not (self._unsent or self._interrupted) or self._database.is_busy:
            return
        if self._is_release_refused and not self._batches.is_empty:
            return  # a row locked by another transaction must not delay the results
        sent, unsent = [*self._interrupted], [*self._unsent]
        release = partial(maintenance.release, sent=sent, unsent=unsent)
        work = partial(self._database.write, release)
        note = partial(self._released, len(sent), len(unsent))
        self._database.submit(work, note, in_background=self._is_sending)

    def _released(self, sent: int, unsent: int, is_done: bool | None) -> None:
        self._is_release_refused = not is_done
        if is_done:
            del self._interrupted[:sent]
            del self._unsent[:unsent]
            self._poll_at = 0.0
            self._notifier.notify()  # another machine may reach the host or have the keys

    def _record_and_claim(self) -> None:
        """Record a batch of results and claim for its freed places, in one transaction. With
        nothing in flight, don't wait for a full batch."""
        in_flight = self._in_flight.count + len(self._claimed)
        if self._batches.is_empty or self._database.is_busy:
            return
        if self._batches.is_due(in_flight) or not in_flight:
            claim = None if self._is_stopping() else self._claiming()
            self._batches.write(claim, self._recorded, in_background=bool(in_flight))

    def _recorded(self, claims: list[Claim] | None, began: float) -> None:
        self._is_release_refused = False
        if claims is None:
            self._poll_at = 0.0
        else:  # keep the next poll's time, because deliveries may have been stored since that claim
            self._take(claims, began)

    @property
    def _next_poll(self) -> float:
        return min(self._poll_at, own_sharding.again_at) if self._is_answered else self._poll_at

    def _poll(self) -> None:
        """Claim due deliveries if it is time and there is room."""
        is_blocked = self._database.is_busy or self._batches.is_behind or self._is_stopping()
        if is_blocked or self._transport.free <= len(self._claimed):
            return
        if self._notifications.take():
            self._poll_at = 0.0
        if monotonic() >= self._next_poll:
            self._poll_at = inf  # a wake-up before the answer leads to another poll
            work = partial(self._database.write, self._claiming(may_be_lost=True))
            note = partial(self._polled, since_boot(), monotonic())
            self._database.submit(work, note, in_background=self._is_sending)

    def _polled(self, began: float, at: float, claims: list[Claim] | None) -> None:
        self._is_answered = claims is not None
        self._wake.polled()
        pause = POLL_EVERY
        if claims is None:  # locked or down
            pause = RETRY_AFTER
        elif claims:
            self._take(claims, began)
        else:
            self._empty_poll_at = at
            self._empty_polls.append(since_boot() - began)
            pause = max(pause, min(POLL_SHARE * min(self._empty_polls), LONGEST_PAUSE))
        self._poll_at = min(self._poll_at, monotonic() + pause)

    def _claiming(self, *, may_be_lost: bool = False) -> Claiming:
        """Return a claim for the free places, minus those needed by claims not yet sent."""
        return partial(
            _claim,
            without=self._batches.waits_for,
            excluded=self._in_flight.undecryptable | self._connectivity.offline_webhooks,
            places=self._transport.free - len(self._claimed),
            reserved=self._reserved,
            may_be_lost=may_be_lost,
        )

    def _take(self, claims: list[Claim], began: float) -> None:
        """Take over leased claims, to be sent or released. `began`: start of the claim."""
        self._claimed_at = min(began, self._claimed_at) if self._claimed else began
        self._claimed += claims

    def _send_claimed(self) -> None:
        """Send the claims. Release late ones and those this process cannot sign."""
        claims, self._claimed = self._claimed, []
        late = 0
        for claim in claims:
            is_late = since_boot() - self._claimed_at > self._fresh
            late += is_late
            if is_late or not self._in_flight.start(claim, self._batches.add):
                self._unsent.append(claim)
        if late:
            # Others may be sending them by now. If the release fails too, the leases expire.
            log.warning("Claiming took too long. Released %s deliveries.", late)
        if claims:
            self._maintenance.note_claims()

    @property
    def _is_sending(self) -> bool:
        return bool(self._in_flight.count or self._claimed)

    @property
    def _is_idle(self) -> bool:
        has_work = self._is_sending or self._database.is_busy or self._connectivity.tokens
        return not (has_work or self._unsent or self._interrupted) and self._batches.is_empty

    def _shut_down(self) -> None:
        """Wait for requests in flight, record their results, and release the rest."""
        began = monotonic()
        while (self._is_sending or self._database.is_busy) and monotonic() < began + LAST_WAIT:
            self._step()
        self._interrupted += self._in_flight.abort_all()
        self._release_results(self._connectivity.take_pending())
        until = began + LAST_RECORD
        while (self._database.is_busy or not self._batches.is_empty) and monotonic() < until:
            self._database.poll(TOGETHER)
            if not self._batches.write(in_background=False) or self._batches.is_behind:
                sleep(TOGETHER)
        unsent = [*self._unsent, *self._claimed]
        release = partial(maintenance.release, sent=self._interrupted, unsent=unsent)
        while (self._interrupted or unsent) and monotonic() < until:
            if self._database.write(release):
                break
            sleep(TOGETHER)
        self._notifier.notify()  # others can send the released deliveries


def _claim(
    connection: Connection, *, without: Set[int], excluded: Set[int], **room: Any
) -> list[Claim]:
    """Claim deliveries. `without`: webhooks with unrecorded results. A batch that claims passes its
    own."""
    claims = dispatch_claim.claim(connection, without=without | excluded, **room)
    # If this process stood still, others may consider it lost. They would reclaim and send these as
    # well.
    if claims and readiness.is_overdue:
        heartbeats.record_own(connection, SENDER, trouble=observed.trouble)
    return claims
