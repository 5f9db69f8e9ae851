"""One running portal for each file of tests and database: it has to get well by itself."""

from collections.abc import Iterator

import pytest
from sqlalchemy import update

from portal.extensions import db
from portal.lib.clock import utcnow
from portal.models.deliveries import Delivery, DeliveryStatus, is_open
from portal.models.webhooks import Webhook
from portal.services.unit import writing
from tests.conftest import DATABASES, ENVIRONMENT
from tests.faults.house import House, free_port
from tests.jobs.processes import until
from tests.receiver import Receiver

__all__ = ["House", "free_port"]


@pytest.fixture(scope="module")
def house_settings() -> dict[str, str]:
    """What a file's portal has set differently."""
    return {}


@pytest.fixture(scope="module", params=DATABASES)
def running_house(
    request: pytest.FixtureRequest,
    house_settings: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[House]:
    """The portal on each database, or on the one that a test's mark names."""
    folder = tmp_path_factory.mktemp("house")
    environment = {
        **ENVIRONMENT,
        "LOCAL_TRIAL": "1",
        "INSTANCE_DIR": str(folder / "instance"),
        "PORT": str(free_port()),
        **house_settings,
    }
    if request.param == "postgres":
        server = request.getfixturevalue("postgres_server")
        environment["DATABASE_URL"] = server.new_database()
    house = House(folder, environment)
    try:
        assert house.starts(), house.process.output.read_text()
        yield house
    finally:
        house.close()


@pytest.fixture
def house(running_house: House) -> Iterator[House]:
    """The portal, well again after whatever the test before did to it."""
    assert until(running_house.is_whole, 20), running_house.process.output.read_text()
    with running_house.app.app_context():
        yield running_house
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def receiver(house: House) -> Iterator[Receiver]:
    """A healthy receiver on loopback; nobody sends to it any more afterwards."""
    del house
    with Receiver() as running:
        yield running
        retire_webhooks()


def retire_webhooks() -> None:
    """What the next test publishes is for its own webhooks alone."""
    db.session.rollback()
    with writing() as current:
        current.execute(update(Webhook).values(deleted_at=utcnow()))
        stopped = {"status": DeliveryStatus.STOPPED, "lease_token": None, "lease_until": None}
        current.execute(update(Delivery).where(is_open()).values(stopped))
