"""What every page must pass in a real browser: axe, 320 px, a silent console, nothing foreign.

watch(page, base_url)          before the first page is opened
check_page(page, "webhooks")   on each page, in each of its states
"""

from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from playwright.sync_api import ConsoleMessage, Page, Request

WIDE = (1280, 900)
NARROW = (320, 800)
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# These go by colours and sizes: what was looked at on one page is not looked at again on the next
# (page_look.js). They take most of the time.
BY_SIGHT = ["color-contrast", "link-in-text-block", "target-size"]
# It only ever says that something is hidden.
NO_FAULT = "hidden-content"
# What browsers suggest differs from one to the next; password managers need these.
HINTS = ("username", "autocomplete")
# What each page begins with is compiled once. A page that was opened before gets it through the
# debugger: its own policy would refuse a script.
AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
SCRIPT = f"{AXE}\n{Path(__file__).with_name('page_look.js').read_text(encoding='utf-8')}"
WHOLE = "given => 'pageLook' in window ? pageLook.whole(...given) : null"
PLACES = "given => pageLook.places(...given)"


@dataclass(slots=True)
class Heard:
    """What a browser page said and asked for since `watch`."""

    origin: str
    console: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)


_looked_at: dict[str, set[int]] = {"light": set(), "dark": set()}
_heard: "WeakKeyDictionary[Page, Heard]" = WeakKeyDictionary()


def watch(page: Page, base_url: str) -> Heard:
    """Listen to the page's console, errors and requests from now on."""
    heard = _heard[page] = Heard(_origin(base_url))
    page.add_init_script(SCRIPT)
    page.on("console", lambda message: _hear(heard, page, message))
    page.on("pageerror", lambda error: heard.console.append(str(error)))
    page.on("request", lambda request: _see(heard, request))
    return heard


def check_page(page: Page, name: str) -> None:
    """Check what is open now: wide and light, then narrow and dark. `name` is for the report."""
    page.wait_for_load_state()  # a click returns when the next page begins, empty still
    before = page.viewport_size
    try:
        found = _look(page, WIDE, "light") + _look(page, NARROW, "dark")
    finally:
        page.emulate_media(color_scheme=None)
        if before:
            page.set_viewport_size(before)
    heard = _heard.get(page)
    if heard is not None:
        found += [f"the console says: {words}" for words in heard.console]
        found += [f"it asked elsewhere: {url}" for url in heard.foreign]
    assert not found, f"{name} ({page.url}):\n" + "\n".join(found)


def _look(page: Page, size: tuple[int, int], scheme: Literal["light", "dark"]) -> list[str]:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    asked = [RULES, [*BY_SIGHT, NO_FAULT]]
    told = page.evaluate(WHOLE, asked)
    if told is None:
        page.evaluate(SCRIPT)
        told = page.evaluate(WHOLE, asked)
    found = told["violations"]
    if places := _new_places(told["kinds"], scheme):
        found += page.evaluate(PLACES, [BY_SIGHT, places])
    wide = [f"at {size[0]} px it is wider than the screen: {each}" for each in told["beyond"]]
    said = [words for violation in found for words in _in_words(violation)]
    return wide + [f"{scheme}, {size[0]} px: {words}" for words in said]


def _new_places(elements: list[tuple[int, int]], scheme: str) -> list[int]:
    """The places of elements of a kind not looked at yet; of one within another, the outer one.

    Each kind counts as looked at from now on: a fault is told of where it is met first.
    """
    known, places, covered = _looked_at[scheme], [], set()
    for place, (kind, around) in enumerate(elements):
        if around in covered:
            covered.add(place)
        elif kind not in known:
            places.append(place)
            covered.add(place)
        known.add(kind)
    return places


def _in_words(violation: dict[str, Any]) -> list[str]:
    return [
        f"{violation['id']}: {violation['help']}: {node['html'][:200]} ({node['failureSummary']})"
        for node in violation["nodes"][:5]
    ]


def _hear(heard: Heard, page: Page, message: ConsoleMessage) -> None:
    """A page that is itself an error page is reported by the browser as a failed resource."""
    itself = message.location.get("url", "") == page.url
    # What a browser suggests has no arguments, as what scripts say has.
    is_hint = message.type in {"verbose", "info"} and not message.args
    if is_hint and not any(word in message.text for word in HINTS):
        return
    if not (itself and message.text.startswith("Failed to load resource")):
        heard.console.append(message.text)


def _see(heard: Heard, request: Request) -> None:
    if (
        not request.url.startswith(("data:", "about:", "blob:"))
        and _origin(request.url) != heard.origin
    ):
        heard.foreign.append(request.url)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
