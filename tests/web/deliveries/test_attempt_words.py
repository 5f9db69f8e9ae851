"""Names and results of attempts, and the warning about a possible repeat."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest

from portal.lib.clock import utcnow
from portal.services.deliveries import detail
from portal.services.deliveries.detail import find_delivery
from portal.web.deliveries.presenter import page_of
from portal.web.deliveries.request import sent_of
from portal.web.deliveries.steps import phases_in_words
from portal.web.deliveries.wording import repeat_warning
from tests.support.deliveries import lease, make_attempt, make_delivery, stored
from tests.support.factories import make_webhook
from tests.support.golden.expected_file import Golden

pytestmark = pytest.mark.usefixtures("in_a_request")
MINUTE = timedelta(minutes=1)
SIGNATURE = "X-Asset-Webhook-Signature"


def attempt(made: UUID, minutes: int, **columns: Any) -> datetime:
    at: datetime = stored(made)["created_at"] + minutes * MINUTE
    make_attempt(made, started_at=at, finished_at=at, **columns)
    return at


def test_omitted_early_attempts_keep_the_numbering_and_first_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(detail, "MOST_ATTEMPTS", 2)
    first = utcnow() - 9 * MINUTE
    made = make_delivery(status="failed", failing_since=first)
    for minutes in (1, 2, 3):
        attempt(made, minutes, reason="server", code=500)
    page = page_of(find_delivery(made))
    assert [row.who for row in page.attempts] == ["Attempt 3", "Attempt 2"]
    assert f"First failed attempt: {first:%b} {first.day}, {first.year}, " in page.update


ATTEMPTS: Final[dict[str, list[dict[str, Any]]]] = {
    "one without an answer": [{"reason": "read_timeout"}],
    "two without": [{"reason": "refused"}, {"reason": "read_timeout"}, {"reason": "reset"}],
    "refused, then arrived": [{"reason": "refused"}, {"outcome": "delivered"}],
    "reset, then arrived": [{"reason": "reset"}, {"outcome": "delivered"}],
    "arrived three times": [{"outcome": "delivered"}] * 3,
    "went out twice": [{"reason": "refused"}, {"reason": "server", "phases": {"again": 1}}],
    "answered": [{"reason": "server", "phases": {"total": 1}}],
}


def test_repeat_warnings_match_the_golden_file(golden: Golden) -> None:
    warnings = {}
    for name, attempts in ATTEMPTS.items():
        made = make_delivery(status="failed")
        for columns in attempts:
            make_attempt(made, **columns)
        warnings[name] = repeat_warning(find_delivery(made))
    golden.said(Path(__file__).parent / "golden" / "repeats.txt", warnings)


def test_an_attempt_in_progress_gives_no_repeat_warning() -> None:
    made = make_delivery()
    make_attempt(made, reason="read_timeout")
    lease(made)
    assert repeat_warning(find_delivery(made)) == ""


def test_each_attempt_names_its_initiator_and_result() -> None:
    made = make_delivery(status="delivered", created_at=utcnow() - 20 * MINUTE)
    for columns in (
        {"reason": "server", "code": 500},
        {"kind": "manual", "actor": "Ana", "reason": "dns"},
        {"kind": "manual", "outcome": "interrupted"},
        {"outcome": "delivered", "code": 204, "phases": {"total": 1500}},
    ):
        attempt(made, 2, **columns)
    lease(made)
    rows = page_of(find_delivery(made)).attempts
    assert [(row.who, row.tone, row.result, row.side, row.took) for row in rows] == [
        ("Attempt 5", "info", "Sending now", "", ""),
        ("Attempt 4", "success", "Delivered (204)", "", "2 seconds"),
        ("Retry", "warning", "Interrupted", "This portal", ""),
        ("Retry by Ana", "danger", "Server not found", "Webhook settings", ""),
        ("Attempt 1", "danger", "Server error (500)", "Receiver", ""),
    ]


def test_phases_are_listed_in_order_without_skipped_ones() -> None:
    phases = {"total": 9, "first_byte": 8, "tls": 4, "connect": 3, "name": 2, "again": 1}
    assert phases_in_words(phases) == (
        "resent on a new connection after 1 ms, name found after 2 ms, connected after 3 ms, "
        "connection secure after 4 ms, first byte of the response after 8 ms, finished after 9 ms"
    )
    assert phases_in_words({"total": 9, "name": None}) == "finished after 9 ms"


def test_the_request_shown_is_the_newest_with_signatures_masked() -> None:
    made = make_delivery(make_webhook("https://new.example.com/hook"), status="failed")
    for number, host in enumerate(("one", "two")):
        make_attempt(
            made,
            reason="dns" if number else "server",
            url=f"https://{host}.example.com/hook",
            request_headers=[[SIGNATURE, f"s{number}"], ["X-Number", f"{number}"]],
        )
    make_attempt(made, reason="dns", url="https://three.example.com/hook")
    sent = sent_of(find_delivery(made))
    assert sent.url == "https://three.example.com/hook"
    assert sent.url_now == "https://new.example.com/hook"
    assert list(sent.headers) == [(SIGNATURE, "••••"), ("X-Number", "1")]
    assert (sent.is_signed, sent.was_sent) == (True, True)
    never = make_delivery(status="failed")
    make_attempt(never, reason="dns", request_headers=[[f"{SIGNATURE}-Next", "s"]])
    sent = sent_of(find_delivery(never))
    assert (sent.url_now, sent.is_signed, sent.was_sent) == ("", True, False)
    assert list(sent.headers) == [(f"{SIGNATURE}-Next", "••••")]
    unsent = sent_of(find_delivery(make_delivery()))
    assert (unsent.is_signed, unsent.was_sent, unsent.headers) == (False, False, ())
