"""Measure *Forgot your password?* requests, in turn for addresses with and without an account."""

import time
from collections.abc import Iterator

from bench.support.report import Line, p50_p99
from bench.support.world import DATABASES, world
from portal.app import create_app
from portal.extensions import db
from tests.support.factories import make_user
from tests.support.pages import Pages

PATH = "/forgot-password"
EACH = 200
WARM = 20


def run() -> Iterator[Line]:
    """Measure both kinds of addresses on both databases."""
    for database in DATABASES:
        with world(database, SMTP_URL="smtp://127.0.0.1:9?from=portal@example.com") as here:
            app = create_app(here.settings)
            with app.app_context():
                pages, took = Pages(app), {"with an account": [], "without one": []}
                known = [make_user().email for _ in range(WARM + EACH)]
                for number, email in enumerate(known):
                    pair = [*zip(took, (email, f"nobody.{number}@example.org"), strict=True)]
                    for kind, address in pair if number % 2 else reversed(pair):
                        took[kind].append(_ask(pages, address, f"198.51.{number}.7"))
                for kind, seconds in took.items():
                    words = f"A password forgotten, address {kind}, {database}, p50 / p99"
                    yield Line(words, p50_p99(seconds[WARM:]), f"{EACH} requests by turns")
                db.session.remove()
                db.engine.dispose()


def _ask(pages: Pages, email: str, network: str) -> float:
    form = pages.get(PATH).form()
    sent, came_from = {**form.fields, "email": email}, {"REMOTE_ADDR": network}
    began = time.perf_counter()
    answer = pages.client.post(PATH, data=sent, environ_base=came_from, buffered=True)
    took = time.perf_counter() - began
    assert answer.status_code in (200, 302), answer.status_code
    return took
