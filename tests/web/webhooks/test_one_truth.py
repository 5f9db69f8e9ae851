"""Seeded random walks through attempts and people's actions. After each part of a walk, every page,
file, and email agrees on a webhook's status, undelivered count, start of failure, and cause."""

import csv
import io
import re
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import select

from portal.engine.reasons import Reason, title
from portal.extensions import settings
from portal.lib.clock import utcnow
from portal.models.deliveries import Attempt, Delivery
from portal.models.webhooks import Webhook
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import session, writing
from portal.services.deliveries import dismissals, retry
from portal.services.deliveries.bulk_retry_selection import Selection
from portal.services.webhooks import backlog, notices, turn_on_off
from portal.services.webhooks.turn_on_off import HeldChoice
from tests.jobs.dispatcher.delivery_clock import claim, end_pause, ended, make_due, write_down
from tests.support.factories import Hook, make_user, make_webhook, publish
from tests.support.pages import Pages
from tests.web.home.test_home import figures, troubled
from tests.web.signed_in import signed_in

HERE = ZoneInfo("Europe/Vienna")
STEPS = 40
LOOK_EVERY = 3
UNDELIVERED = ("queued", "retrying", "failed", "on_hold")
REASONS = (Reason.SERVER, Reason.AUTH, Reason.REFUSED, Reason.BLOCKED)


class Said:
    """The facts about a webhook, read from the tables."""

    def __init__(self, hook: Hook) -> None:
        current = session()
        current.rollback()
        row = current.get_one(Webhook, hook.id)
        rows = current.scalars(select(Delivery).where(Delivery.webhook_id == hook.id)).all()
        failing = [
            delivery
            for delivery in rows
            if delivery.failing_since and delivery.status in UNDELIVERED[:3]
        ]
        causes = Counter(
            title(Reason(delivery.reason), delivery.code) for delivery in failing if delivery.reason
        )
        is_on = row.state == "active"
        self.status = ("Failing" if failing else "Active") if is_on else "Off"
        self.is_listed = bool(failing)
        self.number = sum(delivery.status in UNDELIVERED for delivery in rows)
        self.open = sum(delivery.status in UNDELIVERED[:2] for delivery in rows)
        self.since = min(
            (delivery.failing_since for delivery in failing if delivery.failing_since), default=None
        )
        self.cause = min(causes, key=lambda words: (-causes[words], words), default="")
        for delivery in rows:
            _assert_since(delivery)


def _assert_since(delivery: Delivery) -> None:
    """Assert that a delivery with two failed attempts is failing since the first."""
    mine = select(Attempt).where(Attempt.delivery_id == delivery.id).order_by(Attempt.number)
    failed: list[datetime | None] = []
    for attempt in session().scalars(mine):
        if attempt.outcome == "delivered":
            failed = []
        elif attempt.outcome == "failed":
            failed.append(attempt.finished_at)
    if delivery.status == "delivered":
        assert delivery.failing_since is None
    elif len(failed) > 1 or delivery.status == "failed":
        assert delivery.failing_since == failed[0]


def let_time_pass() -> None:
    """Move all recorded times six minutes back."""
    back = timedelta(minutes=6)
    with writing() as current:
        for delivery in current.scalars(select(Delivery)):
            delivery.failing_since = delivery.failing_since and delivery.failing_since - back
        for attempt in current.scalars(select(Attempt)):
            attempt.finished_at = attempt.finished_at and attempt.finished_at - back
        for webhook in current.scalars(select(Webhook)):
            at = webhook.last_delivered_at
            webhook.last_delivered_at = at and at - back


def acts(hook: Hook, chance: Random) -> dict[str, Callable[[], object]]:
    """Return the possible next actions by name."""
    sam = make_user("admin", name="Sam").actor
    ids = session().scalars(select(Delivery.public_id).where(Delivery.webhook_id == hook.id)).all()
    one = chance.choice(ids) if ids else None

    def attempt(reason: Reason | None) -> None:
        make_due()
        end_pause()
        for claimed in claim(1):
            write_down(ended(claimed, reason))

    actions: dict[str, Callable[[], object]] = {
        "publish": publish,
        "fail": lambda: attempt(chance.choice(REASONS)),
        "fail again": lambda: attempt(chance.choice(REASONS)),
        "deliver": lambda: attempt(None),
        "turn off": lambda: turn_on_off.turn_off(sam, hook.public_id),
        "turn on": lambda: turn_on_off.turn_on(sam, hook.public_id, HeldChoice.SEND),
    }
    if one is not None:
        actions |= {
            "retry": lambda: retry.retry(sam, one, again=True),
            "dismiss": lambda: dismissals.dismiss(sam, Selection(ticked=(one,))),
            "restore": lambda: dismissals.restore(sam, [one]),
        }
    return actions


def look(pages: Pages, hook: Hook) -> None:
    """Assert that every place agrees with the tables."""
    facts, query = Said(hook), f"webhook={hook.public_id}"
    since = f"{facts.since.astimezone(HERE):%H:%M}" if facts.since else ""
    words = re.compile(
        rf"(?<!\d){facts.number} undelivered, (the oldest )?failing since (\w+( \d+)?,? )?{since}"
    )
    (row,) = pages.get("/settings/webhooks").rows()
    page = pages.get(f"/settings/webhooks/{hook.public_id}")
    (state,) = (node.text for node in page.root.find_all("div") if node.get("class") == "state")
    start = pages.get("/")
    lines = list(
        csv.DictReader(
            io.StringIO(
                pages.client.get(
                    f"/deliveries/export.csv?status=undelivered&{query}", buffered=True
                ).text
            )
        )
    )
    assert row[1] == facts.status
    (tag,) = (node for node in page.root.walk() if node.get("class").split()[:1] == ["status"])
    assert tag.text == facts.status
    assert len(lines) == facts.number
    is_told = [bool(words.search(text)) for text in (row[2], state)]
    assert is_told == [facts.is_listed] * 2 or facts.status == "Off"
    assert (f"{facts.number} undelivered in 1 webhook" in start.main) is facts.is_listed
    share = f"{facts.open} in webhooks with problems" if facts.is_listed else ""
    if facts.open:
        assert f"{facts.open} Queued or retrying {share}".strip() in figures(start)
    log = pages.get(f"/deliveries?status=attention&{query}")
    assert len(log.rows()) == (facts.number if facts.is_listed else 0)
    found_backlog = backlog.of_one(session(), hook.id)
    assert (found_backlog is not None) is facts.is_listed
    if found_backlog is None:
        return
    failing = [line for line in lines if line["failing_since"] and line["status"] != "Held"]
    causes = Counter(line["result"] for line in failing)
    assert min(causes, key=lambda each: (-causes[each], each)) == facts.cause
    assert (
        min(line["failing_since"] for line in failing) == f"{facts.since:%Y-%m-%dT%H:%M:%S}+00:00"
    )
    ((name, number, began, *_),) = troubled(start)
    assert name.startswith(f"Sync {facts.status} {facts.cause}")
    assert number.partition(" ")[0] == str(facts.number)
    assert since in began
    assert row[2].startswith(facts.cause)
    zone = settings().timezone
    mail = notices._backlog_words(found_backlog, "", zone)
    assert mail.startswith(f"{facts.number} deliver")
    assert f" Cause: {facts.cause}." in mail


@pytest.mark.parametrize("seed", [0, 4, 5])
def test_every_page_file_and_email_agrees(app: Flask, seed: int) -> None:
    chance = Random(seed)  # noqa: S311 - picks examples
    hook, pages = make_webhook(name="Sync"), signed_in(app, make_user("admin"))
    listed = 0
    for step in range(STEPS):
        weights = [
            "publish",
            "publish",
            "fail",
            "fail again",
            "fail",
            "fail",
            "deliver",
            "retry",
            "dismiss",
        ]
        name = chance.choice([*weights, "restore", "turn off", "turn on", "turn on"])
        with suppress(Refusal):
            acts(hook, chance).get(name, utcnow)()
        let_time_pass()
        if step % LOOK_EVERY == LOOK_EVERY - 1:
            look(pages, hook)
            listed += Said(hook).is_listed
    assert listed > 3, "the seed shows too little"
