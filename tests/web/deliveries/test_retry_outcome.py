"""The outcome of a retry is shown where it was requested."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from portal.lib.clock import utcnow
from portal.models.deliveries import Priority
from portal.queue.names import DELIVERIES
from portal.services.core import heartbeats
from portal.services.webhooks import turn_on_off
from tests.services.bulk_retry.test_bulk_retry import finish, set_webhook
from tests.support.deliveries import change, free, lease, make_attempt, make_delivery, stored
from tests.support.factories import make_user, make_webhook
from tests.support.heartbeats import record_own
from tests.support.pages import Page, Pages

AT = datetime(2026, 3, 10, 17, 40, 11, tzinfo=UTC)  # 18:40:11 in Vienna
FAILED = "Retried by Ana at Mar 10, 18:40:11: connection refused."


def end(made: UUID, outcome: str = "failed", **columns: object) -> None:
    """End the manual attempt at `AT`, and leave the delivery as the recorder does."""
    before = stored(made)
    moments = {"started_at": AT, "finished_at": AT + timedelta(seconds=1)}
    make_attempt(made, kind="manual", actor="Ana", outcome=outcome, **{**moments, **columns})
    status = "delivered" if outcome == "delivered" else before["prior_status"]
    ended = {"priority": Priority.NORMAL, "prior_status": None, "prior_due_at": None}
    change(made, status=status, requested_by=None, **ended)


def notices(page: Page) -> list[str]:
    """Return the page's notices, each with its tone."""
    nodes = [node for node in page.root.walk() if "notice" in node.get("class").split()]
    return [
        f"{node.get('class').split()[-1].removeprefix('notice-')}: {node.text}" for node in nodes
    ]


def last_retry(page: Page) -> list[str]:
    """Return the diagnosis's facts about the last retry."""
    facts = [fact.text for fact in page.root.find_all("dl")[0].find_all("div")]
    return [fact.removeprefix("Last retry ") for fact in facts if fact.startswith("Last retry ")]


def press(support: Pages, made: UUID) -> Page:
    """Press Retry on the delivery's page."""
    page = support.get(f"/deliveries/{made}")
    return support.submit(page.form(f"/deliveries/{made}/retry"))


def test_a_failed_retry_says_when_and_why(support: Pages) -> None:
    made = make_delivery(status="failed", tries=10, reason="refused")
    page = press(support, made)
    assert " requested a retry." in page.main
    end(made, reason="refused")
    live = support.client.get(f"/deliveries/{made}/live").get_json()
    assert live["stop"]
    assert FAILED in live["announce"]
    assert last_retry(support.get(f"/deliveries/{made}")) == [
        "Failed Mar 10, 18:40:11: connection refused"
    ]


def test_a_delivered_retry_says_when(support: Pages) -> None:
    made = make_delivery(status="failed", tries=10, reason="refused")
    press(support, made)
    end(made, "delivered", code=200)
    arrived = "Delivered on a retry by Ana at Mar 10, 18:40:12."
    assert last_retry(support.get(f"/deliveries/{made}")) == ["Delivered Mar 10, 18:40:12"]
    assert arrived in support.client.get(f"/deliveries/{made}/live").get_json()["announce"]


def test_a_retry_of_today_is_shown_without_a_date(support: Pages) -> None:
    made = make_delivery(status="failed")
    press(support, made)
    finish(made, "failed")
    (line,) = last_retry(support.get(f"/deliveries/{made}"))
    assert f"{utcnow().year}" not in line


def test_the_outcome_disappears_after_the_next_scheduled_attempt(support: Pages) -> None:
    made = make_delivery(status="retrying", due_at=utcnow() + timedelta(hours=1))
    press(support, made)
    end(made, reason="refused")
    assert last_retry(support.get(f"/deliveries/{made}"))
    make_attempt(made, reason="server", code=500)
    assert last_retry(support.get(f"/deliveries/{made}")) == []


def test_a_delayed_retry_names_the_cause_of_the_delay(support: Pages) -> None:
    hook = make_webhook()
    made = make_delivery(hook, status="failed")
    page = press(support, made)
    assert "Next step" not in page.main
    change(made, due_at=utcnow() - timedelta(seconds=16))

    def said(step: str = "Ask an administrator") -> str:
        main = support.get(page.path).main
        assert f"Next step {step}" in main.replace("Download diagnostics ", "")
        return main

    assert "No delivery worker is running" in said()
    record_own(heartbeats.worker_of(DELIVERIES))
    assert "Other deliveries are ahead of it in the queue" in said()
    set_webhook(hook, throttled=True)
    lease(make_delivery(hook))
    assert f"“{hook.name}” hasn’t responded to an earlier request yet" in said("The delivery might")


def in_row(support: Pages, made: UUID, query: str = "") -> Page:
    """Press Retry in a row of the log."""
    page = support.get(f"/deliveries{query}")
    return support.submit(page.form(f"/deliveries/{made}/retry"))


def test_retry_in_a_row_shows_its_outcome_in_the_list(support: Pages) -> None:
    desk = make_webhook(name="Helpdesk")
    older, made, newer = (make_delivery(desk, status="failed") for _ in range(3))
    page = in_row(support, made, f"?status=failed&webhook={desk.public_id}")
    assert page.response.request.path == "/deliveries"
    assert page.path.endswith(f"status=failed&webhook={desk.public_id}&retried={made}")
    assert [row[4] for row in page.rows()][0::2] == ["", ""]
    assert page.rows()[1][3] == "Retrying"
    assert page.rows()[1][4].startswith("Queued since ")
    assert notices(page) == []
    end(made, reason="refused")
    page = support.get(page.path)
    assert page.rows()[1][3:5] == ["Failed", FAILED]
    end_of_rest = [delivery for delivery in (older, newer) if stored(delivery)["attempts"]]
    assert end_of_rest == []


def test_a_retried_row_stays_listed_though_it_no_longer_matches(support: Pages) -> None:
    make_delivery(status="failed")
    made = make_delivery(status="failed")
    page = in_row(support, made, "?status=failed")
    end(made, "delivered", code=200)
    page = support.get(page.path)
    assert page.rows()[0][4:6] == [
        "Delivered",
        "Delivered on a retry by Ana at Mar 10, 18:40:12.",
    ]
    assert len(page.rows()) == 2
    onward = [link for link in page.links() if "retried=" in link]
    assert onward == []
    assert len(support.get("/deliveries?status=failed").rows()) == 1
    assert support.get(f"/deliveries?code=9&retried={made}").rows() == []


def test_a_row_updates_live_while_its_retry_is_in_progress(support: Pages) -> None:
    made, other = make_delivery(status="failed"), make_delivery()
    page = in_row(support, made)
    (followed,) = [node for node in page.root.walk() if node.has("data-live-url")]
    assert followed.get("id") == f"delivery-{made}"
    live = support.client.get(followed.get("data-live-url")).get_json()
    assert (live["stop"], live["announce"]) == (False, "")
    assert "Queued since" in live["html"]
    assert f'name="delivery" value="{made}"' in live["html"]
    lease(made)
    live = support.client.get(followed.get("data-live-url")).get_json()
    assert "Sending since" in live["html"]
    free(made)
    end(made, reason="refused")
    live = support.client.get(followed.get("data-live-url")).get_json()
    assert live["stop"]
    assert live["announce"] == FAILED
    assert f'action="/deliveries/{made}/retry"' in live["html"]
    assert str(other) not in live["html"]


def test_a_row_says_why_its_retry_waits(support: Pages) -> None:
    hook = make_webhook()
    made = make_delivery(hook, status="failed")
    page = in_row(support, made)
    change(made, due_at=utcnow() - timedelta(seconds=16))
    line = support.get(page.path).rows()[0][5]
    assert line.endswith(". No delivery worker is running. Refresh")
    set_webhook(hook, backoff_until=utcnow() + timedelta(minutes=5), throttled=True)
    change(made, priority=Priority.BULK)
    assert " is paused until " in (support.get(page.path).rows()[0][5])
    set_webhook(hook, state="off")
    assert support.get(page.path).rows()[0][5].endswith(" is off.")


def test_a_refused_retry_returns_to_the_list_and_says_why(support: Pages) -> None:
    hook = make_webhook(name="Sync")
    made = make_delivery(hook, status="failed")
    form = support.get("/deliveries?status=failed").form(f"/deliveries/{made}/retry")
    turn_on_off.turn_off(make_user().actor, hook.public_id)
    page = support.submit(form)
    assert page.response.request.path == "/deliveries"
    assert notices(page) == ["warning: “Sync” is off. To send this delivery, turn the webhook on."]


def test_retry_on_an_assets_page_returns_there(support: Pages) -> None:
    made = make_delivery(status="failed", asset_id=7)
    support.get(f"/deliveries/{made}")
    elsewhere = {"back": "//evil.example.com/deliveries"}
    page = support.post(f"/deliveries/{made}/retry", elsewhere, follow=False)
    assert page.location == "/"
    change(made, status="failed", prior_status=None)
    back = {"back": "/assets/7/deliveries?cursor=x"}
    page = support.post(f"/deliveries/{made}/retry", back, follow=False)
    where = page.response.headers["Location"]
    assert where == f"/assets/7/deliveries?cursor=x&retried={made}#delivery-{made}"


def test_the_resend_question_keeps_the_place(support: Pages) -> None:
    made = make_delivery(status="failed")
    form = support.get("/deliveries?status=failed").form(f"/deliveries/{made}/retry")
    change(made, status="delivered")
    page = support.submit(form)
    assert page.h1 == "Resend this delivery?"
    assert page.links("Cancel") == ["/deliveries?status=failed"]
    page = support.submit(page.form(f"/deliveries/{made}/retry"), "Resend")
    assert page.path == f"/deliveries?status=failed&retried={made}"
    hostile = support.get(f"/deliveries/{made}/retry?back=javascript:alert(1)")
    assert "javascript" not in hostile.html
