"""Wording of alerts and of the runs that look for them."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
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
from portal.services.alerts.queries import DueNow, run_status
from portal.services.alerts.rules import Kept
from portal.services.alerts.sentences import fired_words
from portal.services.alerts.why_not import Answer
from portal.services.core.permissions import SYSTEM
from portal.services.core.unit_of_work import writing
from portal.services.outbox.publish import Audience
from portal.web.alerts import why_not, wording
from portal.web.alerts.wording import RunLine, sentence
from portal.web.frame.status_tags import ALERT_RUN
from tests.support.factories import make_asset
from tests.support.golden.expected_file import Golden

LATE, LOW = EventName.CHECKOUT_OVERDUE, EventName.LOW_STOCK
DUE, WARRANTY = EventName.MAINTENANCE_DUE, EventName.WARRANTY_EXPIRING
WORDS = Path(__file__).parent / "golden"
NOW = datetime(2026, 3, 10, 11, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _asked(app: Flask) -> Iterator[None]:
    """Open a page at noon in Vienna."""
    with app.test_request_context(), frozen(NOW):
        yield


def test_the_wording_of_alerts_matches_the_golden_file(golden: Golden) -> None:
    late = {"due_at": "2026-03-09T16:00:00+00:00", "staff": {"name": "Maria"}}
    # The number in the text counts days, not earlier reminders.
    texts = {LATE: sentence(LATE, late | {"reminder_no": 5})}
    for day in ("2026-03-09", "2026-03-10", "2026-03-11"):
        details = {"title": "Oil", "due_on": day, "warranty_expires": day}
        texts |= {f"{kind}, {day}": sentence(kind, details) for kind in (DUE, WARRANTY)}
    for quantity, unit in ((3, "boxes"), (3, None), (0, "boxes")):
        stock = {"quantity": quantity, "unit": unit, "min_quantity": 5}
        texts[f"{LOW}, {quantity} {unit}"] = sentence(LOW, stock)
    golden.said(WORDS / "alerts.txt", texts)


def test_an_alert_is_resolved_acknowledged_or_open() -> None:
    for over, seen, word in (
        (None, None, "Open"),
        (None, NOW, "Acknowledged"),
        (NOW, None, "Resolved"),
        (NOW, NOW, "Resolved"),
    ):
        alert = Alert(asset=Asset(), resolved_at=over, acknowledged_at=seen)
        assert wording.state_of(alert).word == word


def line(**columns: Any) -> RunLine:
    """Store a run and return its line in the list."""
    known: dict[str, Any] = {"kind": RunKind.MANUAL, "actor_name": "Ana"}
    with writing() as current:
        current.add(AlertRun(**known | {"outcome": RunOutcome.DONE} | columns))
    return wording.runs_panel(NOW).lines[0]


def test_the_wording_of_runs_matches_the_golden_file(golden: Golden) -> None:
    counts: dict[str, int] = {LOW: 1, LATE: 1200}
    audiences = {"0+0": {LOW: 1}, "2+0": {LATE: 1200}}
    runs: dict[str, dict[str, Any]] = {
        "nothing due": {},
        "at work": {"outcome": None},
        "one waits": {"outcome": RunOutcome.ASKED, "waiting": 1},
        "two wait": {"outcome": RunOutcome.ASKED, "waiting": 2},
        "of an earlier version": {"counts": counts},
        "marked": {"counts": counts, "is_marking": True},
        "sent": {"counts": counts, "audiences": audiences},
        "sent so far": {"counts": counts, "audiences": audiences, "outcome": None},
        "failed": {"outcome": RunOutcome.FAILED},
        "stopped": {"outcome": RunOutcome.STOPPED},
        "on schedule": {"kind": RunKind.SCHEDULED, "actor_name": SYSTEM.name},
    }
    lines = {name: line(**columns) for name, columns in runs.items()}
    texts = {name: f"{it.tag.word}. {it.fired}. {it.by}." for name, it in lines.items()}
    for heard in (
        *((1, 0), (2, 0), (2, 1), (1, 2), (0, 1), (0, 2), (0, 0)),
        *((2, 0, 1), (1, 1, 2), (0, 1, 1), (0, 0, 2)),
        *((2, 0, 0, 1), (0, 0, 0, 1), (0, 2, 0, 1), (1, 0, 1, 1)),
    ):
        of = [(Audience(*heard), {LATE: 4})]
        texts[f"heard by {heard}"] = wording.audience_words(of)
        texts[f"to be heard by {heard}"] = wording.coming_audience(of)
    golden.said(WORDS / "runs.txt", texts)


def test_the_last_check_is_the_latest_even_if_stored_earlier() -> None:
    for hours in (0, 1):
        at = NOW - timedelta(hours=hours)
        shown = line(started_at=at, finished_at=at)
    assert shown.at == NOW
    status = run_status(NOW)
    assert status.checked_at == NOW
    assert status.last
    assert status.last.finished_at == NOW


def test_a_queued_run_is_slow_after_15_seconds_and_a_running_one_is_not() -> None:
    runs.request_run(SYSTEM)
    later = NOW + timedelta(seconds=15)
    for now, is_slow in ((later, False), (later + timedelta(microseconds=1), True)):
        panel = wording.runs_panel(now)
        assert panel.tag.word == "Queued"
        assert (panel.is_slow, panel.is_live, panel.announcement) == (is_slow, True, "")
    with writing() as current:
        current.execute(update(Task).values(state="running", counts={"fired": 1, "passed": 3}))
    panel = wording.runs_panel(later + timedelta(hours=1))
    assert (panel.working.startswith("1 "), panel.is_slow) == (True, False)
    assert (panel.tag, panel.lines[0].tag) == (ALERT_RUN["working"], ALERT_RUN["working"])


def test_the_wording_of_unfired_alerts_matches_the_golden_file(golden: Golden) -> None:
    stock = Asset(quantity=48, min_quantity=15, unit="pieces", status="available")
    asset = Asset(status="lost")
    sent = Alert(fired_at=NOW - timedelta(days=1), is_sent=True)
    by: dict[str, Any] = {LATE: NOW, DUE: NOW.date(), LOW: 48, WARRANTY: NOW.date()}
    status = replace(run_status(NOW), next_at=NOW + timedelta(hours=20), needs_first_answer=False)
    texts = {}
    for event, kept in [*why_not.WORDS, *((event, Kept.SENT) for event in by), (LATE, Kept.OFF)]:
        at = by[event] + timedelta(days=41) if kept is Kept.EARLY else by[event]
        alert = sent if kept is Kept.SENT else None
        answer = Answer(event=event, kept=kept, by=at, title="Oil", alert=alert)
        texts[f"{event}, {kept}"] = why_not.sentence(
            stock if event is LOW else asset, answer, status
        )
    coming = Answer(event=LOW, kept=None, by=3)
    texts["to come"] = why_not.sentence(stock, coming, status)
    texts["to be decided"] = why_not.sentence(
        stock, coming, replace(status, needs_first_answer=True)
    )
    marked = replace(coming, kept=Kept.SENT, alert=Alert(fired_at=NOW, is_sent=False))
    texts["marked"] = why_not.sentence(stock, marked, status)
    texts["never checked"], texts["checked"] = why_not.last_check(None), why_not.last_check(NOW)
    golden.said(WORDS / "why_not.txt", texts)


def test_the_wording_of_a_kind_matches_the_golden_file(golden: Golden) -> None:
    status = run_status(NOW)
    make_asset("Pixel 8", warranty_expires=NOW.date() + timedelta(days=41))
    texts = {}
    for due, coming, asks in (
        (0, 0, False),
        (1, 0, False),
        (3, 0, False),
        (3, 1, False),
        (9, 7, False),
        (3, 3, True),
    ):
        tags = [f"AST-{number}" for number in range(min(coming, 3))]
        counts = DueNow({WARRANTY: due}, {WARRANTY: coming}, {WARRANTY: tags})
        it = replace(status, needs_first_answer=asks)
        words = why_not.of_kind(WARRANTY, counts, it, NOW, is_on=True)
        texts[f"{due} due, {coming} to send, {asks}"] = f"{due} due now{words}"
    words = why_not.of_kind(LOW, DueNow({LOW: 3}, {}, {}), status, NOW, is_on=False)
    texts["off"] = f"3 due now{words}"
    golden.said(WORDS / "kinds.txt", texts)


def test_fired_warranties_are_singular_or_plural() -> None:
    assert fired_words({WARRANTY: 1}) == "1 warranty ends soon"
    assert fired_words({WARRANTY: 2, LATE: 1}) == "1 overdue, 2 warranties end soon"
