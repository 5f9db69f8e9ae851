"""Tests of migrations: up, down, up again, and the refusal of databases that are too old."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from flask import Flask
from flask_migrate import downgrade, upgrade
from sqlalchemy import inspect, literal_column, select, text

from portal import commands
from portal.base_app import create_base_app
from portal.config.settings import load_settings
from portal.extensions import db
from portal.lib.clock import utcnow
from portal.models.deliveries import Delivery
from portal.queue import notifier
from portal.services.core.unit_of_work import writing
from portal.services.deliveries.bulk_retry_selection import Selection
from portal.services.deliveries.dismissals import dismiss
from tests.conftest import ENVIRONMENT
from tests.support.deliveries import make_delivery, stored
from tests.support.factories import make_user, make_webhook

pytestmark = pytest.mark.both_databases

NOW = "2026-01-01 12:00:00.000000"
WEBHOOK_OF_0100 = """INSERT INTO webhooks
  (id, public_id, kind, name, url, url_is_secret, state, secret_hint, in_order, throttled,
   backoff_seconds, failures_in_row, version, created_at, updated_at)
  VALUES (1, '00000000000000000000000000000001', 'http', 'ERP', 'https://example.com', :no,
   'active', '', :no, :no, 0, 0, 1, :now, :now)"""
EVENT_OF_0100 = """INSERT INTO events
  (id, public_id, event, asset_tag, asset_name, occurred_at, body, is_test)
  VALUES (:id, :uuid, 'asset.created', '', '', :now, '{}', :no)"""
DELIVERY_OF_0100 = """INSERT INTO deliveries
  (id, public_id, event_id, webhook_id, event, status, priority, due_at, tries, attempts,
   prior_status, created_at)
  VALUES (:id, :uuid, :id, 1, 'asset.created', :status, 2, :now, 1, 1, :prior, :now)"""
ATTEMPT_OF_0100 = """INSERT INTO attempts (delivery_id, number, kind, url, outcome, started_at)
  VALUES (:id, 1, 'scheduled', 'https://example.com', :outcome, :now)"""
# (status before 0101, whether an attempt failed, prior status) → (status after 0101, status after
# the downgrade).
STATUSES = {
    ("waiting", False, None): ("queued", "waiting"),
    ("waiting", True, "failed"): ("retrying", "waiting"),
    ("waiting", True, "delivered"): ("queued", "waiting"),
    ("retrying", True, None): ("retrying", "retrying"),
    ("held", True, None): ("on_hold", "held"),
    ("stopped", False, None): ("dismissed", "stopped"),
    ("failed", True, None): ("failed", "failed"),
    ("delivered", False, None): ("delivered", "delivered"),
}


@pytest.fixture(params=["sqlite", "postgres"])
def blank(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Flask]:
    """Yield an app with an empty database."""
    environment = {**ENVIRONMENT, "INSTANCE_DIR": str(tmp_path)}
    if request.param == "postgres":
        server = request.getfixturevalue("postgres_server")
        environment["DATABASE_URL"] = server.new_database()
    app = create_base_app(load_settings(environment))
    notifier.init_app(app)
    commands.init_migrations(app)
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


def schema() -> dict[str, object]:
    """Return the columns and indexes of every table, and in SQLite also keys and triggers."""
    db.session.remove()
    if db.engine.dialect.name == "sqlite":
        query = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"
    else:
        query = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1"
    with db.engine.connect() as connection:
        parts: dict[str, object] = {row[0]: row[1] for row in connection.execute(text(query))}
        inspector = inspect(connection)
        for table in inspector.get_table_names():
            columns = inspector.get_columns(table)
            parts[f"columns of {table}"] = sorted((c["name"], str(c["type"])) for c in columns)
        return parts


def test_downgrade_removes_all_tables_and_upgrade_restores_the_schema(blank: Flask) -> None:
    upgrade()
    before = schema()
    downgrade(revision="base")
    db.session.remove()
    with db.engine.connect() as connection:
        assert set(inspect(connection).get_table_names()) == {"alembic_version"}
    upgrade()
    assert schema() == before


def test_0101_renames_statuses_and_can_be_downgraded(blank: Flask) -> None:
    upgrade(revision="0100")
    with writing() as current:
        current.execute(text(WEBHOOK_OF_0100), {"now": NOW, "no": False})
        for number, (status, has_failed, prior) in enumerate(STATUSES, 1):
            given = {"id": number, "uuid": f"{number:032x}", "now": NOW, "no": False}
            current.execute(text(EVENT_OF_0100), given)
            current.execute(text(DELIVERY_OF_0100), given | {"status": status, "prior": prior})
            outcome = "failed" if has_failed else "interrupted"
            current.execute(text(ATTEMPT_OF_0100), given | {"outcome": outcome})
    results = []
    for step, revision in ((upgrade, "0101"), (downgrade, "0100")):
        db.session.remove()
        step(revision=revision)
        rows = db.session.execute(text("SELECT status, prior_status FROM deliveries ORDER BY id"))
        results.append([tuple(row) for row in rows])
    priors = [prior for _, _, prior in STATUSES]
    for number, rows_then in enumerate(results):
        statuses = [after[number] for after in STATUSES.values()]
        assert rows_then == list(zip(statuses, priors, strict=True))


# Status, minutes of failed attempts (None: delivered), minute of the next attempt, and minute of
# the expected `failing_since`.
FAILING: tuple[tuple[str, tuple[int | None, ...], int, int | None], ...] = (
    ("retrying", (1, 2), 3, 1),
    ("retrying", (1,), 2, None),
    ("retrying", (1,), 3, 1),
    ("on_hold", (1, 2), 3, 1),
    ("queued", (), 9, None),
    ("failed", (4,), 4, 4),
    ("failed", (), 0, 0),
    ("failed", (1, None, 3), 3, 3),
    ("delivered", (1, 2, None), 9, None),
)


def test_failing_since_of_existing_deliveries_is_read_from_attempts(blank: Flask) -> None:
    upgrade(revision="0101")
    attempt = ATTEMPT_OF_0100.replace("started_at)", "started_at, finished_at)")
    attempt = attempt.replace(" 1, 'sch", " :number, 'sch").replace(":now)", ":at, :at)")
    with writing() as current:
        current.execute(text(WEBHOOK_OF_0100), {"now": NOW, "no": False})
        for number, (status, failures, due, _) in enumerate(FAILING, 1):
            values = {"id": number, "uuid": f"{number:032x}", "now": NOW, "no": False}
            current.execute(text(EVENT_OF_0100), values)
            words = DELIVERY_OF_0100.replace("2, :now, 1, 1", f"2, :due, 1, {len(failures)}")
            more = {"status": status, "prior": None, "due": moment(due)}
            current.execute(text(words), values | more)
            for place, minute in enumerate(failures, 1):
                outcome = "delivered" if minute is None else "failed"
                own = {"number": place, "outcome": outcome, "at": moment(minute or 2)}
                current.execute(text(attempt), values | own)
    db.session.remove()
    upgrade()
    rows = select(Delivery.failing_since).order_by(Delivery.id)
    expected = [None if since is None else moment(since) for *_, since in FAILING]
    found = [at and f"{at:%Y-%m-%d %H:%M:%S.%f}" for at in db.session.scalars(rows)]
    assert found == expected


def moment(minute: int) -> str:
    return NOW.replace("12:00", f"12:{minute:02}")


def test_a_database_older_than_the_first_release_is_left_unchanged(
    blank: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    with writing() as current:
        current.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
        current.execute(text("INSERT INTO alembic_version VALUES ('0040')"))
    db.session.remove()
    before = schema()
    with pytest.raises(SystemExit):
        upgrade()
    assert "This database is older than the first release" in caplog.text
    assert schema() == before


def test_foreign_keys_are_on_again_after_a_migration(blank: Flask) -> None:
    upgrade()
    if db.engine.dialect.name == "sqlite":
        with db.engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar_one() == 1


def told(*columns: str) -> list[tuple[Any, ...]]:
    """Return these columns of all deliveries, oldest first."""
    db.session.remove()
    with db.engine.connect() as connection:
        query = select(*(literal_column(column) for column in columns)).select_from(
            text("deliveries")
        )
        return [tuple(row) for row in connection.execute(query.order_by(text("id")))]


def execute(statement: str, **values: Any) -> None:
    with writing() as current:
        current.execute(text(statement), values)
    db.session.remove()


def test_dismissals_are_migrated_and_partly_survive_a_downgrade(
    blank: Flask,
) -> None:
    upgrade()
    sam, hook = make_user("support", name="Sam"), make_webhook()
    failed = {"status": "failed", "reason": "server"}
    made = [make_delivery(hook, **each) for each in (failed, failed, {"status": "retrying"})]
    made.append(make_delivery(hook, status="failed", reason="dns"))
    dismiss(sam.actor, Selection(ticked=(made[0], made[2])), "Known")
    db.session.remove()
    downgrade(revision="0101")
    # A failed delivery loses only its reason and its act. Others keep only the name.
    assert told("status", "prior_status", "stopped_by") == [
        ("failed", None, None),
        ("failed", None, None),
        ("dismissed", None, "Sam"),
        ("failed", None, None),
    ]
    execute(
        "INSERT INTO dismissals (webhook_id, reason, until, dismissed_at, actor_id)"
        " VALUES (:webhook, 'dns', :at, :at, :who)",
        webhook=hook.id,
        who=sam.id,
        at="2999-01-01 00:00:00.000000",
    )
    upgrade()
    assert told("status", "prior_status", "dismissed_by", "dismissed_reason") == [
        ("dismissed", "failed", "Sam", None),
        ("failed", None, None, None),
        ("dismissed", "queued", "Sam", None),
        ("dismissed", "failed", "Sam", None),
    ]
    assert [act is None for (act,) in told("dismissal_id")] == [False, True, True, False]
    assert {row["status"] for row in map(stored, made)} == {"dismissed", "failed"}


# The last notice to the owner, and whether the webhook has delivered anything since it failed.
NOTICES: Final = (("attention", False), ("attention", True), ("off", True), ("well", True))


def test_notices_become_watches_of_owners_or_administrators_and_back(blank: Flask) -> None:
    upgrade()
    gone, owner, _sam = make_user(is_active=False), make_user("manager"), make_user("support")
    admins = [make_user().id for _ in range(2)]
    hooks = [make_webhook(owner_id=owner.id) for _ in NOTICES]
    orphan, quiet = make_webhook(owner_id=gone.id), make_webhook(owner_id=owner.id)
    make_webhook(owner_id=owner.id, deleted_at=utcnow())
    db.session.remove()
    downgrade(revision="0112")
    for hook, (told_, is_well) in zip(hooks, NOTICES, strict=True):
        since = None if is_well else NOW
        execute(
            "UPDATE webhooks SET failing_since = :since WHERE id = :id", since=since, id=hook.id
        )
        insert = "INSERT INTO notices (webhook_id, told, told_at) VALUES (:id, :told, :at)"
        execute(insert, id=hook.id, told=told_, at=NOW)
    execute(insert, id=orphan.id, told="attention", at=NOW)
    execute(
        "INSERT INTO mails (public_id, kind, user_id, webhook_id, created_at, due_at, tries)"
        " VALUES (:id, 'webhook_attention', :user, :webhook, :at, :at, 0)",
        id=f"{1:032x}",
        user=owner.id,
        webhook=hooks[0].id,
        at=NOW,
    )
    upgrade()
    query = text("SELECT webhook_id, user_id, told, is_on, stands_in FROM watches ORDER BY 1, 2")
    assert [tuple(row) for row in db.session.execute(query)] == [
        *(
            (hook.id, owner.id, told_, True, False)
            for hook, told_ in zip(hooks, ("down", "failing", "off", "well"), strict=True)
        ),
        *((orphan.id, admin, "failing", True, True) for admin in admins),
        (quiet.id, owner.id, None, True, False),
    ]
    kinds = db.session.execute(text("SELECT kind FROM mails")).scalars().all()
    assert kinds == ["webhook_failing"]
    execute(
        "INSERT INTO mails (public_id, kind, user_id, created_at, due_at, tries)"
        " VALUES (:id, 'webhooks', :user, :at, :at, 0)",
        id=f"{2:032x}",
        user=owner.id,
        at=NOW,
    )
    db.session.remove()
    downgrade(revision="0112")
    back = db.session.execute(text("SELECT told FROM notices ORDER BY webhook_id")).scalars()
    assert back.all() == ["attention", "attention", "off", "well", "attention"]
    kinds = db.session.execute(text("SELECT kind FROM mails")).scalars().all()
    assert kinds == ["webhook_attention"]  # the kind of the earlier release


def test_the_note_of_a_take_becomes_the_webhooks_note_and_back(blank: Flask) -> None:
    upgrade()
    noted, taken, _free = (make_webhook().id for _ in range(3))
    db.session.remove()
    downgrade(revision="0119")
    take = (
        "UPDATE webhooks SET taken_by = 'Sam', taken_by_id = 7, taken_at = :at, taken_note = :note"
        " WHERE id = :id"
    )
    execute(take, id=noted, at=NOW, note="Asked")
    execute(take, id=taken, at=NOW, note=None)
    upgrade()
    query = text("SELECT note, note_by, note_by_id, note_at IS NULL FROM webhooks ORDER BY id")
    none = (None, None, None, True)
    assert [tuple(row) for row in db.session.execute(query)] == [
        ("Asked", "Sam", 7, False),
        none,
        none,
    ]
    execute("UPDATE webhooks SET note = :long, note_at = :at", long="x" * 501, at=NOW)
    db.session.remove()
    downgrade(revision="0119")
    kept = db.session.execute(text("SELECT taken_note FROM webhooks ORDER BY id")).scalars().all()
    assert kept == ["x" * 500, "x" * 500, None], "earlier releases only have notes of takes"
