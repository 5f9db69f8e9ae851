"""What may be seen of an address that lets in whoever knows it: the one place that decides."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Final
from urllib.parse import unquote, unquote_plus, urlsplit, urlunsplit

from portal.engine.chat_hosts import SAME_IN_EACH, product_at
from portal.engine.http.url import MAX_URL_LENGTH

MASK: Final = "••••"
LONGEST_WORD: Final = 7
"""Characters; a longer part of something secret is masked by itself as well."""


@lru_cache(maxsize=4096)
def masked_address(url: str, *, is_secret: bool = False) -> str:
    """The address without what is secret: "https://hooks.slack.com/••••", "…/hook?token=••••".

    Values of the query are masked always; path and query whole where an administrator said that the
    address `is_secret`, and at a chat's host. Once masked it stays as it is. No longer than an
    address may be.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return MASK
    place = parts._replace(
        netloc=_without_user(parts.netloc), fragment=MASK if parts.fragment else ""
    )
    if is_secret or product_at(parts.hostname or ""):
        return urlunsplit(place._replace(path=f"/{MASK}", query="", fragment=""))
    shown = urlunsplit(place._replace(query="&".join(map(_masked, _pairs(parts.query)))))
    return shown if len(shown) <= MAX_URL_LENGTH else f"{shown[: MAX_URL_LENGTH - 1]}…"


def may_stand_for(shown: str, url: str) -> bool:
    """Whether `shown` is this address, masked or not: secret parts that differ cannot be told."""
    return shown in {url, masked_address(url), masked_address(url, is_secret=True)}


def secrets_in(url: str, *, is_secret: bool = False) -> Iterator[str]:
    """What an answer may not repeat of the address, as it is written and as it is read."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return
    for name, value in map(_pair, _pairs(parts.query)):
        yield from _readings(value or name)
    if is_secret or product_at(parts.hostname or ""):
        yield from _readings(parts.path)
        yield from _readings(parts.path.strip("/"))
        for part in parts.path.split("/"):
            if len(part) > LONGEST_WORD and part.lower() not in SAME_IN_EACH:
                yield from _readings(part)


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
