"""Every process can start before its dependencies, and recovers without help once they are
there."""

import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from jobs.supervisor import Plan
from jobs.up import all_programs
from portal.base_app import create_base_app
from portal.config.settings import load_settings
from portal.extensions import db
from portal.queue.notifier import init_app
from tests.conftest import ENVIRONMENT, migrate_to_head
from tests.faults.support.delivery_ledger import settled
from tests.support.factories import make_webhook, publish
from tests.support.ports import free_port
from tests.support.processes import Process, until
from tests.support.receiver import Receiver
from tests.support.servers import PostgresServer
from tests.support.valkey import PrivateValkey


@pytest.fixture
def environ(
    postgres_server: PostgresServer, valkey: PrivateValkey, tmp_path: Path
) -> dict[str, str]:
    """Return the settings of all parts. Valkey doesn't run, and the database has no tables yet."""
    valkey.kill()
    return {
        **ENVIRONMENT,
        "DATABASE_URL": postgres_server.new_database(),
        "REDIS_URL": valkey.url,
        "INSTANCE_DIR": str(tmp_path / "instance"),
        "PORT": str(free_port()),
        "TZ": "UTC",
    }


@pytest.fixture
def parts(environ: dict[str, str], tmp_path: Path) -> Iterator[Process]:
    """Start every process of one machine under a supervisor only."""
    programs = all_programs(load_settings(environ))
    plan = tmp_path / "plan"
    plan.write_text(Plan(programs, "127.0.0.1", int(environ["PORT"]), ["Hello."]).to_json())
    code = "import os, sys; sys.argv[1:] = [str(os.open(sys.argv[1], os.O_RDONLY))]"
    supervise = f"{code}; from jobs.supervisor import main; main()"
    process = Process(tmp_path / "parts.log", ["-c", supervise, str(plan)], environ)
    yield process
    try:
        process.stop()
    finally:
        process.close()


def is_ready(port: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def looking_inside(environ: dict[str, str]) -> Flask:
    app = create_base_app(load_settings(environ))
    init_app(app)
    return app


def test_database_tables_and_valkey_can_come_last(
    environ: dict[str, str],
    valkey: PrivateValkey,
    postgres_server: PostgresServer,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    with postgres_server.stopped():
        parts: Process = request.getfixturevalue("parts")
        assert parts.says("Hello.", 40), "the pages wait for nothing"
        assert not is_ready(environ["PORT"])
        for ready in ("Ready for deliveries.", "Ready for background."):
            assert parts.says(ready, 40), parts.output.read_text()
        valkey.start()
    migrate_to_head(environ["DATABASE_URL"], tmp_path)
    assert until(lambda: is_ready(environ["PORT"]), 60), parts.output.read_text()
    with Receiver() as receiver, looking_inside(environ).app_context():
        make_webhook(receiver.url)
        publish()
        assert settled(60), parts.output.read_text()
        assert len(receiver.received) == 1
        db.session.remove()
        db.engine.dispose()
    assert parts.process.poll() is None
