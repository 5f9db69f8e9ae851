"""The register with two hundred, ten thousand and a hundred thousand assets in it: whole requests.

`BENCH_ASSETS` sets the sizes. The same page is asked for at each size, so that what differs is what
the database has to do. Beside the time stands how many times that of the first size it is, and how
much of the database was touched.
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
from bench.support.report import Line, milliseconds
from bench.support.world import DATABASES, world
from portal.app import create_app
from portal.extensions import db
from tests.support.pages import Client
from tests.web.signed_in import visit

ASSETS: Final = tuple(
    int(each) for each in os.environ.get("BENCH_ASSETS", "200,10000,100000").split(",")
)
WARM = 2
REQUESTS = int(os.environ.get("BENCH_REQUESTS", "15"))

# What is found is as much at each size, but for what its name says.
PATHS: Final = {
    "List": "/assets",
    "List, what is out": "/assets?show=out",
    "List, what is lost": "/assets?show=lost",
    "Search by a part of a tag": "/assets?q=T-001",
    "Search by a part of a name (a tenth of all)": "/assets?q=thinkpad",
    "Search by a part of a serial number": "/assets?q=6EF372F",
    "Search by person": "/assets?q=lopez 7",
    "Search that finds nothing": "/assets?q=nowhere to be found",
    "Search by two characters that all have": "/assets?q=sn",
    "Page of an asset": "/assets/77",
    "Staff": "/staff",
    "Start page": "/",
}


def run() -> Iterator[Line]:
    """Each page at each size, on both databases."""
    for database in DATABASES:
        alone: dict[str, float] = {}
        for assets in ASSETS:
            with world(database) as here:
                register_rows.fill(assets)
                app: Flask = create_app(here.settings)
                with app.app_context():
                    client = visit(app).client
                    for what, path in PATHS.items():
                        seconds = _median(client, path)
                        ratio = seconds / alone.setdefault(what, seconds)
                        note = f"{ratio:.2f} times, touched {_touched(client, path):,}"
                        words = f"{what}, {assets:,} assets, {database}"
                        yield Line(words, milliseconds(seconds), note)
                    db.session.remove()
                    db.engine.dispose()


def _median(client: Client, path: str) -> float:
    times = [_timed(client, path) for _ in range(WARM + REQUESTS)]
    return statistics.median(times[WARM:])


def _timed(client: Client, path: str) -> float:
    began = time.perf_counter()
    answer = client.get(path, buffered=True)
    took = time.perf_counter() - began
    assert answer.status_code == 200, (path, answer.status_code)
    return took


def _touched(client: Client, path: str) -> int:
    return touched(partial(_timed, client, path))
