"""What every page must pass in a real browser: axe, 320 px, a silent console, nothing foreign.

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
# These go by colours, which an element's own kind and that of all around it decide: what was
# looked at on one page is not looked at again on the next. They take most of the time.
BY_SIGHT = ["color-contrast", "link-in-text-block"]
# Of what a page does right nothing is told: to put that into words takes as long as to look.
RUN = """async ([only, left_out, places]) => {
  const elements = [...document.querySelectorAll("body *")];
  const where = places === null ? document : {include: places.map((place) => elements[place])};
  const rules = Object.fromEntries(left_out.map((rule) => [rule, {enabled: false}]));
  const options = {runOnly: only, rules, resultTypes: ["violations"], selectors: false};
  return (await axe.run(where, options)).violations;
}"""
# What colours hang on beside an element's tag: what a style or axe goes by with its value, and what
# either only asks for. No style goes by anything else (every_page/test_every_page.py).
ARIA = ("current", "disabled", "hidden", "invalid", "pressed", "sort")
WITH_VALUES = ["class", "role", "type", *(f"aria-{word}" for word in ARIA)]
BY_NAME = ["checked", "disabled", "fill", "hidden", "href", "open", "placeholder", "readonly"]
BY_NAME += ["selected", "style", "value"]
# For each element a number for its kind and that of all that it stands in, whatever it says, and
# the place of the one around it.
KINDS = """([with_values, by_name]) => {
  const mix = (number, word) => {
    for (let at = 0; at < word.length; at++) {
      number = Math.imul(number ^ word.charCodeAt(at), 0x01000193);
    }
    return number;
  };
  const frame = [document.documentElement, document.body].map((each) =>
    `${each.className} ${JSON.stringify(each.dataset)}`);
  const seen = new Map([[document.body, [mix(7, frame.join()), -1]]]);
  return [...document.querySelectorAll("body *")].map((element, place) => {
    const [around, parent] = seen.get(element.parentElement);
    const marks = [
      ...with_values.map((name) => `${name}=${element.getAttribute(name)}`),
      ...by_name.filter((name) => element.hasAttribute(name)),
      element.checkVisibility(),
    ];
    const has_text = [...element.childNodes].some((node) =>
      node.nodeType === Node.TEXT_NODE && node.data.trim());
    // A link has to be told from the text in which it stands.
    const is_among_text = element.tagName === "A" &&
      element.parentElement.textContent.trim() !== element.textContent.trim();
    const number = mix(around, [element.tagName, ...marks, has_text, is_among_text].join());
    seen.set(element, [number, place]);
    return [number, parent];
  });
}"""
AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
BEYOND_THE_EDGE = """() => {
  const edge = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= edge) return [];
  return [...document.querySelectorAll("body *")]
    .filter((element) => element.getBoundingClientRect().right > edge + 1)
    .slice(0, 5)
    .map((element) => `<${element.tagName} class="${element.getAttribute("class")}">`);
}"""


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
    page.add_init_script(AXE)  # what each page begins with is compiled once
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
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE)  # through the debugger: the page's own policy would refuse a script
    found = page.evaluate(RUN, [RULES, BY_SIGHT, None])
    if places := _new_places(page, scheme):
        found += page.evaluate(RUN, [BY_SIGHT, [], places])
    wide = [f"at {size[0]} px it is wider than the screen: {e}" for e in _beyond_the_edge(page)]
    said = [words for violation in found for words in _in_words(violation)]
    return wide + [f"{scheme}, {size[0]} px: {words}" for words in said]


def _new_places(page: Page, scheme: str) -> list[int]:
    """The places of elements of a kind not looked at yet; of one within another, the outer one.

    Each kind counts as looked at from now on: a fault is told of where it is met first.
    """
    elements: list[tuple[int, int]] = page.evaluate(KINDS, [WITH_VALUES, BY_NAME])
    known, places, covered = _looked_at[scheme], [], set()
    for place, (kind, around) in enumerate(elements):
        if around in covered:
            covered.add(place)
        elif kind not in known:
            places.append(place)
            covered.add(place)
        known.add(kind)
    return places


def _beyond_the_edge(page: Page) -> list[str]:
    elements: list[str] = page.evaluate(BEYOND_THE_EDGE)
    return elements


def _in_words(violation: dict[str, Any]) -> list[str]:
    return [
        f"{violation['id']}: {violation['help']}: {node['html'][:200]} ({node['failureSummary']})"
        for node in violation["nodes"][:5]
    ]


def _hear(heard: Heard, page: Page, message: ConsoleMessage) -> None:
    """A page that is itself an error page is reported by the browser as a failed resource."""
    itself = message.location.get("url", "") == page.url
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
