"""What stands first on a webhook's page: what is under way, since when, and who must act."""

from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import update

from portal.lib.clock import utcnow
from portal.models.deliveries import Rollup
from portal.models.webhooks import Webhook
from portal.services.core.unit_of_work import writing
from portal.services.webhooks import crud, turn_on_off
from portal.services.webhooks.rules import SecretMode, WebhookValues
from tests.support.deliveries import make_attempt, make_delivery
from tests.support.factories import Hook, make_user, make_webhook
from tests.support.pages import Page, Pages
from tests.web.signed_in import visit

LONG_AGO = datetime(2026, 3, 7, tzinfo=UTC)


@pytest.fixture
def pages(app: Flask) -> Pages:
    """An administrator at a browser."""
    return visit(app)


def page_of(pages: Pages, hook: Hook) -> Page:
    return pages.get(f"/settings/webhooks/{hook.public_id}")


def figures(page: Page) -> dict[str, tuple[str, str]]:
    """What each figure counts: the figure, and where it leads."""
    found = {}
    for node in page.root.walk():
        if node.get("class") == "kpi":
            (link,) = node.find_all("a")
            value, label = (
                next(part.text for part in link.walk() if kind in part.get("class").split())
                for kind in ("kpi-value", "kpi-label")
            )
            found[label] = (value, link.get("href"))
    return found


def test_the_oldest_that_waits_is_told_and_leads_to_its_page(pages: Pages) -> None:
    hook = make_webhook()
    assert "oldest not delivered" not in figures(page_of(pages, hook))
    make_delivery(hook, status="delivered", created_at=utcnow() - timedelta(hours=9))
    ago = timedelta(hours=2, minutes=4, seconds=30)
    later = {"due_at": utcnow() + timedelta(hours=1), "tries": 1}
    oldest = make_delivery(hook, status="retrying", created_at=utcnow() - ago, **later)
    make_delivery(hook, created_at=utcnow() - timedelta(minutes=1))
    page = page_of(pages, hook)
    found = figures(page)
    assert found["oldest not delivered"][0] == "2 h 4 min"
    assert found["oldest not delivered"][1].startswith(f"/deliveries/{oldest}?")
    assert [found[each][0] for each in ("queued", "retrying", "on hold")] == ["1", "1", "0"]
    times = [node for node in page.root.find_all("time") if "kpi-value" in node.get("class")]
    assert [node.get("title").count(":") for node in times] == [2]


def test_the_ten_deliveries_that_were_made_last_are_listed(pages: Pages) -> None:
    hook = make_webhook()
    for number in range(11):
        make_delivery(hook, asset_tag=f"AST-{number}")
        make_delivery()
    tags = [row[0].split()[-1] for row in page_of(pages, hook).rows()]
    assert tags == [f"AST-{number}" for number in range(10, 0, -1)]


def test_the_list_says_what_failed_before_everything_had_arrived(pages: Pages) -> None:
    hook = make_webhook(events=[])
    make_delivery(hook, status="delivered")
    hour = (utcnow() - timedelta(hours=5)).replace(minute=0, second=0, microsecond=0)
    with writing() as current:
        counts = {"delivered": 129, "failed_attempts": 4}
        current.add(Rollup(webhook_id=hook.id, hour=hour, **counts))
    (row,) = pages.get("/settings/webhooks").rows()
    assert row[2].startswith("Everything is delivered; 4 attempts failed first")
    make_delivery(hook, status="failed", reason="server")
    (row,) = pages.get("/settings/webhooks").rows()
    assert row[2].startswith("Server error1 undelivered, failing since ")


def test_since_when_it_is_off_is_told_while_it_is(pages: Pages) -> None:
    off = make_webhook(state="off", off_reason="gone", off_at=utcnow() - timedelta(days=40))
    value, where = figures(page_of(pages, off))["off since"]
    assert value
    assert where == f"/settings/webhooks/{off.public_id}/history"
    on = make_webhook(off_at=utcnow() - timedelta(days=40))
    assert "off since" not in figures(page_of(pages, on))


def test_then_who_must_act(app: Flask) -> None:
    for role, reason, who in (
        ("admin", "auth", "Next: you"),
        ("support", "auth", "Next: a colleague"),
        ("admin", "server", "Next: the receiver's owner"),
        ("support", "server", "Next: the receiver's owner"),
    ):
        hook = make_webhook(failures_in_row=3, failing_since=utcnow() - timedelta(hours=1))
        make_attempt(make_delivery(hook, status="failed", reason=reason), reason=reason)
        page = page_of(visit(app, role), hook)
        (part,) = [node for node in page.root.walk() if node.get("id") == "next-step"]
        assert [node.text for node in part.find_all("h2")] == [who], role
        assert page.html.index('class="kpis"') < page.html.index('id="next-step"'), role


def test_nobody_must_act_while_it_is_well(pages: Pages) -> None:
    page = page_of(pages, make_webhook())
    assert "Next:" not in page.main


def test_of_one_that_is_off_or_fails_it_says_who_must_act_if_anybody(app: Flask) -> None:
    for role, columns, who in (
        ("admin", {"state": "off", "off_reason": "person"}, None),
        ("support", {"state": "off", "off_reason": "person"}, "Next: a colleague"),
        ("admin", {"state": "off", "off_reason": "failing"}, None),
        ("admin", {"state": "off", "off_reason": "gone"}, "Next: you"),
        ("support", {"state": "off", "off_reason": "gone"}, "Next: a colleague"),
        ("admin", {"failures_in_row": 0, "failing_since": LONG_AGO}, None),
        ("admin", {"failures_in_row": 2, "failing_since": LONG_AGO}, "Next: you"),
    ):
        since = {"off_at": LONG_AGO} if "state" in columns else {}
        hook = make_webhook(**{**columns, **since})
        make_delivery(hook, status="failed", reason="auth", code=401)
        page = page_of(visit(app, role), hook)
        found = [
            node.text
            for part in page.root.walk()
            if part.get("id") == "next-step"
            for node in part.find_all("h2")
        ]
        assert found == ([who] if who else []), role


def test_who_turned_it_off_is_named_only_where_a_person_did(app: Flask) -> None:
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
    assert "A person turned it off" in page_of(pages, nobody).main


def test_what_waits_for_a_retry_is_sent_and_counted(pages: Pages) -> None:
    for count, told in (
        (0, "Nothing waits for a later retry."),
        (1, "1 delivery goes out within a minute."),
        (2, "2 deliveries go out within a minute."),
    ):
        hook = make_webhook()
        for _ in range(count):
            later = utcnow() + timedelta(hours=1)
            make_delivery(hook, status="retrying", tries=1, due_at=later)
        page_of(pages, hook)
        page = pages.post(f"/settings/webhooks/{hook.public_id}/send-waiting")
        assert told in page.text, count
