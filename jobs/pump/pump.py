"""The pump: claims what is due, sends many at once, records in batches, until nothing is left.

One thread drives the sockets; on PostgreSQL, results are written in another meanwhile. The database
gets 100 ms, and while it is locked or down the results are kept and the sockets go on.
"""

import logging
from collections.abc import Callable
from functools import partial
from time import monotonic, sleep
from typing import Final

from sqlalchemy import Connection, Engine

from jobs.pump.bell_listener import BELL_EVERY, BellListener
from jobs.pump.database_writer import DatabaseWriter
from jobs.pump.recorder import Claiming, Recorded, Recorder
from portal.config.settings import Settings
from portal.engine.http.custom_headers import HeaderError
from portal.engine.http.transport import Exchange, Transport, prepare
from portal.engine.reasons import Reason
from portal.engine.retry_policy import AttemptKind
from portal.queue import task_bell
from portal.queue.bell import Bell
from portal.services.core import heartbeats
from portal.services.core.vault import VaultError
from portal.services.dispatch import claim as dispatch_claim
from portal.services.dispatch import release, results
from portal.services.dispatch import sweep as dispatch_sweep
from portal.services.dispatch.claim_types import Claim
from portal.services.dispatch.fairness import kept_of
from portal.services.dispatch.request import Composer, Outgoing
from portal.services.tasks import leases as task_leases
from portal.services.webhooks import activation

log = logging.getLogger(__name__)

LINGER: Final = 1.0  # seconds after the last message, in which the next needs no job of its own
LOOK_EVERY: Final = 0.5
MORE_DUTIES: Final = 0.25  # where the last ones left something to be put to rest
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
        linger: float = LINGER,
    ) -> None:
        self._settings = settings
        self._kept = kept_of(settings.worker_max_in_flight)
        self._writer = DatabaseWriter(engine)
        self._composer = Composer(settings.version)
        self._transport = transport
        self._bell = bell
        self._is_stopping = is_stopping
        self._linger, self._lingers_until = linger, 0.0
        self._listener = BellListener(bell, transport)
        self._name = heartbeats.own_name(heartbeats.PUMP)
        self._flying: dict[int, tuple[Claim, Outgoing]] = {}
        self._started = 0  # the key of the last request
        self._unsent: list[Claim] = []  # to be given back
        self._recorder = Recorder(self._writer)
        self._look_at = self._duties_at = 0.0
        self._was_full = self._has_hung_up = False
        self._ends_at = monotonic() + LONGEST_LIFE

    def run(self) -> None:
        """Pump until nothing is claimable and nothing is in flight, or a stop is asked for."""
        self._listener.begin()
        self._look()
        try:
            while not self._is_stopping():
                if self._is_idle() and monotonic() >= self._lingers_until and self._has_ended():
                    return
                self._turn()
                if not self._is_stopping():  # it may claim
                    self._listen()
            self._leave()
        finally:
            self._listener.end()
            self._transport.abandon()  # it outlives us: an error's leftovers are nobody's answers
            self._writer.close()

    def _is_idle(self) -> bool:
        return not self._flying and self._recorder.is_empty

    def _has_ended(self) -> bool:
        """Look a last time, after falling asleep: whoever rings from now on queues a new pump."""
        self._listener.fall_asleep()
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
        self._listener.stay_awake()
        if not self._recorder.is_writing and self._listener.has_rung():  # else a look must wait
            self._look_at = now
        if now >= self._look_at:
            self._look()

    def _look(self) -> bool:
        """Claim as much as there is room for, and start it. False: the database could not say."""
        if self._recorder.is_behind or self._recorder.is_writing:
            return False
        began = monotonic()
        claims = self._writer.write(self._claiming(is_alone=True))
        self._look_at = monotonic() + (BELL_EVERY if claims is None else LOOK_EVERY)
        self._begin(claims or [], began)
        return claims is not None

    def _claiming(self, held: int = 0, *, is_alone: bool = False) -> Claiming:
        """A claim for the places that are free now, less those for `held` claims."""
        places = self._transport.free - held
        without = self._recorder.waits_for
        return partial(
            dispatch_claim.claim,
            places=places,
            kept=self._kept,
            without=without,
            is_alone=is_alone,
        )

    def _begin(self, claims: list[Claim], began: float) -> None:
        """Start what was claimed. `began`: when the claiming did."""
        if self._has_hung_up:
            self._unsent += claims
            return
        if claims and monotonic() - began > self._settings.lease_margin:
            # The leases may end before the answers come, and others would send it meanwhile. If
            # they cannot be given back either, they run out.
            log.warning("Claiming took too long; gave back %s deliveries.", len(claims))
            self._writer.write(partial(release.release, sent=[], unsent=claims))
            return
        for claim in claims:
            self._start(claim)

    def _start(self, claim: Claim) -> None:
        try:
            request = self._composer.compose(claim)
        except HeaderError as error:
            self._recorder.add(results.unsent(claim, Reason.BAD_HEADERS, str(error)))
        except (ValueError, VaultError) as error:  # a secret that cannot be read or cannot sign
            log.error("Delivery %s cannot be signed: %s", claim.public_id, error)
            self._recorder.add(results.unsent(claim, Reason.INTERNAL, str(error)))
        else:
            self._started += 1
            self._flying[self._started] = (claim, request)
            self._transport.start(
                self._started,
                prepare(request.url, request.headers, request.body),
                timeout=self._settings.webhook_timeout,
                opens=request.opens,
                doubted=claim.webhook.throttled,
                # A test goes through every phase: name, connection, certificate.
                is_fresh=claim.kind is AttemptKind.TEST,
            )

    def _turn(self) -> None:
        """Serve the sockets and write down what has ended.

        The next batch is handed in before what the last one has claimed is composed: the database
        works meanwhile.
        """
        self._drive()
        recorded = self._recorder.take_up(0.0 if self._flying else BELL_EVERY)
        self._do_duties()
        self._flush(held=len(recorded.claims or []) if recorded else 0)
        self._go_on(recorded)

    def _drive(self) -> None:
        is_quiet = self._recorder.is_empty and not self._recorder.is_writing
        is_woken = self._listener.is_woken
        if not is_woken and is_quiet and not self._flying:
            sleep(BELL_EVERY)
        ended = self._transport.drive(self._listener.patience if is_quiet else BELL_EVERY)
        self._listener.note()
        for exchange in ended:
            self._recorder.add(self._result(exchange))
        if ended and is_woken:
            self._lingers_until = monotonic() + self._linger

    def _result(self, exchange: Exchange) -> results.Result:
        claim, request = self._flying.pop(int(str(exchange.key)))
        return results.of_exchange(claim, exchange, request)

    def _flush(self, held: int) -> None:
        """Record what has ended, beside the sockets as long as there are any to be served.

        `held`: claims that are about to be started. With nothing in flight there is nothing to
        gather for.
        """
        is_busy = bool(self._flying or held)
        if self._recorder.is_due(len(self._flying) + held) or not is_busy:
            is_over = self._is_stopping() or monotonic() >= self._ends_at
            claim = None if is_over else self._claiming(held)
            self._go_on(self._recorder.write(claim, beside=is_busy and self._writer.works_beside))

    def _go_on(self, recorded: Recorded | None) -> None:
        """Start what was claimed with it; where nothing was to be claimed, look for it at once."""
        if recorded is None:
            return
        # Else the next look keeps its time: the bell may have rung since that claim was made.
        if recorded.claims is None:
            self._look_at = 0.0
        self._begin(recorded.claims or [], recorded.began)

    def _do_duties(self) -> None:
        """While a pump runs, the pump is the sweep."""
        if monotonic() < self._duties_at or self._recorder.is_writing:
            return
        self._bell.drop_queued_sweeps()
        dispatch_sweep.free_ended_runs(self._writer.write)

        without = self._recorder.waits_for

        def do(connection: Connection) -> tuple[bool, int]:
            rested = dispatch_sweep.settle_on(connection, without)
            heartbeats.sign(connection, heartbeats.SWEEP, heartbeats.SWEEP)
            heartbeats.sign(connection, heartbeats.PUMP, self._name)
            return task_leases.has_due_on(connection), rested

        has_tasks, rested = self._writer.write(do) or (False, 0)
        pause = MORE_DUTIES if rested >= activation.RESTED_A_STEP else self._settings.sweep_seconds
        self._duties_at = monotonic() + pause
        if has_tasks:
            self._bell.ask(task_bell.enqueue)

    def _leave(self) -> None:
        """A warm shutdown: let what is in flight end, record it, give the rest back."""
        until = monotonic() + LAST_WAIT
        while (self._flying or self._recorder.is_writing) and monotonic() < until:
            self._turn()
        self._has_hung_up = True
        self._transport.abandon()
        sent = [claim for claim, _ in self._flying.values()]
        self._flying.clear()
        until = monotonic() + LAST_RECORD
        while not self._recorder.is_empty and monotonic() < until:
            self._go_on(self._recorder.take_up(BELL_EVERY))
            if self._recorder.write(None, beside=False) is None:
                sleep(BELL_EVERY)
        rest = partial(release.release, sent=sent, unsent=self._unsent)
        while (sent or self._unsent) and monotonic() < until:
            if self._writer.write(rest):
                break
        self._bell.fall_asleep()
        self._bell.ring()
