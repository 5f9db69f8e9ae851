"""The chats that get posts in their own formats."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final, NamedTuple

from portal.engine.formats import discord, google_chat, slack, teams
from portal.engine.formats.post import Place, Post, post_of

__all__ = ["CHATS", "Chat", "Place", "body_in", "format_of"]


class Chat(NamedTuple):
    """A chat. `pace`: the minimum time between two posts. `begins`: the start of each body."""

    key: str
    name: str
    pace: timedelta
    write: Callable[[Post], bytes]
    begins: str


_A_SECOND: Final = timedelta(milliseconds=1_050)
_TWO_SECONDS: Final = timedelta(milliseconds=2_100)

CHATS: Final[Mapping[str, Chat]] = {
    chat.key: chat
    for chat in (
        Chat("slack", "Slack", _A_SECOND, slack.write, '{"text":'),
        Chat("teams", "Microsoft Teams", _A_SECOND, teams.write, '{"type":"message"'),
        Chat("discord", "Discord", _TWO_SECONDS, discord.write, '{"embeds":'),
        Chat("google_chat", "Google Chat", _A_SECOND, google_chat.write, '{"fallbackText":'),
    )
}


def body_in(format_: str | None, body: bytes, place: Place) -> bytes | None:
    """Return a stored body in a chat’s format.

    Returns None if the body is sent unchanged, also for a format that this version doesn’t know.
    """
    chat = CHATS.get(format_ or "")
    return chat and chat.write(post_of(body, place))


def format_of(body: str | None) -> str | None:
    """Return the chat format of a body or of its beginning, or None for the event’s own format."""
    return next((key for key, chat in CHATS.items() if body and body.startswith(chat.begins)), None)
