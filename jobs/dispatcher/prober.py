"""How a machine comes back: it knocks at the receivers that it could not connect to, and sends them
nothing. In a thread of its own, which sleeps while there are none.
"""

import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

from flask import Flask
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from portal.config.settings import Settings
from portal.database.engine import brief_engine
from portal.engine.http.bare_probe import BareProbes, Door
from portal.engine.reach import FIRST_PAUSE, LONG_PATIENCE, SHORT_PATIENCE
from portal.models.webhooks import WebhookKind
from portal.services.dispatch import request
from portal.services.outbox import reach as outbox_reach
from portal.services.outbox.reach import Knock, OwnReach, own_reach
from portal.services.outbox.sharding import own_sharding
from portal.services.webhooks.rows import inbox_url, opening

log = logging.getLogger(__name__)

LOOK_EVERY: Final = 0.5  # seconds

T = TypeVar("T")


class Prober:
    """The bare probes of one process, and the judgement that its machine draws from them."""

    def __init__(self, app: Flask, reach: OwnReach = own_reach) -> None:
        self._app, self._reach = app, reach
        settings: Settings = app.extensions["settings"]
        self._engine = brief_engine(settings.database_url, settings.database_options)
        self._probes = BareProbes(
            request.guard(settings), ca_bundle=settings.webhook_ca_bundle or None
        )
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="prober", daemon=True)

    def begin(self) -> "Prober":
        """Knock from now on."""
        self._thread.start()
        return self

    def close(self) -> None:
        """Knock no more, once a round that is under way has ended."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        self._engine.dispose()
        self._probes.close()

    def look(self, engine: Engine) -> None:
        """See how things stand, who sends, and whether this machine is to: with each beat."""
        _write(engine, self._see)
        if self._reach.is_in_question:
            self._judge(engine)

    def go_round(self) -> None:
        """Knock at everybody whose turn it is."""
        machine = self._reach.machine
        taken = _write(self._engine, partial(outbox_reach.take_turns, machine=machine))
        if not taken:
            return
        reached = {int(str(key)) for key in self._probes.knock(map(_door, taken))}
        failed = {each.webhook_id for each in taken} - reached

        def note(connection: Connection) -> bool:
            outbox_reach.note_knocks(connection, machine, reached, failed)
            return True

        if _write(self._engine, note):
            self._reach.note_reached(reached)
            self.look(self._engine)

    def _see(self, connection: Connection) -> None:
        own_sharding.refresh(connection, self._reach.refresh(connection))

    def _run(self) -> None:
        while not self._ended.wait(LOOK_EVERY):
            if self._reach.is_doubting:
                try:
                    with self._app.app_context():
                        self.go_round()
                except Exception:
                    log.exception("Nobody was knocked at.")

    def _judge(self, engine: Engine) -> None:
        machine = self._reach.machine
        is_benched = _write(engine, partial(outbox_reach.judge_machine, machine=machine))
        if is_benched is None:
            return
        if is_benched:
            log.warning("%s cannot reach receivers: it sends nothing until it can.", machine)
        else:
            log.warning("%s sends again.", machine)
        _write(engine, self._reach.refresh)


def _write(engine: Engine, work: Callable[[Connection], T]) -> T | None:
    """None as well where the database does not take it; it is tried again soon."""
    try:
        with engine.connect() as connection:
            writer = connection.execution_options(writing=True)
            with writer.begin():
                return work(writer)
    except DBAPIError as error:
        log.debug("Not looked whom this machine reaches: %s", error.orig)
        return None


def _door(knock: Knock) -> Door:
    patience = SHORT_PATIENCE if knock.pause == FIRST_PAUSE else LONG_PATIENCE
    if knock.kind == WebhookKind.INBOX:
        return Door(knock.webhook_id, inbox_url(knock.public_id), opening(), patience)
    return Door(knock.webhook_id, knock.url, None, patience)
