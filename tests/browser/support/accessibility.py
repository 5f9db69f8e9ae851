"""Check pages in a real browser with axe, at 320 px, and for console and foreign requests.

watch(page, base_url)          before the first page is opened
check_page(page, "webhooks")   on each page, in each of its states
"""

from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Literal
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from playwright.sync_api import ConsoleMessage, Page, Request

WIDE = (1280, 900)
NARROW = (320, 800)
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# This rule only reports that something is hidden.
NO_FAULT = "hidden-content"
# Suggestions differ between browsers. Password managers need these two.
HINTS = ("username", "autocomplete")
# `evaluate` runs this through the debugger, because the page's policy would refuse a script.
AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
# Reports only violations, because to describe passed checks takes as long as to run them.
RUN = """async ([rules, left_out]) => {
  if (!("axe" in window)) return null;
  const options = {
    runOnly: rules,
    rules: { [left_out]: { enabled: false } },
    resultTypes: ["violations"],
    selectors: false,
  };
  const edge = document.documentElement.clientWidth;
  const isWider = document.documentElement.scrollWidth > edge;
  const beyond = [...document.querySelectorAll(isWider ? "body *" : "no-element")]
    .filter((element) => element.getBoundingClientRect().right > edge + 1)
    .slice(0, 5)
    .map((element) => `<${element.tagName} class="${element.getAttribute("class")}">`);
  return { violations: (await axe.run(document, options)).violations, beyond };
}"""


@dataclass(slots=True)
class Heard:
    """The console messages and foreign requests of a page since `watch`."""

    origin: str
    console: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    def faults(self) -> list[str]:
        """Return the console messages and foreign requests as sentences."""
        lines = [f"the console says: {words}" for words in self.console]
        return lines + [f"it asked elsewhere: {url}" for url in self.foreign]


_heard: "WeakKeyDictionary[Page, Heard]" = WeakKeyDictionary()


def watch(page: Page, base_url: str) -> Heard:
    """Record the page's console messages, errors, and foreign requests from now on."""
    heard = _heard[page] = Heard(_origin(base_url))
    page.on("console", lambda message: _hear(heard, page, message))
    page.on("pageerror", lambda error: heard.console.append(str(error)))
    page.on("request", lambda request: _see(heard, request))
    return heard


def heard_from(page: Page) -> list[str]:
    """Return the faults heard from the page, or none if it isn't watched."""
    heard = _heard.get(page)
    return heard.faults() if heard else []


def check_page(page: Page, name: str) -> None:
    """Check the open page, wide and light, then narrow and dark. The report shows `name`."""
    page.wait_for_load_state()  # a click returns while the next page is still empty
    before = page.viewport_size
    try:
        faults = _look(page, WIDE, "light") + _look(page, NARROW, "dark")
    finally:
        page.emulate_media(color_scheme=None)
        if before:
            page.set_viewport_size(before)
    faults += heard_from(page)
    assert not faults, f"{name} ({page.url}):\n" + "\n".join(faults)


def _look(page: Page, size: tuple[int, int], scheme: Literal["light", "dark"]) -> list[str]:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    arguments = [RULES, NO_FAULT]
    result = page.evaluate(RUN, arguments)
    if result is None:
        page.evaluate(AXE)
        result = page.evaluate(RUN, arguments)
    wide = [f"at {size[0]} px it is wider than the screen: {tag}" for tag in result["beyond"]]
    lines = [words for violation in result["violations"] for words in _in_words(violation)]
    return wide + [f"{scheme}, {size[0]} px: {words}" for words in lines]


def _in_words(violation: dict[str, Any]) -> list[str]:
    return [
        f"{violation['id']}: {violation['help']}: {node['html'][:200]} ({node['failureSummary']})"
        for node in violation["nodes"][:5]
    ]


def _hear(heard: Heard, page: Page, message: ConsoleMessage) -> None:
    """Record the message, unless it is a hint or reports that this page is an error page."""
    itself = message.location.get("url", "") == page.url
    # Messages of scripts have arguments, and the browser's hints don't.
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
