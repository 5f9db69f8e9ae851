"""Tests that compare eight pages with small pictures, and two with those of the README."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Literal, NamedTuple

import pytest
from playwright.sync_api import Browser, Page

from portal.config.settings import ROOT
from tests.browser.support.serve_app import served
from tests.browser.support.signed_in_page import session_of
from tests.support.golden.expected_file import Golden
from tests.support.golden.frozen_register import FrozenRegister, frozen_register
from tests.support.required import needs
from tests.support.servers import ValkeyServer

FOLDER: Final = Path(__file__).parent / "pictures"


class Look(NamedTuple):
    """A screen size in CSS pixels, and a color scheme."""

    width: int
    height: int
    scheme: Literal["light", "dark"]


LOOKS: Final = {
    "wide": Look(1280, 1300, "light"),
    "dark": Look(1280, 1300, "dark"),
    "narrow": Look(390, 1200, "light"),
    "readme": Look(1280, 1000, "light"),
}
PAGES: Final[dict[str, tuple[str, Callable[[FrozenRegister], str]]]] = {
    "start": ("narrow", lambda _: "/"),
    "log": ("wide", lambda _: "/deliveries"),
    "delivery_failed": ("dark", lambda it: f"/deliveries/{it.delivery(status='failed', tries=1)}"),
    "webhook": ("wide", lambda it: f"/settings/webhooks/{it.filled.webhooks}"),
    "webhook_form_with_mistakes": ("narrow", lambda _: "/settings/webhooks/new"),
    "assets": ("wide", lambda _: "/assets"),
    "asset": ("dark", lambda it: f"/assets/{it.filled.assets}"),
    "alerts": ("narrow", lambda _: "/alerts"),
    "screenshot": ("readme", lambda _: "/deliveries"),
    "screenshot-delivery": ("readme", lambda it: f"/deliveries/{it.filled.deliveries}"),
}
# Debian's fontconfig installs this font. The width of a word shows whether it is there.
FONT, WORD, WIDTH = "DejaVu Sans", "Asset register", 690.8  # pixels, at a font size of 100
MEASURE = """([font, text]) => {
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = `100px "${font}"`;
  return pen.measureText(text).width;
}"""
# Use the same font on every machine, and hide the blinking cursor.
SETTLE = """font => {
  document.documentElement.style.setProperty("--font", `"${font}"`);
  document.documentElement.style.setProperty("--mono", `"${font} Mono"`);
  document.activeElement.blur();
}"""


@pytest.fixture(scope="module")
def register(valkey_server: ValkeyServer) -> Iterator[FrozenRegister]:
    with frozen_register(valkey_server) as register:
        yield register


@pytest.fixture(scope="module")
def url(register: FrozenRegister) -> Iterator[str]:
    with served(register.app) as url:
        yield url


@pytest.fixture(scope="module")
def screen(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(reduced_motion="reduce")
    page = context.new_page()
    needs(abs(page.evaluate(MEASURE, [FONT, WORD]) - WIDTH) < 2, f"the font {FONT}")
    yield page
    context.close()


@pytest.fixture(scope="module")
def session(register: FrozenRegister) -> str:
    """Return the session cookie of the administrator."""
    return session_of(register.app, register.person)


def file_of(name: str) -> Path:
    look, _ = PAGES[name]
    is_in_readme = look == "readme"
    return ROOT / "docs" / f"{name}.png" if is_in_readme else FOLDER / f"{name}_{look}.webp"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_looks_like_its_picture(
    name: str, screen: Page, register: FrozenRegister, url: str, session: str, golden: Golden
) -> None:
    # The register's clock is frozen, so the browser takes a page's own cookie for expired.
    screen.context.add_cookies([{"name": "session", "value": session, "url": url}])
    look, path = PAGES[name]
    screen.goto(url + path(register))
    if name == "webhook_form_with_mistakes":
        screen.get_by_role("button", name="Save webhook").click()
        screen.wait_for_load_state()
    screen.evaluate(SETTLE, FONT)
    width, height, scheme = LOOKS[look]
    screen.set_viewport_size({"width": width, "height": height})
    screen.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    golden.picture(file_of(name), screen.screenshot())


def test_every_picture_belongs_to_a_page(golden: Golden) -> None:
    files = [file_of(name) for name in PAGES]
    golden.only(FOLDER, {file.name for file in files if file.parent == FOLDER})


def test_the_pictures_stay_small() -> None:
    sizes = [path.stat().st_size for path in FOLDER.iterdir()]
    assert max(sizes) <= 15_000
    assert sum(sizes) <= 600_000
