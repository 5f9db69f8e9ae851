"""The webhook pages and their buttons."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import update

from portal.engine.events.catalogue import CATALOGUE
from portal.lib.clock import utcnow
from portal.models.deliveries import Delivery
from portal.models.webhooks import Webhook
from portal.services.core.unit_of_work import session, writing
from portal.services.operations.sending import stop
from portal.services.webhooks import turn_on_off
from portal.web.frame.wording import near_time
from tests.support.deliveries import change as change_delivery
from tests.support.deliveries import fail, lease, make_attempt, make_delivery
from tests.support.factories import Hook, make_user, make_webhook, publish
from tests.support.pages import Pages
from tests.web.signed_in import visit

LIST = "/settings/webhooks"
SINCE = datetime(2026, 3, 10, 9, 20, tzinfo=UTC)


def path_of(hook: Hook) -> str:
    return f"{LIST}/{hook.public_id}"


def change(hook: Hook, **columns: object) -> None:
    with writing() as current:
        current.execute(update(Webhook).where(Webhook.id == hook.id).values(**columns))


def delivery_of(hook: Hook) -> Delivery:
    current = session()
    current.rollback()
    return current.query(Delivery).filter_by(webhook_id=hook.id).one()


@pytest.mark.parametrize("secret", [None, "a key of ours"])
def test_a_test_is_described_as_signed_only_with_a_key(pages: Pages, secret: str | None) -> None:
    hint = pages.get(path_of(make_webhook(secret=secret))).main
    start = "A signed delivery" if secret else "A delivery"
    assert f"{start} with sample data, marked as a test" in hint


def test_the_list_shows_each_webhooks_status(pages: Pages) -> None:
    make_webhook("https://erp.example.com/hook", name="Beta", events=["asset.created"])
    make_webhook(name="alpha", state="off", events=[])
    # Throttled, although the receiver responds.
    fail(make_webhook(name="Gamma", events=[], throttled=True), "auth", 401, failing_since=SINCE)
    make_webhook(name="Delta", events=[], state="off", off_reason="gone")
    publish()
    rows = pages.get(LIST).rows()
    names, states, going_on, _week, last = zip(*(row[:5] for row in rows), strict=True)
    assert [name.partition(".")[0].removesuffix("receiver") for name in names] == [
        "Delta",
        "Gamma",
        "Betaerp",
        "alpha",
    ]
    assert list(states) == ["Off", "Failing", "Active", "Off"]
    assert list(going_on) == [
        f"Turned off automatically: URL permanently closedGets 0 of {len(CATALOGUE)} events",
        "Authentication rejected (401)1 undelivered, failing since Mar 10, 10:20"
        " · Nothing delivered yet",
        f"Deliveries in progressGets 1 of {len(CATALOGUE)} events",
        f"Turned off manuallyGets 0 of {len(CATALOGUE)} events",
    ]
    assert last[3] == "None yet"


def test_a_manually_turned_off_webhook_shows_its_on_hold_count(pages: Pages) -> None:
    hook = make_webhook(state="off")
    for _ in range(2):
        make_delivery(hook, status="on_hold")
    (row,) = pages.get(LIST).rows()
    assert row[2] == "Turned off manually2 on hold"
    assert "Deliveries 2" in pages.get(path_of(hook)).main


def test_a_webhook_stays_failing_until_old_failures_are_delivered(pages: Pages) -> None:
    hook = make_webhook(last_delivered_at=utcnow(), failures_in_row=0)
    for minutes in range(48):
        since = utcnow() - timedelta(minutes=minutes)
        make_delivery(hook, status="retrying", reason="auth", code=401, failing_since=since)
    make_delivery(hook, status="delivered")
    main = pages.get(path_of(hook)).main
    assert "Failing" in main
    assert "48 undelivered, the oldest failing since " in main
    assert "Nothing delivered since" not in main
    form = pages.get(f"{path_of(hook)}/edit").form(f"{path_of(hook)}/edit")
    main = pages.submit(form, url="https://receiver.example.com/other").main
    assert "48 undelivered, the oldest failing since " in main
    assert "The result shows whether the new settings work." in main


def test_a_failure_links_to_the_form_section_that_fixes_it(pages: Pages) -> None:
    for reason, code, part in (
        ("auth", 401, "security"),
        ("bad_headers", None, "security"),
        ("not_found", 404, "url"),
        ("dns", None, "url"),
    ):
        hook = make_webhook(failures_in_row=9)
        delivery = fail(hook, reason, code, failing_since=SINCE)
        make_attempt(delivery, reason=reason, code=code)
        for path in (path_of(hook), "/", f"/deliveries/{delivery}"):
            page = pages.get(path)
            words = ("Edit webhook", "Edit security", "Edit headers", "Edit URL")
            links = {link for label in words for link in page.links(label)}
            (target,) = (link for link in links if str(hook.public_id) in link)
            assert target == f"{path_of(hook)}/edit#{part}", path
        form = pages.get(target.partition("#")[0]).root
        assert any(node.get("id") == part for node in form.walk())


@pytest.mark.parametrize(
    ("secret", "said", "compared"),
    [
        (None, "signature does not match", "the custom headers"),
        ("a key of ours", "Signature does not match", "the secret key"),
        ("a key of ours", "Unauthorized", "the secret key and the custom headers"),
        ("a key of ours", "The access token expired", "the token in the custom headers"),
        (None, "invalid_token", "the token in the custom headers"),
    ],
)
def test_only_relevant_credentials_are_to_be_compared(
    app: Flask, secret: str | None, said: str, compared: str
) -> None:
    hook = make_webhook(secret=secret, failures_in_row=9)
    delivery = fail(hook, "auth", 401, failing_since=utcnow())
    headers = [["X-Asset-Webhook-Signature", "0f"]] if secret else [["Accept", "*/*"]]
    make_attempt(delivery, reason="auth", code=401, response_text=said, request_headers=headers)
    for role, verb in (("admin", "Compare"), ("support", "to compare")):
        for path in (path_of(hook), f"/deliveries/{delivery}"):
            assert f"{verb} {compared} with the one" in visit(app, role).get(path).main


@pytest.mark.parametrize("role", ["admin", "manager", "support"])
def test_each_cause_quotes_the_receivers_response(app: Flask, role: str) -> None:
    hook = make_webhook(name="HR directory", failures_in_row=9)
    for reason, code, response in (
        ("auth", 401, ""),
        ("auth", 401, '{"error": "401", "message": "token <b>expired</b>\\u001b[0m"}'),
        ("server", 500, "<title>Pool exhausted</title>"),
    ):
        delivery = fail(hook, reason, code, failing_since=utcnow())
        make_attempt(delivery, reason=reason, code=code, response_text=response)
    page = visit(app, role).get(path_of(hook))
    assert "HR directory responded “token <b>expired</b>[0m”." in page.main
    assert "Cause of 2: Authentication rejected (401): “token <b>expired</b>[0m”." in page.main
    headings = [cell.text for cell in page.root.find_all("th") if "(" in cell.text]
    assert headings == [
        "Authentication rejected (401) “token <b>expired</b>[0m”",
        "Server error (500) “Pool exhausted”",
    ]


def test_an_active_webhook_says_how_many_deliveries_wait_and_why(pages: Pages) -> None:
    soon = utcnow() + timedelta(minutes=4)
    paused = {"throttled": True, "backoff_until": soon}
    hooks = {
        "full": make_webhook(),
        "after a failure": make_webhook(throttled=True),
        "paused": make_webhook(**paused),
        "in order": make_webhook(in_order=True),
        "moving": make_webhook(),
        "chat": make_webhook(format="slack", next_at=utcnow() + timedelta(minutes=1)),
        "slow chat": make_webhook(format="slack", next_at=utcnow() - timedelta(minutes=1)),
    }
    for name, hook in hooks.items():
        made = [make_delivery(hook) for _ in range(10)]
        busy = {"full": 8, "after a failure": 1, "in order": 1, "slow chat": 1}.get(name, 0)
        for delivery in made[:busy]:
            lease(delivery)

    def told(name: str) -> str:
        main = pages.get(path_of(hooks[name])).main
        assert "Active" in main
        return main

    assert "2 deliveries are waiting. We send up to 8 at a time. 8 are in progress." in told("full")
    assert (
        "9 deliveries are waiting. The last attempt failed, so we send one first. The others "
        "follow after it’s delivered." in told("after a failure")
    )
    main = told("paused")
    assert f"Sending is paused until {near_time(soon)} because the last attempt failed." in main
    assert "We’ll send one first. The others follow after it’s delivered." in main
    assert "This webhook sends in order. 9 deliveries wait behind" in told("in order")
    assert "10 deliveries are queued or in progress." in told("moving")
    assert "9 deliveries are waiting. We send one at a time. One is in progress." in told(
        "slow chat"
    )
    assert "10 deliveries are waiting. Slack takes one a second. " in told("chat")
    for _ in range(110):
        make_delivery(hooks["chat"])
    assert "At that pace, they take about 2 minutes." in told("chat")
    stop(make_user("admin").actor)
    assert "10 deliveries are queued or in progress. We’ll send them when sending resumes." in told(
        "full"
    )


def test_after_a_change_the_next_attempt_is_announced_as_the_check(pages: Pages) -> None:
    hook = make_webhook(failures_in_row=9)
    later = utcnow() + timedelta(hours=1.5)
    fail(hook, "auth", 401, status="retrying", failing_since=SINCE, due_at=later)
    assert "Compare the custom headers" in pages.get(path_of(hook)).main
    form = pages.get(f"{path_of(hook)}/edit").form(f"{path_of(hook)}/edit")
    main = pages.submit(form, url="https://receiver.example.com/other").main
    assert "Failing" in main
    assert "1 undelivered, failing since Mar 10, 10:20. Nothing delivered yet. Its set" in main
    assert "The next attempt is in 1 hour." in main
    assert "shows whether the new settings work" in main
    assert "Compare the custom headers" not in main


def test_the_page_names_the_change_before_the_failures(pages: Pages) -> None:
    hook = make_webhook("https://erp.example.com/old", secret="a secret of ours")
    form = pages.get(f"{path_of(hook)}/edit").form(f"{path_of(hook)}/edit")
    pages.submit(form, url="https://erp.example.com/new")
    since = utcnow() + timedelta(minutes=4, seconds=5)
    first = fail(hook, failing_since=since)
    # A later failure or a success doesn't move the start.
    fail(hook, failing_since=since + timedelta(days=1))
    make_delivery(hook, status="delivered")
    words = "Failures started 4 minutes after the URL was edited"
    assert f"{words}. View changes" in pages.get(path_of(hook)).main
    assert f"{words} {near_time(since)}" in pages.get(f"{path_of(hook)}/history").main
    change_delivery(first, status="delivered")
    assert "Failures started" not in pages.get(path_of(hook)).main
    assert "Failures started" in pages.get(f"{path_of(hook)}/history").main


def test_failures_after_turning_on_offer_no_changes_to_view(pages: Pages) -> None:
    ana, hook = make_user("admin").actor, make_webhook(state="off", off_reason="person")
    turn_on_off.turn_on(ana, hook.public_id, None)
    fail(hook, failing_since=utcnow() + timedelta(minutes=4, seconds=5))
    main = pages.get(path_of(hook)).main
    assert "Failures started 4 minutes after it was turned on." in main
    assert "View changes" not in main


@pytest.mark.parametrize(
    ("url", "is_warned"),
    [
        ("http://erp.example.com/hook", True),
        ("http://127.0.0.1:9101/hook", False),
        ("http://localhost:9101/hook", False),
        ("http://[::1]:9101/hook", False),
    ],
)
def test_an_http_url_is_warned_about_except_on_this_machine(
    pages: Pages, url: str, is_warned: bool
) -> None:
    main = pages.get(path_of(make_webhook(url))).main
    assert ("Others on the network can read" in main) is is_warned


@pytest.mark.parametrize("role", ["manager", "support"])
def test_other_roles_see_no_secrets_and_no_switches(app: Flask, role: str) -> None:
    hook = make_webhook(
        secret="the old secret", secret_hint="cret", headers=[("X-Key", "value of the key")]
    )
    pages = visit(app, role)
    page = pages.get(path_of(hook))
    assert "Secret key Set" in page.main
    assert "X-Key" in page.main
    assert "cret" not in page.main.replace("Secret", "")
    assert "Turn off" not in page.main
    assert ("Send test" in page.main) == (role == "support")
    assert pages.get(LIST).status == 200
    assert pages.get(f"{path_of(hook)}/receiver").status == 200
    assert pages.get(f"{path_of(hook)}/secret").status == 403


def test_a_webhook_is_turned_off_and_on_again(pages: Pages) -> None:
    hook = make_webhook()
    publish()
    page = pages.submit(pages.get(f"{path_of(hook)}/off").form(f"{path_of(hook)}/off"))
    assert page.flashes == [("success", f"{hook.name} turned off.")]
    assert re.search(r" turned it off (just now|\d+ seconds? ago)\.", page.main)
    assert "Someone turned it off" not in page.main
    assert "1 delivery is on hold. It expires on " in page.main
    assert len(page.links("Turn on")) == 2  # as the next step, and where Turn off was
    page = pages.get(f"{path_of(hook)}/on")
    assert "1 delivery is on hold." in page.main
    unanswered = pages.submit(page.form(page.path))
    assert unanswered.status == 400
    assert unanswered.errors == ["Choose whether to send or dismiss the deliveries on hold"]
    page = pages.submit(unanswered.form(page.path), held="send")
    assert page.tone == "success"
    assert delivery_of(hook).status == "queued"


def test_turning_on_can_dismiss_on_hold_deliveries_with_a_reason(pages: Pages) -> None:
    hook = make_webhook(state="off")
    publish()
    page = pages.get(f"{path_of(hook)}/on")
    page = pages.submit(page.form(page.path), held="dismiss", reason="Out of date")
    assert page.flashes == [
        ("success", f"{hook.name} turned on."),
        ("success", "Dismissed 1 delivery. Undo"),
    ]
    made = delivery_of(hook)
    assert (made.status, made.dismissed_reason) == ("dismissed", "Out of date")


def test_a_webhook_without_held_deliveries_turns_on_at_once(pages: Pages) -> None:
    hook = make_webhook(state="off")
    page = pages.submit(pages.get(path_of(hook)).form(f"{path_of(hook)}/on"))
    assert f"{hook.name} turned on." in page.main


def test_turning_on_in_the_form_asks_about_held_deliveries(pages: Pages) -> None:
    hook = make_webhook(state="off")
    publish()
    form = pages.get(f"{path_of(hook)}/edit").form(f"{path_of(hook)}/edit")
    page = pages.submit(form, name="Renamed", active="yes")
    assert page.path == f"{path_of(hook)}/on"
    assert page.h1 == "Turn on Renamed?"
    assert delivery_of(hook).status == "on_hold"


def test_a_capped_count_of_held_deliveries_has_a_plus(
    pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.services.core.queries.COUNT_LIMIT", 1)
    hook = make_webhook(state="off")
    publish()
    publish()
    assert "1+ deliveries" in pages.get(path_of(hook)).main


def test_a_test_opens_the_page_of_its_delivery(app: Flask) -> None:
    pages, hook = visit(app, "support"), make_webhook()
    form = pages.get(LIST).form(f"{path_of(hook)}/test")
    page = pages.submit(form)
    assert page.path == f"/deliveries/{delivery_of(hook).public_id}"
    assert pages.submit(form).path == page.path
    again = pages.submit(pages.get(LIST).form(f"{path_of(hook)}/test"))
    assert again.path == page.path
    assert "A test is in progress" in again.main


def test_deleting_asks_with_the_number_of_deliveries(pages: Pages) -> None:
    hook = make_webhook(name="Sync")
    publish()
    page = pages.get(f"{path_of(hook)}/delete")
    assert "We’ll dismiss 1 delivery (queued, retrying, or on hold). You can’t restore" in page.main
    page = pages.submit(page.form(page.path))
    assert "Sync deleted." in page.main
    assert pages.get(path_of(hook)).status == 404
    assert pages.get("/deliveries").status == 200


def test_the_receiver_page_has_code_with_the_url_and_without_the_secret(pages: Pages) -> None:
    hook = make_webhook("https://erp.example.com/in/here", secret="the old secret")
    page = pages.get(f"{path_of(hook)}/receiver")
    assert page.html.count("https://erp.example.com/in/here") >= 6
    assert "the old secret" not in page.html
    assert {"Python", "Node", "PHP", "C#", "Go"} <= {
        node.text for node in page.root.find_all("label")
    }


def test_the_catalog_shows_every_event_with_an_example(pages: Pages) -> None:
    page = pages.get(f"{LIST}/events")
    assert not [event.value for event in CATALOGUE if event.name not in page.main]
    assert page.html.count("perfex_assets_module") == len(CATALOGUE)


def test_after_a_fix_waiting_deliveries_can_be_resumed(app: Flask) -> None:
    hook, later = make_webhook(), utcnow() + timedelta(hours=5)
    for _ in range(3):
        make_delivery(hook, status="retrying", reason="auth", code=401, due_at=later)
    make_delivery(hook, status="retrying", reason="auth", due_at=utcnow())  # due anyway
    path = f"/settings/webhooks/{hook.public_id}"
    assert "Resume now" not in visit(app, "manager").get(path).text
    support = visit(app, "support")
    page = support.get(path)
    assert "Send 3 deliveries now instead of later." in page.main
    assert "Nothing delivered yet." in page.main
    form = page.form(f"{path}/resume")
    assert form.buttons == ["Resume now"]
    page = support.submit(form)
    assert page.flashes == [("success", "Resumed sending 3 deliveries.")]
    assert "Resume now" not in page.main
    assert support.submit(form).flashes == [("info", "No deliveries are waiting.")]


def test_a_failing_webhook_offers_no_resume(app: Flask) -> None:
    hook = make_webhook(failures_in_row=2, failing_since=utcnow())
    later = utcnow() + timedelta(hours=5)
    make_delivery(hook, status="retrying", reason="auth", code=401, due_at=later)
    page = visit(app).get(f"/settings/webhooks/{hook.public_id}")
    assert "Resume now" not in page.main


def test_a_paused_webhook_can_be_resumed(app: Flask) -> None:
    hook = make_webhook(
        failures_in_row=2, throttled=True, backoff_until=utcnow() + timedelta(hours=2)
    )
    for status in ("queued", "retrying", "retrying"):
        fail(hook, "unavailable", 503, status=status)
    support = visit(app, "support")
    page = support.get(path_of(hook))
    assert "Send 3 deliveries now instead of later." in page.main
    assert {"Send test", "Resume now"} <= {button for form in page.forms for button in form.buttons}
    page = support.submit(page.form(f"{path_of(hook)}/resume"))
    sentence = "We’re sending 1 of 3 deliveries first. If it’s delivered, the others follow."
    assert page.flashes == [("success", f"Sending resumed. {sentence}")]
    assert "Resume now" not in page.main


@pytest.mark.parametrize(
    ("many", "told"),
    [
        (0, ""),
        (1, " Dismissed 1 delivery."),
        (3, " Dismissed 3 deliveries."),
        (4, " We’re dismissing 4 deliveries."),
    ],
)
def test_deleting_says_how_many_deliveries_were_dismissed(
    pages: Pages, monkeypatch: pytest.MonkeyPatch, many: int, told: str
) -> None:
    monkeypatch.setattr(turn_on_off, "HOLD_BATCH", 3)  # the rest is left to maintenance
    hook = make_webhook()
    for _ in range(many):
        make_delivery(hook)
    page = pages.submit(pages.get(f"{path_of(hook)}/delete").form(f"{path_of(hook)}/delete"))
    assert page.flashes == [("success", f"{hook.name} deleted.{told}")]


def test_the_lists_last_delivery_shows_only_attempt_results(pages: Pages) -> None:
    words = {"queued": "", "on_hold": "", "dismissed": "", "delivered": "Delivered"}
    words |= {"retrying": "Retrying", "failed": "Failed"}
    for status in words:
        make_delivery(make_webhook(name=status), status=status)
    last = {row[0].partition("receiver")[0]: row[4] for row in pages.get(LIST).rows()}
    assert {name: cell.partition(":")[2][2:] for name, cell in last.items()} == words


def test_a_dismissed_row_shows_who_dismissed_it_and_no_next_attempt(pages: Pages) -> None:
    hook = make_webhook()
    at = {"dismissed_by": "Ada Novak", "dismissed_at": utcnow(), "dismissed_reason": "Test data"}
    make_delivery(hook, status="dismissed", reason="server", code=500, **at)
    (row,) = [row for row in pages.get(path_of(hook)).rows() if "Dismissed" in row]
    *_, result, next_attempt = row
    assert result.startswith("Server error (500). Ada Novak, ")
    assert (result.endswith(": Test data"), next_attempt) == (True, "")


def test_the_log_of_one_webhook_is_one_of_its_pages(support: Pages) -> None:
    hook = make_webhook(name="Helpdesk")
    log = f"/deliveries?webhook={hook.public_id}"
    assert "No deliveries yet" in support.get(log).main
    made = make_delivery(hook, status="delivered")
    assert not [words for words in support.get(log).rows()[-1] if "Helpdesk" in words]
    row = support.client.get(f"/deliveries/{made}/row?back={log}&span=1&alone=1").json
    assert row
    assert "Helpdesk</a>" not in row["html"]
    for query, tab in (("", "All"), ("&status=delivered", "Delivered"), ("&code=599", "All")):
        page = support.get(log + query)
        assert (page.h1, page.here) == ("Helpdesk", ["Webhooks", "Deliveries", tab])
        assert {path_of(hook), f"{path_of(hook)}/history"} <= set(page.links())
        assert page.form("/deliveries").fields["webhook"] == [str(hook.public_id)]
        assert "Remove filter Webhook" not in page.main
    assert page.links("Clear filters") == [log, log]
    change(hook, deleted_at=utcnow())
    page = support.get(log)
    assert (page.h1, page.here) == ("Deliveries", ["Deliveries", "All"])
    assert "Remove filter Webhook: Helpdesk (deleted)" in page.main
