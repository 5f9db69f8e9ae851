"""`deliver_due`: what a ring of the bell queues. It pumps until nothing is due."""

from dataclasses import dataclass

from flask import current_app
from sqlalchemy import Engine

from jobs.context import job
from jobs.pump.pump import LINGER, Pump
from jobs.stop_flag import stop
from portal.database.engine import impatient_engine
from portal.engine.http.transport import Transport
from portal.extensions import settings
from portal.queue import bell
from portal.services.dispatch import address_guard


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
        bell=bell.bell(),
        is_stopping=stop.is_set,
        linger=LINGER,
    ).run()


def equip() -> Equipment:
    """The equipment of this process, made at first use."""
    extensions = current_app.extensions
    if "equipment" not in extensions:
        current = settings()
        extensions["equipment"] = Equipment(
            impatient_engine(current.database_url, current.database_options),
            Transport(
                address_guard.guard(current),
                ca_bundle=current.webhook_ca_bundle or None,
                max_in_flight=current.worker_max_in_flight,
            ),
        )
    made: Equipment = extensions["equipment"]
    return made
