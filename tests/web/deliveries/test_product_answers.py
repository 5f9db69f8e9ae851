"""Explanations of chat products' responses, and who has to act."""

import pytest
from flask import Flask

from jobs.deliver import deliver_due
from portal.models.webhooks import Webhook
from portal.services.core.unit_of_work import writing
from tests.jobs.dispatcher.delivery_clock import only_delivery
from tests.support.chats import ChatReceiver
from tests.support.deliveries import make_attempt, make_delivery
from tests.support.factories import Hook, make_user, make_webhook, publish
from tests.web.signed_in import visit


def sent(receiver: ChatReceiver) -> tuple[Hook, str]:
    """Send one event to a webhook for this chat. Return the webhook and its delivery's path."""
    hook = make_webhook(receiver.url, format=receiver.chat, url_is_secret=True, name="IT channel")
    publish()
    deliver_due()
    return hook, f"/deliveries/{only_delivery().public_id}"


def test_acceptance_by_teams_is_not_called_proof_of_a_post(app: Flask) -> None:
    with ChatReceiver("teams") as receiver:
        _, path = sent(receiver)
    notice = "Microsoft Teams accepted the delivery, but that doesn’t prove that it was posted."
    pages = visit(app, "support")
    main = pages.get(path).main
    ask = "ask the workflow’s owner or a co-owner to check the run history in the Workflows app."
    assert f"{notice} If it wasn’t, {ask}" in main
    assert "Proof of delivery" not in main
    assert f"responded 202. {notice} Please check the run history" in proof(
        main, "Proof of sending"
    )
    assert main.count(notice) == 2  # in the verdict, and in the text to share
    assert notice in pages.client.get(f"{path}/help-bundle").text


def proof(main: str, title: str = "Proof of delivery") -> str:
    return main.partition(title)[2].partition("Request")[0]


@pytest.mark.parametrize(
    ("url", "by", "has_logs"),
    [
        ("https://hooks.slack.com/services/T0/B0/x", "Slack", False),
        ("https://mattermost.example.com/hooks/x", "Your server", True),
    ],
)
def test_a_proof_names_the_product_only_if_it_runs_the_host(
    app: Flask, url: str, by: str, has_logs: bool
) -> None:
    hook = make_webhook(url, format="slack", url_is_secret=True)
    made = make_delivery(hook, status="delivered", attempts=0)
    make_attempt(made, outcome="delivered", reason=None, code=200, url=url, response_text="ok")
    text = proof(visit(app).get(f"/deliveries/{made}").main)
    assert f". {by} responded 200." in text
    assert ("search your logs" in text.lower()) is has_logs


def test_an_archived_channel_says_who_has_to_act_in_slack(app: Flask) -> None:
    make_user("admin", name="Ada Admin")
    with ChatReceiver("slack") as receiver:
        receiver.answer(410, b"channel_is_archived")
        hook, path = sent(receiver)
    happened = "The webhook’s channel is archived in Slack"
    ask = "Ask a member of the channel to unarchive it in Slack."
    pages = visit(app, "support")
    delivery, webhook = pages.get(path).main, pages.get(f"/settings/webhooks/{hook.public_id}").main
    for main in (delivery, webhook):
        assert "A member of the channel" in main
        assert f"{ask} " in main
        assert "Ask an administrator (Ada Admin) to turn on the webhook." in main
        assert f"Permanently closed (410): “channel_is_archived”. {happened}." in main
        assert "Please unarchive it in Slack." in main
    assert f"{happened} (410)" in delivery
    assert f"URL permanently closed {happened}." in pages.get("/").main
    assert f"IT channel responded “channel_is_archived”. {happened}." in webhook
    ada = visit(app)
    ada.get("/")
    asked = ada.follow("Turn on").main
    assert f"{happened}. If it still is, the next delivery will fail and turn the" in asked
    assert "enter the new URL" not in asked
    bundle = pages.client.get(f"{path}/help-bundle").text
    assert f"{happened}.\nCause: Receiver" in bundle


def test_a_webhook_removed_in_slack_says_who_can_make_a_new_one(app: Flask) -> None:
    with ChatReceiver("slack") as receiver:
        receiver.answer(404, b"no_service")
        url = f"{receiver.url}services/T0AB/B0CD/s3cr3t"
        make_webhook(url, format="slack", url_is_secret=True)
        publish()
        deliver_due()
    main = visit(app).get(f"/deliveries/{only_delivery().public_id}").main
    assert "The webhook was removed in Slack (404)" in main
    assert "Ask the person who manages the app in Slack to add a webhook to the app" in main


def test_a_response_is_explained_by_the_format_of_its_time(app: Flask) -> None:
    with ChatReceiver("slack") as receiver:
        receiver.answer(400, b"invalid_payload")
        hook = make_webhook(receiver.url)
        publish()
        deliver_due()
    path = f"/deliveries/{only_delivery().public_id}"
    pages = visit(app)
    before = pages.get(path).main
    with writing() as current:
        current.get_one(Webhook, hook.id).format = "slack"
    after = pages.get(path).main
    for main in (before, after):
        assert "Choose Slack as the webhook’s format if this is a Slack or Mattermost URL." in main
        assert "developers" not in main


def test_a_chats_rate_limit_asks_no_one_to_act(app: Flask) -> None:
    hook = make_webhook("https://chat.googleapis.com/v1/spaces/A", format="google_chat")
    made = make_delivery(hook, status="retrying", reason="rate", code=429, tries=2)
    for _ in range(2):
        words = "RESOURCE_EXHAUSTED"
        make_attempt(made, reason="rate", code=429, url=hook.url, response_text=words)
    pages = visit(app)
    main = pages.get(f"/deliveries/{made}").main
    assert "Google Chat takes one post a second per space, from all senders together" in main
    assert "No action needed" in main
    assert "Update to share" not in main
    overview = pages.get("/").main
    assert "Rate limited (429)" in overview
    assert "Update to share" not in overview


def test_a_webhook_unknown_to_discord_asks_for_its_new_url(app: Flask) -> None:
    with ChatReceiver("discord") as receiver:
        receiver.answer(404, b'{"message": "Unknown Webhook", "code": 10015}')
        hook, path = sent(receiver)
    pages, edit = visit(app), f"/settings/webhooks/{hook.public_id}/edit#url"
    for page in (pages.get(path), pages.get(f"/settings/webhooks/{hook.public_id}")):
        assert "and send you its URL. Then enter the new URL." in page.main
        assert edit in page.links("Edit webhook")
    assert edit in pages.get("/").links("Edit webhook")
