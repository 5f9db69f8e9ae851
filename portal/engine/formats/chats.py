"""The chats for which we write events in their own formats."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final, NamedTuple

import orjson

from portal.engine.formats.post import Place, Post, post_of

__all__ = ["CHATS", "Chat", "Place", "body_in"]


class Chat(NamedTuple):
    """A product. `pace`: the least time between two posts. `most_bytes`: the largest body that it
    takes."""

    key: str
    name: str
    pace: timedelta
    most_bytes: int
    write: Callable[[Post], bytes]


def _slack(post: Post) -> bytes:
    return _json({"text": f"{post.title}: {post.asset}", "mrkdwn": False})


def _teams(post: Post) -> bytes:
    runs = [{"type": "TextRun", "text": f"{post.title}: {post.asset}"}]
    card = {
        "type": "AdaptiveCard",
        "version": "1.2",
        "body": [{"type": "RichTextBlock", "inlines": runs}],
    }
    attached = {"contentType": "application/vnd.microsoft.card.adaptive", "content": card}
    return _json({"type": "message", "attachments": [attached]})


def _discord(post: Post) -> bytes:
    embed = {"title": post.title, "description": post.asset}
    return _json({"embeds": [embed], "allowed_mentions": {"parse": []}})


def _google_chat(post: Post) -> bytes:
    card = {"header": {"title": post.title, "subtitle": post.asset}}
    return _json({"cardsV2": [{"cardId": "event", "card": card}]})


def _json(value: Any) -> bytes:
    return orjson.dumps(value)


_A_SECOND: Final = timedelta(milliseconds=1_050)

CHATS: Final[Mapping[str, Chat]] = {
    chat.key: chat
    for chat in (
        Chat("slack", "Slack", _A_SECOND, 40_000, _slack),
        Chat("teams", "Microsoft Teams", _A_SECOND, 20_000, _teams),
        Chat("discord", "Discord", timedelta(milliseconds=2_100), 40_000, _discord),
        Chat("google_chat", "Google Chat", _A_SECOND, 32_000, _google_chat),
    )
}


def body_in(format_: str | None, body: bytes, place: Place) -> bytes | None:
    """Return a stored event body in a chat’s format; None where it is sent as it is, as in a format
    that this version doesn’t know."""
    chat = CHATS.get(format_ or "")
    return chat and chat.write(post_of(body, place))
