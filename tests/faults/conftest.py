"""A whole portal in processes of its own, as `make run` starts it, to be hurt."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from portal.base import create_base_app
from portal.config import load_settings
from portal.extensions import db
from portal.queue import init_app
from tests.conftest import ENVIRONMENT
from tests.jobs.processes import Process, children_of
from tests.receiver import Receiver


def free_port() -> int:
    """A port on loopback that nobody listens to now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


class House:
    """The running portal, and an application on the same database and Valkey to look inside."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.process = Process(
            folder / "up.log", ["-m", "flask", "--app", "wsgi", "up"], environment
        )
        self.app: Flask = create_base_app(load_settings(environment))
        init_app(self.app)

    def pid_of(self, words: str) -> int:
        """The process whose command line contains `words`."""
        found = [pid for pid, line in children_of(self.process.pid).items() if words in line]
        assert len(found) == 1, f"{words}: {children_of(self.process.pid)}"
        return found[0]


@pytest.fixture(params=["sqlite", "postgres"])
def environment(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """Settings for a portal of its own, on each database."""
    environment = {
        **ENVIRONMENT,
        "LOCAL_TRIAL": "1",
        "INSTANCE_DIR": str(tmp_path / "instance"),
        "PORT": str(free_port()),
    }
    if request.param == "postgres":
        server = request.getfixturevalue("postgres_server")
        environment["DATABASE_URL"] = server.new_database()
    return environment


@pytest.fixture
def house(environment: dict[str, str], tmp_path: Path) -> Iterator[House]:
    """The portal, up and running."""
    house = House(tmp_path, environment)
    try:
        assert house.process.says("first administrator"), house.process.output.read_text()
        with house.app.app_context():
            yield house
            db.session.remove()
            db.engine.dispose()
    finally:
        house.process.stop()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A healthy receiver on loopback."""
    with Receiver() as running:
        yield running
