"""Name the browser used to sign in: "Firefox on Windows"."""

from typing import Final

from flask import request

from portal.services.people.sessions import UNKNOWN_DEVICE

# (part of User-Agent, browser). The first match counts, because most browsers name others too.
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
    """Return the browser that sent this request. None of the header's own text is repeated."""
    return in_words(request.headers.get("User-Agent", ""))


def in_words(user_agent: str) -> str:
    """Return the browser and its system, as far as both are known."""
    browser = _first(BROWSERS, user_agent) or UNKNOWN_DEVICE
    system = _first(SYSTEMS, user_agent)
    return f"{browser} on {system}" if system else browser


def _first(table: tuple[tuple[str, str], ...], text: str) -> str:
    return next((words for part, words in table if part in text), "")
