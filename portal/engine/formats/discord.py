"""Posts for Discord: one embed."""

import re
from typing import Any, Final

import orjson

from portal.engine.formats.post import COLORS, Post

# Discord's Markdown characters, anywhere in a text and at its start.
_SIGNS: Final = re.compile(r"[\\*_~`|<>\[\]@]|^[-+#]")
_NUMBERED: Final = re.compile(r"^(\d+)\.")


def write(post: Post) -> bytes:
    """Return the body of a webhook. Its texts can't mention anyone."""
    embed: dict[str, Any] = {"title": post.title, "color": int(COLORS[post.severity][1:], 16)}
    if post.asset:
        embed["description"] = _literal(post.asset)
    if post.link:
        embed["url"] = post.link
    embed["fields"] = [
        {"name": fact.label, "value": _literal(fact.value), "inline": len(fact.value) <= 40}
        for fact in post.facts
    ]
    return orjson.dumps({"embeds": [embed], "allowed_mentions": {"parse": []}})


def _literal(text: str) -> str:
    return _NUMBERED.sub(r"\1\\.", _SIGNS.sub(r"\\\g<0>", text))
