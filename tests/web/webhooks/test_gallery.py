"""The “Where should it go?” gallery, and the form behind each of its cards."""

from typing import Any, Final

import pytest
from flask import Flask
from sqlalchemy import select

from portal.engine.formats.presets import PRESETS
from portal.models.webhooks import Webhook
from portal.services.core.unit_of_work import session
from portal.services.outbox.conditions import sentences_of
from portal.services.webhooks import queries as webhook_queries
from tests.support.deliveries import make_delivery
from tests.support.factories import make_webhook
from tests.support.pages import Page, Pages
from tests.web.signed_in import visit

LIST, WHERE = "/settings/webhooks", "/settings/webhooks/where"
NEW: Final = "/settings/webhooks/new"
SLACK: Final = "https://hooks.slack.com/services/T1/B1/s3cr3t"
FLOW: Final = "https://d1.0b.environment.api.powerplatform.com/powerautomate/workflows/1?sig=s3cr3t"
LEFT: Final = "https://prod-1.westeurope.logic.azure.com/workflows/1?sig=s3cr3t"
FILLED: Final = {"name": "IT channel", "events": ["asset.lost"]}
NO_FLOODS: Final = {
    "conditions-0-field": ["origin"],
    "conditions-0-operator": ["is_not"],
    "conditions-0-value": ["bulk", "import"],
}
CHATS: Final = ("teams", "slack", "discord", "google_chat")
AUTOMATIONS: Final = ("zapier", "make", "n8n", "power_automate")


def begun(pages: Pages, to: str) -> dict[str, list[str]]:
    return pages.get(f"{NEW}?to={to}").form(NEW).fields


def add(pages: Pages, to: str | None = None, button: str = "Save webhook", **values: Any) -> Page:
    """Fill in the form for a product and submit it."""
    form = pages.get(f"{NEW}?to={to}" if to else NEW).form(NEW)
    return pages.submit(form, button, **{**FILLED, "secret_mode": "none", **values})


def stored() -> Webhook:
    current = session()
    current.rollback()
    return current.scalars(select(Webhook)).one()


def test_every_add_webhook_link_leads_to_the_gallery(pages: Pages) -> None:
    for path in ("/", LIST):
        assert set(pages.get(path).links("Add webhook")) == {WHERE}, path
    pages.get("/find?q=slack")
    assert pages.follow("Slack").links("Add webhook for Slack") == [f"{NEW}?to=slack"]


def test_each_card_links_to_a_form_that_links_back(pages: Pages) -> None:
    paths = [*(f"{NEW}?to={key}" for key in (*CHATS, *AUTOMATIONS, "program")), "/inbox"]
    page = pages.get(WHERE)
    assert [path for path in page.links() if path in paths] == [*paths, f"{NEW}?to=program"]
    for path in paths[:-1]:
        assert WHERE in pages.get(path).links("Where should it go?"), path


def test_a_form_starts_with_its_products_defaults(pages: Pages) -> None:
    own = pages.get(NEW).form(NEW).fields
    for key in CHATS:
        fields = begun(pages, key)
        assert {**fields, **NO_FLOODS} == fields, key
        assert (fields["format"], fields["secret_mode"]) == ([key], ["none"])
        assert fields["url_is_secret"] == ["y"]
    for key in AUTOMATIONS:
        fields = begun(pages, key)
        assert (fields["format"], fields["url_is_secret"]) == ([""], ["y"]), key
        assert "conditions-0-field" not in fields
    program = begun(pages, "program")
    varying = {"csrf_token", "once", "draft", "to"}
    assert {name: program[name] for name in program if name not in varying} == {
        name: own[name] for name in own if name not in varying
    }


def test_an_unknown_product_gives_the_default_form_and_a_link(pages: Pages) -> None:
    for to in ("fax", "custom", "\x00", "x" * 5000):
        page = pages.get(NEW, query_string={"to": to})
        assert (page.status, page.h1, page.links("Choose another one")) == (
            200,
            "Add webhook",
            [WHERE],
        )
        assert page.form(NEW).fields["format"] == [""]


def test_the_product_is_kept_through_a_mistake_a_test_and_saving(pages: Pages) -> None:
    page = add(pages, "slack", url=SLACK, name="")
    assert (page.wrong, page.h1) == (["name"], "Add webhook for Slack")
    assert page.errors == [f"Enter a name, such as {PRESETS['slack'].example}"]
    tested = pages.submit(page.form(NEW), "Send test", name="IT channel")
    assert tested.h1 == "Test before saving"
    page = pages.follow("Continue editing")
    assert page.h1 == "Add webhook for Slack"
    assert {**page.form(NEW).fields, **NO_FLOODS} == page.form(NEW).fields
    page = pages.submit(tested.form(NEW), "Save webhook")
    webhook = webhook_queries.show(stored().public_id)
    assert (webhook.format, webhook.url_is_secret, webhook.has_secret) == ("slack", True, False)
    assert "Not made by a bulk action or an import" in page.main


def test_a_stale_edit_keeps_the_format(app: Flask, pages: Pages) -> None:
    hook = make_webhook(SLACK, name="IT channel")
    path = f"{LIST}/{hook.public_id}/edit"
    form = pages.get(path).form(path)
    other_pages = visit(app, name="Bo")
    other_pages.submit(other_pages.get(path).form(path), name="IT team")
    page = pages.submit(form, format="slack")
    assert ["Format", "Standard JSON", "Slack"] in page.rows()
    pages.submit(page.form(path), "Save my version")
    assert stored().format == "slack"


def test_an_unknown_format_is_refused_at_its_field(pages: Pages) -> None:
    page = add(pages, url="https://erp.example.com/hook", format="fax")
    assert (page.wrong, page.errors) == (["format"], ["Choose a format from the list"])
    assert add(pages, format="fax").wrong == ["url", "format"]


ENDED: Final = "https://acme.webhook.office.com/webhookb2/s3cr3t"


@pytest.mark.parametrize("to", [None, "teams", "slack"])
def test_a_retired_url_is_refused_with_an_alternative(pages: Pages, to: str | None) -> None:
    page = add(pages, to, url=ENDED)
    assert page.wrong == ["url"]
    assert "Send webhook alerts to a channel" in page.main


def test_an_incomplete_flow_url_is_refused(pages: Pages) -> None:
    page = add(pages, "teams", url=FLOW.partition("?")[0])
    assert (page.wrong, page.errors) == (["url"], ["This URL is incomplete. Copy it again"])
    assert add(pages, "teams", url=FLOW).status == 200


ASKED: Final = [
    (None, SLACK, "This looks like a Slack URL. Choose a format below"),
    ("discord", SLACK, "This looks like a Slack URL. Choose a format below"),
    (None, FLOW, "This looks like a Microsoft Teams or Power Automate URL. Choose a format below"),
]


@pytest.mark.parametrize(("to", "url", "asked"), ASKED)
@pytest.mark.parametrize("button", ["Save webhook", "Send test"])
def test_another_products_url_is_questioned_once(
    pages: Pages, to: str | None, url: str, asked: str, button: str
) -> None:
    page = add(pages, to, button, url=url)
    assert (page.wrong, page.errors) == (["url"], [asked])
    format_ = page.form(NEW).fields["format"][0]
    page = pages.submit(page.form(NEW), button)
    assert (page.status, stored().format or "") == (200, format_)


@pytest.mark.parametrize("button", ["Save webhook", "Send test"])
def test_the_products_format_is_accepted_or_declined_by_a_button(pages: Pages, button: str) -> None:
    question = add(pages, None, button, url=SLACK, secret_mode="generate")
    page = pages.submit(question.form(NEW), "Use the Slack format")
    saved = stored()
    assert (page.h1, saved.format) == (
        "IT channel" if button == "Save webhook" else "Test before saving",
        "slack",
    )
    assert (saved.url_is_secret, saved.secret_enc) == (True, None)
    assert sentences_of(saved.conditions) == ["Not made by a bulk action or an import"]
    question = add(pages, None, button, url=SLACK, secret_mode="generate", name="Another")
    page = pages.submit(question.form(NEW), "Keep Standard JSON")
    assert page.h1 in {"Copy the secret key", "Test before saving"}


def test_a_matching_url_is_not_questioned(pages: Pages) -> None:
    for to, url in (("slack", SLACK), ("teams", FLOW), ("power_automate", FLOW)):
        assert add(pages, to, url=url, name=to).status == 200, to
    assert add(pages, url="https://hooks.zapier.com/hooks/catch/1").status == 200


def test_a_form_without_a_format_field_leaves_the_format_unchanged(pages: Pages) -> None:
    add(pages, url=SLACK, format=None, to=None)
    assert stored().format is None
    hook = stored()
    hook.format = "slack"
    session().commit()
    path = f"{LIST}/{hook.public_id}/edit"
    pages.submit(pages.get(path).form(path), format=None, to=None, name="Renamed")
    assert (stored().name, stored().format) == ("Renamed", "slack")


def test_configuration_warnings_are_shown_on_page_and_form(app: Flask, pages: Pages) -> None:
    warnings = {
        "Since Nov 30, 2025, flows no longer have URLs at this host.": make_webhook(
            LEFT, format="teams"
        ),
        "This looks like a Slack URL. The webhook’s format is Standard JSON.": make_webhook(SLACK),
        "A flow refuses requests with an Authorization header (401).": make_webhook(
            FLOW, headers=[("authorization", "Bearer x")]
        ),
        "Slack doesn’t check signatures, so it doesn’t use a secret key": make_webhook(
            SLACK, format="slack", secret="a key of no use at all"
        ),
    }
    support = visit(app, "support")
    for sentence, hook in warnings.items():
        path = f"{LIST}/{hook.public_id}"
        assert sentence in pages.get(f"{path}/edit").main
        assert sentence in pages.get(path).main
        assert sentence in support.get(path).main
        assert "s3cr3t" not in support.get(path).html
        assert not [
            warning
            for warning in warnings
            if warning != sentence and warning in pages.get(path).main
        ]


def test_a_chat_webhook_can_still_have_a_secret_key(pages: Pages) -> None:
    add(pages, "slack", url=SLACK, secret_mode="generate")
    assert stored().secret_enc


def test_discord_urls_get_the_wait_parameter(pages: Pages) -> None:
    add(pages, "discord", url="https://discord.com/api/webhooks/1/s3cr3t")
    assert stored().url == "https://discord.com/api/webhooks/1/s3cr3t?wait=true"


def test_a_chats_url_is_always_hidden(app: Flask, pages: Pages) -> None:
    url = "https://chat.example.com/in/s3cr3t"
    page = add(pages, "slack", url=url, url_is_secret=None)
    assert stored().url_is_secret
    assert "IT channel saved. Only administrators see a chat’s full URL." in page.main
    assert "s3cr3t" not in visit(app, "support").get(page.path).html
    path = f"{page.path}/edit"
    assert pages.get(path).form(path).fields["url_is_secret"] == ["y"]


def test_a_chats_receiver_setup_shows_steps_instead_of_code(pages: Pages) -> None:
    hook = make_webhook(SLACK, format="slack")
    page = pages.get(f"{LIST}/{hook.public_id}/receiver")
    assert "Turn on Incoming Webhooks" in page.main
    removed = "The webhook was removed in Slack. Ask the person who manages the app in Slack to"
    assert f"404 no_service {removed}" in page.main
    assert "invalid_payload" not in page.main  # no one in Slack has to act
    assert page.root.find_all("pre") == []


def test_the_form_says_how_many_unsent_deliveries_change_format(
    pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = make_webhook(SLACK, format="slack")
    path = f"{LIST}/{hook.public_id}/edit"
    assert "will use this format, too" not in pages.get(path).main
    for status in ("queued", "retrying", "on_hold", "delivered"):
        make_delivery(hook, status=status)
    assert "3 unsent deliveries will use this format, too" in pages.get(path).main
    monkeypatch.setattr("portal.services.core.queries.COUNT_LIMIT", 2)
    assert "2+ unsent deliveries will use this format, too" in pages.get(path).main


def test_the_form_says_how_many_posts_a_chat_format_makes(pages: Pages) -> None:
    hook, chat = make_webhook(SLACK), make_webhook(SLACK, format="slack", name="Chat")
    path = f"{LIST}/{hook.public_id}/edit"
    assert "will be posted" not in pages.get(path).main
    make_delivery(hook, status="queued")
    make_delivery(chat, status="queued")
    page = pages.get(path)
    notice = "1 unsent delivery will be posted to the chat one by one. Retries wait for their next "
    assert f"{notice}attempt. View" in page.main
    log = f"/deliveries?webhook={hook.public_id}&status=undelivered"
    assert page.links("View or dismiss them first") == [log]
    page = pages.submit(page.form(path), format="slack", name="")
    assert notice in page.main
    assert "will be posted" not in pages.get(f"{LIST}/{chat.public_id}/edit").main


def test_a_webhooks_settings_show_its_sending_pace(pages: Pages) -> None:
    for format_, order, pace in (
        (None, False, "Any order, in parallel"),
        (None, True, "One at a time, in order"),
        ("slack", False, "One at a time, about one a second"),
        ("discord", True, "One at a time, in order, about one every 2 seconds"),
    ):
        hook = make_webhook(name=pace, format=format_, in_order=order)
        page = pages.get(f"{LIST}/{hook.public_id}")
        assert pace in [node.text for node in page.root.find_all("dd")], pace


def test_a_copied_chat_webhook_has_its_format_and_no_key(pages: Pages) -> None:
    hook = make_webhook(SLACK, format="slack", secret="a key of no use at all")
    fields = pages.get(f"{NEW}?copy={hook.public_id}").form(NEW).fields
    assert (fields["format"], fields["secret_mode"]) == (["slack"], ["none"])
