"""Posts for Microsoft Teams: a card for the workflow template that posts to a channel."""

import re
from typing import Any, Final

import orjson

from portal.engine.formats.post import WORD_JOINER, Post, Severity

_COLORS: Final = {
    Severity.INFO: "accent",
    Severity.GOOD: "good",
    Severity.WARNING: "warning",
    Severity.DANGER: "attention",
}


# Cards evaluate "{{DATE(…)}}" in any text.
_READ: Final = re.compile(r"\{(?=\{)")


def write(post: Post) -> bytes:
    """Return a message with one Adaptive Card.

    Text runs are plain text. Text blocks and fact sets would be read as Markdown.
    """
    title = _run(post.title, size="large", weight="bolder", color=_COLORS[post.severity])
    lines = [[title], [_run(post.asset, weight="bolder")] if post.asset else []]
    lines += [[_run(f"{fact.label}: ", isSubtle=True), _run(fact.value)] for fact in post.facts]
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.2",
        "body": [
            {"type": "RichTextBlock", "spacing": "small", "inlines": runs} for runs in lines if runs
        ],
    }
    if post.link:
        card["actions"] = [{"type": "Action.OpenUrl", "title": "View asset", "url": post.link}]
    attachment = {
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": None,
        "content": card,
    }
    return orjson.dumps({"type": "message", "attachments": [attachment]})


def _run(text: str, **style: str | bool) -> dict[str, Any]:
    return {"type": "TextRun", "text": _READ.sub(rf"\g<0>{WORD_JOINER}", text), **style}
