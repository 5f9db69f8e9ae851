"""A register that is the same on every run: a fixed time, fixed names, and recognizable ids."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from socket import gethostname
from tempfile import gettempdir
from typing import Any, Final
from uuid import UUID

import time_machine
from flask import Flask
from sqlalchemy import Engine, event, select, update

from jobs import tasks as job
from portal.database.engine import UtcDateTime
from portal.extensions import Base, db
from portal.lib import clock, request_id
from portal.models.deliveries import Delivery
from portal.models.tasks import Task
from portal.models.webhooks import Webhook
from portal.queue.names import BACKGROUND, DELIVERIES
from portal.services.core import heartbeats
from portal.services.core.permissions import Actor
from portal.services.core.unit_of_work import session, writing
from portal.services.deliveries import bulk_retry
from portal.services.deliveries.bulk_retry_selection import Selection
from tests.browser.support.empty_register import register
from tests.browser.support.sample_register import Filled, fill
from tests.services.bulk_retry.test_bulk_retry import finish
from tests.support import factories
from tests.support.database.periodic_tasks import begin_periodic_task
from tests.support.deliveries import change, make_delivery
from tests.support.factories import Person, make_user, make_webhook
from tests.support.heartbeats import record_own
from tests.support.servers import ValkeyServer

NOW: Final = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)  # a Tuesday
AT_WORK: Final = (
    heartbeats.WEB,
    heartbeats.worker_of(DELIVERIES),
    heartbeats.worker_of(BACKGROUND),
    heartbeats.SCHEDULER,
)
UUID_TEXT: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# Random or machine-specific text: (pattern, replacement).
CHANCE: Final = (
    (re.compile(r"•••• [\w+/=]{4}"), "•••• «end of the key»"),
    (re.compile(r"whsec_[\w+/=]{40,}"), "«secret key»"),
    (re.compile(r"(/in/|\?token=)[\w-]{20,}"), r"\1«token»"),
    (re.compile(r"^( *Time zone: “[^”]+” of ).*", re.M), r"\1«all there are»"),
    (re.compile(rf"\| {re.escape(gethostname())} \| \d+ \|"), "| «machine» | «number» |"),
    (
        re.compile(
            r"^((?:Database|Database schema|Database URL|Disk|Machine|Python|Queue server): ).*",
            re.M,
        ),
        r"\1«as here»",
    ),
    (re.compile(rf"{gettempdir()}/\S+/backups\b"), "«folder»"),
    (re.compile(rf"(\bon |Machine: ){re.escape(gethostname())}\b"), r"\1«machine»"),
    (re.compile(r'("machine": \{"from": null, "to": )"[^"]*"'), r'\1"«machine»"'),
    # The number of waiting wake-up jobs varies.
    (re.compile(r"^(Queue “\w+”: )\d+", re.M), r"\1«number»"),
)


@dataclass(frozen=True, slots=True)
class FrozenRegister:
    """A filled register at `NOW`. `person` is its administrator, and `filled` has the ids of pages.

    `retry` is a running bulk retry with one delivered, one failed, and one waiting delivery.
    """

    app: Flask
    person: Person
    filled: Filled
    retry: UUID

    def delivery(self, **columns: object) -> str:
        """Return the public id of the newest delivery with these columns."""
        newest = select(Delivery.public_id).filter_by(**columns).order_by(Delivery.id.desc())
        return str(session().scalars(newest).first())

    def webhook(self, name: str) -> str:
        """Return the public id of the webhook with this name."""
        return str(session().scalar(select(Webhook.public_id).filter_by(name=name)))

    def settled(self, text: str) -> str:
        """Replace text that differs between runs by stable names such as «delivery 3»."""
        names = _names()
        unknown = count(1)
        text = UUID_TEXT.sub(lambda at: names.setdefault(at[0], f"«id {next(unknown)}»"), text)
        for pattern, settled in CHANCE:
            text = pattern.sub(settled, text)
        return text


@contextmanager
def frozen_register(valkey: ValkeyServer) -> Iterator[FrozenRegister]:
    """Fill a register, and stop the clocks of Python and the database while the block runs."""
    valkey.client().flushall()
    with register(valkey.url) as app, time_machine.travel(NOW, tick=False):
        # For every engine, because a page checks the portal's health with its own engine.
        event.listen(Engine, "connect", _stop_the_clock)
        db.engine.dispose()
        clock.note_skew(NOW)  # forget the skew of earlier tests
        request_id.carry_on("")  # forget the request id of earlier tests
        numbers, factories._numbers = factories._numbers, count(1)
        try:
            person = make_user(name="Ana Gruber")
            filled = fill(person)
            for kind in AT_WORK:
                record_own(kind)
            begin_periodic_task(heartbeats.MAINTENANCE, 0)
            yield FrozenRegister(app, person, filled, _retry_under_way(person.actor, filled))
        finally:
            factories._numbers = numbers
            event.remove(Engine, "connect", _stop_the_clock)


def _retry_under_way(by: Actor, filled: Filled) -> UUID:
    _due(NOW + timedelta(hours=1), filled.batches, filled.bulk)  # existing tasks stay idle
    hook, at = make_webhook(name="Stocktaking"), NOW - timedelta(minutes=2)
    failed = {"status": "failed", "reason": "server", "code": 500, "tries": 10}
    failed_ids = [make_delivery(hook, created_at=at, occurred_at=at, **failed) for _ in range(3)]
    retry = bulk_retry.start(by, Selection(ticked=tuple(failed_ids)))
    for outcome in ("delivered", "failed"):
        job.work({bulk_retry.NAME: bulk_retry.KIND})
        tried = failed_ids.pop(0)
        finish(tried, outcome)
        if outcome == "delivered":
            change(tried, reason=None, code=204, took_ms=98)
        _due(NOW, retry)
    job.work({bulk_retry.NAME: bulk_retry.KIND})
    return retry


def _due(at: datetime, *tasks: UUID) -> None:
    with writing() as current:
        current.execute(update(Task).where(Task.public_id.in_(tasks)).values(due_at=at))


def _stop_the_clock(connection: Any, _record: Any) -> None:
    """Fix SQLite's clock, which reads the system's time and ignores Python's frozen one."""
    stored = UtcDateTime().process_bind_param(NOW, db.engine.dialect)
    assert stored is not None
    text = stored.isoformat(sep=" ", timespec="microseconds")
    connection.create_function("strftime", 2, lambda _format, _moment: text)


def _names() -> dict[str, str]:
    """Map every public id to its row, such as «delivery 3» for the third delivery."""
    return {
        str(public_id): f"«{_singular(table.name)} {row_id}»"
        for table in Base.metadata.sorted_tables
        if {"id", "public_id"} <= set(table.columns.keys())
        for row_id, public_id in _ids(table)
    }


def _ids(table: Any) -> list[Any]:
    return list(session().execute(select(table.c.id, table.c.public_id)))


def _singular(name: str) -> str:
    words = name.replace("_", " ")
    return f"{words[:-3]}y" if words.endswith("ies") else words.removesuffix("s")
