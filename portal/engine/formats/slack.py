"""Posts for Slack, and for Mattermost and Rocket.Chat, which read the same format.

Mattermost shows attachments but no Block Kit. It ignores that Markdown is turned off.
"""

import re
from typing import Final

import orjson

from portal.engine.formats.post import COLORS, WORD_JOINER, Post

_ESCAPES: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
# Mattermost reads these as a mention, "@channel", or a link, "[text](URL)".
_READ: Final = re.compile(r"@|\](?=\()")


def write(post: Post) -> bytes:
    """Return the body of an incoming webhook. Fields without `mrkdwn_in` are plain text."""
    headline = _plain(post.headline)
    attachment = {
        "fallback": headline,
        "color": COLORS[post.severity],
        "fields": [
            {"title": fact.label, "value": _plain(fact.value), "short": len(fact.value) <= 40}
            for fact in post.facts
        ],
    }
    if post.link:
        attachment |= {"title": "View asset", "title_link": post.link}
    return orjson.dumps({"text": headline, "mrkdwn": False, "attachments": [attachment]})


def _plain(text: str) -> str:
    return _READ.sub(rf"\g<0>{WORD_JOINER}", text.translate(_ESCAPES))
