"""Alerts and the runs that look for them, in words: each number, each day, each audience."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update

from portal.engine.events.catalogue import EventName
from portal.lib.clock import frozen
from portal.models.alerts import Alert, AlertRun, RunKind, RunOutcome
from portal.models.assets import Asset
from portal.models.tasks import Task
from portal.services.alerts import runs
from portal.services.core.permissions import SYSTEM
from portal.services.core.unit_of_work import writing
from portal.services.outbox.publish import Audience
from portal.web.alerts import wording
from portal.web.alerts.wording import KINDS, RunLine
from portal.web.frame.status_tags import ALERT_RUN

LATE, LOW = EventName.CHECKOUT_OVERDUE, EventName.LOW_STOCK
DUE, WARRANTY = EventName.MAINTENANCE_DUE, EventName.WARRANTY_EXPIRING
NOW = datetime(2026, 3, 10, 11, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _asked(app: Flask) -> Iterator[None]:
    """Somebody opens a page at noon, in Vienna."""
    with app.test_request_context(), frozen(NOW):
        yield


def overdue(**details: Any) -> str:
    known = {"due_at": "2026-03-09T16:00:00+00:00", "staff": {"name": "Maria"}, "reminder_no": 1}
    return KINDS[LATE].sentence(known | details)


def test_a_reminder_says_the_how_manieth_it_is() -> None:
    first = "Maria should have brought it back by 9 Mar 17:00."
    assert overdue() == first
    assert overdue(reminder_no=2) == f"{first} This is reminder 1."
    assert overdue(reminder_no=5) == f"{first} This is reminder 4."


@pytest.mark.parametrize(
    ("day", "work", "warranty"), [(9, "was", "ended"), (10, "is", "ends"), (11, "is", "ends")]
)
def test_what_was_to_come_when_it_was_told_may_be_past(day: int, work: str, warranty: str) -> None:
    iso, told = f"2026-03-{day:02}", f"{day} Mar 2026"
    details = {"title": "Oil", "due_on": iso, "warranty_expires": iso}
    assert KINDS[DUE].sentence(details) == f"“Oil” {work} due on {told}."
    assert KINDS[WARRANTY].sentence(details) == f"Its warranty {warranty} on {told}."


@pytest.mark.parametrize(
    ("quantity", "unit", "left"), [(3, "boxes", "3 boxes"), (3, None, "3"), (0, "boxes", "Nothing")]
)
def test_of_low_stock_it_says_what_is_left(quantity: int, unit: str | None, left: str) -> None:
    details = {"quantity": quantity, "unit": unit, "min_quantity": 5}
    assert KINDS[LOW].sentence(details) == f"{left} left. It counts as low below 5."


def test_an_alert_is_resolved_acknowledged_or_open() -> None:
    for over, seen, word in (
        (None, None, "Open"),
        (None, NOW, "Acknowledged"),
        (NOW, None, "Resolved"),
        (NOW, NOW, "Resolved"),
    ):
        alert = Alert(asset=Asset(), resolved_at=over, acknowledged_at=seen)
        assert wording.state_of(alert).word == word


@pytest.mark.parametrize(
    ("heard", "told"),
    [
        (Audience(1, 0), "Sent to 1 webhook"),
        (Audience(2, 0), "Sent to 2 webhooks"),
        (Audience(2, 1), "Sent to 2 webhooks, held for 1 that is off"),
        (Audience(1, 2), "Sent to 1 webhook, held for 2 that are off"),
        (Audience(0, 1), "Held for 1 webhook that is off"),
        (Audience(0, 2), "Held for 2 webhooks that are off"),
        (Audience(0, 0), "Nobody asked for it"),
    ],
)
def test_an_audience_is_told_with_those_that_are_off(heard: Audience, told: str) -> None:
    assert wording.audience_words([(heard, {LATE: 4})]) == f"{told}: 4 overdue"


def line(**columns: Any) -> RunLine:
    """A run as the list shows it."""
    known: dict[str, Any] = {"kind": RunKind.MANUAL, "actor_name": "Ana"}
    with writing() as current:
        current.add(AlertRun(**known | {"outcome": RunOutcome.DONE} | columns))
    return wording.runs_panel(NOW).lines[0]


def run(**columns: Any) -> str:
    """What it says that fired."""
    return line(**columns).fired


def test_a_run_says_what_fired_and_who_heard() -> None:
    counts: dict[str, int] = {LOW: 1, LATE: 1200}
    assert run() == "Nothing had become due"
    assert run(outcome=None) == "Nothing so far"
    assert run(outcome=RunOutcome.ASKED, waiting=1).endswith("1 alert waited for a decision")
    assert run(outcome=RunOutcome.ASKED, waiting=2).endswith("2 alerts waited for a decision")
    fired = "1\u202f200 overdue, 1 low stock"
    assert run(counts=counts) == fired
    assert run(counts=counts, is_marking=True) == f"Marked as already sent: {fired}"
    audiences = {"0+0": {LOW: 1}, "2+0": {LATE: 1200}}
    told = "Sent to 2 webhooks: 1\u202f200 overdue. Nobody asked for it: 1 low stock"
    assert run(counts=counts, audiences=audiences) == told
    assert run(counts=counts, audiences=audiences, outcome=None) == told


def test_a_run_says_who_began_it() -> None:
    for kind, name, told in (
        (RunKind.SCHEDULED, SYSTEM.name, "On schedule"),
        (RunKind.MANUAL, SYSTEM.name, "By the portal"),
        (RunKind.MANUAL, "Ana", "By Ana"),
    ):
        assert line(kind=kind, actor_name=name).by == told


def test_a_queued_run_is_slow_after_a_moment_and_one_at_work_says_how_far_it_is() -> None:
    runs.request_run(SYSTEM)
    later = NOW + timedelta(seconds=15)
    for now, is_slow in ((later, False), (later + timedelta(microseconds=1), True)):
        found = wording.runs_panel(now)
        assert (found.working, found.tag.word) == ("A run begins in a moment.", "Queued")
        assert (found.is_slow, found.is_live, found.announcement) == (is_slow, True, "")
    for counts, told in (({}, "0 alerts"), ({"fired": 1, "passed": 3}, "1 alert")):
        with writing() as current:
            current.execute(update(Task).values(state="running", counts=counts))
        found = wording.runs_panel(later + timedelta(hours=1))
        assert (found.working, found.is_slow) == (f"{told} so far.", False)
        assert (found.tag, found.lines[0].tag) == (ALERT_RUN["working"], ALERT_RUN["working"])
