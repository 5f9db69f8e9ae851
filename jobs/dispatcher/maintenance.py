"""Run a dispatcher's maintenance for itself, for its machine and, in one dispatcher at a time, for
all of them."""

from collections.abc import Set
from functools import partial
from time import monotonic
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from jobs.dispatcher.database import DatabaseExecutor
from portal.queue.notifier import Notifier
from portal.services import tasks as task_leases
from portal.services.core import heartbeats
from portal.services.core.heartbeats import own_process
from portal.services.dispatch import maintenance as dispatch_maintenance
from portal.services.webhooks import turn_on_off

MORE: Final = 0.25  # seconds to the next run if there is more to put on hold
AGAIN: Final = 0.5  # … if the database failed
# Timers differ slightly. Without this, a lone dispatcher would skip every second run.
SHARE: Final = 0.9


class _Found(NamedTuple):
    has_tasks: bool
    put_on_hold: int
    is_any_silent: bool


NOTHING: Final = _Found(has_tasks=False, put_on_hold=0, is_any_silent=False)


class Maintenance:
    """The maintenance of one dispatcher. `at`: its next due time, monotonic."""

    def __init__(self, notifier: Notifier, database: DatabaseExecutor, every: float) -> None:
        self._notifier, self._database, self._every = notifier, database, every
        self._name = heartbeats.own_name(heartbeats.DISPATCHER)
        self._has_sent = self._was_unsure = self._has_more = False
        self.at = 0.0

    @property
    def is_due(self) -> bool:
        """Return whether it is time, or a commit's answer was just lost, while the database is
        free."""
        is_time = monotonic() >= self.at or (self._database.is_unsure and not self._was_unsure)
        return is_time and not self._database.is_busy

    def note_claims(self) -> None:
        """Note that deliveries are being sent, which counts as a heartbeat."""
        self._has_sent = True

    def do(
        self, held: Set[UUID], without: Set[int], *, is_behind: bool, in_background: bool
    ) -> None:
        """Submit the due work.

        `held`: the tokens of all leases that the dispatcher knows. `without`: webhooks with
        unrecorded results. `is_behind`: results have been unrecorded for a while. Their leases may
        have expired, so none is reclaimed until they are written.
        """
        self._was_unsure = self._database.is_unsure
        has_sent, self._has_sent = self._has_sent, False
        work = partial(self._do, held, without, has_sent, is_behind)
        self._database.submit(work, partial(self._note, has_sent), in_background=in_background)

    def _do(
        self, held: Set[UUID], without: Set[int], has_sent: bool, is_behind: bool
    ) -> _Found | None:
        dispatch_maintenance.reclaim_ended(self._database.write)
        is_unsure = self._was_unsure
        pause = 0.0 if self._has_more else SHARE * self._every

        def do(connection: Connection) -> _Found:
            if is_unsure:
                dispatch_maintenance.release_unknown(connection, own_process(), held)
            if has_sent:
                heartbeats.record(connection, heartbeats.DISPATCHER, self._name)
            task = heartbeats.MAINTENANCE
            if is_behind or not heartbeats.take_periodic_task(connection, task, pause):
                return NOTHING
            put_on_hold = dispatch_maintenance.maintain_on(connection, without)
            is_any_silent = dispatch_maintenance.is_any_silent(connection)
            return _Found(task_leases.has_due(connection), put_on_hold, is_any_silent)

        outcome = self._database.write(do)
        if outcome and outcome.is_any_silent:
            self._database.write(dispatch_maintenance.reclaim_silent)
        return outcome

    def _note(self, has_sent: bool, found: _Found | None) -> None:
        if found is None:
            self.at = monotonic() + AGAIN
            self._has_sent = self._has_sent or has_sent
            return
        self._has_more = found.put_on_hold >= turn_on_off.HOLD_BATCH
        self.at = monotonic() + (MORE if self._has_more else self._every)
        if found.has_tasks:
            self._notifier.notify_tasks()
