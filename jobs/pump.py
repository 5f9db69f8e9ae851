"""The pump: claims what is due, sends many at once, records in batches, until nothing is left.

One thread. Only the sockets wait: the database gets 100 ms, and while it is locked or down the
results are kept and the sockets are driven on.
"""

import logging
import random
from collections.abc import Callable
from functools import partial
from time import monotonic, sleep
from typing import Final

from sqlalchemy import Connection, Engine

from jobs.desk import Desk
from portal import task_bell
from portal.config import Settings
from portal.delivery.headers import HeaderError
from portal.delivery.policy import AttemptKind
from portal.delivery.reasons import Reason
from portal.delivery.transport import Exchange, Transport, prepare
from portal.queue import Bell
from portal.services import claiming, processes, recording, results, settling, task_turns
from portal.services.claiming import Claim
from portal.services.outgoing import Composer, Outgoing
from portal.services.sharing import kept_of
from portal.services.vault import VaultError

log = logging.getLogger(__name__)

BELL_EVERY: Final = 0.005
LOOK_EVERY: Final = 0.5
AWAKE_EVERY: Final = 0.5
FLUSH_AFTER: Final = 0.05
FLUSH_AT: Final = 200
LAST_WAIT: Final = 5.0  # seconds that a warm shutdown gives to what is in flight
LAST_RECORD: Final = 8.0  # … and to the database; the supervisor kills after 15
LONGEST_LIFE: Final = 20 * 3600.0  # RQ's own timeout is a signal in the middle of whatever runs


class Pump:
    """One run of `deliver_due`."""

    def __init__(
        self,
        *,
        settings: Settings,
        engine: Engine,
        transport: Transport,
        bell: Bell,
        is_stopping: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._kept = kept_of(settings.worker_max_in_flight)
        self._desk = Desk(engine)
        self._composer = Composer(settings.version)
        self._transport = transport
        self._bell = bell
        self._is_stopping = is_stopping
        self._name = processes.own_name(processes.PUMP)
        self._flying: dict[int, tuple[Claim, Outgoing]] = {}
        self._ended: list[recording.Result] = []
        self._ended_since = 0.0
        self._rung: int | None = None
        self._look_at = self._bell_at = self._awake_at = self._duties_at = 0.0
        self._was_full = self._is_behind = False
        self._ends_at = monotonic() + LONGEST_LIFE

    def run(self) -> None:
        """Pump until nothing is claimable and nothing is in flight, or a stop is asked for."""
        self._bell.answer()
        self._rung = self._bell.count()  # before the look: a ring after it is news
        self._look()
        while not self._is_stopping():
            if self._is_idle() and self._has_ended():
                return
            self._drive()
            self._flush()
            self._listen()
            self._do_duties()
        self._leave()

    def _is_idle(self) -> bool:
        return not self._flying and not self._ended

    def _has_ended(self) -> bool:
        """Look a last time, after falling asleep: whoever rings from now on queues a new pump."""
        self._bell.fall_asleep()
        self._awake_at = 0.0
        if monotonic() >= self._ends_at:
            self._bell.ring()
            return True
        return self._look() and self._is_idle()

    def _listen(self) -> None:
        """Notice new work: by the bell at once, by the table within half a second."""
        now, free = monotonic(), self._transport.free
        is_over = free <= 0 or now >= self._ends_at
        is_full = is_over or free <= self._kept
        if is_full and not self._was_full:
            self._bell.requeue()  # another pump may have places
        self._was_full = is_full
        if is_over:
            return
        if now >= self._awake_at:
            self._awake_at = now + AWAKE_EVERY
            self._bell.stay_awake()
        if now >= self._bell_at:
            self._bell_at = now + BELL_EVERY
            rung = self._bell.count()
            if rung != self._rung:
                self._rung = rung
                self._look_at = now
        if now >= self._look_at:
            self._look()

    def _look(self) -> bool:
        """Claim as much as there is room for, and start it. False: the database could not say."""
        if self._is_behind:  # leases may have run out meanwhile: what has arrived would go again
            return False
        places, began = self._transport.free, monotonic()
        claims = self._desk.write(lambda connection: claiming.claim(connection, places, self._kept))
        self._look_at = monotonic() + (BELL_EVERY if claims is None else LOOK_EVERY)
        if claims and monotonic() - began > self._settings.lease_margin:
            # The leases may end before the answers come, and others would send it meanwhile. If
            # they cannot be given back either, they run out.
            log.warning("Claiming took too long; gave back %s deliveries.", len(claims))
            self._desk.write(partial(self._release, claims))
            return True
        for claim in claims or ():
            self._start(claim)
        return claims is not None

    def _start(self, claim: Claim) -> None:
        try:
            request = self._composer.compose(claim)
        except HeaderError as error:
            self._end(results.unsent(claim, Reason.BAD_HEADERS, str(error)))
        except (ValueError, VaultError) as error:  # a secret that cannot be read or cannot sign
            log.error("Delivery %s cannot be signed: %s", claim.public_id, error)
            self._end(results.unsent(claim, Reason.INTERNAL, str(error)))
        else:
            self._flying[claim.attempt_id] = (claim, request)
            self._transport.start(
                claim.attempt_id,
                prepare(request.url, request.headers, request.body),
                timeout=self._settings.webhook_timeout,
                opens=request.opens,
                doubted=claim.webhook.throttled,
                # A test goes through every phase: name, connection, certificate.
                is_fresh=claim.kind is AttemptKind.TEST,
            )

    def _drive(self) -> None:
        if not self._flying:
            sleep(BELL_EVERY)
        for exchange in self._transport.drive(BELL_EVERY):
            self._end(self._result(exchange))

    def _result(self, exchange: Exchange) -> recording.Result:
        claim, request = self._flying.pop(int(str(exchange.key)))
        return results.of_exchange(claim, exchange, request)

    def _end(self, result: recording.Result) -> None:
        if not self._ended:
            self._ended_since = monotonic()
        self._ended.append(result)

    def _flush(self, *, now: bool = False) -> None:
        """Record what has ended, in batches; what was freed by it is claimed again at once."""
        if not self._ended:
            return
        waited = monotonic() - self._ended_since
        # With nothing in flight there is nothing to gather for.
        if not (now or not self._flying or waited >= FLUSH_AFTER or len(self._ended) >= FLUSH_AT):
            return
        batch = self._ended[:FLUSH_AT]
        done = self._desk.write(
            lambda connection: recording.record(connection, batch, lambda: random.uniform(-1, 1))  # noqa: S311 - jitter
        )
        if done:
            del self._ended[: len(batch)]
            self._look_at = 0.0
        self._is_behind = bool(self._ended) and (self._is_behind or not done)

    def _do_duties(self) -> None:
        """While a pump runs, the pump is the sweep."""
        if monotonic() < self._duties_at:
            return
        self._duties_at = monotonic() + self._settings.sweep_seconds
        self._bell.drop_queued_sweeps()

        def do(connection: Connection) -> bool:
            settling.settle_on(connection)
            processes.sign(connection, processes.SWEEP, processes.SWEEP)
            processes.sign(connection, processes.PUMP, self._name)
            return task_turns.has_due_on(connection)

        if self._desk.write(do):
            self._bell.ask(task_bell.enqueue)

    def _leave(self) -> None:
        """A warm shutdown: let what is in flight end, record it, give the rest back."""
        until = monotonic() + LAST_WAIT
        while self._flying and monotonic() < until:
            self._drive()
            self._flush()
        self._transport.abandon()
        rest = [claim for claim, _ in self._flying.values()]
        self._flying.clear()
        until = monotonic() + LAST_RECORD
        while self._ended and monotonic() < until:
            self._flush(now=True)
        while rest and monotonic() < until:
            if self._desk.write(partial(self._release, rest)):
                break
        self._bell.fall_asleep()
        self._bell.ring()

    @staticmethod
    def _release(claims: list[Claim], connection: Connection) -> bool:
        recording.release(connection, claims)
        return True
