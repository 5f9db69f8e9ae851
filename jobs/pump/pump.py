"""The pump: claims what is due, sends many at once, records in batches.

One thread drives the sockets. On PostgreSQL nothing is asked of the database in it while an answer
is waited for; on SQLite that takes 100 ms at most. While the database is locked or down the results
are kept and the sockets go on.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from time import monotonic, sleep
from typing import Final

from sqlalchemy import Engine

from jobs.pump.bell_listener import BELL_EVERY, BellListener
from jobs.pump.database_writer import DatabaseWriter
from jobs.pump.desk import Desk, Done
from jobs.pump.duties import Duties
from jobs.pump.flights import Flights
from jobs.pump.recorder import Claiming, Recorder
from jobs.pump.wake import Wake
from portal.config.settings import Settings
from portal.engine.http.transport import Transport
from portal.lib.clock import since_boot
from portal.queue.bell import Bell
from portal.services.dispatch import claim as dispatch_claim
from portal.services.dispatch import release
from portal.services.dispatch.claim_types import Claim
from portal.services.dispatch.fairness import kept_of
from portal.services.outbox.reach import own_reach

log = logging.getLogger(__name__)

LOOK_EVERY: Final = 0.5
LOOK_SHARE: Final = 50  # … or so many times as long as the last look took, which found nothing
LOOK_AGAIN: Final = 0.05  # while the database cannot say
# Seconds from a claim to its requests: whoever was not heard of for three times as long has had its
# leases ended, and others send what it still holds.
FRESH: Final = 5.0
LAST_WAIT: Final = 13.0  # seconds that a warm shutdown gives to what is in flight
LAST_RECORD: Final = 13.7  # … and in all: the database is then told the rest; see `shutdown.py`


class Pump:
    """Sends what is due, in the one thread that calls it."""

    def __init__(
        self,
        *,
        settings: Settings,
        engine: Engine,
        transport: Transport,
        bell: Bell,
        wake: Wake,
        is_stopping: Callable[[], bool],
    ) -> None:
        self._fresh = min(FRESH, settings.lease_margin)
        self._kept = kept_of(settings.worker_max_in_flight)
        self._writer = DatabaseWriter(engine)
        self._desk = Desk(wake.ring, works_beside=not self._writer.is_sqlite)
        self._recorder = Recorder(self._writer, self._desk)
        self._flights = Flights(settings, transport, self._recorder)
        self._duties = Duties(bell, self._writer, self._desk, settings.sweep_seconds)
        self._listener = BellListener(bell, transport)
        self._transport, self._bell, self._wake = transport, bell, wake
        self._is_stopping = is_stopping
        self._unsent: list[Claim] = []  # to be given back
        self._reach, self._pass_on_at = own_reach, 0.0
        self._look_at, self._asked = 0.0, wake.asked
        self._was_full = self._has_hung_up = self._is_blind = self._is_drowsy = False

    def run(self) -> None:
        """Until a stop is asked for."""
        with self._at_work():
            while not self._is_stopping():
                self._go_round()

    def run_until_rest(self) -> None:
        """Until nothing is claimable and nothing is in flight, or a stop is asked for."""
        with self._at_work():
            self._come_to_rest()
            # Look a last time: whoever rings from now on queues a job.
            self._is_drowsy = True
            self._listener.fall_asleep()
            self._come_to_rest()

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        self._transport.watch(self._wake.fileno)
        self._listener.begin()
        try:
            yield
            if self._is_stopping():
                self._leave()
        finally:
            self._listener.end()
            self._transport.unwatch(self._wake.fileno)
            self._transport.abandon()  # it outlives us: an error's leftovers are nobody's answers
            self._desk.close()

    def _come_to_rest(self) -> None:
        number = self._wake.ask()
        while not (self._is_stopping() or self._wake.wait(number)):
            self._go_round()

    def _go_round(self) -> None:
        self._listen()
        self._turn()

    @property
    def _is_idle(self) -> bool:
        has_more = self._flights.count or self._unsent or self._desk.is_busy
        return not has_more and self._recorder.is_empty

    def _listen(self) -> None:
        """Notice new work: by the bell or who asks at once, by the table within half a second."""
        free = self._transport.free
        is_full = free <= self._kept
        if is_full and not self._was_full:
            self._bell.requeue()  # another pump may have places
        self._was_full = is_full
        if free <= 0:
            return
        if self._reach.leaves_some:
            self._pass_on()
        elif not (self._is_drowsy or self._is_blind):
            self._listener.stay_awake()
        if self._desk.is_busy:  # a look must wait
            return
        if self._asked != self._wake.asked or self._listener.has_rung():
            self._asked, self._look_at = self._wake.asked, 0.0
        if self._wake.is_awaited and self._is_idle and not self._is_blind:
            self._look_at = 0.0  # whoever waits wants to know that nothing is left
        if monotonic() >= self._look_at:
            self._look()

    def _pass_on(self) -> None:
        """Have other machines hear of what this one leaves to them."""
        if monotonic() >= self._pass_on_at:
            self._pass_on_at = monotonic() + LOOK_EVERY
            if self._listener.is_awake:  # the key may be another pump's
                self._listener.fall_asleep()
            self._bell.ring()

    def _look(self) -> None:
        """Claim as much as there is room for, and start it."""
        if self._recorder.is_behind:
            return
        work = partial(self._writer.write, self._claiming(is_alone=True))
        note = partial(self._note_look, since_boot(), self._wake.asked)
        self._go_on(self._desk.give(work, note, beside=bool(self._flights.count)))

    def _note_look(self, began: float, asked: int, claims: list[Claim] | None) -> Done:
        self._is_blind = claims is None
        took = 0.0 if claims else since_boot() - began
        pause = LOOK_AGAIN if self._is_blind else max(LOOK_EVERY, LOOK_SHARE * took)
        self._look_at = monotonic() + pause
        if claims == [] and self._is_idle:
            self._wake.rest(asked)
        return Done(claims or [], began)

    def _claiming(self, held: int = 0, *, is_alone: bool = False) -> Claiming:
        """A claim for the places that are free now, less those for `held` claims."""
        places = self._transport.free - held
        if self._reach.has_others:
            self._reach.connecting = self._flights.slow_ones()
        without = {*self._recorder.waits_for, *self._flights.shut}
        return partial(
            dispatch_claim.claim,
            places=places,
            kept=self._kept,
            without=without,
            is_alone=is_alone,
        )

    def _begin(self, claims: list[Claim], began: float) -> None:
        """Start what was claimed. `began`: when the claiming did, by `since_boot`."""
        if self._has_hung_up:
            self._unsent += claims
            return
        late = []
        for claim in claims:
            if since_boot() - began > self._fresh:
                late.append(claim)
            elif not self._flights.start(claim):
                self._unsent.append(claim)
        if late:
            # Others may send it by now. If it cannot be given back either, its leases end.
            log.warning("Claiming took too long; %s deliveries are given back.", len(late))
            self._unsent += late
        if claims:
            self._duties.note_claims()

    def _turn(self) -> None:
        """Serve the sockets and write down what has ended.

        The next batch is handed in before what the last one has claimed is composed: the database
        works meanwhile.
        """
        self._drive()
        done = self._desk.take_up()
        claims = (done.claims or []) if done else []
        if not self._is_stopping():
            self._do_duties(claims)
        self._give_back()
        self._flush(held=len(claims))
        self._go_on(done)

    def _drive(self) -> None:
        is_quiet = self._recorder.is_empty and not self._desk.is_busy
        self._flights.drive(self._patience() if is_quiet else BELL_EVERY)
        if self._transport.has_rung(self._wake.fileno):
            self._wake.clear()
        self._listener.note()

    def _patience(self) -> float:
        """Seconds for which there is nothing to do but to wait for sockets and whoever wakes us."""
        if self._is_stopping():
            return LOOK_AGAIN
        until = self._duties.at - monotonic()
        if self._transport.free > 0:
            until = min(until, self._look_at - monotonic(), self._listener.patience)
        return max(0.0, until)

    def _flush(self, held: int) -> None:
        """Record what has ended, beside the sockets as long as there are any to be served.

        `held`: claims that are about to be started. With nothing in flight there is nothing to
        gather for.
        """
        under_way = self._flights.count + held
        if self._recorder.is_due(under_way) or not under_way:
            claim = None if self._is_stopping() else self._claiming(held)
            self._go_on(self._recorder.write(claim, beside=bool(under_way)))

    def _go_on(self, done: Done | None) -> None:
        """Start what was claimed with it; where nothing was to be claimed, look for it at once."""
        if done is None:
            return
        # Else the next look keeps its time: the bell may have rung since that claim was made.
        if done.claims is None:
            self._look_at = 0.0
        self._begin(done.claims or [], done.began)

    def _do_duties(self, claims: list[Claim]) -> None:
        """`claims`: those that are about to be started."""
        if monotonic() < self._duties.at and not self._writer.is_unsure:
            return
        known = {each.token for each in (*claims, *self._unsent)}
        held = known | self._flights.tokens | self._recorder.tokens
        is_busy = bool(self._flights.count or claims)
        is_behind = self._recorder.is_behind
        self._duties.do(held, self._recorder.waits_for, is_behind=is_behind, beside=is_busy)

    def _give_back(self) -> None:
        """What was claimed too late to be sent, or cannot be signed."""
        if not self._unsent or self._desk.is_busy:
            return
        unsent, is_busy = [*self._unsent], bool(self._flights.count)
        work = partial(self._writer.write, partial(release.release, sent=[], unsent=unsent))
        self._desk.give(work, partial(self._note_given_back, len(unsent)), beside=is_busy)

    def _note_given_back(self, count: int, is_done: bool | None) -> None:
        if is_done:
            del self._unsent[:count]
            self._look_at = 0.0

    def _leave(self) -> None:
        """A warm shutdown: let what is in flight end, record it, give the rest back."""
        began = monotonic()
        until = began + LAST_WAIT
        while (self._flights.count or self._desk.is_busy) and monotonic() < until:
            self._turn()
        self._has_hung_up = True
        sent = self._flights.hang_up()
        until = began + LAST_RECORD
        while (self._desk.is_busy or not self._recorder.is_empty) and monotonic() < until:
            self._go_on(self._desk.take_up(BELL_EVERY))
            if self._recorder.write(None, beside=False) is None:
                sleep(BELL_EVERY)
        rest = partial(release.release, sent=sent, unsent=self._unsent)
        while (sent or self._unsent) and monotonic() < until:
            if self._writer.write(rest):
                break
        self._bell.fall_asleep()
        self._bell.ring()
