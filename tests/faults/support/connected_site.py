"""Senders, each behind its own cable, and several receivers with addresses of their own. PostgreSQL
and Valkey stay reachable."""

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import groupby
from pathlib import Path
from time import monotonic, sleep
from typing import Final

from sqlalchemy import func, select

from portal.extensions import db
from portal.models.deliveries import Attempt, AttemptOutcome, Delivery
from portal.models.operations import Process as SignOfLife
from portal.models.webhooks import Webhook
from portal.services.operations.findings import find
from portal.services.operations.health import read_facts
from portal.services.outbox.connectivity import SENDER
from portal.services.outbox.sharding import Shard
from tests.faults.conftest import retire_webhooks
from tests.faults.healing.cable import EVERYBODY, RECEIVERS, Cable, beside
from tests.faults.support.delivery_ledger import deliveries_to, settled
from tests.faults.support.machines import environment_of_machine, have_pumped
from tests.faults.support.running_portal import SENDERS, RunningPortal
from tests.support.factories import make_webhook, publish
from tests.support.processes import until
from tests.support.receiver import Receiver
from tests.support.servers import PostgresServer
from tests.support.valkey import PrivateValkey

HOSTS: Final = [RECEIVERS, "10.98.0.3", "10.98.0.4", "10.98.0.5"]
OFFLINE: Final = "sender_offline"  # a finding
OWN: Final = {
    "WEBHOOK_ALLOWED_NETWORKS": EVERYBODY,
    "WEBHOOK_TIMEOUT": "20",
    "LEASE_MARGIN": "10",
}


class Site:
    """The receivers, one at each of `HOSTS`, and the senders. `saved`: when each event was stored,
    by asset ID. `offline`: when System first named an offline machine, by its sentence. Times are
    monotonic."""

    def __init__(self, folder: Path, place: Path, stack: ExitStack) -> None:
        self._folder, self._place, self._stack = folder, place, stack
        self._database = stack.enter_context(PostgresServer()).new_database()
        self._valkey = PrivateValkey(place)
        self._valkey.start()
        stack.callback(self._valkey.close)
        self.receivers = [stack.enter_context(Receiver(host=host)) for host in HOSTS]
        self.cables: list[Cable] = []
        self.portals: list[RunningPortal] = []
        self.saved: dict[int, float] = {}
        self.offline: dict[str, float] = {}

    def add_machine(self) -> None:
        """Start another sending machine: m1, m2."""
        number = len(self.cables) + 1
        cable = Cable(self._place, number)
        self._stack.callback(cable.close)
        self.cables.append(cable)
        self._start(f"m{number}", cable.words)

    def add_process(self) -> None:
        """Start another sender process on the first machine."""
        self._start("m1", beside(self.portals[0].process.pid))

    def _start(self, machine: str, within: Sequence[str]) -> None:
        folder = self._folder / f"{len(self.portals)}"
        folder.mkdir()
        settings = environment_of_machine(
            folder / "instance", self._database, self._valkey.url, clock_shift=0
        )
        parts = SENDERS[:1] if self.portals else SENDERS
        portal = RunningPortal(folder, settings | OWN | {"MACHINE": machine}, parts, within)
        self._stack.callback(portal.close)
        assert portal.starts(), portal.process.output.read_text()
        self.portals.append(portal)

    def connect(self, urls: Sequence[str]) -> None:
        """Restore everything, create a webhook for each URL, and deliver one event to each."""
        for cable in self.cables:
            cable.is_cut, cable.lost = False, set()
        retire_webhooks()
        assert until(lambda: not self.look(), 15), self.look()
        self.saved.clear()
        self.offline.clear()
        for receiver in self.receivers:
            receiver.stop()
            receiver.start()
            receiver.calm()
            receiver.received.clear()
        for url in urls:
            make_webhook(url)
        self.save()
        assert settled(10)

    def warm_up(self) -> None:
        """Have each machine send over connections that stay open."""
        for receiver in self.receivers:
            receiver.answer(delay=0.3)  # slow enough that one sender runs out of slots

        def all_have() -> bool:
            for _ in range(5):
                self.save()
            return have_pumped(*self.portals)

        assert until(all_have, 30)
        for receiver in self.receivers:
            receiver.calm()
        assert settled(20)

    def save(self) -> None:
        """Publish an event of a new asset to each webhook."""
        number = len(self.saved) + 1
        publish(asset_id=number)
        self.saved[number] = monotonic()

    def save_for(self, seconds: float, a_second: float = 2.0) -> None:
        """Publish events for this long and read System's findings."""
        ends_at = monotonic() + seconds
        while monotonic() < ends_at:
            began = monotonic()
            self.save()
            self.look()
            sleep(max(0.0, began + 1 / a_second - monotonic()))

    def look(self) -> list[str]:
        """Return System's findings about machines that can't connect."""
        db.session.rollback()
        facts = read_facts()
        titles = [finding.title for finding in find(facts, facts.at) if finding.key == OFFLINE]
        db.session.rollback()
        for title in titles:
            self.offline.setdefault(title, monotonic())
        return titles

    def waits(self, *receivers: Receiver) -> dict[tuple[int, str], float]:
        """Return the seconds from each event to its first arrival at each of these addresses."""
        first: dict[tuple[int, str], float] = {}
        for receiver in receivers or self.receivers:
            for request in list(receiver.received):
                number = json.loads(request.body)["asset_id"]
                name = f"{request.header('Host')}{request.path}"
                first.setdefault((number, name), request.at - self.saved[number])
        return first

    def first_of_own(self, machine: str) -> Receiver:
        """Return the first receiver whose webhook is in the shard of that machine."""
        db.session.rollback()
        senders = select(SignOfLife.host).where(SignOfLife.kind == SENDER)
        hosts = db.session.scalars(senders.order_by(SignOfLife.run)).all()
        own = Shard(hosts.index(machine), len(hosts))
        webhooks = db.session.scalars(select(Webhook).where(Webhook.deleted_at.is_(None)))
        urls = {each.url for each in webhooks if own.has(each.id)}
        return next(each for each in self.receivers if each.url in urls)

    def attempts(self, receiver: Receiver) -> list[list[Attempt]]:
        """Return the attempts of each delivery to this receiver, in order."""
        delivery_ids = [each.id for each in deliveries_to(receiver)]
        query = select(Attempt).where(Attempt.delivery_id.in_(delivery_ids))
        in_order = db.session.scalars(query.order_by(Attempt.delivery_id, Attempt.number))
        return [list(rows) for _, rows in groupby(in_order, lambda each: each.delivery_id)]

    def failures(self) -> list[int]:
        """Return the number of failed attempts of each delivery that has any."""
        db.session.rollback()
        counts = (
            select(func.count(Attempt.id))
            .join(Delivery, Delivery.id == Attempt.delivery_id)
            .join(Webhook, Webhook.id == Delivery.webhook_id)
            .where(Webhook.deleted_at.is_(None), Attempt.outcome == AttemptOutcome.FAILED)
            .group_by(Attempt.delivery_id)
        )
        return list(db.session.scalars(counts))


@contextmanager
def connected_site(folder: Path, machines: int = 1) -> Iterator[Site]:
    """Run this many machines in the application context of the first, inside a network namespace
    that has `HOSTS`."""
    with ExitStack() as stack:
        # A socket's path has to be short.
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="v-")))
        site = Site(folder, place, stack)
        for _ in range(machines):
            site.add_machine()
        with site.portals[0].app.app_context():
            yield site
            db.session.remove()
            db.engine.dispose()
