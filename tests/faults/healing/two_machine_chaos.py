"""Random faults on two machines that send, the same again by their seed."""

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
LONGEST_SLEEP: Final = 18.0  # seconds; after 15 it is taken for gone


class TwoMachineChaos:
    """Hurts them. `done` counts what was done; `crashes`: when PostgreSQL was gone."""

    def __init__(self, senders: Senders, seed: int) -> None:
        self._senders = senders
        self._random = random.Random(seed)  # noqa: S311 - made up, and the same again by its seed
        self._healing: list[threading.Timer] = []
        self.done: Counter[str] = Counter()
        self.crashes: list[tuple[datetime, datetime]] = []

    def go_on(self, seconds: float) -> None:
        """One fault after the other, with a little time between them; a cut lasts beside others."""
        until = time.monotonic() + seconds
        faults, weights = zip(*self._faults().items(), strict=True)
        while time.monotonic() < until:
            (fault,) = self._random.choices(faults, weights)
            log.info("%s", fault.__name__)
            # Whatever was to be hurt may just be starting again.
            with suppress(IndexError, OSError, AssertionError, RedisError, DBAPIError):
                fault()
                self.done[fault.__name__] += 1
            time.sleep(self._random.uniform(0.2, 3))

    def heal(self) -> None:
        """No cable is cut any more."""
        for each in self._healing:
            each.cancel()
        for cable in self._senders.cables:
            cable.is_cut = False

    def _faults(self) -> dict[Fault, int]:
        """What may happen, and how often compared with the rest."""
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
        """Its machine reaches no receiver for a while."""
        cable: Cable = self._random.choice(self._senders.cables)
        cable.is_cut = True
        mended = threading.Timer(self._random.uniform(1, 20), setattr, (cable, "is_cut", False))
        mended.start()
        self._healing.append(mended)

    def kill_a_sender(self) -> None:
        """kill -9; its supervisor starts another."""
        self._portal.kill(WORKER)

    def stop_a_sender(self) -> None:
        """SIGTERM."""
        self._portal.kill(WORKER, signal.SIGTERM)

    def let_a_sender_sleep(self) -> None:
        """It may have been taken for gone when it wakes up."""
        with self._portal.hanging(WORKER):
            time.sleep(self._random.uniform(1, LONGEST_SLEEP))

    def kill_the_scheduler(self) -> None:
        """kill -9 of the only one."""
        self._senders.portals[0].kill(SCHEDULER)

    def kill_valkey(self) -> None:
        """Nobody starts it for a while."""
        self._senders.valkey.kill()
        try:
            time.sleep(self._random.uniform(0, 5))
        finally:
            self._senders.valkey.start()

    def let_valkey_hang(self) -> None:
        """Nobody gets an answer."""
        pid = int(self._senders.valkey.client().info()["process_id"])
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(self._random.uniform(1, 4))
        finally:
            os.kill(pid, signal.SIGCONT)

    def empty_valkey(self) -> None:
        """FLUSHALL."""
        self._senders.valkey.client().flushall()

    def crash_postgresql(self) -> None:
        """It recovers from its log."""
        began = utcnow()
        try:
            with self._senders.server.stopped("immediate"):
                time.sleep(0.2)
        finally:
            self.crashes.append((began, utcnow()))

    def have_postgresql_away(self) -> None:
        """For longer than two beats."""
        with self._senders.server.stopped("fast"):
            time.sleep(self._random.uniform(1, 12))

    def lock_the_database(self) -> None:
        """Nobody can write."""
        with database_locked(self._portal, 1.5):
            pass

    def lock_a_webhook(self) -> None:
        """Somebody forgets a transaction for a while."""
        engine = create_engine(self._portal.settings.database_url)
        with ExitStack() as stack:
            stack.callback(engine.dispose)
            connection = stack.enter_context(engine.connect())
            stack.enter_context(connection.begin())
            first = select(Webhook.id).order_by(Webhook.id).limit(1)
            connection.execute(first.with_for_update(key_share=True))
            time.sleep(self._random.uniform(1, 4))
