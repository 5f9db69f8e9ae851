"""Four chat products as documented in November 2026: accepted posts, their display, and responses.

Never compared with the products themselves. `judge(key)` reads one body, and `ChatReceiver(key)`
receives the posts of a webhook.
"""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from html.parser import HTMLParser
from typing import Any, Final, NamedTuple

from jsonschema import Draft202012Validator

from tests.support.receiver import OK, Answer, Received, Receiver

WORD_JOINER: Final = "\N{WORD JOINER}"
URL: Final = {"type": "string", "pattern": r"^https?://\S+$", "maxLength": 2048}
TEXT: Final = {"type": "string", "pattern": r"\S"}


class Seen(NamedTuple):
    """A post as read in the channel. `headline` is its first line and the notification's text."""

    headline: str
    facts: list[tuple[str, str]]
    link: str | None


class Fault(AssertionError):
    """Raised if the product refuses the body or doesn't show it as written."""


class Chat(NamedTuple):
    """A chat product. `read` returns the post of a body that fits `schema`, or raises `Fault`."""

    schema: Mapping[str, Any]
    most_bytes: int
    read: Callable[[Any], Seen]
    taken: Answer
    too_large: Answer
    too_many: Answer
    refusal: Callable[[str], Answer]


def judge(chat: str, body: bytes) -> Seen:
    """Return the post as people read it. Raises `Fault`."""
    product = CHATS[chat]
    if len(body) > product.most_bytes:
        raise Fault(f"{len(body)} bytes; {product.most_bytes} are the most")
    try:
        message = json.loads(body.decode())
    except ValueError as error:
        raise Fault(f"no JSON: {error}") from error
    errors = Draft202012Validator(product.schema).iter_errors(message)
    if faults := [f"{fault.json_path}: {fault.message}" for fault in errors]:
        raise Fault("; ".join(faults))
    return product.read(message)


def _object(required: str, optional: str = "", **properties: Any) -> dict[str, Any]:
    assert set(f"{required} {optional}".split()) == set(properties)
    return {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "additionalProperties": False,
    }


def _list(items: Any, most: int, least: int = 1) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": least, "maxItems": most}


def _only(value: Any) -> dict[str, Any]:
    return {"enum": [value]}


# --- Slack: https://docs.slack.dev/messaging/formatting-message-text and …/legacy/
# secondary-message-attachments; Mattermost: developers.mattermost.com/integrate/reference/
# message-attachments

SLACK: Final = _object(
    "text attachments",
    "mrkdwn",
    text=TEXT | {"maxLength": 40_000},
    mrkdwn={"type": "boolean"},
    attachments=_list(
        _object(
            "fallback fields",
            "color title title_link mrkdwn_in",
            fallback=TEXT,
            color={"pattern": "^#[0-9a-f]{6}$"},
            title=TEXT,
            title_link=URL,
            mrkdwn_in=_list({"enum": ["text", "pretext", "fields"]}, 3),
            fields=_list(
                _object("title value", "short", title=TEXT, value=TEXT, short={"type": "boolean"}),
                most=20,
                least=0,
            ),
        ),
        most=20,
    ),
)


def _read_slack(message: Any) -> Seen:
    [attachment] = message["attachments"]
    headline = _slack_text(message["text"], message.get("mrkdwn", True))
    is_marked = "fields" in attachment.get("mrkdwn_in", ())
    _same(_slack_text(attachment["fallback"], is_markdown=False), headline)
    facts = [
        (_slack_text(field["title"], False), _slack_text(field["value"], is_marked))
        for field in attachment["fields"]
    ]
    return Seen(headline, facts, attachment.get("title_link"))


def _slack_text(text: str, is_markdown: bool) -> str:
    _none_of(r"[<>]|&(?!amp;|lt;|gt;)", text, "not escaped")
    _none_of(r"@(?=\w)|\]\(", text, "a mention or link in Mattermost")
    if is_markdown:
        _none_of(r"[*_~`]|^[>•-]", text, "markup")
    entities = {"&amp;": "&", "&lt;": "<", "&gt;": ">"}
    return re.sub("&(amp|lt|gt);", lambda each: entities[each[0]], text).replace(WORD_JOINER, "")


# --- Microsoft Teams: learn.microsoft.com/adaptive-cards/schema-explorer/rich-text-block, text-run,
# …/create/textfeatures

# For a card of 24,453 bytes, Teams reported a size of 28,897 and a limit of 28,672
# (github.com/MicrosoftDocs/msteams-docs/issues/11274).
TEAMS_TAKES: Final = 28_672 - (28_897 - 24_453)
_RUN: Final = _object(
    "type text",
    "size weight color isSubtle",
    type=_only("TextRun"),
    text={"type": "string", "minLength": 1},
    size={"enum": ["small", "default", "medium", "large", "extraLarge"]},
    weight={"enum": ["lighter", "default", "bolder"]},
    color={"enum": ["default", "dark", "light", "accent", "good", "warning", "attention"]},
    isSubtle={"type": "boolean"},
)
_SPACING: Final = {"enum": ["none", "small", "default", "medium", "large", "padding"]}
TEAMS: Final = _object(
    "type attachments",
    type=_only("message"),
    attachments=_list(
        _object(
            "contentType content",
            "contentUrl",
            contentType=_only("application/vnd.microsoft.card.adaptive"),
            contentUrl={"type": "null"},
            content=_object(
                "type version body",
                "$schema actions",
                **{"$schema": _only("http://adaptivecards.io/schemas/adaptive-card.json")},
                type=_only("AdaptiveCard"),
                version={"enum": ["1.2", "1.3", "1.4", "1.5"]},
                body=_list(
                    {
                        "oneOf": [
                            _object(
                                "type inlines",
                                "spacing",
                                type=_only("RichTextBlock"),
                                spacing=_SPACING,
                                inlines=_list(_RUN, most=20),
                            ),
                            _object(
                                "type text",
                                "spacing wrap",
                                type=_only("TextBlock"),
                                text=TEXT,
                                spacing=_SPACING,
                                wrap={"type": "boolean"},
                            ),
                        ]
                    },
                    most=20,
                ),
                actions=_list(
                    _object("type title url", type=_only("Action.OpenUrl"), title=TEXT, url=URL),
                    most=6,
                ),
            ),
        ),
        most=1,
    ),
)


def _read_teams(message: Any) -> Seen:
    card = message["attachments"][0]["content"]
    lines = ["".join(_teams_texts(block)) for block in card["body"]]
    is_fact = [len(block.get("inlines", ())) > 1 for block in card["body"]]
    top = is_fact.index(True) if True in is_fact else len(lines)
    facts = [(label, value) for label, _, value in (line.partition(": ") for line in lines[top:])]
    actions = card.get("actions", [])
    return Seen(": ".join(lines[:top]), facts, actions[0]["url"] if actions else None)


def _teams_texts(block: Any) -> Iterator[str]:
    for run in block.get("inlines", [block]):
        _none_of(r"\{\{(DATE|TIME)\(", run["text"], "shown as a date")
        if run["type"] == "TextBlock":
            _none_of(r"[*_\[\]`]|^([-#>]|\d+\.)|\n", run["text"], "Markdown")
        yield run["text"].replace(WORD_JOINER, "")


# --- Discord: docs.discord.com/developers/resources/webhook, …/message#embed-object-embed-limits;
# Markdown: support.discord.com, "Markdown Text 101"

DISCORD: Final = _object(
    "embeds allowed_mentions",
    embeds=_list(
        _object(
            "title",
            "description url color fields",
            title=TEXT | {"maxLength": 256},
            description=TEXT | {"maxLength": 4096},
            url=URL,
            color={"type": "integer", "minimum": 0, "maximum": 0xFFFFFF},
            fields=_list(
                _object(
                    "name value",
                    "inline",
                    name=TEXT | {"maxLength": 256},
                    value=TEXT | {"maxLength": 1024},
                    inline={"type": "boolean"},
                ),
                most=25,
                least=0,
            ),
        ),
        most=10,
    ),
    allowed_mentions=_object("parse", parse=_list({"type": "string"}, most=0, least=0)),
)
_DISCORD_UNITS: Final = {"title": 256, "description": 4096, "name": 256, "value": 1024}


def _read_discord(message: Any) -> Seen:
    [embed] = message["embeds"]
    fields = embed["fields"]
    texts = [(key, part[key]) for part in (embed, *fields) for key in _DISCORD_UNITS if key in part]
    units = [(key, len(text.encode("utf-16-le")) // 2) for key, text in texts]
    for key, count in units:
        if count > _DISCORD_UNITS[key]:
            raise Fault(f"{key} of {count} characters")
    if sum(count for _, count in units) > 6_000:
        raise Fault("more than 6,000 characters in all")
    parts = [embed["title"], *([embed["description"]] if "description" in embed else [])]
    facts = [(_discord_text(part["name"]), _discord_text(part["value"])) for part in fields]
    return Seen(": ".join(map(_discord_text, parts)), facts, embed.get("url"))


def _discord_text(text: str) -> str:
    bare = re.sub(r"\\[^0-9A-Za-z\s]", "·", text)
    _none_of(r"[*_~`|<\[]|@(?=everyone|here)", bare, "markup")
    _none_of(r"^\s*([-+#>]|\d+\.)", bare, "a list or heading")
    return re.sub(r"\\([^0-9A-Za-z\s])", r"\1", text)


# --- Google Chat: developers.google.com/workspace/chat/api/reference/rest/v1/cards, …/
# format-messages, …/create-messages

_ACTION: Final = _object("openLink", openLink=_object("url", url=URL))
_WIDGET: Final = {
    "oneOf": [
        _object("textParagraph", textParagraph=_object("text", text=TEXT)),
        _object(
            "decoratedText",
            decoratedText=_object(
                "text", "topLabel wrapText", text=TEXT, topLabel=TEXT, wrapText={"type": "boolean"}
            ),
        ),
        _object(
            "buttonList",
            buttonList=_object(
                "buttons",
                buttons=_list(_object("text onClick", text=TEXT, onClick=_ACTION), most=10),
            ),
        ),
    ]
}
GOOGLE_CHAT: Final = _object(
    "cardsV2",
    "text fallbackText",
    text=TEXT,
    fallbackText=TEXT,
    cardsV2=_list(
        _object(
            "card",
            "cardId",
            cardId=TEXT,
            card=_object(
                "header",
                "sections",
                header=_object("title", "subtitle", title=TEXT, subtitle=TEXT),
                sections=_list(_object("widgets", widgets=_list(_WIDGET, most=100)), most=100),
            ),
        ),
        most=1,
    ),
)


def _read_google_chat(message: Any) -> Seen:
    card = message["cardsV2"][0]["card"]
    widgets = card.get("sections", [{"widgets": []}])[0]["widgets"]
    header = [_unmarked(text) for text in card["header"].values()]
    paragraphs = [_html(widget["text"]) for widget in _of(widgets, "textParagraph")]
    headline = ": ".join([*header, *paragraphs])
    _none_of(r"<(users|customEmojis)/|<https?:", message.get("fallbackText", ""), "a mention")
    _same(message["fallbackText"].replace(WORD_JOINER, ""), headline)
    if "text" in message:
        _none_of(r"[*_~`<]", message["text"], "markup")
    return Seen(
        headline,
        [
            (_unmarked(widget["topLabel"]), _html(widget["text"]))
            for widget in _of(widgets, "decoratedText")
        ],
        next(
            (
                widget["buttons"][0]["onClick"]["openLink"]["url"]
                for widget in _of(widgets, "buttonList")
            ),
            None,
        ),
    )


def _of(widgets: list[Any], kind: str) -> list[Any]:
    return [widget[kind] for widget in widgets if kind in widget]


def _unmarked(text: str) -> str:
    """Refuse HTML characters, because the docs don't say if these texts are read as HTML."""
    _none_of("[<>&]", text, "perhaps HTML")
    return text


class _Html(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.shown = ""

    def handle_data(self, data: str) -> None:
        self.shown += data


def _html(text: str) -> str:
    """Return the text without tags. Google Chat drops unknown tags, too."""
    parser = _Html()
    parser.feed(text)
    parser.close()
    return parser.shown


def _none_of(pattern: str, text: str, fault: str) -> None:
    if match := re.search(pattern, text):
        raise Fault(f"{fault}: {match[0]!r} in {text!r}")


def _same(text: str, other: str) -> None:
    if text != other:
        raise Fault(f"{text!r} is not {other!r}")


def _json(status: int, value: Any, **headers: str) -> Answer:
    pairs = [("Content-Type", "application/json"), *headers.items()]
    return Answer(status, json.dumps(value).encode(), pairs)


def _google_error(code: int, status: str, message: str) -> Answer:
    return _json(code, {"error": {"code": code, "message": message, "status": status}})


def _teams_error(code: int, name: str, message: str) -> Answer:
    return _json(code, {"error": {"code": name, "message": message}})


CHATS: Final[Mapping[str, Chat]] = {
    "slack": Chat(
        SLACK,
        150_000,
        _read_slack,
        taken=Answer(200, b"ok"),
        too_large=Answer(400, b"invalid_payload"),
        too_many=Answer(429, b"rate_limited", [("Retry-After", "1")]),
        refusal=lambda _fault: Answer(400, b"invalid_payload"),
    ),
    "teams": Chat(
        TEAMS,
        TEAMS_TAKES,
        _read_teams,
        taken=Answer(202),
        too_large=_teams_error(413, "RequestEntityTooLarge", "Request Entity too large"),
        too_many=_teams_error(429, "TooManyRequests", "Rate limit is exceeded. Try again later."),
        refusal=lambda fault: _teams_error(400, "InvalidRequestContent", fault),
    ),
    "discord": Chat(
        DISCORD,
        100_000,
        _read_discord,
        taken=Answer(204),
        too_large=_json(413, {"message": "Request entity too large", "code": 40005}),
        too_many=_json(
            429,
            {"message": "You are being rate limited.", "retry_after": 1.0, "global": False},
            **{"Retry-After": "1"},
        ),
        refusal=lambda fault: _json(
            400,
            {"message": "Cannot send an empty message", "code": 50006}
            if "'embeds' is a required" in fault
            else {"message": "Invalid Form Body", "code": 50035},
        ),
    ),
    "google_chat": Chat(
        GOOGLE_CHAT,
        32_000,
        _read_google_chat,
        taken=_json(
            200, {"name": "spaces/A/messages/B.B", "thread": {"name": "spaces/A/threads/B"}}
        ),
        too_large=_google_error(400, "INVALID_ARGUMENT", "Message is too long."),
        too_many=_google_error(
            429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."
        ),
        refusal=lambda fault: _google_error(400, "INVALID_ARGUMENT", f"Invalid JSON: {fault}"),
    ),
}


class ChatReceiver(Receiver):
    """A chat's webhook URL on loopback. `seen` are the accepted posts in order.

    Requests less than `pace` seconds apart are refused as too many. Responses set by `answer` or
    `answer_next` come first.
    """

    def __init__(self, chat: str, *, pace: float = 0.0, port: int = 0) -> None:
        super().__init__(port=port)
        self.chat, self.pace = chat, pace
        self.seen: list[Seen] = []
        self._next_at = 0.0

    def answer_to(self, received: Received) -> Answer:
        answer = super().answer_to(received)
        return self._judged(received) if answer is OK else answer

    def _judged(self, received: Received) -> Answer:
        product, now = CHATS[self.chat], time.monotonic()
        if now < self._next_at:
            return product.too_many
        if len(received.body) > product.most_bytes:
            return product.too_large
        if not (received.header("Content-Type") or "").startswith("application/json"):
            return product.refusal("no JSON")
        try:
            seen = judge(self.chat, received.body)
        except Fault as fault:
            return product.refusal(str(fault))
        self._next_at = now + self.pace
        self.seen.append(seen)
        if self.chat == "discord" and "wait=true" in received.path:
            return _json(200, {"id": "1", "type": 0, "embeds": []})
        return product.taken
