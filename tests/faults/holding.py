"""Standing in the database's way."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import create_engine, text

from portal.database import engine_options, prepare_engine
from tests.faults.house import House


@contextmanager
def database_locked(house: House, seconds: float = 0) -> Iterator[None]:
    """Nobody else can write a delivery meanwhile, nor until `seconds` have passed in all."""
    url = house.settings.database_url
    engine = create_engine(url, **engine_options(url))
    prepare_engine(engine)
    try:
        with engine.connect() as connection:
            writer = connection.execution_options(writing=True)
            with writer.begin():
                if engine.dialect.name == "postgresql":
                    # One table that everybody needs: two locks could meet in a deadlock.
                    writer.execute(text("LOCK TABLE deliveries IN EXCLUSIVE MODE"))
                until = time.monotonic() + seconds
                yield
                time.sleep(max(0.0, until - time.monotonic()))
    finally:
        engine.dispose()
