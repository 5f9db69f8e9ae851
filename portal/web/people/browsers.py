"""The browser that somebody signs in with, in words: "Firefox on Windows"."""

from typing import Final

from flask import request

from portal.services.people.sessions import UNKNOWN_DEVICE

# A part of User-Agent and whose it is; the first that is found counts, for most name others too.
BROWSERS: Final = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Vivaldi/", "Vivaldi"),
    ("YaBrowser/", "Yandex Browser"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("CriOS/", "Chrome"),
    ("Safari/", "Safari"),
)
SYSTEMS: Final = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Macintosh", "macOS"),
    ("Linux", "Linux"),
)


def browser_words() -> str:
    """The browser that sends this request. Nothing of what it sends is repeated."""
    return in_words(request.headers.get("User-Agent", ""))


def in_words(user_agent: str) -> str:
    """A browser and its system, as far as both are known."""
    browser = _first(BROWSERS, user_agent) or UNKNOWN_DEVICE
    system = _first(SYSTEMS, user_agent)
    return f"{browser} on {system}" if system else browser


def _first(table: tuple[tuple[str, str], ...], text: str) -> str:
    return next((words for part, words in table if part in text), "")
