"""Two senders, each behind its own cable to the receivers. PostgreSQL and Valkey stay reachable."""

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Final

from portal.extensions import db
from portal.services.operations.findings import find
from portal.services.operations.health import read_facts
from tests.faults.healing.cable import EVERYBODY, RECEIVERS, Cable
from tests.faults.support.machines import environment_of_machine
from tests.faults.support.running_portal import SENDERS, RunningPortal
from tests.support.factories import publish
from tests.support.receiver import Receiver
from tests.support.servers import PostgresServer
from tests.support.valkey import PrivateValkey

OWN: Final = {
    "WEBHOOK_ALLOWED_NETWORKS": EVERYBODY,
    "WEBHOOK_TIMEOUT": "20",
    "LEASE_MARGIN": "10",
}


class Senders:
    """Two senders. `cables[0]` belongs to machine m1. `saved`: when each event was stored, by asset
    ID. `named`: when each finding was first seen, by key. Times are monotonic."""

    def __init__(
        self,
        portals: Sequence[RunningPortal],
        cables: Sequence[Cable],
        server: PostgresServer,
        valkey: PrivateValkey,
    ) -> None:
        self.portals, self.cables, self.server, self.valkey = portals, cables, server, valkey
        self.saved: dict[int, float] = {}
        self.named: dict[str, float] = {}

    def save(self) -> None:
        """Publish an event of a new asset."""
        number = len(self.saved) + 1
        publish(asset_id=number)
        self.saved[number] = monotonic()

    def save_for(self, seconds: float, a_second: float = 2.0) -> None:
        """Publish events for this long and read the findings of System."""
        until = monotonic() + seconds
        while monotonic() < until:
            began = monotonic()
            self.save()
            self.look()
            sleep(max(0.0, began + 1 / a_second - monotonic()))

    def look(self) -> set[str]:
        """Return the keys of the current findings of System."""
        db.session.rollback()
        facts = read_facts()
        keys = {finding.key for finding in find(facts, facts.at)}
        for key in keys:
            self.named.setdefault(key, monotonic())
        return keys

    def waits(self, receiver: Receiver) -> dict[tuple[int, str], float]:
        """Return the seconds from each event to its first arrival at each path."""
        first: dict[tuple[int, str], float] = {}
        for request in receiver.received:
            number = json.loads(request.body)["asset_id"]
            first.setdefault((number, request.path), request.at - self.saved[number])
        return first


@contextmanager
def two_senders(folder: Path) -> Iterator[Senders]:
    """Run two senders in the application context of the first, inside a network namespace."""
    with ExitStack() as stack:
        server = stack.enter_context(PostgresServer())
        database = server.new_database()
        short = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="v-")))
        valkey = PrivateValkey(short)
        valkey.start()
        stack.callback(valkey.close)
        cables, portals = [], []
        for number in (1, 2):
            cable = Cable(short, number)
            stack.callback(cable.close)
            place = folder / f"m{number}"
            place.mkdir()
            settings = environment_of_machine(place / "instance", database, valkey.url, 0)
            settings |= {**OWN, "MACHINE": f"m{number}"}
            # One scheduler is enough for both.
            parts = SENDERS if number == 1 else SENDERS[:1]
            portal = RunningPortal(place, settings, parts, within=cable.words)
            stack.callback(portal.close)
            assert portal.starts(), portal.process.output.read_text()
            cables.append(cable)
            portals.append(portal)
        with portals[0].app.app_context():
            yield Senders(portals, cables, server, valkey)
            db.session.remove()
            db.engine.dispose()


@contextmanager
def receiver_of_both() -> Iterator[Receiver]:
    """Yield a healthy receiver that both machines reach through their cables."""
    with Receiver(host=RECEIVERS) as receiver:
        yield receiver
