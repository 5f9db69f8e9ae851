"""One running portal for each database, shared by files of tests: it has to get well by itself."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import delete, update

from portal.extensions import db
from portal.lib.clock import utcnow
from portal.models.deliveries import Delivery, DeliveryStatus, Lease, is_open
from portal.models.webhooks import Webhook
from portal.services.core.unit_of_work import writing
from tests.conftest import DATABASES, ENVIRONMENT
from tests.faults.support.running_portal import SENDERS, RunningPortal
from tests.support import netns
from tests.support.ports import free_port
from tests.support.processes import until
from tests.support.receiver import Receiver
from tests.support.servers import PostgresServer

NOBODY = "http://127.0.0.1:9/"


@pytest.fixture(scope="module")
def portal_settings() -> dict[str, str]:
    """What a file's portal has set differently: then one of its own, which has no pages."""
    return {}


@pytest.fixture(scope="package")
def sqlite_portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPortal]:
    """The portal on SQLite that files share: to start one costs more than most faults."""
    with new_portal(tmp_path_factory.mktemp("portal"), {}) as portal:
        yield portal


@pytest.fixture(scope="package")
def postgres_portal(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningPortal]:
    """The portal on PostgreSQL that files share."""
    places = {"DATABASE_URL": postgres_server.new_database()}
    with new_portal(tmp_path_factory.mktemp("portal"), places) as portal:
        yield portal


@pytest.fixture(scope="module", params=DATABASES)
def running_portal(
    request: pytest.FixtureRequest,
    portal_settings: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RunningPortal]:
    """The portal on each database, or on the one that a test's mark names."""
    if not portal_settings:
        yield request.getfixturevalue(f"{request.param}_portal")
        return
    assert request.param == "sqlite", "files with settings of their own use SQLite"
    with new_portal(tmp_path_factory.mktemp("portal"), portal_settings, SENDERS) as portal:
        yield portal


@contextmanager
def new_portal(
    folder: Path, settings: dict[str, str], parts: Sequence[str] = ()
) -> Iterator[RunningPortal]:
    """A portal that runs meanwhile, or these parts of it."""
    environment = {
        **ENVIRONMENT,
        "LOCAL_TRIAL": "1",
        "INSTANCE_DIR": str(folder / "instance"),
        "PORT": str(free_port()),
        # Ten tries within half a minute.
        "WEBHOOK_RETRY_SCHEDULE": "0,1,1,2,2,3,3,4,4,5",
        **settings,
    }
    portal = RunningPortal(folder, environment, parts)
    try:
        assert portal.starts(), portal.process.output.read_text()
        yield portal
    finally:
        portal.close()


@pytest.fixture
def portal(running_portal: RunningPortal) -> Iterator[RunningPortal]:
    """The portal, well again after whatever the test before did to it."""
    assert until(running_portal.is_whole, 20), running_portal.process.output.read_text()
    with running_portal.app.app_context():
        yield running_portal
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def receiver(portal: RunningPortal) -> Iterator[Receiver]:
    """A healthy receiver on loopback; nobody sends to it any more afterwards."""
    del portal
    with Receiver() as running:
        yield running
        retire_webhooks()


def retire_webhooks() -> None:
    """What the next test publishes is for its own webhooks alone, and theirs alone are counted as
    those of its receiver, which may get the port of an earlier one."""
    db.session.rollback()
    with writing() as current:
        current.execute(update(Webhook).values(deleted_at=utcnow(), url=NOBODY))
        stopped = {"status": DeliveryStatus.DISMISSED}
        current.execute(update(Delivery).where(is_open()).values(stopped))
        current.execute(delete(Lease))


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run tests marked `netns` in namespaces of their own, and nowhere else."""
    return netns.run_apart(pyfuncitem)
