"""Mask the secret parts of a URL. The only place that decides what is secret."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final
from urllib.parse import SplitResult, unquote, unquote_plus, urlsplit, urlunsplit

from portal.engine.formats.presets import is_secret_at
from portal.engine.http.address_guard import MAX_URL_LENGTH

MASK: Final = "••••"
LONGEST_WORD: Final = 7
"""Characters; a longer part of something secret is masked by itself as well."""
# What follows one of these in a path may be a query to the receiver.
_PARAMETERS: Final = re.compile(r";|%(?:25)*3[bf]", re.IGNORECASE)
# Mattermost and Rocket.Chat run at any host.
_CHAT_PATH: Final = re.compile(r"/hooks/(?=[^/]*[0-9])[A-Za-z0-9]{17,}")
# Where letters and digits meet, or a small letter and capitals that begin no word.
_TURN: Final = re.compile(
    r"(?<=[A-Za-z])(?=[0-9])|(?<=[0-9])(?=[A-Za-z])|(?<=[a-z])(?=[A-Z](?![a-z]))"
)


@lru_cache(maxsize=4096)
def masked_address(url: str, *, is_secret: bool = False) -> str:
    """The address without what is secret: "https://hooks.slack.com/••••", "…/hook?token=••••".

    Values of the query are masked always, and of what may be one in the path; path and query whole
    where an administrator said that the address `is_secret`, and at a chat's. Once masked it stays
    as it is. No longer than an address may be.
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
    """Return whether a part of the path is long and looks random, where the path is not hidden
    anyway."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return not _is_chat(parts) and any(map(_looks_random, unquote(parts.path).split("/")))


def may_stand_for(shown: str, url: str) -> bool:
    """Return whether `shown` is this address, masked or not: secret parts that differ cannot be
    told."""
    return shown in {url, masked_address(url), masked_address(url, is_secret=True)}


def secrets_in(url: str, *, is_secret: bool = False) -> Iterator[str]:
    """Return what an answer may not repeat of the address, as it is written and as it is read."""
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
    """At least 16 characters whose kind changes at every sixth or sooner: words, versions and days
    have few digits among their letters."""
    turns = len(_TURN.findall(text))
    return len(text) >= 16 and turns >= max(4, len(text) / 6)


def _path_of(parts: SplitResult) -> tuple[str, str]:
    """The path, and what follows it as parameters."""
    found = _PARAMETERS.search(parts.path)
    end = found.end() if found else len(parts.path)
    return parts.path[:end], parts.path[end:]


def _pairs(query: str) -> list[str]:
    return query.split("&") if query else []


def _pair(text: str) -> tuple[str, str]:
    """Name and value; what has no value is all name: tokens end in "=" too."""
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


# Words of these products' addresses that are the same in each, and so tell nobody anything.
SAME_IN_EACH: Final = frozenset(
    {
        *("services", "workflows", "triggers", "webhooks", "webhookb2", "incomingwebhook"),
        *("messages", "powerautomate", "automations", "sendmessage", "open-apis", "webhook-test"),
        *("integration", "integrations", "20131114", "genericwebhook"),
    }
)
