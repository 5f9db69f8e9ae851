"""People and programs that work while processes around them are killed."""

import random
import threading
from contextlib import suppress
from typing import Any

from flask import Flask
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from portal.extensions import db
from portal.models.deliveries import Delivery
from portal.services.core.refusals import Refusal
from portal.services.deliveries import dismissals
from portal.services.deliveries import retry as delivery_retry
from portal.services.deliveries.bulk_retry_selection import Selection
from portal.services.webhooks import turn_on_off
from portal.services.webhooks.turn_on_off import HeldChoice
from tests.faults.support.visitor import Visitor
from tests.support.factories import Hook, Person, publish
from tests.support.receiver import Receiver


class Crew:
    """Up to four threads: events, Saves in a browser (if there are pages), a person at the delivery
    log, and a moody receiver.

    `published`: the events whose commit succeeded. `saved`: the assets whose Save succeeded.
    """

    def __init__(
        self,
        app: Flask,
        admin: Person,
        hooks: list[Hook],
        visitor: Visitor | None,
        receiver: Receiver,
        seed: int,
    ) -> None:
        self._app, self._admin, self._hooks = app, admin, hooks
        self._visitor, self._receiver = visitor, receiver
        self._random = random.Random(seed)  # noqa: S311 - repeatable by its seed
        self._home_time = threading.Event()
        self.published: list[int] = []
        self.saved: list[str] = []
        self.faults: list[BaseException] = []
        actions = [self._publish, self._press, self._upset_receiver]
        if visitor is not None:
            actions.append(self._save)
        self._threads = [threading.Thread(target=self._work, args=(action,)) for action in actions]

    def start(self) -> None:
        """Start all threads."""
        for thread in self._threads:
            thread.start()

    def go_home(self) -> None:
        """End all threads and raise the first unexpected error."""
        self._home_time.set()
        for thread in self._threads:
            thread.join(timeout=60)
        assert not any(thread.is_alive() for thread in self._threads)
        if self.faults:
            raise self.faults[0]

    def _work(self, action: Any) -> None:
        with self._app.app_context():
            try:
                while not self._home_time.is_set():
                    self._home_time.wait(action())
            except BaseException as error:
                self.faults.append(error)  # the test raises it
            finally:
                db.session.remove()

    def _publish(self) -> float:
        with suppress(DBAPIError):  # no answer: the event is stored or isn't
            self.published.append(publish(asset_id=1_000_000 + len(self.published)))
        return self._random.uniform(0, 0.2)

    def _save(self) -> float:
        assert self._visitor is not None
        name = f"Saved in chaos {len(self.saved)}"
        with suppress(AssertionError, OSError):  # the form didn't load, so nothing was sent
            draft = self._visitor.draft(name)
            assert self._visitor.insist(draft), f"{name} was never answered"
            self.saved.append(name)
        return self._random.uniform(0.2, 1)

    def _press(self) -> float:
        """Retry, resend, dismiss, or turn a webhook off and on."""
        with suppress(DBAPIError, Refusal):
            self._random.choice((self._retry, self._retry, self._dismiss, self._switch))()
        return self._random.uniform(0.1, 1)

    def _retry(self) -> None:
        if (public_id := self._some_delivery()) is not None:
            delivery_retry.retry(self._admin.actor, public_id, again=True)

    def _dismiss(self) -> None:
        if (public_id := self._some_delivery()) is not None:
            dismissals.dismiss(self._admin.actor, Selection(ticked=(public_id,)))

    def _switch(self) -> None:
        hook = self._random.choice(self._hooks)
        turn_on_off.turn_off(self._admin.actor, hook.public_id)
        self._home_time.wait(self._random.uniform(0, 1))
        if self._random.random() < 2 / 3:
            turn_on_off.turn_on(self._admin.actor, hook.public_id, HeldChoice.SEND)
        else:
            dismissals.turn_on(self._admin.actor, hook.public_id)

    def _some_delivery(self) -> Any:
        db.session.rollback()
        ids = db.session.scalars(
            select(Delivery.public_id).order_by(Delivery.id.desc()).limit(100)
        ).all()
        db.session.rollback()
        return self._random.choice(ids) if ids else None

    def _upset_receiver(self) -> float:
        kind = self._random.choice([500, 500, 404, 503, 200])
        self._receiver.answer_next(kind, delay=self._random.choice([0, 0, 0.3, 1.5]))
        return self._random.uniform(0.1, 1.5)
