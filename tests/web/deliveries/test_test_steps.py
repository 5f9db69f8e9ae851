"""The steps of a test, and the step at which each reason ends it."""

from datetime import timedelta
from typing import Any

import pytest

from portal.engine.reasons import Reason
from portal.lib.clock import utcnow
from portal.models.deliveries import Priority
from portal.services.deliveries.detail import find_delivery
from portal.web.deliveries.steps import STEPS, State, TestStep, steps_of_test
from tests.support.deliveries import lease, make_attempt, make_delivery

pytestmark = pytest.mark.usefixtures("in_a_request")
ENDED_BY = {
    "picked": (Reason.BAD_HEADERS, Reason.INTERNAL),
    "name": (Reason.DNS,),
    "connect": (Reason.BLOCKED, Reason.REFUSED, Reason.CONNECT_TIMEOUT, Reason.UNREACHABLE),
    "tls": (Reason.TLS_EXPIRED, Reason.TLS_UNTRUSTED, Reason.TLS_NAME, Reason.TLS_OTHER),
    "answer": (Reason.READ_TIMEOUT, Reason.RESET, Reason.SERVER, Reason.INTERRUPTED),
}
FAILED = {
    "picked": "Couldn’t build the request",
    "name": "Server not found",
    "connect": "Not connected",
    "tls": "No secure connection",
    "answer": "No response",
}


def steps(status: str = "failed", **attempt: Any) -> list[TestStep]:
    """Return the steps of a test with this attempt, or without an attempt if none is given."""
    made = make_delivery(status=status, priority=Priority.TEST)
    if attempt:
        make_attempt(made, kind="test", **attempt)
    return steps_of_test(find_delivery(made))


def test_each_reason_fails_its_step_and_no_later_one_is_reached() -> None:
    for end, reason in [(end, reason) for end, reasons in ENDED_BY.items() for reason in reasons]:
        shown = steps(reason=str(reason), phases={"total": 2000})
        place = STEPS.index(end)
        states = [step.state for step in shown]
        assert states == [State.DONE] * place + [State.FAILED] + [State.LATER] * (4 - place), end
        assert (shown[place].title, shown[place].after) == (FAILED[end], "2 seconds"), end
        assert {step.text for step in shown[place + 1 :]} <= {"Not reached."}, end


def test_an_error_response_is_shown_with_code_and_duration() -> None:
    *_, last = steps(reason="server", code=500, phases={"total": 250})
    assert (last.title, last.state) == ("Responded with 500 in 250 ms", State.FAILED)
    assert last.text == "Server error."


def test_each_step_of_a_delivered_test_says_where_and_how_long() -> None:
    ends_at = utcnow() + timedelta(days=90)
    shown = steps(
        "delivered",
        outcome="delivered",
        code=204,
        peer="203.0.113.9",
        certificate_ends_at=ends_at,
        phases={"name": 10, "connect": 20, "tls": 30, "total": 40},
    )
    assert [(step.title, step.text, step.after) for step in shown[1:3]] == [
        ("Server found", "receiver.example.com", "10 ms"),
        ("Connected", "To 203.0.113.9", "20 ms"),
    ]
    assert (shown[3].title[:23], shown[3].after) == ("Certificate valid until", "30 ms")
    assert shown[4].title == "Responded with 204 in 40 ms"
    assert {step.state for step in shown} == {State.DONE}


def test_plain_http_has_no_certificate_and_an_ip_address_no_lookup() -> None:
    shown = steps("delivered", outcome="delivered", code=200, url="http://203.0.113.9/x")
    assert [step.title for step in shown[1:4]] == [
        "No DNS lookup needed",
        "Connected",
        "No certificate",
    ]
    assert [step.state for step in shown[1:4]] == [State.DONE, State.DONE, State.NOTED]
    assert shown[1].text == "The URL has an IP address: 203.0.113.9"
    assert "others on the network" in shown[3].text
    here = steps("delivered", outcome="delivered", code=200, url="http://127.0.0.1:9101/x")
    assert here[3].text == "Not encrypted. The URL starts with http://."
    shown = steps(reason="refused", url="http://receiver.example.com/")
    assert [step.title for step in shown[3:]] == ["Wait for the response"]


def test_an_unfinished_test_has_one_step_in_progress() -> None:
    ahead = ["Find the server", "Connect to the server", "Secure the connection"]
    shown = steps("queued")
    assert [step.title for step in shown][:4] == ["Waiting for a delivery worker", *ahead]
    assert [step.state for step in shown] == [State.NOW] + [State.LATER] * 4
    assert {step.state for step in steps("dismissed")} == {State.LATER}
    made = make_delivery(priority=Priority.TEST)
    lease(made, kind="test")
    shown = steps_of_test(find_delivery(made))
    assert [step.state for step in shown] == [State.DONE, State.NOW] + [State.LATER] * 3
    assert shown[0].title == "Picked up"


def test_a_normal_delivery_has_no_steps() -> None:
    made = make_delivery(status="failed")
    make_attempt(made, reason="dns")
    assert steps_of_test(find_delivery(made)) == []
