"""What a pump does now and then beside sending: for itself, for this machine, and, whoever comes
first, for all."""

from collections.abc import Collection, Set
from functools import partial
from math import inf
from time import monotonic
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, Engine

from jobs.pump.database_writer import DatabaseWriter
from jobs.pump.desk import Desk
from jobs.pump.wake import Wake
from portal.queue import task_bell
from portal.queue.bell import Bell
from portal.services.core import heartbeats
from portal.services.dispatch import sweep as dispatch_sweep
from portal.services.tasks import leases as task_leases
from portal.services.webhooks import activation

MORE: Final = 0.25  # seconds, where the last ones left something to be put to rest
AGAIN: Final = 0.5  # … where the database could not do them
LAST_WAIT: Final = 1.0
# Timers differ a little; without it one pump alone would put right every second time.
SHARE: Final = 0.9


class _Found(NamedTuple):
    has_tasks: bool
    rested: int
    silent: Collection[UUID]


NOTHING: Final = _Found(has_tasks=False, rested=0, silent=())


class Duties:
    """Those of one pump. `at`: when they are due next, by the monotonic clock.

    Where the database works beside us they are done beside everything else, so that no message
    waits for them.
    """

    def __init__(self, bell: Bell, engine: Engine, wake: Wake, every: float) -> None:
        self._bell, self._every = bell, every
        self._writer = DatabaseWriter(engine)
        self._desk = Desk(wake.ring, works_beside=not self._writer.is_sqlite)
        self._name = heartbeats.own_name(heartbeats.PUMP)
        self._has_sent = self._has_more = False
        self.at = 0.0

    def note_claims(self) -> None:
        """Something is being sent: it is a sign of life."""
        self._has_sent = True

    @property
    def are_done_now(self) -> bool:
        """Whether they are being done at this moment."""
        return self._desk.is_busy

    def take_up(self) -> None:
        """See what came of them."""
        self._desk.take_up()

    def close(self) -> None:
        """Let the thread go, if it does not hang with what it has done so far."""
        self._desk.close(LAST_WAIT)

    def do(self, without: Set[int], *, is_behind: bool) -> None:
        """Do them if they are due.

        `without`: webhooks of which the pump still has results to be recorded. `is_behind`: so it
        has of any, and has had for a while: their leases may have run out, and nothing is put right
        until they are written.
        """
        if monotonic() < self.at or self._desk.is_busy:
            return
        self.at = inf  # until it is known what came of them
        has_sent, self._has_sent = self._has_sent, False
        work = partial(self._do, without, has_sent, is_behind)
        self._desk.give(work, partial(self._note, has_sent), beside=True)

    def _do(self, without: Set[int], has_sent: bool, is_behind: bool) -> _Found | None:
        dispatch_sweep.free_ended_runs(self._writer.write)
        pause = 0.0 if self._has_more else SHARE * self._every

        def do(connection: Connection) -> _Found:
            if has_sent:
                heartbeats.sign(connection, heartbeats.PUMP, self._name)
            if is_behind or not heartbeats.take_duty(connection, heartbeats.SWEEP, pause):
                return NOTHING
            rested = dispatch_sweep.settle_on(connection, without)
            silent = dispatch_sweep.find_silent_runs(connection)
            return _Found(task_leases.has_due_on(connection), rested, silent)

        found = self._writer.write(do)
        if found and found.silent:
            self._writer.write(partial(dispatch_sweep.free_of, over=found.silent))
        return found

    def _note(self, has_sent: bool, found: _Found | None) -> None:
        if found is None:
            self.at = monotonic() + AGAIN
            self._has_sent = self._has_sent or has_sent
            return
        self._has_more = found.rested >= activation.RESTED_A_STEP
        self.at = monotonic() + (MORE if self._has_more else self._every)
        if found.has_tasks:
            self._bell.ask(task_bell.enqueue)
