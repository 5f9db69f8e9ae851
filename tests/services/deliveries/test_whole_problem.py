"""All that is told of a problem: every fact of it."""

from datetime import timedelta

import pytest

from portal.engine.reasons import Reason
from portal.lib.clock import utcnow
from portal.services.core.unit_of_work import session
from portal.services.deliveries import problems as delivery_problems
from portal.services.deliveries import problems as problem_groups
from portal.services.deliveries.problems import Group, Problem
from portal.services.webhooks.queries import WebhookStatus
from tests.services.deliveries.test_problems import fail
from tests.support.deliveries import make_delivery, stored
from tests.support.factories import make_webhook

pytestmark = [pytest.mark.usefixtures("app"), pytest.mark.both_databases]
MINUTE = timedelta(minutes=1)


def test_of_a_problem_every_fact_is_told() -> None:
    now = utcnow()
    pause = {"throttled": True, "backoff_until": now + 9 * MINUTE, "failures_in_row": 6}
    hook = make_webhook(name="ERP", last_delivered_at=now - 9 * MINUTE, **pause)
    first = fail(hook, created_at=now - 8 * MINUTE, finished_at=now - 3 * MINUTE)
    retried = {"status": "retrying", "reason": "server", "code": 500, "tries": 3}
    make_delivery(hook, **retried, created_at=now - 7 * MINUTE, due_at=now + 10 * MINUTE)
    last = make_delivery(hook, **retried, created_at=now - 6 * MINUTE, due_at=now + MINUTE)
    assert delivery_problems.find_problems() == [
        Problem(
            webhook_id=hook.public_id,
            webhook_name="ERP",
            is_deleted=False,
            standing=WebhookStatus.PAUSED,
            reason=Reason.SERVER,
            code=500,
            count=3,
            failed=1,
            retryable=3,
            first_at=now - 8 * MINUTE,
            last_at=now - 6 * MINUTE,
            failed_at=now - 3 * MINUTE,
            has_recovered=False,
            is_paused=True,
            next_retry_at=now + 9 * MINUTE,
            waits_behind=0,
            earlier=None,
            is_earlier_of_some=False,
        )
    ]
    assert problem_groups.find_groups(session(), utcnow()) == [
        Group(
            webhook_id=hook.id,
            reason=Reason.SERVER,
            count=3,
            failed=1,
            first_id=stored(first)["id"],
            last_id=stored(last)["id"],
            codes=(500, 500),
            failed_at=now - 3 * MINUTE,
            due_at=now + MINUTE,
        )
    ]
