"""Explanations of products' responses: the person who must act, and the place."""

import json
from typing import Final

import pytest

from portal.engine.formats.answers import meaning, product_at, reason_at
from portal.engine.reasons import Reason, explain, reason_for_code

FLOW: Final = "d1.0b.environment.api.powerplatform.com"
OWN: Final = "chat.example.com"  # Mattermost, n8n, a proxy


def told(host: str, format_: str | None, code: int, text: str) -> list[str]:
    """Return the event and the next step, or [] if the status code says it all."""
    reason, found = reason_for_code(code), meaning(host, format_, code, text)
    if found is None:
        return []
    if reason is None:
        return [found.happened, found.request]
    words = found.explained(explain(reason, host="Sync"))
    return [words.what_happened, words.next_step]


def flow_error(code: str) -> str:
    return json.dumps({"error": {"code": code, "message": "The request must be …"}})


OUR_FAULT: Final = "Report this to this portal’s developers, with the diagnostics."
BY_APP: Final = "Ask the person who manages the app in Slack to"
IN_DISCORD: Final = "Ask someone who manages the channel in Discord to"
IN_N8N: Final = "Ask the workflow’s owner in n8n to publish the workflow"
N8N: Final = json.dumps(
    {
        "code": 404,
        "message": 'The requested webhook "POST x" is not registered.',
        "hint": "The workflow must be active for a production URL to run successfully.",
    }
)

MATTERMOST: Final = json.dumps(
    {"id": "web.incoming_webhook.text.app_error", "message": "No text specified."}
)
LIKE_SLACK: Final = (
    "Slack and Mattermost respond like this to content that isn’t in Slack’s format."
)
IF_SLACK: Final = "Choose Slack as the webhook’s format if this is a Slack or Mattermost URL."


@pytest.mark.parametrize(
    ("where", "code", "text", "said"),
    [
        (
            ("hooks.slack.com", "slack"),
            400,
            "invalid_payload",
            ["Slack didn’t accept the post’s content.", OUR_FAULT],
        ),
        (
            ("hooks.slack.com", None),
            400,
            "missing_text_or_fallback_or_attachments",
            [
                "Slack reads only posts in its own format.",
                "Choose Slack as the webhook’s format.",
            ],
        ),
        (
            ("hooks.slack.com", "slack"),
            403,
            "action_prohibited",
            [
                "Slack doesn’t allow this webhook to post in its channel.",
                "Ask a Slack workspace admin to let apps post in the channel.",
            ],
        ),
        (
            ("hooks.slack.com", "slack"),
            403,
            "invalid_token",
            [
                "The URL’s last part isn’t valid in Slack.",
                f"{BY_APP} send you the webhook’s URL from Incoming Webhooks. Then enter that URL.",
            ],
        ),
        (
            ("hooks.slack.com", "slack"),
            404,
            "channel_not_found",
            [
                "The webhook’s channel doesn’t exist in Slack.",
                f"{BY_APP} add a webhook for another channel under Incoming Webhooks and send "
                "you its URL. Then enter the new URL.",
            ],
        ),
        (
            ("hooks.slack.com", "slack"),
            404,
            "no_service",
            [
                "The webhook was removed in Slack.",
                f"{BY_APP} add a webhook to the app under Incoming Webhooks and send you its URL. "
                "Then enter the new URL.",
            ],
        ),
        (
            ("hooks.slack.com", "slack"),
            410,
            "channel_is_archived",
            [
                "The webhook’s channel is archived in Slack.",
                "Ask a member of the channel to unarchive it in Slack.",
            ],
        ),
        (
            (FLOW, "teams"),
            202,
            "",
            [
                "Microsoft Teams accepted the delivery, but that doesn’t prove that it was posted.",
                "Please check the run history in the Workflows app.",
            ],
        ),
        (
            (FLOW, None),
            202,
            "",
            [
                "Power Automate accepted the delivery, but that doesn’t prove that it was "
                "processed.",
                "Please check the run history in Power Automate.",
            ],
        ),
        (
            (FLOW, "teams"),
            401,
            flow_error("DirectApiAuthorizationRequired"),
            [
                "The workflow in Microsoft Teams takes deliveries only from people who sign in.",
                "Ask the workflow’s owner or a co-owner to set “Who can trigger the flow” to "
                "Anyone in the workflow’s trigger and send you its URL. Then enter that URL and "
                "remove any custom header named Authorization.",
            ],
        ),
        (
            (FLOW, None),
            401,
            flow_error("DirectApiRequestHasMoreThanOneAuthorization"),
            [
                "The flow in Power Automate rejects a custom header named Authorization.",
                "Remove the custom header named Authorization.",
            ],
        ),
        (
            (FLOW, None),
            400,
            flow_error("WorkflowTriggerIsNotEnabled"),
            [
                "The flow in Power Automate is turned off.",
                "Ask the flow’s owner or a co-owner to turn on the flow.",
            ],
        ),
        (
            (FLOW, "teams"),
            404,
            flow_error("WorkflowNotFound"),
            [
                "The workflow in Microsoft Teams no longer exists.",
                "Ask a colleague who uses Power Automate to make the workflow again, add a "
                "co-owner, and send you its URL. Then enter the new URL.",
            ],
        ),
        (
            ("discord.com", "discord"),
            404,
            '{"message": "Unknown Webhook", "code": 10015}',
            [
                "The webhook was deleted in Discord.",
                f"{IN_DISCORD} add a webhook under Integrations in the channel’s settings and send "
                "you its URL. Then enter the new URL.",
            ],
        ),
        (
            ("discord.com", "discord"),
            401,
            '{"message": "Invalid Webhook Token", "code": 50027}',
            [
                "The URL’s last part isn’t valid in Discord.",
                f"{IN_DISCORD} send you the webhook’s URL from Integrations in the channel’s "
                "settings. Then enter that URL.",
            ],
        ),
        (
            ("chat.googleapis.com", "google_chat"),
            429,
            '{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}',
            [
                "Google Chat takes one post a second per space, from all senders together.",
                "Usually, no action is needed. We slow down automatically.",
            ],
        ),
        (
            ("hook.eu1.make.com", None),
            410,
            "",
            [
                "Make closed this URL because no scenario used it for 120 hours.",
                "Ask the scenario’s owner to add the webhook to the scenario in Make, turn the "
                "scenario on, and send you the webhook’s URL. Then enter that URL.",
            ],
        ),
        (
            ("hooks.zapier.com", None),
            200,
            '{"status": "success"}',
            [
                "Zapier accepted the delivery, but that doesn’t prove that it was processed.",
                "Please check the Zap history.",
            ],
        ),
        (
            (OWN, None),
            404,
            N8N,
            [
                "n8n has no published workflow at this URL.",
                f"{IN_N8N} and send you the Webhook node’s Production URL. Then enter that URL.",
            ],
        ),
        (
            ("acme.app.n8n.cloud", None),
            404,
            N8N.replace("The workflow must be active", "In test mode, the webhook works once"),
            [
                "This is n8n’s test URL, which works for 120 seconds only.",
                f"{IN_N8N} and send you the Webhook node’s Production URL. Then enter that URL.",
            ],
        ),
        ((OWN, None), 400, "invalid_payload\n", [LIKE_SLACK, IF_SLACK]),
        ((OWN, None), 400, MATTERMOST, [LIKE_SLACK, IF_SLACK]),
        (
            (OWN, None),
            400,
            '{"message": "Cannot send an empty message", "code": 50006}',
            [
                "Discord responds like this to content that isn’t in Discord’s format.",
                "Choose Discord as the webhook’s format if this is a Discord URL.",
            ],
        ),
        # Not the product's wording, or not the product's URL.
        ((OWN, None), 400, '{"error": "invalid_payload"}', []),
        ((OWN, "slack"), 404, "Couldn't find the channel", []),
        ((OWN, None), 404, "no_service", []),
        (
            (FLOW, "teams"),
            503,
            "",
            [
                "Microsoft Teams had a problem.",
                "Usually, no action is needed. If it lasts, check the status page of Microsoft "
                "Teams.",
            ],
        ),
        ((OWN, "slack"), 503, "", []),
        ((OWN, None), 202, "", []),
    ],
)
def test_a_products_response_is_explained_with_a_next_step(
    where: tuple[str, str | None], code: int, text: str, said: list[str]
) -> None:
    assert told(*where, code, text) == said


def test_the_product_follows_from_the_host_and_the_format() -> None:
    keys = {
        where: product.key if (product := product_at(*where)) else None
        for where in (
            (FLOW, "teams"),
            (FLOW, None),
            ("hooks.slack.com", "discord"),
            (OWN, "discord"),
            (OWN, None),
        )
    }
    assert list(keys.values()) == ["teams", "power_automate", "slack", None, None]
    assert reason_at(OWN, "discord", Reason.NOT_FOUND) is Reason.GONE
    assert reason_at("discord.com", None, Reason.NOT_FOUND) is Reason.GONE
    assert reason_at("hooks.slack.com", "discord", Reason.NOT_FOUND) is Reason.NOT_FOUND
