"""Running portals shared by test files, one for each database. Each test waits until its portal is
healthy again."""

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
    """Return the settings that differ in a file's portal. Such a file gets a portal of its own
    without pages."""
    return {}


@pytest.fixture(scope="package")
def sqlite_portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPortal]:
    """Share one portal on SQLite between files, because a start costs more than most faults."""
    with new_portal(tmp_path_factory.mktemp("portal"), {}) as portal:
        yield portal


@pytest.fixture(scope="package")
def postgres_portal(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningPortal]:
    """Share one portal on PostgreSQL between files."""
    places = {"DATABASE_URL": postgres_server.new_database()}
    with new_portal(tmp_path_factory.mktemp("portal"), places) as portal:
        yield portal


@pytest.fixture(scope="module", params=DATABASES)
def running_portal(
    request: pytest.FixtureRequest,
    portal_settings: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RunningPortal]:
    """Yield the portal on each database, or on the one named by the test's mark."""
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
    """Run a portal, or only the given parts of it."""
    environment = {
        **ENVIRONMENT,
        "LOCAL_TRIAL": "1",
        "INSTANCE_DIR": str(folder / "instance"),
        "PORT": str(free_port()),
        # Ten attempts within half a minute.
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
    """Yield the portal once it has recovered from the previous test."""
    assert until(running_portal.is_whole, 20), running_portal.process.output.read_text()
    with running_portal.app.app_context():
        yield running_portal
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def receiver(portal: RunningPortal) -> Iterator[Receiver]:
    """Yield a healthy receiver on loopback and retire its webhooks afterwards."""
    del portal
    with Receiver() as running:
        yield running
        retire_webhooks()


def retire_webhooks() -> None:
    """Retire all webhooks, so that the next test's events reach only its own. A later receiver can
    get the same port, and its deliveries are counted by URL."""
    db.session.rollback()
    with writing() as current:
        current.execute(update(Webhook).values(deleted_at=utcnow(), url=NOBODY))
        stopped = {"status": DeliveryStatus.DISMISSED}
        current.execute(update(Delivery).where(is_open()).values(stopped))
        current.execute(delete(Lease))


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run tests marked `netns` only in their own namespaces."""
    return netns.run_apart(pyfuncitem)
