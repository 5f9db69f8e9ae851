"""Two machines: two process trees with folders and clocks of their own on one PostgreSQL and one
Valkey."""

from pathlib import Path

from sqlalchemy import select

from portal.extensions import db
from portal.models.operations import Process as SignOfLife
from portal.services.core import heartbeats
from tests.conftest import ENVIRONMENT
from tests.faults.support.load import look_again
from tests.faults.support.running_portal import WORKER, RunningPortal
from tests.support.ports import free_port

SHIFTED = Path(__file__).parent / "shifted_clock"


def environment_of_machine(
    folder: Path, database_url: str, redis_url: str, clock_shift: int
) -> dict[str, str]:
    """The settings of one machine; its clock is wrong by `clock_shift` seconds."""
    return {
        **ENVIRONMENT,
        "LOCAL_TRIAL": "1",
        "INSTANCE_DIR": str(folder),
        "PORT": str(free_port()),
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        # So few that one machine cannot send all of it.
        "WORKER_MAX_IN_FLIGHT": "16",
        "WEBHOOK_RETRY_SCHEDULE": "0,2,2,2,2",
        **wrong_clock(clock_shift),
    }


def wrong_clock(seconds: int) -> dict[str, str]:
    """What makes every Python process of a portal see another time."""
    return {"PYTHONPATH": str(SHIFTED), "CLOCK_SHIFT": str(seconds)}


def have_pumped(*portals: RunningPortal) -> bool:
    """Whether the workers of all of them have sent something, by their signs of life."""
    look_again()
    pumps = select(SignOfLife.pid).where(SignOfLife.kind == heartbeats.PUMP)
    return {portal.pid_of(WORKER) for portal in portals} <= set(db.session.scalars(pumps))
