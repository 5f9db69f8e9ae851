"""Where a delivery's time went, what each attempt is called, and what the caller is told of it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest

from portal.engine.reasons import Reason
from portal.lib.clock import utcnow
from portal.models.deliveries import Priority
from portal.services.deliveries import detail
from portal.services.deliveries.detail import find_delivery
from portal.services.operations import sending
from portal.web.deliveries.presenter import page_of, times_of
from portal.web.deliveries.request import sent_of
from portal.web.deliveries.steps import phases_in_words, steps_of
from portal.web.deliveries.wording import advice_while_off, for_the_caller, repeat_warning
from tests.support.deliveries import lease, make_attempt, make_delivery, stored
from tests.support.factories import make_user, make_webhook
from tests.support.golden.expected_file import Golden

pytestmark = pytest.mark.usefixtures("in_a_request")
MINUTE = timedelta(minutes=1)
SIGNATURE = "X-Asset-Webhook-Signature"


def start() -> datetime:
    """When it was stored."""
    return utcnow() - timedelta(minutes=20)


def attempt(made: UUID, minutes: int, **columns: Any) -> None:
    at = stored(made)["created_at"] + minutes * MINUTE
    make_attempt(made, started_at=at, finished_at=at, **columns)


def labels(made: UUID) -> list[tuple[str, str]]:
    """What its time went to, of what is still going on without how long."""
    return [(label, length) for label, length in times_of(find_delivery(made))]


def test_before_any_attempt_its_time_went_to_waiting_here() -> None:
    for status, told in (
        ("queued", [("Waiting here, so far", "20 minutes")]),
        ("dismissed", []),
        ("on_hold", []),
    ):
        assert labels(make_delivery(status=status, created_at=start())) == told, status


def test_what_is_paused_untried_waits_here_as_well() -> None:
    hook = make_webhook(throttled=True, backoff_until=utcnow() + MINUTE)
    made = make_delivery(hook, created_at=start())
    assert labels(made) == [("Waiting here, so far", "20 minutes")]


def test_since_its_last_attempt_it_waits_for_the_retry_while_there_is_one() -> None:
    for status, retry in (("retrying", "18 minutes"), ("failed", ""), ("queued", "")):
        made = make_delivery(status=status, created_at=start(), due_at=utcnow() + MINUTE)
        attempt(made, 2, phases={"total": 3000})
        told = dict(labels(made))
        assert told.pop("Waiting for the retry", "") == retry, status
        assert told == {"Waiting here": "2 minutes", "At their server": "3 seconds"}, status


def test_where_early_attempts_are_left_out_no_sums_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(detail, "MOST_ATTEMPTS", 2)
    made = make_delivery(status="failed", created_at=start())
    for minutes in (1, 2, 3):
        attempt(made, minutes)
    assert labels(made) == []
    titles = [each.title for each in steps_of(find_delivery(made))]
    assert titles == ["Happened", "Stored", "Attempt 2", "Attempt 3"]
    assert "have failed since" not in for_the_caller(find_delivery(made))
    assert page_of(find_delivery(made)).earlier_attempts == 1


ATTEMPTS: Final[dict[str, list[dict[str, Any]]]] = {
    "one without an answer": [{"reason": "read_timeout"}],
    "two without": [{"reason": "refused"}, {"reason": "read_timeout"}, {"reason": "reset"}],
    "refused, then arrived": [{"reason": "refused"}, {"outcome": "delivered"}],
    "reset, then arrived": [{"reason": "reset"}, {"outcome": "delivered"}],
    "arrived three times": [{"outcome": "delivered"}] * 3,
    "went out twice": [{"reason": "refused"}, {"reason": "server", "phases": {"again": 1}}],
    "answered": [{"reason": "server", "phases": {"total": 1}}],
}


def test_that_the_receiver_may_have_it_twice_is_written_down(golden: Golden) -> None:
    said = {}
    for name, attempts in ATTEMPTS.items():
        made = make_delivery(status="failed")
        for each in attempts:
            make_attempt(made, **each)
        said[name] = repeat_warning(find_delivery(made))
    golden.said(Path(__file__).parent / "golden" / "repeats.txt", said)


def test_what_is_being_sent_is_no_attempt_of_which_nobody_knows_the_end() -> None:
    made = make_delivery()
    make_attempt(made, reason="read_timeout")
    lease(made)
    assert repeat_warning(find_delivery(made)) == ""


def test_each_attempt_is_called_by_who_made_it_and_how_it_ended() -> None:
    made = make_delivery(status="delivered", created_at=start())
    for columns in (
        {"reason": "server", "code": 500},
        {"kind": "manual", "actor": "Ana", "reason": "dns"},
        {"kind": "manual", "outcome": "interrupted"},
        {"outcome": "delivered", "code": 204, "phases": {"total": 1500}},
    ):
        attempt(made, 2, **columns)
    first, stored, picked, *rest = steps_of(find_delivery(made))
    assert (first.title, stored.text) == ("Happened", "")
    assert (picked.title, picked.text) == ("Picked up", "It had waited here for 2 minutes.")
    told = [(each.title, each.tone, each.text, each.side) for each in rest]
    receiver = "Receiver"
    assert told == [
        ("Attempt 1", "danger", "Server error (500).", receiver),
        ("Retry by Ana", "danger", "Server not found.", told[1][3]),
        ("Retry", "warning", "Interrupted.", told[2][3]),
        ("Attempt 4", "success", "Delivered. The receiver answered 204.", ""),
    ]
    assert told[1][3]
    assert [each.took for each in rest] == ["", "", "", "2 seconds"]


def test_where_a_workers_clock_is_behind_nothing_had_waited_for_less_than_no_time() -> None:
    made = make_delivery(status="delivered", created_at=start())
    attempt(made, -2, outcome="delivered", code=204)
    picked = steps_of(find_delivery(made))[2]
    assert picked.text == "It had waited here for 0 ms."


def test_before_any_attempt_it_is_said_that_it_cannot_be_lost() -> None:
    _, stored, _ = steps_of(find_delivery(make_delivery()))
    assert stored.text == "From here on it cannot be lost."
    test, *_ = steps_of(find_delivery(make_delivery(priority=Priority.TEST)))
    assert test.text.startswith("A person pressed Test webhook")


def test_phases_are_told_in_their_order_and_those_that_were_not_needed_left_out() -> None:
    phases = {"total": 9, "first_byte": 8, "tls": 4, "connect": 3, "name": 2, "again": 1}
    assert phases_in_words(phases) == (
        "sent once more, because the connection kept open had ended, after 1 ms, "
        "name found after 2 ms, connected after 3 ms, connection secure after 4 ms, "
        "first byte of the answer after 8 ms, finished after 9 ms"
    )
    assert phases_in_words({"total": 9, "name": None}) == "finished after 9 ms"


AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def failed(reason: str, **columns: Any) -> UUID:
    made = make_delivery(make_webhook(name="Sync"), status="failed", reason=reason, **columns)
    make_attempt(made, reason=reason, code=columns.get("code"), started_at=AT, finished_at=AT)
    return made


@pytest.mark.parametrize(
    ("reason", "code", "acts"),
    [
        (Reason.RATE, 429, "Nobody has to act."),
        (Reason.SERVER, 500, "The receiver's owner must act."),
        (Reason.REFUSED, None, "The receiver's owner must act."),
        (Reason.GONE, 410, "An administrator (Ada) must act."),
        (Reason.AUTH, 401, "An administrator (Ada) must act."),
        (Reason.DNS, None, "An administrator (Ada) must act."),
    ],
)
def test_the_caller_is_told_who_must_act(reason: Reason, code: int | None, acts: str) -> None:
    make_user("admin", name="Ada")
    told = for_the_caller(find_delivery(failed(str(reason), code=code)))
    assert acts in told
    assert ("check their log" in told) is (reason in (Reason.RATE, Reason.SERVER, Reason.GONE))


def test_the_caller_is_told_what_comes_next_while_all_sending_is_stopped() -> None:
    made = failed("server", code=500)
    retried = make_delivery(status="retrying", reason="server", code=500)
    make_attempt(retried, reason="server", code=500)
    sending.stop(make_user("admin").actor)
    assert "once someone retries it" in for_the_caller(find_delivery(made))
    assert "once that is started again" in for_the_caller(find_delivery(retried))


def test_what_waits_in_a_bulk_retry_is_told_in_place_of_what_comes_next() -> None:
    taken = "It waits in a bulk retry."
    told = for_the_caller(find_delivery(failed("server", code=500)), taken)
    assert taken in told
    assert "presses Retry" not in told


def test_turning_its_webhook_on_is_advised_only_where_that_would_help() -> None:
    off = make_webhook(state="off")
    deleted = make_webhook(state="off", deleted_at=utcnow())
    assert advice_while_off(find_delivery(make_delivery(off, status="on_hold"))) is not None
    for made in (
        make_delivery(),
        make_delivery(deleted),
        make_delivery(off, status="delivered"),
        make_delivery(off, priority=Priority.TEST),
    ):
        assert advice_while_off(find_delivery(made)) is None


def test_what_was_sent_is_told_of_the_newest_attempt_without_its_signatures() -> None:
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
