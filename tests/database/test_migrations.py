"""Migrations go up, down and up again, and lose nothing on the way that they need not lose."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask_migrate import downgrade, upgrade
from sqlalchemy import inspect, text

from portal.base_app import create_base_app
from portal.commands import cli
from portal.config.settings import load_settings
from portal.extensions import db
from portal.models.people import User
from portal.queue import notifier
from portal.services.core.unit_of_work import writing
from portal.services.people import sessions
from tests.conftest import ENVIRONMENT
from tests.support.deliveries import change, lease, make_attempt, make_delivery
from tests.support.factories import make_user, make_webhook, publish

pytestmark = pytest.mark.both_databases

REGISTER = "0003"  # what stands before webhooks and the outbox


@pytest.fixture(params=["sqlite", "postgres"])
def blank(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Flask]:
    """An application on a database in which nothing has been made yet."""
    environment = {**ENVIRONMENT, "INSTANCE_DIR": str(tmp_path)}
    if request.param == "postgres":
        server = request.getfixturevalue("postgres_server")
        environment["DATABASE_URL"] = server.new_database()
    app = create_base_app(load_settings(environment))
    notifier.init_app(app)
    cli.init_migrations(app)
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


def schema() -> dict[str, object]:
    """Every table with its columns, keys, indexes and triggers, as the database tells them."""
    db.session.remove()
    if db.engine.dialect.name == "sqlite":
        wanted = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"
    else:
        wanted = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1"
    with db.engine.connect() as connection:
        found: dict[str, object] = {row[0]: row[1] for row in connection.execute(text(wanted))}
        inspector = inspect(connection)
        for table in inspector.get_table_names():
            columns = inspector.get_columns(table)
            found[f"columns of {table}"] = sorted((c["name"], str(c["type"])) for c in columns)
        return found


def people() -> list[tuple[str, ...]]:
    with db.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text("SELECT name, email FROM users"))]


def test_down_and_up_again_gives_the_same_schema_and_keeps_what_was_below(blank: Flask) -> None:
    upgrade()
    before = schema()
    make_user(name="Ana")
    make_webhook()
    publish()
    kept = people()
    db.session.remove()
    downgrade(revision=REGISTER)
    assert people() == kept
    upgrade()
    assert people() == kept
    assert schema() == before


def test_drafts_go_with_their_tests_where_nobody_could_tell_whose_they_are(blank: Flask) -> None:
    upgrade()
    make_attempt(make_delivery(make_webhook(state="draft")))
    make_attempt(make_delivery())
    db.session.remove()
    downgrade(revision="0014")
    with db.engine.connect() as connection:
        for table in ("webhooks", "deliveries", "attempts", "attempt_bodies"):
            assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() == 1  # noqa: S608 - our own names
    upgrade()


def test_nobody_stays_signed_in_over_a_change_of_what_a_session_is(blank: Flask) -> None:
    upgrade()
    ana = make_user(name="Ana")
    with writing() as current:
        sessions.begin(current, current.get_one(User, ana.id), "Firefox on Linux")
    db.session.remove()
    downgrade(revision="0021")
    with db.engine.connect() as connection:
        kept = connection.execute(text("SELECT name, session_version FROM users")).all()
        assert [tuple(row) for row in kept] == [("Ana", 1)]
        assert connection.execute(text("SELECT count(*) FROM ended_sessions")).scalar_one() == 0
    upgrade()
    with db.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM sessions")).scalar_one() == 0
    assert [name for name, *_ in people()] == ["Ana"]


def test_everything_can_be_taken_down(blank: Flask) -> None:
    upgrade()
    downgrade(revision="base")
    db.session.remove()
    with db.engine.connect() as connection:
        assert set(inspect(connection).get_table_names()) == {"alembic_version"}


def test_foreign_keys_are_on_again_after_a_migration(blank: Flask) -> None:
    upgrade()
    if db.engine.dialect.name == "sqlite":
        with db.engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar_one() == 1


def held(rows: str) -> list[tuple[object, ...]]:
    """What a query finds."""
    db.session.remove()
    with db.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(rows))]


TALLY = "SELECT tries, attempts FROM deliveries ORDER BY id"
ATTEMPTS = "SELECT number, outcome, kind, finished_at IS NULL FROM attempts ORDER BY delivery_id"


def test_what_is_under_way_moves_with_its_lease_down_and_up_again(blank: Flask) -> None:
    upgrade()
    live, ended, plain = (make_delivery(status="retrying", tries=2) for _ in range(3))
    for delivery in (live, ended, plain):
        make_attempt(delivery)
    lease(live)
    change(ended, prior_status="failed")
    lease(ended, -60, kind="manual", actor="Ana")
    leased = "SELECT delivery_id, token, until, number, kind, actor, url, started_at FROM leases"
    before, tally, known = held(leased), held(TALLY), held(ATTEMPTS)
    assert tally == [(2, 1), (2, 1), (2, 1)]

    downgrade(revision="0023")
    assert held(TALLY) == [(3, 2), (2, 2), (2, 1)]
    is_leased = "lease_token IS NOT NULL AND lease_until IS NOT NULL"
    assert held(f"SELECT id - min(id) OVER () FROM deliveries WHERE {is_leased}") == [(0,), (1,)]  # noqa: S608 - our own words
    cut_off = "SELECT number, kind, actor FROM attempts WHERE outcome = 'interrupted' ORDER BY id"
    assert held(cut_off) == [(2, "scheduled", None), (2, "manual", "Ana")]

    upgrade()
    assert (held(leased), held(TALLY), held(ATTEMPTS)) == (before, tally, known)
