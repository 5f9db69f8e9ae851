"""Keep things in order beside sending: for this dispatcher, for this machine, and, whoever comes
first, for all."""

from collections.abc import Set
from functools import partial
from time import monotonic
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from jobs.dispatcher.database_executor import DatabaseExecutor
from jobs.dispatcher.database_writer import DatabaseWriter
from portal.queue.notifier import Notifier
from portal.services import tasks as task_leases
from portal.services.core import heartbeats
from portal.services.core.heartbeats import own_process
from portal.services.dispatch import claim_types
from portal.services.dispatch import sweep as dispatch_sweep
from portal.services.webhooks import activation

MORE: Final = 0.25  # seconds, where the last ones left something to be put to rest
AGAIN: Final = 0.5  # … where the database could not do them
# Timers differ a little; without it one dispatcher alone would put right every second time.
SHARE: Final = 0.9


class _Found(NamedTuple):
    has_tasks: bool
    rested: int
    is_anybody_silent: bool


NOTHING: Final = _Found(has_tasks=False, rested=0, is_anybody_silent=False)


class Maintenance:
    """Those of one dispatcher. `at`: when they are due next, by the monotonic clock."""

    def __init__(
        self, notifier: Notifier, writer: DatabaseWriter, executor: DatabaseExecutor, every: float
    ) -> None:
        self._notifier, self._writer, self._executor, self._every = (
            notifier,
            writer,
            executor,
            every,
        )
        self._name = heartbeats.own_name(heartbeats.DISPATCHER)
        self._has_sent = self._was_unsure = self._has_more = False
        self.at = 0.0

    def note_claims(self) -> None:
        """Something is being sent: it is a heartbeat."""
        self._has_sent = True

    def do(self, held: Set[UUID], without: Set[int], *, is_behind: bool, beside: bool) -> None:
        """Do them if they are due and nothing else is being written.

        `held`: the tokens of all leases that the dispatcher knows of. `without`: webhooks of which
        it still has results to be recorded. `is_behind`: so it has of any, and has had for a while:
        their leases may have run out, and nothing is put right until they are written.
        """
        if self._writer.is_unsure and not self._was_unsure:
            self.at = 0.0
        if monotonic() < self.at or self._executor.is_busy:
            return
        self._was_unsure = self._writer.is_unsure
        has_sent, self._has_sent = self._has_sent, False
        work = partial(self._do, held, without, has_sent, is_behind)
        self._executor.submit(work, partial(self._note, has_sent), beside=beside)

    def _do(
        self, held: Set[UUID], without: Set[int], has_sent: bool, is_behind: bool
    ) -> _Found | None:
        dispatch_sweep.free_ended_runs(self._writer.write)
        is_unsure = self._was_unsure
        pause = 0.0 if self._has_more else SHARE * self._every

        def do(connection: Connection) -> _Found:
            if is_unsure:
                claim_types.give_back_unknown(connection, own_process(), held)
            if has_sent:
                heartbeats.record(connection, heartbeats.DISPATCHER, self._name)
            if is_behind or not heartbeats.take_periodic_task(connection, heartbeats.SWEEP, pause):
                return NOTHING
            rested = dispatch_sweep.settle_on(connection, without)
            is_anybody_silent = dispatch_sweep.is_anybody_silent(connection)
            return _Found(task_leases.has_due_on(connection), rested, is_anybody_silent)

        found = self._writer.write(do)
        if found and found.is_anybody_silent:
            self._writer.write(dispatch_sweep.free_silent)
        return found

    def _note(self, has_sent: bool, found: _Found | None) -> None:
        if found is None:
            self.at = monotonic() + AGAIN
            self._has_sent = self._has_sent or has_sent
            return
        self._has_more = found.rested >= activation.RESTED_A_STEP
        self.at = monotonic() + (MORE if self._has_more else self._every)
        if found.has_tasks:
            self._notifier.notify_tasks()
