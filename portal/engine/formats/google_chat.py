"""Posts for Google Chat: one card.

`text` is unused because "<users/all>" in it would mention everyone. Only widgets parse HTML, so
untrusted texts are escaped there.
"""

from html import escape
from typing import Any

import orjson

from portal.engine.formats.post import COLORS, WORD_JOINER, Post


def write(post: Post) -> bytes:
    """Return a message of an incoming webhook. Notifications show its `fallbackText`."""
    color = COLORS[post.severity]
    widgets: list[dict[str, Any]] = []
    if post.asset:
        text = f'<b><font color="{color}">{_html(post.asset)}</font></b>'
        widgets.append({"textParagraph": {"text": text}})
    widgets += [
        {"decoratedText": {"topLabel": label, "text": _html(value), "wrapText": True}}
        for label, value in post.facts
    ]
    if post.link:
        button = {"text": "View asset", "onClick": {"openLink": {"url": post.link}}}
        widgets.append({"buttonList": {"buttons": [button]}})
    card: dict[str, Any] = {"header": {"title": post.title}}
    if widgets:
        card["sections"] = [{"widgets": widgets}]
    return orjson.dumps(
        {
            "fallbackText": post.headline.replace("<", f"<{WORD_JOINER}"),
            "cardsV2": [{"cardId": "event", "card": card}],
        }
    )


def _html(text: str) -> str:
    return escape(text, quote=False)
