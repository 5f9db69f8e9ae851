"""Tests that the migrations match the models, and that append-only rows can't be replaced."""

import warnings

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from portal.extensions import Base, db
from portal.services.actions import stock
from portal.services.core.permissions import SYSTEM
from portal.services.core.unit_of_work import writing
from tests.support.factories import make_asset

pytestmark = pytest.mark.both_databases


def test_an_append_only_row_cannot_be_replaced(app: Flask) -> None:
    if db.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL has no INSERT OR REPLACE")
    stock.receive(SYSTEM, make_asset(kind="stock", quantity=3), quantity=2)
    for table in ("audit_entries", "activities", "stock_moves"):
        for again in (
            f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}",  # noqa: S608 - our own names
            f"REPLACE INTO {table} SELECT * FROM {table}",  # noqa: S608 - our own names
        ):
            with pytest.raises(DBAPIError, match="cannot be replaced"), writing() as current:
                current.execute(text(again))


# Models can't describe each database's search indexes. PostgreSQL also omits some foreign keys.
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


def test_the_migrations_create_the_schema_of_the_models(app: Flask) -> None:
    with db.engine.connect() as connection, warnings.catch_warnings():
        # SQLAlchemy warns that it can't read SQLite's indexes on expressions.
        warnings.simplefilter("ignore")
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = {
            change[1].name: change[0] for change in compare_metadata(context, Base.metadata)
        }
    if db.engine.dialect.name == "sqlite":
        assert differences == dict.fromkeys(OF_SQLITE, "remove_table")
    else:
        assert differences == {
            name: "remove_index" if name.startswith("ix_") else "add_fk" for name in OF_POSTGRESQL
        }
