"""A database, a Valkey, an application for inspection, and the portal's own processes."""

import base64
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from flask import Flask
from flask_migrate import upgrade
from sqlalchemy import func, select, update

from portal import commands
from portal.base_app import create_base_app
from portal.config.settings import load_settings
from portal.extensions import db
from portal.lib.clock import utcnow
from portal.models.deliveries import Attempt, Delivery
from portal.models.webhooks import Webhook
from portal.queue import notifier
from portal.services.core.unit_of_work import notify, writing
from tests.support.factories import Hook, make_webhook, publish
from tests.support.processes import Process, children_of, processor_seconds
from tests.support.servers import PostgresServer, ValkeyServer

SECRET = "whsec_" + base64.b64encode(b"a secret of the benchmark").decode()
DATABASES = ("sqlite", "postgres")
LOOK_EVERY = 0.2
NOTE = "A note that brings the message to one kilobyte. ".ljust(470, ".")


class World:
    """The environment of one benchmark. Everything ends with it."""

    def __init__(self, folder: Path, stack: ExitStack, database: str, **changes: str) -> None:
        self.folder, self._stack = folder, stack
        self._servers, self._receivers = [os.getpid()], set[int]()
        valkey = stack.enter_context(ValkeyServer(folder / "valkey"))
        self.environment = {
            "SECRET_KEY": "a key that only this benchmark knows",
            "ENCRYPTION_KEYS": base64.urlsafe_b64encode(
                b"32 letters that only it here has"
            ).decode(),
            "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
            "INSTANCE_DIR": str(folder / "instance"),
            "REDIS_URL": valkey.url,
            "PORT": "9",
            **changes,
        }
        if database == "postgres":
            server = stack.enter_context(PostgresServer(durable=True))
            self.environment["DATABASE_URL"] = server.new_database()
            self._servers.append(server.pid)
        self.settings = load_settings(self.environment)
        self.app: Flask = create_base_app(self.settings)
        notifier.init_app(self.app)
        commands.init_migrations(self.app)
        stack.enter_context(self.app.app_context())
        stack.callback(lambda: (db.session.remove(), db.engine.dispose()))
        upgrade()

    def start(self, *arguments: str, ready: str = "") -> Process:
        """Start a Python process of ours and wait until it says `ready`."""
        output = self.folder / f"{len(list(self.folder.glob('*.log')))}.log"
        process = Process(output, arguments, self.environment)
        self._stack.callback(process.close)
        assert not ready or process.says(ready, 30), output.read_text()
        return process

    def worker(self) -> Process:
        """Start a worker for deliveries, and return it once it is warm."""
        return self.start("-m", "jobs", "worker", "deliveries", ready="Ready for")

    def receiver(self, *arguments: str) -> tuple[Process, str]:
        """Start a receiver in its own process, and return it with its address without a path."""
        process = self.start("-m", "bench.support.receiver", *arguments, ready="listening on")
        self._receivers.add(process.pid)
        return process, process.output.read_text().split("listening on ")[1].split()[0]

    def processor_seconds(self) -> float:
        """Return the processor seconds used so far by the portal's processes, the database and
        Valkey.

        Receivers and the benchmark itself do not count.
        """
        pids = {pid for server in self._servers for pid in [server, *children_of(server)]}
        mine = pids - self._receivers - {os.getpid()}
        return sum(map(processor_seconds, mine))


@contextmanager
def world(database: str, **changes: str) -> Iterator[World]:
    """Yield a world on an empty database of this kind."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        yield World(folder, stack, database, **changes)


def webhooks(url: str, count: int, **columns: object) -> list[Hook]:
    """Create webhooks that sign, each with its own path."""
    return [make_webhook(f"{url}/{number}", secret=SECRET, **columns) for number in range(count)]


def store_backlog(events: int) -> int:
    """Store events with their deliveries, in one transaction each, as actions do. Nothing is sent
    before `let_go`. Return the number of deliveries."""
    with writing() as current:
        current.execute(update(Webhook).values(backoff_until=utcnow() + timedelta(hours=1)))
    for number in range(events):
        publish(asset_id=number + 1, note=NOTE)
    db.session.rollback()
    return db.session.execute(select(func.count(Delivery.id))).scalar_one()


def let_go() -> datetime:
    """Start to send the backlog. Return the time of that commit."""
    with writing() as current:
        current.execute(update(Webhook).values(backoff_until=None))
        notify(current)
    return utcnow()


def publish_at_once(events: int) -> datetime:
    """Store events with their deliveries in one transaction. Return the time of its commit."""
    with writing():
        for number in range(events):
            publish(asset_id=number + 1, note=NOTE)
    return utcnow()


def is_done() -> bool:
    """Return whether every delivery has arrived."""
    db.session.rollback()
    undelivered = select(func.count()).where(Delivery.status != "delivered")
    return db.session.execute(undelivered).scalar_one() == 0


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Fail if `condition` does not come true in time.

    It polls rarely, because no figure depends on the moment, and polling takes time from the
    measured processes.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds:g} s"
        time.sleep(LOOK_EVERY)


def seconds_since(committed_at: datetime) -> float:
    """Return the seconds from a commit to the last recorded result. All deliveries have arrived."""
    db.session.rollback()
    last = db.session.execute(select(func.max(Delivery.finished_at))).scalar_one()
    seconds: float = (last - committed_at).total_seconds()
    return seconds


def seconds_from_first_to_last() -> float:
    """Return the seconds from the start of the first attempt to the last recorded result."""
    db.session.rollback()
    return seconds_since(db.session.execute(select(func.min(Attempt.started_at))).scalar_one())


def settle(seconds: float = 1.0) -> None:
    """Wait for caches and processes to come to rest."""
    time.sleep(seconds)
