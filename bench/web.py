"""Measure the request of an action with no, ten, and a thousand webhooks subscribed, and with
conditions."""

import statistics
import time
from collections.abc import Iterator
from itertools import count

from flask import Flask
from sqlalchemy import select, text

from bench.support import log_rows
from bench.support.report import Line, Took, milliseconds
from bench.support.world import SECRET, world
from portal.app import create_app
from portal.engine.conditions.predicate import Condition, as_text
from portal.extensions import db
from portal.models.webhooks import Webhook
from portal.services.core.unit_of_work import writing
from tests.support.factories import make_asset, make_webhook
from tests.support.pages import Pages
from tests.web.signed_in import visit

LISTENING = (0, 10, 1000)
# Each webhook has ten conditions, with texts of its own.
MET = "tag", "is_not"
UNMET = "tag", "is"
REQUESTS = 80
WARM = 5
NAMES = count(1)


def run() -> Iterator[Line]:
    """Measure edits of an asset as whole requests through the application, on SQLite."""
    with world("sqlite") as here:
        app: Flask = create_app(here.settings)
        with app.app_context():
            yield from _edits(visit(app, "admin"))


def _edits(pages: Pages) -> Iterator[Line]:
    path = f"/assets/{make_asset()}/edit"
    alone, listening = Took(0, 0), 0
    for target in LISTENING:
        for _ in range(target - listening):
            make_webhook("http://127.0.0.1:9/", events=["asset.updated"], secret=SECRET)
        listening = target
        took = _median([_edit(pages, path) for _ in range(REQUESTS)])
        alone = took if target == 0 else alone
        ratio = f"{took.seconds / alone.seconds:.2f} times as with none, " if target else ""
        note = f"{ratio}{milliseconds(took.processor)} of processor time"
        yield Line(f"Asset edited, {target} webhooks subscribed", milliseconds(took.seconds), note)
    bare = took
    for words, kind in (("ten conditions each, met", MET), ("ten, none met", UNMET)):
        _narrow(*kind)
        took = _median([_edit(pages, path) for _ in range(REQUESTS)])
        ratio = f"{took.processor / bare.processor:.2f} times the processor time without"
        yield Line(f"… {listening} with {words}", milliseconds(took.seconds), ratio)


def _narrow(field: str, operator: str) -> None:
    # Start with as few deliveries as the first round, because an insert among many takes longer.
    with db.engine.connect().execution_options(writing=True) as connection, connection.begin():
        for statement in log_rows.EMPTY:
            connection.execute(text(statement))
    with writing() as current:
        for hook in current.scalars(select(Webhook)):
            ten = [Condition(field, operator, (f"W{hook.id}-{number}",)) for number in range(10)]
            hook.conditions = as_text(ten)


def _edit(pages: Pages, path: str) -> Took:
    form = pages.get(path).form(path)
    sent = {**form.fields, "name": f"ThinkPad {next(NAMES)}"}
    began, busy = time.perf_counter(), time.process_time()
    answer = pages.client.post(path, data=sent, buffered=True)
    took = Took(time.perf_counter() - began, time.process_time() - busy)
    assert answer.status_code == 302, answer.status_code
    return took


def _median(times: list[Took]) -> Took:
    warm = times[WARM:]
    return Took(
        statistics.median(took.seconds for took in warm),
        statistics.median(took.processor for took in warm),
    )
