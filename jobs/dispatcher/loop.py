"""The dispatcher: claims what is due, sends many at once, records in batches.

One thread drives the sockets. On PostgreSQL nothing is asked of the database in it while an answer
is waited for; on SQLite that takes 100 ms at most. While the database is locked or down the results
are kept and the sockets go on.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic, sleep
from typing import Final

from sqlalchemy import Engine

from jobs.dispatcher.connectivity import Connectivity
from jobs.dispatcher.database_executor import DatabaseExecutor, Done
from jobs.dispatcher.database_writer import DatabaseWriter
from jobs.dispatcher.in_flight import InFlight
from jobs.dispatcher.maintenance import Maintenance
from jobs.dispatcher.poller import LOOK_AGAIN, Poller
from jobs.dispatcher.recorder import Recorder
from jobs.dispatcher.returns import Returns
from jobs.dispatcher.subscription import TOGETHER, Notifications
from jobs.dispatcher.wake import Wake
from portal.config.settings import Settings
from portal.engine.http.transport import Transport
from portal.lib.clock import since_boot
from portal.queue.notifier import Notifier
from portal.services.dispatch.claim_types import Claim

log = logging.getLogger(__name__)

# Seconds from a claim to its requests: whoever was not heard of for three times as long has had its
# leases ended, and others send what it still holds.
FRESH: Final = 5.0
UNHEARD_EVERY: Final = 0.5  # seconds between two looks for requests without a connection
LAST_WAIT: Final = 13.0  # seconds that a warm shutdown gives to what is in flight
LAST_RECORD: Final = 13.7  # … and in all: the database is then told the rest; see `worker.py`


class Dispatcher:
    """Sends what is due, in the one thread that calls it."""

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
        self._fresh = min(FRESH, settings.lease_margin)
        self._writer = DatabaseWriter(engine)
        self._executor = DatabaseExecutor(wake.wake, works_beside=not self._writer.is_sqlite)
        self._recorder = Recorder(self._writer, self._executor)
        self._in_flight = InFlight(settings, transport, self._recorder, connectivity)
        self._connectivity, self._unheard_at = connectivity, 0.0
        self._poller = Poller(
            self._writer,
            self._executor,
            self._recorder,
            self._in_flight,
            transport,
            connectivity,
            settings.worker_max_in_flight,
        )
        self._maintenance = Maintenance(
            notifier, self._writer, self._executor, settings.sweep_seconds
        )
        self._returns = Returns(self._writer, self._executor)
        self._notifications = Notifications(notifier, transport)
        self._transport, self._notifier, self._wake = transport, notifier, wake
        self._is_stopping = is_stopping
        self._has_hung_up = False

    def run(self) -> None:
        """Until a stop is asked for."""
        with self._at_work():
            while not self._is_stopping():
                self._listen()
                self._turn()

    def run_until_idle(self, until: float = 0.0) -> None:
        """Until nothing is claimable and nothing is in flight, though not before `until`, by the
        monotonic clock; or until a stop is asked for."""
        with self._at_work():
            while not self._is_stopping():
                began = monotonic()
                if self._is_idle and not self._poller.are_blind:
                    self._poller.at = min(self._poller.at, until)
                self._listen()
                is_empty = self._poller.last_empty_at >= max(began, until)
                if self._is_idle and is_empty and self._maintenance.at:  # … which is done, too
                    break
                self._turn()

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        self._transport.watch(self._wake.fileno)
        self._notifications.start()
        try:
            yield
            if self._is_stopping():
                self._leave()
        finally:
            self._notifications.stop()
            self._transport.unwatch(self._wake.fileno)
            self._transport.abandon()  # it outlives us: an error's leftovers are nobody's answers
            self._connectivity.take_pending()
            self._executor.close()

    @property
    def _is_idle(self) -> bool:
        has_more = self._in_flight.count or not self._returns.is_empty or self._executor.is_busy
        return not (has_more or self._connectivity.tokens) and self._recorder.is_empty

    def _listen(self) -> None:
        """Notice new work: by the notifier or who asks at once, by the table within half a
        second."""
        if self._transport.free <= 0 or self._executor.is_busy:
            return
        if self._notifications.take():
            self._poller.at = 0.0
        if monotonic() >= self._poller.due_at:
            self._go_on(self._poller.look(self._wake.polled))

    def _begin(self, claims: list[Claim], began: float) -> None:
        """Start what was claimed. `began`: when the claiming did, by `since_boot`."""
        if self._has_hung_up:
            self._returns.add(claims)
            return
        late, closed = [], []
        for claim in claims:
            if since_boot() - began > self._fresh:
                late.append(claim)
            elif not self._in_flight.start(claim):
                closed.append(claim)
        if late:
            # Others may send it by now. If it cannot be given back either, its leases end.
            log.warning("Claiming took too long; %s deliveries are given back.", len(late))
        self._returns.add([*late, *closed])
        if claims:
            self._maintenance.note_claims()

    def _turn(self) -> None:
        """Serve the sockets and write down what has ended.

        The next batch is handed in before what the last one has claimed is composed: the database
        works meanwhile.
        """
        self._drive()
        self._judge_connectivity()
        done = self._executor.poll()
        claims = (done.claims or []) if done else []
        if not self._is_stopping():
            self._do_maintenance(claims)
        if self._returns.give_back(beside=bool(self._in_flight.count)):
            self._poller.at = 0.0
            self._notifier.notify()  # another machine may have a way there, or the keys
        self._flush(held=len(claims))
        self._go_on(done)

    def _drive(self) -> None:
        is_quiet = self._recorder.is_empty and not self._executor.is_busy
        self._in_flight.drive(self._patience() if is_quiet else TOGETHER)
        if self._transport.is_readable(self._wake.fileno) and self._wake.read():
            self._poller.at = 0.0
        self._notifications.receive()

    def _patience(self) -> float:
        """Seconds for which there is nothing to do but to wait for sockets and whoever wakes us."""
        if self._is_stopping():
            return LOOK_AGAIN
        until = min(self._maintenance.at - monotonic(), self._connectivity.timeout)
        if self._transport.free > 0:
            until = min(until, self._poller.due_at - monotonic(), self._notifications.patience)
        return max(0.0, until)

    def _flush(self, held: int) -> None:
        """Record what has ended, beside the sockets as long as there are any to be served.

        `held`: claims that are about to be started. With nothing in flight there is nothing to
        gather for.
        """
        under_way = self._in_flight.count + held
        if self._recorder.is_due(under_way) or not under_way:
            claim = None if self._is_stopping() else self._poller.claiming(held)
            self._go_on(self._recorder.write(claim, beside=bool(under_way)))

    def _go_on(self, done: Done | None) -> None:
        """Start what was claimed with it; where nothing was to be claimed, look for it at once."""
        if done is None:
            return
        # Else the next look keeps its time: the notifier may have notified since that claim was
        # made.
        if done.claims is None:
            self._poller.at = 0.0
        self._begin(done.claims or [], done.began)

    def _judge_connectivity(self) -> None:
        """Record what is a receiver's failure; release what this sender could not connect to."""
        unheard: dict[int, Claim] = {}
        if monotonic() >= self._unheard_at:
            self._unheard_at = monotonic() + UNHEARD_EVERY
            unheard = self._in_flight.unheard()
        verdict = self._connectivity.judge(unheard.values())
        offline = self._connectivity.offline_webhooks
        if lost := {key for key, each in unheard.items() if each.webhook.id in offline}:
            sent, unsent = self._in_flight.abort(lost)
            self._returns.add(unsent, sent)
        if verdict is None:
            return
        for result in verdict.record:
            self._recorder.add(result)
        sent = [each.claim for each in verdict.release if each.may_have_arrived]
        unsent = [each.claim for each in verdict.release if not each.may_have_arrived]
        self._returns.add(unsent, sent)
        self._poller.at = 0.0

    def _do_maintenance(self, claims: list[Claim]) -> None:
        """`claims`: those that are about to be started."""
        if monotonic() < self._maintenance.at and not self._writer.is_unsure:
            return
        known = {each.token for each in claims} | self._returns.tokens
        held = known | self._in_flight.tokens | self._recorder.tokens | self._connectivity.tokens
        is_busy = bool(self._in_flight.count or claims)
        is_behind = self._recorder.is_behind
        self._maintenance.do(held, self._recorder.waits_for, is_behind=is_behind, beside=is_busy)

    def _leave(self) -> None:
        """A warm shutdown: let what is in flight end, record it, give the rest back."""
        began = monotonic()
        until = began + LAST_WAIT
        while (self._in_flight.count or self._executor.is_busy) and monotonic() < until:
            self._turn()
        self._has_hung_up = True
        pending = self._connectivity.take_pending()
        sent = [
            *self._in_flight.abort_all(),
            *(each.claim for each in pending if each.may_have_arrived),
        ]
        self._returns.add([each.claim for each in pending if not each.may_have_arrived])
        until = began + LAST_RECORD
        while (self._executor.is_busy or not self._recorder.is_empty) and monotonic() < until:
            self._go_on(self._executor.poll(TOGETHER))
            if self._recorder.write(None, beside=False) is None:
                sleep(TOGETHER)
        self._returns.finish(sent, until)
        self._notifier.notify()  # others may send what was given back
