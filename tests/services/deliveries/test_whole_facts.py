"""Every field of a log row, a delivery's page, and its attempts is filled."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from portal.models.deliveries import DeliveryStatus
from portal.services.deliveries import log as log_pages
from portal.services.deliveries.detail import AttemptDetail, DeliveryDetail, find_delivery
from portal.services.deliveries.log import LogRow
from portal.services.deliveries.statuses import LogFilter
from tests.support.deliveries import lease, make_attempt, make_delivery, stored
from tests.support.factories import Hook, make_webhook

pytestmark = pytest.mark.usefixtures("app")
MINUTE = timedelta(minutes=1)
HAPPENED = datetime(2026, 5, 3, 16, 0, 12, tzinfo=UTC)
STORED, STARTED, ENDED, DUE, OFF = (HAPPENED + each * MINUTE for each in (1, 2, 3, 4, 5))
ADDRESS = "https://receiver.example.com/hook"
ACT = UUID("0194a000-0000-7000-8000-000000000001")
DISMISSED = {"dismissed_by": "Ben", "dismissed_at": ENDED, "dismissed_reason": "Known"}


@pytest.fixture
def hook() -> Hook:
    """Return a webhook that is off."""
    return make_webhook(ADDRESS, name="ERP", state="off", off_at=OFF)


@pytest.fixture
def failed(hook: Hook) -> UUID:
    """Return a failed delivery without usual values."""
    return make_delivery(
        hook,
        event="asset.deleted",
        asset_id=8,
        asset_tag="LAP-8",
        asset_name="Laptop",
        body=b"{}",
        occurred_at=HAPPENED,
        created_at=STORED,
        status="failed",
        due_at=DUE,
        tries=3,
        requested_by="Ana",
        **DISMISSED,
        dismissal_id=ACT,
        reason="server",
        code=503,
        took_ms=1200,
        finished_at=ENDED,
    )


def attempted(made: UUID) -> None:
    """Store an attempt with every field recorded."""
    make_attempt(
        made,
        kind="manual",
        actor="Ana",
        url=ADDRESS,
        outcome="failed",
        reason="server",
        code=503,
        phases={"total": 1200},
        peer="192.0.2.7",
        certificate_ends_at=DUE,
        started_at=STARTED,
        finished_at=ENDED,
        request_headers=[["X-Number", 7]],
        response_headers=[["Server", "theirs"]],
        response_text="busy",
        is_truncated=True,
        location="/elsewhere",
        detail="in detail",
    )


ATTEMPT = AttemptDetail(
    number=1,
    kind="manual",
    actor="Ana",
    url=ADDRESS,
    is_being_sent=False,
    is_delivered=False,
    is_interrupted=False,
    reason="server",
    code=503,
    phases={"total": 1200},
    peer="192.0.2.7",
    certificate_ends_at=DUE,
    started_at=STARTED,
    finished_at=ENDED,
    request_headers=[("X-Number", "7")],
    body=b"{}",
    response_headers=[("Server", "theirs")],
    response_text="busy",
    is_truncated=True,
    location="/elsewhere",
    detail="in detail",
)


def test_an_attempt_shows_every_recorded_field(failed: UUID) -> None:
    attempted(failed)
    assert find_delivery(failed).attempts == [ATTEMPT]
    for outcome in ("delivered", "interrupted"):
        make_attempt(failed, outcome=outcome, response_text="ok")
    ends = [
        (attempt.is_delivered, attempt.is_interrupted, attempt.is_truncated)
        for attempt in find_delivery(failed).attempts
    ]
    assert ends == [(False, False, True), (True, False, False), (False, True, False)]


@pytest.mark.parametrize("seconds", [60, -1])
def test_an_attempt_in_progress_is_described_by_its_lease(failed: UUID, seconds: float) -> None:
    lease(failed, seconds, kind="manual", actor="Ana", number=4, started_at=STARTED)
    assert find_delivery(failed).attempts == [
        AttemptDetail(
            number=4,
            kind="manual",
            actor="Ana",
            url=ADDRESS,
            is_being_sent=seconds > 0,
            is_delivered=False,
            is_interrupted=seconds < 0,
            reason=None,
            code=None,
            phases={},
            peer=None,
            certificate_ends_at=None,
            started_at=STARTED,
            finished_at=None,
            request_headers=(),
            response_headers=(),
            response_text="",
            is_truncated=False,
            location="",
            detail="",
        )
    ]


def test_the_page_of_a_delivery_gets_every_field(hook: Hook, failed: UUID) -> None:
    attempted(failed)
    delivery = find_delivery(failed)
    assert delivery == DeliveryDetail(
        row_id=stored(failed)["id"],
        public_id=failed,
        event="asset.deleted",
        asset_id=8,
        asset_tag="LAP-8",
        asset_name="Laptop",
        occurred_at=HAPPENED,
        created_at=STORED,
        body_now=b"{}",
        post_now=None,
        status=DeliveryStatus.FAILED,
        is_being_sent=False,
        is_test=False,
        is_manual=False,
        webhook_id=hook.public_id,
        webhook_name="ERP",
        webhook_format=None,
        is_webhook_off=True,
        is_webhook_deleted=False,
        webhook_url=ADDRESS,
        is_inbox=False,
        webhook_off_at=OFF,
        secret_hint="",
        secret_set_at=None,
        webhook_off_until=None,
        due_at=DUE,
        tries=3,
        attempts_made=1,
        requested_by="Ana",
        **DISMISSED,
        dismissal_id=ACT,
        failing_since=STORED,
        reason="server",
        code=503,
        took_ms=1200,
        finished_at=ENDED,
        attempts=[ATTEMPT],
        paused_until=None,
        pause_causes=(),
        is_probe=False,
        paced_until=None,
        before=0,
        ahead=None,
        behind=0,
        stop=None,
        offline=None,
        alike=0,
        now=delivery.now,
    )


def test_a_log_row_gets_every_field(hook: Hook, failed: UUID) -> None:
    attempted(failed)
    (row,) = log_pages.find_page(LogFilter()).page.rows
    assert row == LogRow(
        id=stored(failed)["id"],
        public_id=failed,
        event_id=stored(failed)["event_id"],
        created_at=STORED,
        event="asset.deleted",
        asset_id=8,
        asset_tag="LAP-8",
        asset_name="Laptop",
        webhook_id=hook.public_id,
        webhook_name="ERP",
        is_webhook_active=False,
        is_webhook_deleted=False,
        webhook_off_at=OFF,
        webhook_off_until=None,
        is_in_order=False,
        status=DeliveryStatus.FAILED,
        is_being_sent=False,
        waits_for=None,
        most=8,
        webhook_format=None,
        is_test=False,
        is_manual=False,
        reason="server",
        code=503,
        tries=3,
        attempts=1,
        sent=1,
        next_try_at=None,
        took_ms=1200,
        finished_at=ENDED,
        failing_since=STORED,
        **DISMISSED,
    )
