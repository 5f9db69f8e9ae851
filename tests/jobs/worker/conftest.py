"""Workers that tests start, with their own Valkey."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis
from rq import Queue

from portal.queue import names
from portal.queue.names import DELIVERIES, JOB_NAMES
from portal.queue.portal_job import PortalJob
from tests.conftest import ENVIRONMENT, migrate_to_head
from tests.jobs.worker.sample_worker import COMMAND, FOLDER, SAMPLES
from tests.support.processes import Process
from tests.support.valkey import PrivateValkey

Start = Callable[..., Process]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("database")
    url = f"sqlite:///{folder}/portal.sqlite"
    migrate_to_head(url, folder)
    return url


@pytest.fixture
def environ(database: str, valkey: PrivateValkey, tmp_path: Path) -> dict[str, str]:
    return {
        **ENVIRONMENT,
        "DATABASE_URL": database,
        "REDIS_URL": valkey.url,
        "INSTANCE_DIR": str(tmp_path / "instance"),
        "NOTE": str(tmp_path / "note"),
    }


@pytest.fixture
def start(environ: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    started: list[Process] = []

    def start(*arguments: str) -> Process:
        arguments = arguments or COMMAND
        started.append(Process(tmp_path / "output.txt", arguments, environ))
        return started[-1]

    yield start
    for process in started:
        process.close()


@pytest.fixture(autouse=True)
def _known_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Allow the sample jobs in the test's process, as the started worker does."""
    monkeypatch.setattr(names, "JOB_NAMES", (*JOB_NAMES, *SAMPLES))


def enqueue(redis: Redis, name: str, queue_name: str = DELIVERIES, **meta: str) -> None:
    """Queue a sample job."""
    queue = Queue(queue_name, connection=redis, job_class=PortalJob)
    queue.enqueue_call(f"{FOLDER}.{name}", meta=meta)
