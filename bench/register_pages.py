"""Measure whole requests to registers of two hundred, ten thousand and a hundred thousand assets.

`BENCH_ASSETS` sets the sizes. The requests are the same at each size, so that only the work of the
database differs. The time depends on other users of the machine. So each line also shows the
processor time of portal and database, its ratio to the first size, and the database pages or steps
touched.
"""

import os
import statistics
import time
from collections.abc import Iterator
from functools import partial
from typing import Final

from flask import Flask

from bench.support import register_rows
from bench.support.database_pages import touched
from bench.support.report import Line, Took, milliseconds
from bench.support.world import DATABASES, World, world
from portal.app import create_app
from portal.extensions import db
from tests.support.pages import Client
from tests.web.signed_in import visit

ASSETS: Final = tuple(
    int(assets) for assets in os.environ.get("BENCH_ASSETS", "200,10000,100000").split(",")
)
WARM = 2
REQUESTS = int(os.environ.get("BENCH_REQUESTS", "15"))

# Each page shows the same amount at each size.
PATHS: Final = {
    "List": "/assets",
    "List, what is out": "/assets?show=out",
    "List by name": "/assets?sort=name",
    "List by tag, Z to A": "/assets?sort=-tag",
    "List by status": "/assets?sort=-status",
    "List by change": "/assets?sort=-changed",
    "List by category": "/assets?sort=category",
    "List by location, Z to A": "/assets?sort=-location",
    "List by holder": "/assets?sort=holder",
    "List by serial number": "/assets?sort=serial",
    "List by name, what is out": "/assets?sort=name&show=out",
    "List by category, what is out": "/assets?sort=category&show=out",
    "Search by a part of a tag (all have it), by name": "/assets?q=AST-&sort=name",
    "Search by a part of a tag (100 have it), by name": "/assets?q=T-001&sort=name",
    "Search by a part of a tag (100 have it)": "/assets?q=T-001",
    "Search by a part of a tag (all have it)": "/assets?q=AST-",
    "Search by a part of a serial number": "/assets?q=38453D7",
    "Search by person": "/assets?q=person.7@",
    "Search that finds nothing": "/assets?q=nowhere to be found",
    "Search by two characters (all have them)": "/assets?q=sn",
    "The search above every page": "/find?q=T-001",
    "Page of an asset": "/assets/77",
    "Staff": "/staff",
    "Start page": "/",
}


def run() -> Iterator[Line]:
    """Measure each page at each size on both databases."""
    for database in DATABASES:
        alone: dict[str, float] = {}
        for assets in ASSETS:
            with world(database) as here:
                register_rows.fill(assets)
                app: Flask = create_app(here.settings)
                with app.app_context():
                    client = visit(app).client
                    for name, path in PATHS.items():
                        took = ask(here, client, path)
                        ratio = took.processor / alone.setdefault(name, took.processor)
                        note = (
                            f"{milliseconds(took.processor)} of processor time, {ratio:.2f} times,"
                            f" touched {touched(partial(get, client, path)):,}"
                        )
                        words = f"{name}, {assets:,} assets, {database}"
                        yield Line(words, milliseconds(took.seconds), note)
                    db.session.remove()
                    db.engine.dispose()


def ask(here: World, client: Client, path: str) -> Took:
    """Return the median time of some requests by the clock, and their mean processor time."""
    for _ in range(WARM):
        get(client, path)
    busy, times = here.processor_seconds() + time.process_time(), []
    for _ in range(REQUESTS):
        began = time.perf_counter()
        get(client, path)
        times.append(time.perf_counter() - began)
    busy = here.processor_seconds() + time.process_time() - busy
    return Took(statistics.median(times), busy / REQUESTS)


def get(client: Client, path: str) -> None:
    answer = client.get(path, buffered=True)
    assert answer.status_code == 200, (path, answer.status_code)
