"""The target of a receiver's redirect: named, offered as the new URL, and never trusted."""

from uuid import UUID

import pytest
from flask import Flask

from jobs.deliver import deliver_due
from portal.lib.clock import utcnow
from portal.models.webhooks import Webhook
from portal.services.core.unit_of_work import writing
from tests.support.deliveries import change, make_attempt, make_delivery
from tests.support.factories import Hook, make_user, make_webhook
from tests.support.pages import Page
from tests.support.receiver import Answer, Receiver
from tests.web.home.test_home import troubled
from tests.web.signed_in import visit
from tests.web.webhooks.test_update import update_on

OLD, NEW = "https://old.example.com/hook", "https://new.example.com/hook"


def redirected(
    location: str, code: int = 301, url: str = OLD, **columns: object
) -> tuple[Hook, UUID]:
    """Create a webhook whose one delivery was redirected there."""
    hook = make_webhook(url, **{"name": "Nordwind", **columns})
    why = {"reason": "redirect", "code": code}
    made = make_delivery(hook, status="retrying", tries=2, **why)
    for _ in range(2):
        headers = [["Location", location]]
        make_attempt(made, url=url, location=location, response_headers=headers, **why)
    return hook, made


def form_url(page: Page) -> str:
    """Return the URL in the webhook's form."""
    (url,) = page.form().fields["url"]
    return url


def test_every_page_names_the_new_url_and_one_click_enters_it(app: Flask) -> None:
    hook, made = redirected(NEW)
    where = f"/settings/webhooks/{hook.public_id}"
    ada = visit(app, "admin")
    webhook, delivery = ada.get(where), ada.get(f"/deliveries/{made}")
    for page in (webhook, delivery):
        assert f"Change the URL to {NEW}." in page.main
        assert "Edit webhook" in page.main
        (use,) = page.links("Use this URL")
        assert form_url(ada.get(use)) == NEW
    assert f"redirected us to {NEW} (301)" in delivery.main
    assert f"Redirected (301) to {NEW}" in " ".join(webhook.rows()[0])
    log = ada.get(f"/deliveries?webhook={hook.public_id}")
    assert f"to {NEW}" in " ".join(log.rows()[-1])
    home = ada.get("/")
    assert f"to {NEW}" in " ".join(troubled(home)[0])
    assert home.links("Use this URL") == webhook.links("Use this URL")
    saved = ada.submit(ada.get(use).form(), "Save webhook")
    assert "Nordwind saved" in saved.main
    assert not ada.get(where).links("Use this URL"), "it is in use now"


def test_a_colleagues_note_and_the_update_name_the_new_url(app: Flask) -> None:
    make_user("admin", name="Ada Admin")
    hook, made = redirected(NEW)
    for path in (f"/settings/webhooks/{hook.public_id}", f"/deliveries/{made}"):
        page = visit(app, "support").get(path)
        assert f"Needed: Change the URL to {NEW}." in page.main
        assert not page.links("Use this URL")
        text = update_on(page)
        assert f"Redirected (301) to {NEW}." in text
        assert f"Please confirm that {NEW} is the final URL. We don’t follow redirects." in text
        assert "send us the final URL" not in text
        assert "We’ll retry it at the new URL." in text
        assert "retry automatically" not in text


@pytest.mark.parametrize("code", [302, 303, 307])
def test_a_temporary_redirect_is_confirmed_before_it_is_used(app: Flask, code: int) -> None:
    hook, _ = redirected(NEW, code)
    page = visit(app, "admin").get(f"/settings/webhooks/{hook.public_id}")
    asked = f"Ask the receiver’s team whether {NEW} is the final URL. If so, enter it."
    assert asked in page.main
    assert page.links("Use this URL")


def test_no_page_advises_a_retry_that_is_redirected_again(app: Flask) -> None:
    hook, _ = redirected(NEW)
    ada = visit(app, "admin")
    for path in ("/", "/deliveries?status=attention"):
        assert not ada.get(path).links("Retry 1 for Nordwind")
    page = ada.get(f"/settings/webhooks/{hook.public_id}")
    assert "Retry the undelivered" not in page.main
    assert "Send a test." not in page.main
    assert not [link for link in page.links("Retry 1") if "reason=redirect" in link]
    with writing() as current:  # the settings are changed, and nothing has failed since
        current.get_one(Webhook, hook.id).changed_at = utcnow()
    assert "Send a test." in ada.get(f"/settings/webhooks/{hook.public_id}").main


def test_only_the_recorded_response_of_this_webhook_fills_the_form(app: Flask) -> None:
    hook, made = redirected(NEW)
    _, others = redirected("https://third.example.com/hook", url="https://b.example.com", name="B")
    ada, edit = visit(app, "admin"), f"/settings/webhooks/{hook.public_id}/edit"
    for query in (f"redirected={others}", "redirected=https://evil.example.com", f"url={NEW}"):
        assert form_url(ada.get(f"{edit}?{query}")) == OLD, query
    assert form_url(ada.get(f"{edit}?redirected={made}")) == NEW
    with writing() as current:
        current.get_one(Webhook, hook.id).url = "https://c.example.com/"
    assert form_url(ada.get(f"{edit}?redirected={made}")) == "https://c.example.com/"
    with writing() as current:
        current.get_one(Webhook, hook.id).url = OLD
    make_attempt(made, url=OLD, reason="server", code=500)
    change(made, reason="server", code=500)
    assert form_url(ada.get(f"{edit}?redirected={made}")) == OLD, "it has answered otherwise since"


@pytest.mark.parametrize(
    "location",
    [
        "ftp://new.example.com/hook",
        "javascript:alert(1)",
        "http://10.0.0.7/hook",
        "http://169.254.169.254/latest/meta-data",
        "http://[fd00::7]/hook",
        "https://ann:hush-hush@new.example.com/hook",
        f"https://new.example.com/{'x' * 2100}",
        "http://[::1",
        "\x00\x1b[31m",
        OLD,
    ],
)
def test_a_hostile_target_is_only_text(app: Flask, location: str) -> None:
    hook, made = redirected(location.replace("\x00", ""))
    ada = visit(app, "admin")
    for path in (f"/settings/webhooks/{hook.public_id}", f"/deliveries/{made}", "/", "/deliveries"):
        page = ada.get(path)
        assert not page.links("Use this URL")
        assert "hush-hush" not in page.main
        assert "x" * 300 not in page.main or path.startswith("/deliveries/")
    assert "enter the final URL" in ada.get(f"/deliveries/{made}").main
    edit = ada.get(f"/settings/webhooks/{hook.public_id}/edit?redirected={made}")
    assert form_url(edit) == OLD


def test_a_script_in_the_target_is_shown_as_text(app: Flask) -> None:
    hook, made = redirected("https://new.example.com/<script>alert(1)</script>{ask}")
    ada = visit(app, "support")
    for path in (f"/settings/webhooks/{hook.public_id}", f"/deliveries/{made}", "/", "/deliveries"):
        page = ada.get(path)
        assert "<script>alert(1)" not in page.html
        assert "</script>%7Bask%7D" in page.main


def test_the_targets_secrets_are_masked_for_everyone_and_whole_in_the_form(app: Flask) -> None:
    hook, made = redirected(f"{NEW}?token=hush-hush-hush")
    ada = visit(app, "admin")
    paths = (f"/settings/webhooks/{hook.public_id}", f"/deliveries/{made}", "/deliveries", "/")
    for path in paths:
        page = ada.get(path)
        assert f"{NEW}?token=••••" in page.main
        assert "hush-hush" not in page.html
    assert "hush-hush" not in ada.client.get(f"/deliveries/{made}/help-bundle").text
    (use,) = page.links("Use this URL")
    assert form_url(ada.get(use)) == f"{NEW}?token=hush-hush-hush"
    viewer = visit(app, "viewer")
    for path in paths:
        assert "new.example.com" not in viewer.get(path).main


def test_a_relative_target_belongs_to_the_requests_url(app: Flask) -> None:
    moved = Answer(308, headers=[("Location", "/v2/hook")])
    with Receiver(answerer=lambda _: moved) as receiver:
        hook = make_webhook(f"{receiver.url}v1/hook")
        made = make_delivery(hook)
        deliver_due()
    ada = visit(app, "admin")
    page = ada.get(f"/deliveries/{made}")
    assert f"Change the URL to {receiver.url}v2/hook." in page.main
    (use,) = page.links("Use this URL")
    assert form_url(ada.get(use)) == f"{receiver.url}v2/hook"
