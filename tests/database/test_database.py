"""The database is what the models say, on both kinds."""

import warnings

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from portal.extensions import Base, db
from portal.services import audit
from portal.services.actions import stock
from portal.services.core.permissions import SYSTEM
from portal.services.core.unit_of_work import writing
from tests.support.factories import make_asset

pytestmark = pytest.mark.both_databases


def test_an_audit_entry_can_be_neither_changed_nor_removed(app: Flask) -> None:
    with writing() as current:
        audit.record(current, SYSTEM, "started", target=("portal", 1, "Portal"))
    for statement in ("UPDATE audit_entries SET action = 'x'", "DELETE FROM audit_entries"):
        with pytest.raises(DBAPIError, match="audit entries cannot be"), writing() as current:
            current.execute(text(statement))


def test_a_line_of_a_timeline_can_be_neither_changed_nor_removed(app: Flask) -> None:
    make_asset()
    for statement in ("UPDATE activities SET note = 'x'", "DELETE FROM activities"):
        with pytest.raises(DBAPIError, match="lines of a timeline cannot"), writing() as current:
            current.execute(text(statement))


@pytest.mark.parametrize("table", ["audit_entries", "activities", "stock_moves"])
def test_what_is_append_only_cannot_be_written_over(app: Flask, table: str) -> None:
    if db.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL has no INSERT OR REPLACE")
    stock.receive(SYSTEM, make_asset(kind="stock", quantity=3), quantity=2)
    for again in (
        f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}",  # noqa: S608 - our own names
        f"REPLACE INTO {table} SELECT * FROM {table}",  # noqa: S608 - our own names
    ):
        with pytest.raises(DBAPIError, match="cannot be replaced"), writing() as current:
            current.execute(text(again))


# Of each database its own, which no model could tell: the indexes for searches, and foreign keys
# that PostgreSQL does without.
OF_SQLITE = {
    f"{table}_words{part}"
    for table in ("asset", "staff")
    for part in ("", "_config", "_data", "_idx")
}


OF_POSTGRESQL = {
    "ix_asset_words",
    "ix_staff_words",
    "fk_attempts_delivery_id",
    "fk_attempt_bodies_attempt_id",
}


def test_the_models_are_what_the_migrations_have_made(app: Flask) -> None:
    with db.engine.connect() as connection, warnings.catch_warnings():
        # SQLite reads no index back that stands on an expression.
        warnings.simplefilter("ignore")
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        found = {change[1].name: change[0] for change in compare_metadata(context, Base.metadata)}
    if db.engine.dialect.name == "sqlite":
        assert found == dict.fromkeys(OF_SQLITE, "remove_table")
    else:
        assert found == {
            name: "remove_index" if name.startswith("ix_") else "add_fk" for name in OF_POSTGRESQL
        }
