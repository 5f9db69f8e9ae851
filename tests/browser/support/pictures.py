"""Takes a picture of every page of the demo: `make pictures`, with words of their names for some.

`test-results/pictures/<light, dark or phone>/<page>.png`, and an index.html that shows the three of
each page beside each other. It tells how high each page is at 1280 pixels' width.
"""

import sys
from collections.abc import Collection, Mapping
from html import escape
from pathlib import Path
from typing import Final, Literal, NamedTuple

from flask import Flask
from playwright.sync_api import Browser, Page, sync_playwright

from portal.config.settings import ROOT
from portal.models.people import Role
from portal.services.people import invitations, password_resets
from portal.web.frame.access import PUBLIC, permission_of
from tests.browser.conftest import QUIET, find_chromium
from tests.browser.support.demo_register import fill_demo, filled_for
from tests.browser.support.page_list import address, readable
from tests.browser.support.screenshot import FONT, register
from tests.browser.support.serve_app import served
from tests.support.factories import Person, make_user
from tests.support.pages import Pages

FOLDER: Final = ROOT / "test-results" / "pictures"
HIGHEST: Final = 6000  # pixels; of a longer page the beginning is enough


class Look(NamedTuple):
    """How large the screen is, in CSS pixels, and by which light."""

    width: int
    height: int
    scheme: Literal["light", "dark"]


LOOKS: Final[Mapping[str, Look]] = {
    "light": Look(1280, 800, "light"),
    "dark": Look(1280, 800, "dark"),
    "phone": Look(390, 844, "light"),
}


def take(browser: Browser, app: Flask, person: Person, paths: Mapping[str, str], to: Path) -> None:
    """Store the pictures of these pages, by their names, as this person sees them, and the index;
    what needs no sign-in is named as its route, and seen by nobody in particular."""
    heights = {}
    with served(app) as url:
        session = _session(app, person)
        for look, (width, height, scheme) in LOOKS.items():
            (to / look).mkdir(parents=True, exist_ok=True)
            context = browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme=scheme,
                reduced_motion="reduce",
            )
            page = context.new_page()
            for name, path in sorted(paths.items(), key=lambda each: not is_door(each[0])):
                if not is_door(name):
                    context.add_cookies([{"name": "session", "value": session, "url": url}])
                answer = page.goto(url + path)
                # 409: an action that no asset of the demo allows now; the page says why.
                assert answer is not None, name
                assert answer.status in {200, 409}, name
                heights[name, look] = _picture(page, to / look / f"{name}.png", width)
            context.close()
    (to / "index.html").write_text(_index(list(paths), heights), encoding="utf-8")


def is_door(name: str) -> bool:
    """Whether people stand before it who are not signed in."""
    return permission_of(name) == PUBLIC


def every_path(app: Flask, person: Person) -> dict[str, str]:
    """The address of each page of the demo, which is stored first."""
    filled = fill_demo(person)
    invitation = invitations.invitation_link(person.actor, "dora@example.com", Role.SUPPORT)
    password = password_resets.offer_by_email(person.actor, person.email)
    # A question about nothing is a list.
    chosen = {
        "batches.confirm": f"?delivery={filled.deliveries}",
        "bulk.confirm": f"?action=check_in&ids={filled.assets}",
    }
    return {
        "auth.sign_in": "/sign-in",
        "joining.invitation": f"/invitation?token={invitation.partition('=')[2]}",
        "new_passwords.choose": f"/new-password?token={password.partition('=')[2]}",
        **{
            rule.endpoint: address(rule, filled_for(rule.endpoint, filled))
            + chosen.get(rule.endpoint, "")
            for rule in readable(app, Role.ADMIN)
        },
    }


def main(words: Collection[str]) -> None:
    """Take those of all pages, or of those in whose names one of the words stands."""
    with register() as app, sync_playwright() as playwright:
        person = make_user(name="Ana Gruber")
        paths = every_path(app, person)
        if words:
            paths = {name: path for name, path in paths.items() if any(w in name for w in words)}
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=QUIET)
        take(browser, app, person, paths, FOLDER)
        browser.close()
    sys.stdout.write(f"{len(paths)} pages, three pictures each: {FOLDER / 'index.html'}\n")


def _session(app: Flask, person: Person) -> str:
    pages = Pages(app)
    pages.sign_in(person.email, person.password)
    cookie = pages.client.get_cookie("session")
    assert cookie is not None
    return cookie.value


def _picture(page: Page, path: Path, width: int) -> int:
    """Store the whole page, set in `FONT`; how high it is."""
    page.evaluate(FONT)
    height = int(page.evaluate("document.documentElement.scrollHeight"))
    clip = {"x": 0, "y": 0, "width": width, "height": min(height, HIGHEST)}
    page.screenshot(path=path, full_page=True, clip=clip)  # type: ignore[arg-type]  # FloatRect
    return height


def _index(names: list[str], heights: Mapping[tuple[str, str], int]) -> str:
    parts = [
        "<!doctype html><meta charset='utf-8'><title>Pictures</title>",
        "<style>body{font-family:sans-serif} div{display:flex;align-items:start;gap:1rem}"
        " img{max-width:40vw;border:1px solid} img:last-child{max-width:15vw}</style>",
    ]
    for name in names:
        told = ", ".join(f"{look} {heights[name, look]}" for look in LOOKS)
        images = "".join(
            f"<a href='{look}/{escape(name)}.png'>"
            f"<img loading='lazy' alt='{look}' src='{look}/{escape(name)}.png'></a>"
            for look in LOOKS
        )
        parts.append(f"<h2 id='{escape(name)}'>{escape(name)}: {told} px</h2><div>{images}</div>")
    return "\n".join(parts)


if __name__ == "__main__":
    main(sys.argv[1:])
