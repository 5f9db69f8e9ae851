"""Explain the responses of known products, as rows of data.

The rows are from documentation of November 2026 and were never tried live. `reason_at` handles the
one response that means more than its code.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from portal.engine.formats.presets import PRESETS, Preset, presets_at
from portal.engine.next_steps import ASK, EDIT, SYSTEM, ReasonStep
from portal.engine.reasons import Explanation, Reason, Side

_US: Final = "{us}"


class Meaning(NamedTuple):
    """The meaning of a response. Each text can be blank.

    `happened`: a sentence. `who`: the person who has to `do` something in the product for "{us}".
    `here`: the step in this portal after that, for users with the `permission`. `rest`: a step for
    anyone, in place of both.
    """

    happened: str
    who: str = ""
    do: str = ""
    here: str = ""
    permission: str = EDIT
    rest: str = ""

    @property
    def is_advice(self) -> bool:
        """Return whether it contains a next step."""
        return bool(self.who or self.here or self.rest)

    @property
    def request(self) -> str:
        """Return the request to the person in the product, or a blank text without one."""
        return f"Please {self.do.replace(_US, 'us')}." if self.who else ""

    @property
    def advice(self) -> str:
        """Return "ask the flow’s owner to ….", or a blank text if no one has to act there."""
        return f"ask {self.who} to {self.do.replace(_US, 'you')}." if self.who else ""

    @property
    def step(self) -> ReasonStep | None:
        """Return the requirement of the next step in this portal, or None without one."""
        if not self.here:
            return None
        if not self.who:
            return ReasonStep(self.permission, f"{ASK} to {self.here}.", f"{_capital(self.here)}.")
        asked = _capital(self.advice)
        return ReasonStep(
            self.permission,
            f"{asked} Then {ASK} to {self.here}.",
            f"{asked} Then {self.here}.",
            needed=f"{_capital(self.here)}.",
        )

    @property
    def todo(self) -> str:
        """Return the next step, for users with the permission."""
        return self.step.own if self.step else self.rest or _capital(self.advice)

    def explained(self, by_code: Explanation) -> Explanation:
        """Return the explanation of the code, with this meaning in its place."""
        if not self.is_advice:
            return replace(by_code, what_happened=self.happened)
        ours = Side.US if self.permission == SYSTEM else Side.YOU
        side = ours if self.here and not self.who else Side.RECEIVER
        return replace(by_code, what_happened=self.happened, next_step=self.todo, side=side)


def _capital(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}"


class Row(NamedTuple):
    """The code and words of a response, and their meaning.

    A `code` of 0 fits any code. `words` fit a text that contains them, ignoring case, and blank
    ones fit any text. `is_all`: the text contains nothing else.
    """

    code: int
    words: str
    meaning: Meaning
    is_all: bool = False

    def fits(self, code: int | None, said: str) -> bool:
        """Return whether the row fits a response. `said`: its text in lowercase."""
        words = self.words.lower()
        return self.code in (0, code) and (said == words if self.is_all else words in said)


NEW_URL: Final = "enter the new URL"


def _content(name: str, *words: str) -> tuple[Row, ...]:
    """Return rows for a post that we wrote in the product’s own format."""
    meaning = Meaning(
        f"{name} didn’t accept the post’s content.",
        here="report this to this portal’s developers, with the diagnostics",
        permission=SYSTEM,
    )
    return tuple(Row(400, text, meaning) for text in words)


def _flow(name: str, flow: str, proof: str, where: str) -> tuple[Row, ...]:
    """Return rows for a flow of Power Automate. A workflow of Teams is one too."""
    owner = f"the {flow}’s owner or a co-owner"
    signs_in = Meaning(
        f"The {flow} in {name} takes deliveries only from people who sign in.",
        owner,
        f"set “Who can trigger the flow” to Anyone in the {flow}’s trigger and send {{us}} its URL",
        "enter that URL and remove any custom header named Authorization",
    )
    return (
        Row(
            202,
            "",
            Meaning(
                f"{name} accepted the delivery, but that doesn’t prove that {proof}.",
                owner,
                f"check the run history {where}",
            ),
        ),
        Row(
            401,
            "DirectApiRequestHasMoreThanOneAuthorization",
            Meaning(
                f"The {flow} in {name} rejects a custom header named Authorization.",
                here="remove the custom header named Authorization",
            ),
        ),
        Row(401, "", signs_in),
        Row(
            0,
            "TriggerIsNotEnabled",
            Meaning(f"The {flow} in {name} is turned off.", owner, f"turn on the {flow}"),
        ),
        Row(
            404,
            "",
            Meaning(
                f"The {flow} in {name} no longer exists.",
                "a colleague who uses Power Automate",
                f"make the {flow} again, add a co-owner, and send {{us}} its URL",
                NEW_URL,
            ),
        ),
    )


_NOT_SLACK: Final = ("invalid_payload", "missing_text_or_fallback_or_attachments", "no_text")
_BY_SLACK_APP: Final = "the person who manages the app in Slack"
_SLACK_REMOVED: Final = Meaning(
    "The webhook was removed in Slack.",
    _BY_SLACK_APP,
    "add a webhook to the app under Incoming Webhooks and send {us} its URL",
    NEW_URL,
)

_ROWS: Final[Mapping[str, tuple[Row, ...]]] = {
    "slack": (
        *_content("Slack", *_NOT_SLACK),
        Row(
            403,
            "action_prohibited",
            Meaning(
                "Slack doesn’t allow this webhook to post in its channel.",
                "a Slack workspace admin",
                "let apps post in the channel",
            ),
        ),
        Row(
            403,
            "invalid_token",
            Meaning(
                "The URL’s last part isn’t valid in Slack.",
                _BY_SLACK_APP,
                "send {us} the webhook’s URL from Incoming Webhooks",
                "enter that URL",
            ),
        ),
        Row(
            404,
            "channel_not_found",
            Meaning(
                "The webhook’s channel doesn’t exist in Slack.",
                _BY_SLACK_APP,
                "add a webhook for another channel under Incoming Webhooks and send {us} its URL",
                NEW_URL,
            ),
        ),
        Row(404, "no_service", _SLACK_REMOVED),
        Row(
            410,
            "channel_is_archived",
            Meaning(
                "The webhook’s channel is archived in Slack.",
                "a member of the channel",
                "unarchive it in Slack",
            ),
        ),
    ),
    "teams": _flow("Microsoft Teams", "workflow", "it was posted", "in the Workflows app"),
    "power_automate": _flow("Power Automate", "flow", "it was processed", "in Power Automate"),
    "discord": (
        *_content("Discord", "50006", "50035"),
        Row(
            401,
            "50027",
            Meaning(
                "The URL’s last part isn’t valid in Discord.",
                "someone who manages the channel in Discord",
                "send {us} the webhook’s URL from Integrations in the channel’s settings",
                "enter that URL",
            ),
        ),
        Row(
            404,
            "",
            Meaning(
                "The webhook was deleted in Discord.",
                "someone who manages the channel in Discord",
                "add a webhook under Integrations in the channel’s settings and send {us} its URL",
                NEW_URL,
            ),
        ),
    ),
    "google_chat": (
        *_content("Google Chat", "INVALID_ARGUMENT"),
        Row(
            429,
            "RESOURCE_EXHAUSTED",
            Meaning("Google Chat takes one post a second per space, from all senders together."),
        ),
    ),
    "zapier": (
        Row(
            200,
            "",
            Meaning(
                "Zapier accepted the delivery, but that doesn’t prove that it was processed.",
                "the Zap’s owner",
                "check the Zap history",
            ),
        ),
        Row(429, "", Meaning("Zapier limits how many deliveries it takes in five minutes.")),
    ),
    "make": (
        Row(
            200,
            "",
            Meaning(
                "Make accepted the delivery, but that doesn’t prove that it was processed.",
                "the scenario’s owner",
                "check the scenario’s history in Make",
            ),
        ),
        Row(
            410,
            "",
            Meaning(
                "Make closed this URL because no scenario used it for 120 hours.",
                "the scenario’s owner",
                "add the webhook to the scenario in Make, turn the scenario on, and send {us} the "
                "webhook’s URL",
                "enter that URL",
            ),
        ),
    ),
    "n8n": (
        Row(
            404,
            "in test mode",
            Meaning(
                "This is n8n’s test URL, which works for 120 seconds only.",
                "the workflow’s owner in n8n",
                "publish the workflow and send {us} the Webhook node’s Production URL",
                "enter that URL",
            ),
        ),
        Row(
            404,
            "is not registered",
            Meaning(
                "n8n has no published workflow at this URL.",
                "the workflow’s owner in n8n",
                "publish the workflow and send {us} the Webhook node’s Production URL",
                "enter that URL",
            ),
        ),
    ),
}


def _other_format(product: str, who: str, whose: str) -> Meaning:
    """Return the meaning for a body in our own format at an unknown host."""
    return Meaning(
        f"{who} like this to content that isn’t in {product}’s format.",
        here=f"choose {product} as the webhook’s format if this is a {whose} URL",
    )


_SLACK_LIKE: Final = _other_format("Slack", "Slack and Mattermost respond", "Slack or Mattermost")
# n8n and Mattermost are usually self-hosted. No other product responds with these words.
_AT_OWN_HOSTS: Final = (
    *_ROWS["n8n"],
    *(Row(400, text, _SLACK_LIKE, is_all=True) for text in _NOT_SLACK),
    Row(400, "web.incoming_webhook.", _SLACK_LIKE),
    Row(
        400, "Cannot send an empty message", _other_format("Discord", "Discord responds", "Discord")
    ),
)


def _outage(name: str) -> Meaning:
    rest = f"Usually, no action is needed. If it lasts, check the status page of {name}."
    return Meaning(f"{name} had a problem.", rest=rest)


def product_at(host: str, format_: str | None) -> Preset | None:
    """Return the product that runs this host, or None for an unknown host.

    Other products at unknown hosts can read the same format.
    """
    here = presets_at(host)
    return next((preset for preset in here if preset.format == format_), here[0] if here else None)


def _read_by(format_: str | None) -> Preset | None:
    return next(
        (preset for preset in PRESETS.values() if format_ and preset.format == format_), None
    )


def meaning(host: str, format_: str | None, code: int | None, text: str) -> Meaning | None:
    """Return the meaning of a response to a webhook, or None if the code already says it all."""
    at_home = product_at(host, format_)
    product = at_home or _read_by(format_)
    rows = _ROWS.get(product.key, ()) if product else _AT_OWN_HOSTS
    said = text.strip().lower()
    row = next((row for row in rows if row.fits(code, said)), None)
    if row is None:
        return _outage(at_home.name) if at_home and (code or 0) >= 500 else None
    if product and product.format != format_ and row.meaning.permission == SYSTEM:
        return Meaning(
            f"{product.name} reads only posts in its own format.",
            here=f"choose {product.name} as the webhook’s format",
        )
    return row.meaning


def answers_of(product: str) -> Sequence[tuple[str, str]]:
    """Return the product’s responses that someone there has to act on, with their meanings."""
    return [
        (" ".join(filter(None, (str(row.code or ""), row.words))), f"{found.happened} {found.todo}")
        for row in _ROWS.get(product, ())
        if (found := row.meaning).who
    ]


def reason_at(host: str, format_: str | None, reason: Reason) -> Reason:
    """Return the reason for a failure at this host. Discord’s NOT_FOUND becomes GONE.

    Discord restricts senders that retry a webhook that it doesn’t find.
    """
    if reason is not Reason.NOT_FOUND:
        return reason
    product = product_at(host, format_) or _read_by(format_)
    return Reason.GONE if product and product.key == "discord" else reason
