"""What was filled once is the same the next time: rows, counts, and what the database refuses."""

import pytest
from flask import Flask
from sqlalchemy import delete
from sqlalchemy.exc import DBAPIError

from portal.extensions import db
from portal.models.assets import Activity
from portal.services.core.unit_of_work import writing
from tests.services.core.whole_database import whole_database
from tests.support.database.empty_database import empty_out
from tests.support.database.kept_filling import filled_once
from tests.support.factories import make_asset, make_webhook

pytestmark = pytest.mark.both_databases


def some() -> list[int]:
    """Assets with their history and messages that wait: the ids of the assets."""
    make_webhook()
    return [make_asset(f"Lamp {n}", serial_number=f"SN\t{n}\\") for n in range(3)]


def nothing() -> None:
    """Another filling beside it."""


def test_it_comes_back_row_by_row(app: Flask) -> None:
    made = filled_once(some)
    before = whole_database()
    make_asset("Not of the filling")
    empty_out(db.engine)
    filled_once(nothing)
    assert whole_database() != before
    empty_out(db.engine)
    assert filled_once(some) == made
    assert whole_database() == before


def test_what_is_added_then_gets_the_next_number(app: Flask) -> None:
    made = filled_once(some)
    empty_out(db.engine)
    filled_once(some)
    assert make_asset() == made[-1] + 1


def test_the_database_refuses_then_what_it_refuses_otherwise(app: Flask) -> None:
    filled_once(some)
    empty_out(db.engine)
    filled_once(some)
    with pytest.raises(DBAPIError), writing() as current:
        current.execute(delete(Activity))
