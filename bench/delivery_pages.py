"""Measure Overview and the log, with 100,000 deliveries to 1,000 webhooks of which 50 fail."""

from collections.abc import Iterator
from functools import partial
from typing import Final

from bench.register_pages import ask, get
from bench.support import log_rows
from bench.support.database_pages import touched
from bench.support.report import Line, milliseconds
from bench.support.world import DATABASES, webhooks, world
from portal.app import create_app
from portal.extensions import db
from tests.support.factories import make_asset
from tests.web.signed_in import visit

DELIVERIES: Final = 100_000
HOOKS: Final = 1000
PATHS: Final = {
    "Overview": "/",
    "Log": "/deliveries",
    "Log of one webhook": "/deliveries?webhook={webhook}",
    "Log, one event": "/deliveries?event=asset.created",
    "Log, an event’s delivered ones": "/deliveries?event=asset.updated&status=delivered",
    "Log, an event’s failed ones": "/deliveries?event=asset.updated&status=failed",
    "Log, needs attention": "/deliveries?status=attention",
    "Log, one asset": "/deliveries?q=AST-00001",
    "List of webhooks": "/settings/webhooks",
}


def run() -> Iterator[Line]:
    """Measure each page on both databases."""
    for database in DATABASES:
        with world(database) as here:
            hooks = webhooks("http://127.0.0.1:9", HOOKS + 1)
            make_asset("ThinkPad T14")
            log_rows.fill(DELIVERIES, HOOKS)
            app = create_app(here.settings)
            with app.app_context():
                client = visit(app, "admin").client
                for name, pattern in PATHS.items():
                    path = pattern.format(webhook=hooks[6].public_id)
                    took = ask(here, client, path)
                    note = f"touched {touched(partial(get, client, path)):,}"
                    words = f"{name}, {database}, processor time"
                    yield Line(words, milliseconds(took.processor), note)
                db.session.remove()
                db.engine.dispose()
