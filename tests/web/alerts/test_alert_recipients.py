"""Recipients of alerts: each kind names its webhooks and addresses, or says that it has none."""

import pytest
from flask import Flask
from sqlalchemy import update

from portal.models.alerts import RunKind
from portal.models.webhooks import WebhookEvent
from portal.services.alerts import emails, runs
from portal.services.alerts import settings as alert_settings
from portal.services.alerts.rules import AlertRules
from portal.services.alerts.settings import Emails
from portal.services.core.permissions import SYSTEM
from portal.services.core.unit_of_work import writing
from tests.services.alerts.due_things import decided, lent
from tests.support.deliveries import make_delivery
from tests.support.factories import make_user, make_webhook
from tests.support.html import Node
from tests.support.mail_server import set_up
from tests.support.pages import Page
from tests.web.signed_in import signed_in, visit

PATH = "/settings/alerts"
GALLERY = "/settings/webhooks/where"
NO_ONE = "No one is notified"
LATE, LOW = "alert.checkout_overdue", "alert.low_stock"


@pytest.fixture(autouse=True)
def _mail(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(app, monkeypatch, smtp_url="smtp://127.0.0.1:9")


def wanted(**emails: object) -> None:
    stored = alert_settings.read()
    alert_settings.save(SYSTEM, stored.version, stored.rules, Emails(**emails))  # type: ignore[arg-type]  # each test's own


def part(page: Page, title: str) -> Node:
    """Return the part of the settings about one kind."""
    parts = [node for node in page.root.walk() if "form-part" in node.get("class").split()]
    return next(node for node in parts if node.find_all("h2")[0].text == title)


def test_a_kind_without_recipients_says_so_and_links_to_the_gallery(app: Flask) -> None:
    make_webhook(kind="inbox", events=["*"])
    make_webhook(name="ERP", events=[LOW], state="off")
    wanted(mail_warranty=["office@example.com"])
    alert_settings.save(SYSTEM, 1, AlertRules(maintenance_on=False))
    page = visit(app).get(PATH)
    texts = {title: part(page, title).text for title in ("Return", "Maintenance", "Stock")}
    assert NO_ONE in texts["Return"]
    assert "Only the built-in inbox" in texts["Return"]
    assert NO_ONE not in texts["Maintenance"]  # it is off
    assert f"{NO_ONE} Webhook: ERP (on hold because it’s off)." in texts["Stock"]
    assert NO_ONE not in part(page, "Warranty").text
    assert page.links("Connect something") == [GALLERY] * 2
    page = visit(app).get("/alerts")
    assert "No one is notified about overdue assets and low stock" in page.main
    assert GALLERY in page.links("Connect something")


def test_webhooks_and_addresses_are_named_with_their_problems(app: Flask) -> None:
    make_webhook(name="Teams", events=[LATE], conditions='[["cost", "at_least", ["100"]]]')
    make_webhook(name="ERP", events=["*"])
    disabled = make_user(email="old@example.com", is_active=False).email
    wanted(mail_overdue=["office@example.com", disabled], remind_holder=True)
    make_webhook(kind="inbox", events=[LATE])
    failing = make_webhook(name="Cut off", events=[LATE])
    make_delivery(failing, status="failed")
    text = part(visit(app).get(PATH), "Return").text
    webhooks = "Webhooks: Cut off (failing), ERP, Teams (if its conditions are met)."
    listed = f"{webhooks} Email: office@example.com, the holder."
    listed += " The built-in inbox also gets these alerts."
    assert f"{listed} No email is sent to {disabled} because this user is disabled." in text


def test_without_a_mail_server_addresses_are_kept_but_get_nothing(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up(app, monkeypatch, smtp_url="")
    pages = visit(app)
    typed = {"mail_low_stock": "office@example.com", "remind_holder": "y"}
    pages.submit(pages.get(PATH).form(PATH), **typed)
    page = pages.get(PATH)
    assert "The person who runs this server can set SMTP_URL" in page.main
    assert page.form(PATH).fields["mail_low_stock"] == ["office@example.com"]
    assert "office@example.com because no mail server is set up" in part(page, "Stock").text
    assert NO_ONE in part(page, "Return").text
    assert alert_settings.read().emails.remind_holder


def test_only_administrators_see_the_addresses_of_others(app: Flask) -> None:
    helper = make_user("support", email="sam@example.com")
    wanted(mail_overdue=["a@example.com", "sam@example.com", "b@example.com"])
    wanted(mail_overdue=alert_settings.read().emails.mail_overdue, mail_low_stock=["a@example.com"])
    page = signed_in(app, helper).get("/alerts")
    assert "Email: sam@example.com, 2 addresses." in page.main
    assert "Email: 1 address." in page.main
    assert "a@example.com" not in page.html
    assert "a@example.com" in visit(app).get("/alerts").main


def test_invalid_addresses_are_refused_and_duplicates_kept_once(
    app: Flask,
) -> None:
    pages = visit(app)
    page = pages.submit(pages.get(PATH).form(PATH), mail_overdue="a@example.com\nthe office")
    assert (page.status, page.wrong) == (400, ["mail_overdue"])
    assert "Enter one email address per line for overdue alerts" in page.main
    assert "“the office” isn’t one" in page.main
    (kept,) = page.form(PATH).fields["mail_overdue"]
    assert kept.split() == ["a@example.com", "the", "office"]
    typed = "a@example.com, A@example.com; b@example.com"
    page = pages.submit(page.form(PATH), mail_overdue=typed)
    assert "We kept a@example.com once." in page.main
    assert alert_settings.read().emails.mail_overdue == ["a@example.com", "b@example.com"]
    assert "Emails about overdue assets" in pages.get("/settings/audit").main


def checked() -> None:
    """Run a check, and queue its emails as the job of the next minute does."""
    runs.run(RunKind.MANUAL)
    emails.tell_new()


def test_the_list_names_the_recipients_of_emails(app: Flask) -> None:
    decided()
    asset_id = lent(3)
    wanted(mail_overdue=["a@example.com", "sam@example.com"], remind_holder=True)
    runs.run(RunKind.MANUAL)
    assert "No webhook was subscribed" in visit(app).get("/alerts").main
    emails.tell_new()
    helper = make_user("support", email="sam@example.com")
    (row,) = signed_in(app, helper).get("/alerts").rows()
    reminder = "Reminder emailed to Maria Lopez"
    assert row[4] == f"Emailed to sam@example.com, 1 address {reminder}"
    (row,) = visit(app).get("/alerts").rows()
    assert row[4] == f"Emailed to a@example.com, sam@example.com {reminder}"
    assert f"{reminder}." in visit(app).get(f"/assets/{asset_id}").main


def test_the_preview_and_the_check_count_email_recipients(app: Flask) -> None:
    decided()
    lent(3)
    wanted(mail_overdue=["office@example.com"], mail_low_stock=["it@example.com"])
    page = visit(app).get(f"{PATH}/preview")
    assert "No webhook is subscribed to 1 overdue. We’ll email 1 address." in page.main
    wanted(mail_overdue=["office@example.com"], remind_holder=True)
    page = visit(app).get(f"{PATH}/preview")
    assert "We’ll email 1 address and 1 holder." in page.main
    runs.run(RunKind.MANUAL)
    (row,) = visit(app).get(PATH).rows()
    assert row[2] == "No webhook was subscribed: 1 overdue. Emails follow within 2 minutes"
    emails.tell_new()
    (row,) = visit(app).get(PATH).rows()
    assert row[2] == "No webhook was subscribed: 1 overdue. Emailed 1 address and 1 holder"


def test_a_new_address_gets_no_earlier_alerts_and_the_page_says_so(app: Flask) -> None:
    decided()
    lent(3)
    checked()
    lent(4)
    pages = visit(app)
    page = pages.submit(pages.get(PATH).form(PATH), mail_overdue="office@example.com")
    later = "We’ll email office@example.com from the next alert on."
    assert f"{later} Already sent or marked as sent: 1 overdue." in page.main
    assert "/alerts" in page.links("View alerts")
    page = pages.submit(page.form(PATH), mail_low_stock="it@example.com", remind_holder="y")
    later = "We’ll email it@example.com and holders from the next alert on."
    assert f"{later} Already sent or marked as sent: 1 overdue." in page.main
    page = pages.submit(page.form(PATH), overdue_on=None, mail_overdue="it@example.com")
    assert "from the next alert on" not in page.main  # these alerts are off
    page = pages.submit(page.form(PATH), warranty_days=60)
    assert "from the next alert on" not in page.main


def test_the_page_of_alerts_says_where_new_ones_appear(app: Flask) -> None:
    pages = visit(app, "support")
    page = pages.get("/alerts").main
    assert "New ones only appear here." in page
    assert "notify webhooks" not in page
    assert "We check low stock right away and the rest every day." in page
    inbox = make_webhook(kind="inbox", events=[LOW])
    some = "New ones only appear here and, some of them, in the built-in inbox."
    assert some in pages.get("/alerts").main
    with writing() as current:
        current.execute(update(WebhookEvent).filter_by(webhook_id=inbox.id).values(event="*"))
    assert "New ones only appear here and in the built-in inbox." in pages.get("/alerts").main
    make_webhook(events=["*"])
    assert "New ones only appear" not in pages.get("/alerts").main
