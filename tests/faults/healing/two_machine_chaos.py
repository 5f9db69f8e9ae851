"""Random faults on two senders, repeatable by seed."""

import logging
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import datetime
from typing import Final

from redis.exceptions import RedisError
from sqlalchemy import create_engine, select
from sqlalchemy.exc import DBAPIError

from portal.lib.clock import utcnow
from portal.models.webhooks import Webhook
from tests.faults.healing.cable import Cable
from tests.faults.healing.two_senders import Senders
from tests.faults.support.database_locks import database_locked
from tests.faults.support.running_portal import SCHEDULER, WORKER, RunningPortal

log = logging.getLogger(__name__)

Fault = Callable[[], None]
LONGEST_SLEEP: Final = 18.0  # seconds, because after 15 it is presumed dead


class TwoMachineChaos:
    """Random faults. `done` counts them. `crashes`: when PostgreSQL was down."""

    def __init__(self, senders: Senders, seed: int) -> None:
        self._senders = senders
        self._random = random.Random(seed)  # noqa: S311 - repeatable by its seed
        self._healing: list[threading.Timer] = []
        self.done: Counter[str] = Counter()
        self.crashes: list[tuple[datetime, datetime]] = []

    def go_on(self, seconds: float) -> None:
        """Cause one fault after another with short breaks. Cuts overlap with other faults."""
        until = time.monotonic() + seconds
        faults, weights = zip(*self._faults().items(), strict=True)
        while time.monotonic() < until:
            (fault,) = self._random.choices(faults, weights)
            log.info("%s", fault.__name__)
            # The victim can be in the middle of a restart.
            with suppress(IndexError, OSError, AssertionError, RedisError, DBAPIError):
                fault()
                self.done[fault.__name__] += 1
            time.sleep(self._random.uniform(0.2, 3))

    def heal(self) -> None:
        """Restore all cables."""
        for timer in self._healing:
            timer.cancel()
        for cable in self._senders.cables:
            cable.is_cut = False

    def _faults(self) -> dict[Fault, int]:
        """Return the faults with their weights."""
        return {
            self.cut_a_cable: 5,
            self.kill_a_sender: 4,
            self.stop_a_sender: 2,
            self.let_a_sender_sleep: 3,
            self.kill_the_scheduler: 1,
            self.kill_valkey: 2,
            self.let_valkey_hang: 1,
            self.empty_valkey: 1,
            self.crash_postgresql: 1,
            self.have_postgresql_away: 1,
            self.lock_the_database: 1,
            self.lock_a_webhook: 2,
        }

    @property
    def _portal(self) -> RunningPortal:
        return self._random.choice(self._senders.portals)

    def cut_a_cable(self) -> None:
        """Keep one machine from all receivers for a while."""
        cable: Cable = self._random.choice(self._senders.cables)
        cable.is_cut = True
        mended = threading.Timer(self._random.uniform(1, 20), setattr, (cable, "is_cut", False))
        mended.start()
        self._healing.append(mended)

    def kill_a_sender(self) -> None:
        """kill -9 a sender. Its supervisor starts another."""
        self._portal.kill(WORKER)

    def stop_a_sender(self) -> None:
        """Send SIGTERM to a sender."""
        self._portal.kill(WORKER, signal.SIGTERM)

    def let_a_sender_sleep(self) -> None:
        """Pause a sender, for long enough to be presumed dead when it wakes up."""
        with self._portal.hanging(WORKER):
            time.sleep(self._random.uniform(1, LONGEST_SLEEP))

    def kill_the_scheduler(self) -> None:
        """kill -9 the only scheduler."""
        self._senders.portals[0].kill(SCHEDULER)

    def kill_valkey(self) -> None:
        """Kill Valkey and start it after a while."""
        self._senders.valkey.kill()
        try:
            time.sleep(self._random.uniform(0, 5))
        finally:
            self._senders.valkey.start()

    def let_valkey_hang(self) -> None:
        """Pause Valkey, so that no client gets a response."""
        pid = int(self._senders.valkey.client().info()["process_id"])
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(self._random.uniform(1, 4))
        finally:
            os.kill(pid, signal.SIGCONT)

    def empty_valkey(self) -> None:
        """Send FLUSHALL."""
        self._senders.valkey.client().flushall()

    def crash_postgresql(self) -> None:
        """Crash PostgreSQL, which recovers from its log."""
        began = utcnow()
        try:
            with self._senders.server.stopped("immediate"):
                time.sleep(0.2)
        finally:
            self.crashes.append((began, utcnow()))

    def have_postgresql_away(self) -> None:
        """Stop PostgreSQL for up to 12 seconds, which is more than two heartbeats."""
        with self._senders.server.stopped("fast"):
            time.sleep(self._random.uniform(1, 12))

    def lock_the_database(self) -> None:
        """Block all writes."""
        with database_locked(self._portal, 1.5):
            pass

    def lock_a_webhook(self) -> None:
        """Hold a lock on a webhook's row in a forgotten transaction."""
        engine = create_engine(self._portal.settings.database_url)
        with ExitStack() as stack:
            stack.callback(engine.dispose)
            connection = stack.enter_context(engine.connect())
            stack.enter_context(connection.begin())
            first = select(Webhook.id).order_by(Webhook.id).limit(1)
            connection.execute(first.with_for_update(key_share=True))
            time.sleep(self._random.uniform(1, 4))
