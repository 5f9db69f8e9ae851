"""`deliver_due`, the job that is queued with a commit that makes deliveries due."""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from flask import Flask, current_app
from rq import get_current_job
from sqlalchemy import Engine

from jobs.context import job
from jobs.dispatcher.connectivity import Connectivity
from jobs.dispatcher.loop import Dispatcher
from jobs.dispatcher.redis_notifications import Wake
from jobs.dispatcher.thread import Sender
from jobs.stop_flag import stop
from portal.database.engine import impatient_engine
from portal.engine.http.transport import Transport
from portal.extensions import settings
from portal.queue import notifier
from portal.services.core import heartbeats
from portal.services.dispatch import request


@dataclass(frozen=True, slots=True)
class Equipment:
    """Connections, names and certificates that outlive a dispatcher, so that the next one starts
    warm."""

    engine: Engine
    transport: Transport
    wake: Wake
    connectivity: Connectivity


@job
def deliver_due() -> None:
    """Wake this process's sender. Without one, as under RQ's own worker, deliver everything due.
    Safe to run twice, on any number of machines.

    Commits in the second after this job was queued do not queue another, so the job waits for them.
    """
    sender: Sender | None = current_app.extensions.get("sender")
    if sender is not None:
        sender.poll()
    else:
        waits = notifier.QUEUED_SECONDS if get_current_job() else 0
        with heartbeats.without_heartbeats():
            new_dispatcher(stop.is_set).run_until_idle(monotonic() + waits)


def new_dispatcher(is_stopping: Callable[[], bool]) -> Dispatcher:
    """Return a dispatcher with this process's equipment, which only one at a time can use."""
    equipment = equip()
    return Dispatcher(
        settings=settings(),
        engine=equipment.engine,
        transport=equipment.transport,
        notifier=notifier.notifier(),
        wake=equipment.wake,
        connectivity=equipment.connectivity,
        is_stopping=is_stopping,
    )


def new_sender(app: Flask) -> Sender:
    """Return a sender for a process that has none yet."""
    with app.app_context():
        equipment = equip()
    return Sender(app, new_dispatcher, equipment.wake, equipment.engine)


def equip() -> Equipment:
    """Return the equipment of this process, created at first use."""
    extensions = current_app.extensions
    if "equipment" not in extensions:
        current = settings()
        wake = Wake()
        extensions["equipment"] = Equipment(
            impatient_engine(current.database_url, current.database_options),
            Transport(
                request.guard(current),
                ca_bundle=current.webhook_ca_bundle or None,
                max_in_flight=current.worker_max_in_flight,
            ),
            wake,
            Connectivity(current, wake.wake),
        )
    equipment: Equipment = extensions["equipment"]
    return equipment
