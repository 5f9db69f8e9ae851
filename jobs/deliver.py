"""`deliver_due`: what a ring of the bell queues. It pumps until nothing is due."""

from dataclasses import dataclass

from flask import current_app
from sqlalchemy import Engine

from jobs.context import job
from jobs.pump import Pump
from jobs.stopping import stop
from portal import queue
from portal.database import impatient_engine
from portal.delivery.transport import Transport
from portal.extensions import settings
from portal.services import guarding


@dataclass(frozen=True, slots=True)
class Equipment:
    """What outlives a pump, so that the next one starts warm: connections, names, certificates."""

    engine: Engine
    transport: Transport


@job
def deliver_due() -> None:
    """Send everything that is claimable. May run twice, on any number of machines."""
    equipment = equip()
    Pump(
        settings=settings(),
        engine=equipment.engine,
        transport=equipment.transport,
        bell=queue.bell(),
        is_stopping=stop.is_set,
    ).run()


def equip() -> Equipment:
    """The equipment of this process, made at first use."""
    extensions = current_app.extensions
    if "equipment" not in extensions:
        current = settings()
        extensions["equipment"] = Equipment(
            impatient_engine(current.database_url),
            Transport(
                guarding.guard(current),
                ca_bundle=current.webhook_ca_bundle or None,
                max_in_flight=current.worker_max_in_flight,
            ),
        )
    made: Equipment = extensions["equipment"]
    return made
