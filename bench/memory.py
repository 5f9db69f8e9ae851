"""Measure the memory of every process at rest, and of a worker with a thousand requests in
flight."""

from collections.abc import Iterator
from pathlib import Path

import trustme

from bench.support.report import Line
from bench.support.world import World, publish_at_once, settle, wait_until, webhooks, world
from portal.extensions import db
from portal.models.deliveries import Lease
from tests.faults.support.running_portal import (
    BACKGROUND,
    SCHEDULER,
    VALKEY,
    WEB,
    WORKER,
    RunningPortal,
)
from tests.support.ports import free_port

IN_FLIGHT = 1000
RECEIVERS = 10
MANY = {
    # An eighth is reserved for receivers with nothing in flight.
    "WORKER_MAX_IN_FLIGHT": str(IN_FLIGHT * 8 // 7 + 1),
    "WEBHOOK_MAX_IN_FLIGHT": str(IN_FLIGHT // RECEIVERS),
    "WEBHOOK_TIMEOUT": "60",
}
DELAY = "8"


def run() -> Iterator[Line]:
    """Measure resident memory, as the system counts it."""
    yield from _at_rest()
    yield from _in_flight("plain")
    yield from _in_flight("TLS")


def _at_rest() -> Iterator[Line]:
    with world("sqlite") as here:
        # Use the portal's own Valkey, so that it is counted as well.
        rest = {k: v for k, v in here.environment.items() if k != "REDIS_URL"}
        instance = {"INSTANCE_DIR": str(here.folder / "own"), "PORT": str(free_port())}
        portal = RunningPortal(here.folder, rest | instance | {"LOCAL_TRIAL": "1"})
        try:
            assert portal.starts(), portal.process.output.read_text()
            wait_until(portal.is_whole, 20, "start of every process")
            settle(3)
            for words in (WORKER, BACKGROUND, SCHEDULER, WEB, VALKEY):
                sizes = " + ".join(f"{resident(pid):.0f}" for pid in portal.pids_of(words))
                yield Line(f"Memory at rest: {words}", f"{sizes} MB")
        finally:
            portal.close()


def _in_flight(kind: str) -> Iterator[Line]:
    with world("sqlite", **MANY) as here:
        url = _receiver(here, kind)
        webhooks(url, RECEIVERS)
        worker = here.worker()
        settle()
        before = resident(worker.pid)
        publish_at_once(IN_FLIGHT // RECEIVERS)
        wait_until(lambda: leased() == IN_FLIGHT, 20, f"{IN_FLIGHT} in flight")
        settle(4 if kind == "TLS" else 2)
        during = resident(worker.pid)
        note = f"{before:.0f} MB before, {leased()} leased"
        yield Line(
            f"A worker with {IN_FLIGHT} {kind} requests in flight",
            f"+{during - before:.0f} MB",
            note,
        )


def _receiver(here: World, kind: str) -> str:
    options = ["--delay", DELAY]
    if kind == "TLS":
        authority = trustme.CA()
        bundle, certificate = here.folder / "ca.pem", here.folder / "receiver.pem"
        authority.cert_pem.write_to_path(str(bundle))
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
            str(certificate)
        )
        here.environment["WEBHOOK_CA_BUNDLE"] = str(bundle)
        options += ["--certificate", str(certificate)]
    return here.receiver(*options)[1]


def leased() -> int:
    db.session.rollback()
    return db.session.query(Lease).count()


def resident(pid: int) -> float:
    """Return the resident memory of a process in megabytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    line = next(entry for entry in lines if entry.startswith("VmRSS"))
    return int(line.split()[1]) / 1024
