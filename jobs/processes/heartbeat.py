"""The sign of life of a process that has no regular turn at the database: web and scheduler.

A thread of its own, so that a database that is locked or down holds up nothing but the sign.
"""

import logging
import threading
from collections.abc import Callable

from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from portal.services.core import heartbeats

log = logging.getLogger(__name__)


def beat(
    app: Flask,
    kind: str,
    *,
    is_well: Callable[[], bool] = lambda: True,
    write: Callable[[], None] = lambda: None,
) -> Callable[[], None]:
    """Sign for this process now and every half minute while it `is_well`; returns how to stop.

    `write` stores what the process noted meanwhile.
    """
    ended = threading.Event()

    def run() -> None:
        while True:
            if is_well():
                _sign(app, kind, write)
            if ended.wait(heartbeats.SIGN_EVERY):
                return

    threading.Thread(target=run, name="heartbeat", daemon=True).start()
    return ended.set


def _sign(app: Flask, kind: str, write: Callable[[], None]) -> None:
    with app.app_context():
        try:
            heartbeats.record_own(kind, *heartbeats.take_notes())
            write()
        except SQLAlchemyError as error:
            log.debug("Not responding: %s", error.__class__.__name__)
