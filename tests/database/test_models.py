"""The models say what the migrations made: what a query is told of a table is so."""

from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from flask import Flask

from portal.extensions import Base, db


# SQLite tells nothing of an index on an expression; PostgreSQL does.
@pytest.mark.filterwarnings("ignore:autogenerate skipping metadata-specified:UserWarning")
@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection:sqlalchemy.exc.SAWarning")
def test_the_models_are_the_tables_that_the_migrations_make(app: Flask) -> None:
    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        found: list[Any] = compare_metadata(context, Base.metadata)
    # What searches read belongs to no model.
    words = ("asset_words", "staff_words")
    assert [each for each in found if not any(word in repr(each) for word in words)] == []
