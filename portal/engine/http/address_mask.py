"""Mask the secret parts of a URL. Only this module decides which parts are secret."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final
from urllib.parse import SplitResult, unquote, unquote_plus, urlsplit, urlunsplit

from portal.engine.formats.presets import is_secret_at
from portal.engine.http.address_guard import MAX_URL_LENGTH

MASK: Final = "••••"
LONGEST_WORD: Final = 7
"""Characters. A longer part of a secret path is also masked on its own."""
# The receiver can read the rest of a path after one of these as a query.
_PARAMETERS: Final = re.compile(r";|%(?:25)*3[bf]", re.IGNORECASE)
# Mattermost and Rocket.Chat can run at any host.
_CHAT_PATH: Final = re.compile(r"/hooks/(?=[^/]*[0-9])[A-Za-z0-9]{17,}")
# Changes between letters and digits, or from a lowercase letter to capitals that begin no word.
_TURN: Final = re.compile(
    r"(?<=[A-Za-z])(?=[0-9])|(?<=[0-9])(?=[A-Za-z])|(?<=[a-z])(?=[A-Z](?![a-z]))"
)


@lru_cache(maxsize=4096)
def masked_address(url: str, *, is_secret: bool = False) -> str:
    """Mask the secrets of a URL: "https://hooks.slack.com/••••", "…/hook?token=••••".

    Values of the query are always masked, and so are values of a possible query in the path. Path
    and query are masked entirely for a chat and for a URL that an administrator marked as secret
    (`is_secret`). Masking is idempotent. The result is no longer than a URL can be.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return MASK
    place = parts._replace(
        netloc=_without_user(parts.netloc), fragment=MASK if parts.fragment else ""
    )
    if is_secret or _is_chat(parts):
        return urlunsplit(place._replace(path=f"/{MASK}", query="", fragment=""))
    path, parameters = _path_of(parts)
    query = "&".join(map(_masked, _pairs(parts.query)))
    shown = urlunsplit(place._replace(path=path + _masked(parameters), query=query))
    return shown if len(shown) <= MAX_URL_LENGTH else f"{shown[: MAX_URL_LENGTH - 1]}…"


def looks_secret(url: str) -> bool:
    """Return whether a part of the path is long and looks random, unless it is masked anyway."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return not _is_chat(parts) and any(map(_looks_random, unquote(parts.path).split("/")))


def may_stand_for(shown: str, url: str) -> bool:
    """Return whether `shown` can be this URL, masked or not. Secret parts aren't compared."""
    return shown in {url, masked_address(url), masked_address(url, is_secret=True)}


def secrets_in(url: str, *, is_secret: bool = False) -> Iterator[str]:
    """Yield the secrets of the URL that a response must not repeat, both encoded and decoded."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return
    _, parameters = _path_of(parts)
    texts = filter(None, re.split("[;&/]", parameters))
    for name, value in map(_pair, (*texts, *_pairs(parts.query))):
        yield from _readings(value or name)
    if is_secret or _is_chat(parts):
        yield from _readings(parts.path)
        yield from _readings(parts.path.strip("/"))
        for part in parts.path.split("/"):
            if len(part) > LONGEST_WORD and part.lower() not in SAME_IN_EACH:
                yield from _readings(part)


def _is_chat(parts: SplitResult) -> bool:
    return is_secret_at(parts.hostname or "") or bool(_CHAT_PATH.search(unquote(parts.path)))


def _looks_random(text: str) -> bool:
    """Return whether 16 or more characters change their kind at least once in every six.

    Words, versions, and dates have few digits among their letters.
    """
    turns = len(_TURN.findall(text))
    return len(text) >= 16 and turns >= max(4, len(text) / 6)


def _path_of(parts: SplitResult) -> tuple[str, str]:
    """Split the path from the parameters at its end."""
    match = _PARAMETERS.search(parts.path)
    end = match.end() if match else len(parts.path)
    return parts.path[:end], parts.path[end:]


def _pairs(query: str) -> list[str]:
    return query.split("&") if query else []


def _pair(text: str) -> tuple[str, str]:
    """Return name and value. A text without a value is all name because tokens end in "=" too."""
    name, _, value = text.partition("=")
    return (name, value) if value.strip("=") else (text, "")


def _masked(text: str) -> str:
    name, value = _pair(text)
    if value:
        return f"{name}={MASK}"
    return MASK if text else ""


def _readings(text: str) -> set[str]:
    return {text, unquote(text), unquote_plus(text)}


def _without_user(place: str) -> str:
    user, at, host = place.rpartition("@")
    return f"{MASK}@{host}" if user else f"{at}{host}"


# Words that all URLs of these products have in common, so they aren't secret.
SAME_IN_EACH: Final = frozenset(
    {
        *("services", "workflows", "triggers", "webhooks", "webhookb2", "incomingwebhook"),
        *("messages", "powerautomate", "automations", "sendmessage", "open-apis", "webhook-test"),
        *("integration", "integrations", "20131114", "genericwebhook"),
    }
)
