"""The top of a webhook's page with its status, its next step, and the person who must act."""

from datetime import UTC, datetime, timedelta

from flask import Flask
from sqlalchemy import update

from portal.engine.events.catalogue import EventName
from portal.lib.clock import utcnow
from portal.lib.durations import in_words
from portal.models.deliveries import Priority, Rollup
from portal.models.webhooks import Webhook
from portal.services.core.unit_of_work import writing
from portal.services.webhooks import crud, turn_on_off
from portal.services.webhooks.rules import SecretMode, WebhookValues
from portal.web.frame.wording import plural
from tests.support.deliveries import fail, make_attempt, make_delivery
from tests.support.factories import Hook, make_user, make_webhook
from tests.support.pages import Page, Pages
from tests.web.signed_in import visit

LONG_AGO = datetime(2026, 3, 7, tzinfo=UTC)


def page_of(pages: Pages, hook: Hook) -> Page:
    return pages.get(f"/settings/webhooks/{hook.public_id}")


def who_acts(page: Page) -> list[str]:
    """Return the people named beside the next step."""
    return [node.text for node in page.root.walk() if node.get("class") == "who"]


def test_the_newest_deliveries_are_listed(pages: Pages) -> None:
    hook = make_webhook()
    for number in range(11):
        make_delivery(hook, asset_tag=f"AST-{number}")
        make_delivery()
    tags = [row[1].split()[-1] for row in table(page_of(pages, hook), "Recent")]
    assert tags == [f"AST-{number}" for number in range(10, 4, -1)]


def test_the_list_shows_failed_attempts_even_if_all_was_delivered(pages: Pages) -> None:
    hook = make_webhook(events=[])
    make_delivery(hook, status="delivered")
    hour = (utcnow() - timedelta(hours=5)).replace(minute=0, second=0, microsecond=0)
    with writing() as current:
        counts = {"delivered": 129, "failed_attempts": 4}
        current.add(Rollup(webhook_id=hook.id, hour=hour, **counts))
    (row,) = pages.get("/settings/webhooks").rows()
    assert row[2].startswith("All delivered after 4 failed attempts")
    make_delivery(hook, status="failed", reason="server")
    (row,) = pages.get("/settings/webhooks").rows()
    assert row[2].startswith("Server error1 undelivered, failing since ")


def test_the_list_shows_a_failed_test_if_nothing_else_was_sent(pages: Pages) -> None:
    hook = make_webhook(events=[])
    for status in ("delivered", "failed"):
        make_delivery(hook, status=status, priority=Priority.TEST)
    (row,) = pages.get("/settings/webhooks").rows()
    assert row[2].startswith("Last test failedNo deliveries yet")


def test_a_failing_webhook_names_who_must_act(app: Flask) -> None:
    for role, reason, who in (
        ("admin", "auth", "You"),
        ("support", "auth", "An administrator"),
        ("admin", "server", "The receiver’s team, then you"),
        ("support", "server", "The receiver’s team, then you"),
    ):
        hook = make_webhook(failures_in_row=3, failing_since=utcnow() - timedelta(hours=1))
        make_attempt(make_delivery(hook, status="failed", reason=reason), reason=reason)
        page = page_of(visit(app, role), hook)
        assert who_acts(page) == [who], role


def test_a_healthy_webhook_names_no_one_to_act(pages: Pages) -> None:
    page = page_of(pages, make_webhook())
    assert who_acts(page) == []


def test_an_off_or_failing_webhook_names_who_must_act(app: Flask) -> None:
    for role, columns, who in (
        ("admin", {"state": "off", "off_reason": "person"}, "You"),
        ("support", {"state": "off", "off_reason": "person"}, "An administrator"),
        ("admin", {"state": "off", "off_reason": "failing"}, "You"),
        ("admin", {"state": "off", "off_reason": "gone"}, "You"),
        ("support", {"state": "off", "off_reason": "gone"}, "An administrator"),
        ("admin", {"changed_at": utcnow(), "failing_since": LONG_AGO}, "You"),
        ("admin", {"failures_in_row": 2, "failing_since": LONG_AGO}, "You"),
    ):
        since = {"off_at": LONG_AGO} if "state" in columns else {}
        hook = make_webhook(**{**columns, **since})
        make_delivery(hook, status="failed", reason="auth", code=401)
        page = page_of(visit(app, role), hook)
        assert who_acts(page) == [who], (role, columns)


def test_failures_before_a_change_are_not_blamed_on_the_receiver(pages: Pages) -> None:
    hook = make_webhook(changed_at=utcnow(), last_delivered_at=utcnow(), format="slack")
    failed = fail(hook, "bad_request", 400, failing_since=LONG_AGO)
    make_attempt(failed, reason="bad_request", code=400, response_text="invalid_payload")
    page = page_of(pages, hook).main
    assert "Its settings changed at" in page
    assert "“invalid_payload”" in page  # said about the Standard JSON of that time
    assert "didn’t accept the post" not in page
    overview = pages.get("/").main
    assert "Settings changed at" in overview
    for main in (page, overview):
        assert "Update to share" not in main
        assert "invalid_payload" not in main.partition("Undelivered")[0]


def test_a_change_asks_for_a_test_until_a_delivery_succeeds(pages: Pages) -> None:
    changed = utcnow()
    for minutes, asks in ((-1, True), (1, False)):
        delivered = changed + timedelta(minutes=minutes)
        hook = make_webhook(changed_at=changed, last_delivered_at=delivered)
        fail(hook, failing_since=LONG_AGO)
        main = page_of(pages, hook).main
        assert ("Send a test. The result shows whether the new settings work." in main) is asks
        assert ("Send a test" in main) is asks


def test_resumed_deliveries_are_not_offered_again(pages: Pages) -> None:
    later = utcnow() + timedelta(minutes=25)
    hook = make_webhook(changed_at=utcnow(), last_delivered_at=utcnow(), name="Chat")
    fail(hook, status="retrying", tries=1, due_at=later, failing_since=LONG_AGO)
    assert "later retry" in page_of(pages, hook).main
    main = pages.post(f"/settings/webhooks/{hook.public_id}/resume").main
    assert "We’re about to try again." in main
    assert "Retry the undelivered" not in main


def test_a_rate_limit_asks_for_action_only_after_the_last_failure(pages: Pages) -> None:
    for status, passes in (("retrying", True), ("failed", False)):
        hook = make_webhook(failures_in_row=1)
        failed = fail(hook, "rate", 429, status=status, failing_since=LONG_AGO)
        make_attempt(failed, reason="rate", code=429)
        page = page_of(pages, hook)
        assert ("no action is needed" in page.main) is passes
        assert "Retry the undelivered deliveries." in page.main
        assert passes or who_acts(page) == ["You"]


def test_the_next_step_says_how_the_last_test_went(pages: Pages) -> None:
    hook = make_webhook()
    fail(hook)
    for status, outcome in (("failed", "wasn’t delivered"), ("delivered", "was delivered")):
        make_delivery(hook, status=status, priority=Priority.TEST)
        assert f"Send a test. The last test, just now, {outcome}." in page_of(pages, hook).main


def test_only_a_person_who_turned_a_webhook_off_is_named(app: Flask) -> None:
    pages = visit(app)
    hook = make_webhook(name="Sync")
    turn_on_off.turn_off(make_user("admin", name="Ada Admin").actor, hook.public_id)
    renamed = WebhookValues(
        name="Sync 2",
        url=hook.url,
        events=("asset.created",),
        secret_mode=SecretMode.KEEP,
        is_active=False,
    )
    crud.edit(make_user("admin", name="Ben").actor, hook.public_id, 1, renamed)
    assert "Ada Admin turned it off" in page_of(pages, hook).main
    with writing() as current:
        current.execute(update(Webhook).values(off_reason=None))
    assert "Ada Admin turned it off" in page_of(pages, hook).main
    with writing() as current:
        current.execute(update(Webhook).values(off_reason="gone"))
    assert "Ada Admin turned it off" not in page_of(pages, hook).main
    nobody = make_webhook(state="off", off_reason="person")
    assert "Someone turned it off" in page_of(pages, nobody).main


def test_resuming_counts_the_waiting_deliveries(pages: Pages) -> None:
    for count, message in (
        (0, "No deliveries are waiting."),
        (1, "Resumed sending 1 delivery."),
        (2, "Resumed sending 2 deliveries."),
    ):
        hook = make_webhook()
        for _ in range(count):
            later = utcnow() + timedelta(hours=1)
            make_delivery(hook, status="retrying", tries=1, due_at=later)
        page_of(pages, hook)
        page = pages.post(f"/settings/webhooks/{hook.public_id}/resume")
        assert message in page.text, count


def test_the_share_of_deliveries_is_shown_by_week_and_in_the_list(pages: Pages) -> None:
    hook = make_webhook(created_at=utcnow() - timedelta(days=60))
    hour = utcnow().replace(minute=0, second=0, microsecond=0)
    with writing() as current:
        counts = {"delivered": 1999, "failed": 7, "failed_attempts": 90}
        current.add(Rollup(webhook_id=hook.id, hour=hour, **counts))
    assert table(page_of(pages, hook), "Share")[0] == [
        "This week",
        "1,999 of 1,999 delivered",
        "100%",
    ]
    make_delivery(hook, status="dismissed")
    make_delivery(hook, status="delivered")
    rows = table(page_of(pages, hook), "Share")
    assert rows == [["This week", "1,999 of 2,000 delivered", "99.9%"]]
    (row,) = pages.get("/settings/webhooks").rows()
    assert (row[2].partition(" after")[0], row[3]) == (
        "Latest delivered",
        "99.9% of 2,000",
    )
    make_delivery(hook, status="failed", created_at=utcnow() - timedelta(days=15))
    rows = table(page_of(pages, hook), "Share")
    assert [row[1:] for row in rows if row[1] != "No deliveries"] == [
        ["1,999 of 2,000 delivered", "99.9%"],
        ["0 of 1 delivered", "0%"],
    ]


def test_a_webhooks_chart_has_two_periods(pages: Pages) -> None:
    hook = make_webhook()
    assert "Delivery attempts" not in page_of(pages, hook).main
    hour = utcnow().replace(minute=0, second=0, microsecond=0)
    with writing() as current:
        current.add(Rollup(webhook_id=hook.id, hour=hour - timedelta(days=3), delivered=9))
    path = f"/settings/webhooks/{hook.public_id}"
    for query, title in (
        ("", "last 7 days"),
        ("?period=day", "last 24 hours"),
        ("?period=week", "last 7 days"),
    ):
        page = pages.get(path + query)
        assert f"Delivery attempts, {title}" in page.main, query
        assert page.links("24 hours") == [f"{path}?period=day#day"]
        assert page.links("7 days") == [f"{path}?period=week#day"]


def table(page: Page, caption: str) -> list[list[str]]:
    """Return the body's cells of the table whose caption begins so."""
    (found,) = [
        node
        for node in page.root.find_all("table")
        if any(each.text.startswith(caption) for each in node.find_all("caption"))
    ]
    rows = [row for body in found.find_all("tbody") for row in body.find_all("tr")]
    return [[c.text for c in row.walk() if c.tag in ("th", "td")] for row in rows]


def test_the_list_says_first_what_a_healthy_webhook_gets_unless_it_gets_all(pages: Pages) -> None:
    for events, first in (
        (["asset.created", "asset.deleted"], "Gets 2 of 21 events"),
        (["*"], "All delivered"),
        (list(EventName), "All delivered"),
    ):
        hook = make_webhook(events=events)
        make_delivery(hook, status="delivered")
        (row,) = [row for row in pages.get("/settings/webhooks").rows() if hook.name in row[0]]
        assert row[2].startswith(first), events


def test_a_page_says_how_long_we_wait_how_often_we_try_and_when_we_turn_it_off(
    app: Flask, pages: Pages
) -> None:
    ours = app.extensions["settings"]
    main = " ".join(page_of(pages, make_webhook()).main.split())
    assert f"We wait up to {plural(ours.webhook_timeout, 'second')}" in main
    lasting = in_words(sum(ours.webhook_retry_schedule))
    assert f"Up to {len(ours.webhook_retry_schedule)} over {lasting}" in main
    assert "After 5 days without a success, or right away at a 410 response" in main
    assert "Later deliveries wait for it" in page_of(pages, make_webhook(in_order=True)).main
    assert "at a 404 or 410 response" in page_of(pages, make_webhook(format="discord")).main
