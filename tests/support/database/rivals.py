"""Several people at the same time: each in a thread and an application context of their own."""

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
# On SQLite nobody can see who waits: whoever has begun and does not end within this, does.
LONG_ENOUGH = 0.5


def at_once(app: Flask, verbs: Sequence[Callable[[], Any]]) -> list[Any]:
    """Run all verbs from the same moment on; what each returned, or the refusal that it got.

    Whatever else one of them raises is raised here.
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
        results = [each.result(timeout=3 * PATIENCE) for each in runs]
    db.session.rollback()  # see what they left
    return results


def answer_of(verb: Callable[[], Any]) -> Any:
    """What it returns, or the refusal that it gets."""
    try:
        return verb()
    except Refusal as refusal:
        return refusal


class Rival(threading.Thread):
    """Somebody else does `verb` while the test is in the middle of something."""

    def __init__(self, app: Flask, verb: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self._app, self._verb = app, verb
        self._begun, self._ended = threading.Event(), threading.Event()
        self._answer: Any = None

    def run(self) -> None:
        """Do it."""
        with self._app.app_context():
            self._begun.set()
            self._answer = self._verb()
            db.session.remove()
            self._ended.set()

    def begin(self) -> None:
        """Begin, and come to where the test's own transaction is in the way."""
        self.come_to_a_lock()
        assert not self._ended.is_set(), "it had nothing to wait for"

    def come_to_a_lock(self) -> None:
        """Begin, and come to where the test's own transaction is in the way, or to the end: some
        pass by what is locked."""
        self.start()
        assert self._begun.wait(PATIENCE)
        if db.engine.dialect.name == "postgresql":
            assert until(self._waits_for_a_lock, PATIENCE), "nobody waits for a lock"
        else:
            self._ended.wait(LONG_ENOUGH)

    def pass_by(self) -> None:
        """Do all of it, though the test's own transaction has rows."""
        self.start()
        assert self._ended.wait(PATIENCE), "it waits for somebody"

    def finish(self) -> Any:
        """What was in the way is gone; what the verb returned."""
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
    """What comes of `verb`, or its refusal, that begins while somebody else is in the middle of
    `change`, and has to wait for them."""
    rival = Rival(app, partial(answer_of, verb))
    with writing() as current:
        change(current)
        current.flush()
        rival.begin()
    return rival.finish()
