"""The models say of tables, columns, keys and indexes what the migrations have made."""

import warnings

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask

from portal.extensions import Base, db

pytestmark = pytest.mark.both_databases

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
