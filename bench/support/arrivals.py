"""Measure new messages from the commit of the action to the request at the receiver."""

import time
from pathlib import Path

import sqlalchemy.event
from sqlalchemy import select
from sqlalchemy.orm import Session

from bench.support.world import wait_until
from portal.engine.events.catalogue import EventName
from portal.extensions import db
from portal.models.deliveries import Delivery
from tests.support.factories import publish


class Arrivals:
    """The times that deliveries take to arrive, by the receiver's `log`, after the commit of their
    event. `with_save` measures from the beginning of its transaction."""

    def __init__(self, log: Path, *, with_save: bool = False) -> None:
        self._log, self._with_save = log, with_save
        self._stored: dict[int, float] = {}

    def publish(self, event: EventName, *, pause: float, counts: bool = True) -> None:
        """Store an event and wait `pause` seconds. The commit time is taken before anybody is
        notified."""
        committed: list[float] = []

        def note(_session: Session) -> None:
            committed.append(time.monotonic())

        sqlalchemy.event.listen(db.session, "after_commit", note, insert=True)
        began = time.monotonic()
        try:
            event_id = publish(event)
        finally:
            sqlalchemy.event.remove(db.session, "after_commit", note)
        if counts:
            self._stored[event_id] = began if self._with_save else committed[0]
        time.sleep(pause)

    def seconds(self) -> list[float]:
        """Return the seconds of each delivery of the events that count. All must arrive."""
        db.session.rollback()
        rows = db.session.execute(
            select(Delivery.public_id, Delivery.event_id).where(Delivery.event_id.in_(self._stored))
        )
        event_of = {str(row.public_id): row.event_id for row in rows}
        arrived: dict[str, float] = {}

        def all_there() -> bool:
            for line in self._log.read_text().splitlines():
                delivery, _, at = line.partition(" ")
                if delivery in event_of and at:
                    arrived.setdefault(delivery, float(at))
            return len(arrived) == len(event_of)

        wait_until(all_there, 20, "arrival of all")
        # A polling dispatcher may have sent it before our own commit returned.
        return [
            max(0.0, at - self._stored[event_of[public_id]]) for public_id, at in arrived.items()
        ]
