"""Concurrent users, each in its own thread and application context."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from flask import Flask
from sqlalchemy import text
from sqlalchemy.orm import Session

from portal.extensions import db
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import writing
from tests.support.processes import until

PATIENCE = 20.0
# Seconds. SQLite doesn't show waiting transactions, so a rival that doesn't end within this waits.
LONG_ENOUGH = 0.5


def at_once(app: Flask, verbs: Sequence[Callable[[], Any]]) -> list[Any]:
    """Run all verbs concurrently. Returns the result or the refusal of each.

    Any other exception of a verb is raised here.
    """
    start = threading.Barrier(len(verbs), timeout=PATIENCE)

    def run(verb: Callable[[], Any]) -> Any:
        with app.app_context():
            start.wait()
            try:
                return answer_of(verb)
            finally:
                db.session.remove()

    db.session.rollback()
    with ThreadPoolExecutor(len(verbs)) as pool:
        runs = [pool.submit(run, verb) for verb in verbs]
        results = [future.result(timeout=3 * PATIENCE) for future in runs]
    db.session.rollback()  # a new transaction sees their changes
    return results


def answer_of(verb: Callable[[], Any]) -> Any:
    """Return the result of the verb, or its refusal."""
    try:
        return verb()
    except Refusal as refusal:
        return refusal


class Rival(threading.Thread):
    """A thread that runs `verb` as another user while the test's own transaction is open."""

    def __init__(self, app: Flask, verb: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self._app, self._verb = app, verb
        self._begun, self._ended = threading.Event(), threading.Event()
        self._answer: Any = None

    def run(self) -> None:
        with self._app.app_context():
            self._begun.set()
            self._answer = self._verb()
            db.session.remove()
            self._ended.set()

    def begin(self) -> None:
        """Start, and wait until the test's own transaction blocks the verb."""
        self.come_to_a_lock()
        assert not self._ended.is_set(), "it had nothing to wait for"

    def come_to_a_lock(self) -> None:
        """Start, and wait until the verb is blocked by the test's own transaction, or ends.

        Some verbs skip locked rows.
        """
        self.start()
        assert self._begun.wait(PATIENCE)
        if db.engine.dialect.name == "postgresql":
            assert until(self._waits_for_a_lock, PATIENCE), "nobody waits for a lock"
        else:
            self._ended.wait(LONG_ENOUGH)

    def pass_by(self) -> None:
        """Run the verb to its end, although the test's own transaction holds rows."""
        self.start()
        assert self._ended.wait(PATIENCE), "it waits for somebody"

    def finish(self) -> Any:
        """Wait for the end after the lock is released. Returns the result of the verb."""
        self.join(PATIENCE)
        assert self._ended.is_set()
        db.session.rollback()
        return self._answer

    def _waits_for_a_lock(self) -> bool:
        waiting = text(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        with db.engine.connect() as connection:
            return bool(connection.execute(waiting).scalar_one()) or self._ended.is_set()


def meanwhile(app: Flask, verb: Callable[[], Any], change: Callable[[Session], object]) -> Any:
    """Run `verb` while `change` is in an open transaction, so that it must wait.

    Returns the result or the refusal of the verb.
    """
    rival = Rival(app, partial(answer_of, verb))
    with writing() as current:
        change(current)
        current.flush()
        rival.begin()
    return rival.finish()
