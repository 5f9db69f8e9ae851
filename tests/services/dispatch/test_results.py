"""The stored result of an attempt: all data of the transport, masked, in milliseconds."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import delete

from portal.engine.http.exchange import Exchange, Phases
from portal.engine.http.transport import prepare
from portal.engine.reasons import Reason
from portal.engine.retry_policy import Outcome
from portal.extensions import db
from portal.lib.clock import utcnow
from portal.models.deliveries import Attempt, AttemptBody, Lease
from portal.services.core.unit_of_work import writing
from portal.services.dispatch.claim import Claim
from portal.services.dispatch.request import Composer, Result, of_exchange, unsent
from tests.jobs.dispatcher.delivery_clock import claim, ended, make_due, write_down
from tests.support.factories import make_webhook, publish

pytestmark = pytest.mark.both_databases

KEY, DOTS = "a-key-of-theirs", "••••"


@pytest.fixture
def claimed(app: Flask) -> Claim:
    """Claim a delivery of a webhook with a custom header."""
    del app
    make_webhook("https://erp.example.com/hook", headers=[("X-Key", KEY)])
    publish()
    (only,) = claim()
    return only


def answered(claimed: Claim) -> Result:
    """Return the result of a redirect that repeats the key wherever it can."""
    sent = Composer("1").compose(claimed)
    headers = (("Location", f"/in?key={KEY}"), (f"X-{KEY}", KEY), ("Retry-After", "90"))
    exchange = Exchange(
        key=1,
        request=prepare(sent.url, sent.headers, sent.body),
        reason=Reason.REDIRECT,
        code=302,
        phases=Phases(0.00123, 0.0345, 0.06789, 0.5, 1.23456, None),
        peer="192.0.2.7:443",
        certificate_ends_at=utcnow() + timedelta(days=9),
        response_headers=headers,
        body=f"No {KEY}.".encode(),
        truncated=True,
        detail=f"{KEY} is wrong",
        is_unreached=True,
    )
    result = of_exchange(claimed, exchange, sent)
    assert result.certificate_ends_at == exchange.certificate_ends_at
    return result


PHASES = {"name": 1.2, "connect": 34.5, "tls": 67.9, "first_byte": 500.0, "total": 1234.6}
BODY: dict[str, Any] = {
    "response_headers": [
        ("Location", f"/in?key={DOTS}"),
        (f"X-{DOTS}", DOTS),
        ("Retry-After", "90"),
    ],
    "response_text": f"No {DOTS}.",
    "is_truncated": True,
    "location": f"https://erp.example.com/in?key={DOTS}",
    "detail": f"{DOTS} is wrong",
}


def test_a_result_holds_the_whole_response_without_secrets(claimed: Claim) -> None:
    before = utcnow()
    result = answered(claimed)
    assert before <= result.finished_at <= utcnow()
    assert dict(result.request_headers)["X-Key"] == DOTS
    assert result == Result(
        claim=claimed,
        outcome=Outcome(Reason.REDIRECT, 302, 90.0, may_differ=True),
        phases=PHASES,
        peer="192.0.2.7:443",
        certificate_ends_at=result.certificate_ends_at,
        request_headers=result.request_headers,
        finished_at=result.finished_at,
        is_unreached=True,
        **BODY,
    )
    assert result.took_ms == 1235


def test_the_time_of_a_resend_is_recorded_only_if_there_was_one(claimed: Claim) -> None:
    sent = Composer("1").compose(claimed)
    request = prepare(sent.url, sent.headers, sent.body)
    exchange = Exchange(1, request, None, 200, phases=Phases(total=0.02, again=0.01))
    nothing = dict.fromkeys(("name", "connect", "tls", "first_byte"))
    result = of_exchange(claimed, exchange, sent)
    assert result.phases == {**nothing, "total": 20.0, "again": 10.0}
    assert (result.outcome, result.location) == (Outcome(None, 200), None)


def test_an_unsent_result_holds_only_its_reason(claimed: Claim) -> None:
    result = unsent(claimed, Reason.BAD_HEADERS, "Not allowed")
    assert result == ended(claimed, Reason.BAD_HEADERS)._replace(
        outcome=Outcome(Reason.BAD_HEADERS),
        phases={},
        detail="Not allowed",
        finished_at=result.finished_at,
    )


def lose_the_lease() -> None:
    with writing() as current:
        current.execute(delete(Lease))


def go_on_without_it() -> None:
    make_due()
    claim()


@pytest.mark.parametrize("meanwhile", [lambda: None, lose_the_lease, go_on_without_it])
def test_a_whole_result_is_stored_even_if_it_comes_late(
    claimed: Claim, meanwhile: Callable[[], None]
) -> None:
    result = answered(claimed)
    meanwhile()
    write_down(result)
    db.session.rollback()
    attempt, body = db.session.query(Attempt).one(), db.session.query(AttemptBody).one()
    stored = {name: getattr(body, name) for name in BODY}
    stored["response_headers"] = [(name, value) for name, value in stored["response_headers"]]
    assert (stored, body.attempt_id) == (BODY, attempt.id)
    assert body.request_headers == [list(each) for each in result.request_headers]
    columns = {each.key: getattr(attempt, each.key) for each in Attempt.__table__.columns}
    assert columns == {
        "id": attempt.id,
        "delivery_id": claimed.delivery_id,
        "number": 1,
        "kind": "scheduled",
        "actor": None,
        "url": "https://erp.example.com/hook",
        "outcome": "failed",
        "reason": "redirect",
        "code": 302,
        "phases": PHASES,
        "peer": "192.0.2.7:443",
        "certificate_ends_at": result.certificate_ends_at,
        "started_at": claimed.started_at,
        "finished_at": result.finished_at,
    }
