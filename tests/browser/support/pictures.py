"""Take pictures of the demo's pages: `make pictures`, or those with given words in their names.

Writes `test-results/pictures/<light, dark, or phone>/<page>.png`, and an index.html with the three
pictures of each page side by side and their heights.
"""

import sys
from collections.abc import Collection, Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Final, Literal, NamedTuple
from urllib.parse import urlencode

from flask import Flask
from playwright.sync_api import Browser, Page, sync_playwright
from sqlalchemy import func, select, update

from portal.config.settings import ROOT
from portal.lib.clock import utcnow
from portal.models.alerts import Alert
from portal.models.assets import Asset, AssetStatus
from portal.models.deliveries import Delivery, DeliveryStatus
from portal.models.people import Role
from portal.models.tasks import Task, TaskState
from portal.models.webhooks import Webhook, WebhookState
from portal.services.core import heartbeats
from portal.services.core.unit_of_work import session, writing
from portal.services.people import invitations, password_resets
from portal.services.webhooks import crud
from portal.services.webhooks.rules import WebhookValues
from portal.web.frame.access import PUBLIC, permission_of
from tests.browser.conftest import QUIET, find_chromium
from tests.browser.support.demo_register import fill_demo, filled_for
from tests.browser.support.empty_register import register
from tests.browser.support.page_list import address, readable
from tests.browser.support.serve_app import served
from tests.browser.support.signed_in_page import session_of
from tests.support.database.periodic_tasks import begin_periodic_task
from tests.support.factories import Person, make_user
from tests.support.golden.frozen_register import AT_WORK
from tests.support.heartbeats import record_own

FOLDER: Final = ROOT / "test-results" / "pictures"
# Similar to fonts that people use (Debian's fonts-inter). Without it, the system's font is used.
FONT: Final = """() => document.documentElement.style.setProperty(
  "--font", `Inter, ${getComputedStyle(document.documentElement).getPropertyValue("--font")}`)"""
HIGHEST: Final = 6000  # pixels; pictures of longer pages end here
ALL_IS_WELL: Final = "home.index when all is well"


class Look(NamedTuple):
    """A screen size in CSS pixels, and a color scheme."""

    width: int
    height: int
    scheme: Literal["light", "dark"]


LOOKS: Final[Mapping[str, Look]] = {
    "light": Look(1280, 800, "light"),
    "dark": Look(1280, 800, "dark"),
    "phone": Look(390, 844, "light"),
}


def take(
    browser: Browser, app: Flask, person: Person, paths: Mapping[str, str], to: Path
) -> dict[tuple[str, str], int]:
    """Store pictures of these pages as this person sees them, and return their heights.

    Takes public pages first, signed out.
    """
    heights = {}
    with served(app) as url:
        session = session_of(app, person)
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
                response = page.goto(url + path)
                # 409: no asset of the demo allows this action now, and the page says why.
                assert response is not None, name
                assert response.status in {200, 409}, name
                heights[name, look] = _picture(page, to / look / f"{name}.png", width)
            context.close()
    return heights


def is_door(name: str) -> bool:
    """Return whether the page is public. The name can go on after its endpoint."""
    return permission_of(name.partition(" ")[0]) == PUBLIC


def every_path(app: Flask, person: Person) -> dict[str, str]:
    """Store the demo, and return the path of each page by its endpoint."""
    filled = fill_demo(person)
    invitation = invitations.invitation_link(person.actor, "dora@example.com", Role.SUPPORT)
    password = password_resets.offer_by_email(person.actor, person.email)
    failed = select(Delivery.public_id).where(Delivery.status == DeliveryStatus.FAILED).limit(9)
    out = select(Asset.id).where(Asset.status == AssetStatus.CHECKED_OUT).limit(5)
    # Without a selection, these pages redirect to a list.
    chosen = {
        "batches.confirm": _query("delivery", session().scalars(failed)),
        "bulk.confirm": _query("ids", session().scalars(out)) + "&action=check_in",
        "dismissals.dismiss": _query("delivery", session().scalars(failed)),
    }
    payroll = WebhookValues(
        name="Payroll", url="https://payroll.example.com/hook", events=("asset.created",)
    )
    return {
        "auth.sign_in": "/sign-in",
        "joining.invitation": f"/invitation?token={invitation.partition('=')[2]}",
        "new_passwords.choose": f"/new-password?token={password.partition('=')[2]}",
        **{
            rule.endpoint: address(rule, filled_for(rule.endpoint, filled))
            + chosen.get(rule.endpoint, "")
            for rule in readable(app, Role.ADMIN)
        },
        # This secret was just created, so it is still shown.
        "webhook_secrets.show": f"/settings/webhooks/{crud.create(person.actor, payroll)}/secret",
    }


def _query(name: str, values: Iterable[object]) -> str:
    return f"?{urlencode([(name, each) for each in values])}"


def sign_all() -> None:
    """Record heartbeats of all processes, which count as running for some seconds."""
    for kind in AT_WORK:
        record_own(kind)
    begin_periodic_task(heartbeats.MAINTENANCE, 0)


def make_all_well() -> None:
    """Mark every delivery as delivered, turn every webhook on, and resolve every alert."""
    with writing() as current:
        open_ones = update(Delivery).where(Delivery.status != DeliveryStatus.DELIVERED)
        current.execute(
            open_ones.values(
                status=DeliveryStatus.DELIVERED, prior_status=None, failing_since=None, code=200
            )
        )
        well = {"state": WebhookState.ACTIVE, "backoff_until": None, "throttled": False}
        current.execute(update(Webhook).values(**well, failures_in_row=0, off_reason=None))
        current.execute(update(Task).values(state=TaskState.DONE))
        current.execute(
            update(Alert).values(resolved_at=func.coalesce(Alert.resolved_at, utcnow()))
        )


def main(words: Collection[str]) -> None:
    """Take pictures of all pages, or of pages with one of the words in their names."""
    with register() as app, sync_playwright() as playwright:
        person = make_user(name="Ana Gruber")
        paths = every_path(app, person)
        if words:
            paths = {name: path for name, path in paths.items() if any(w in name for w in words)}
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=QUIET)
        heights = take(browser, app, person, paths, FOLDER)
        for name, is_well in (("home.index", False), ("system.index", False), (ALL_IS_WELL, True)):
            if name.partition(" ")[0] not in paths:
                continue
            if is_well:
                make_all_well()
                paths = {**paths, name: "/"}
            sign_all()
            heights |= take(browser, app, person, {name: paths[name]}, FOLDER)
        browser.close()
    (FOLDER / "index.html").write_text(_index(list(paths), heights), encoding="utf-8")
    sys.stdout.write(f"{len(paths)} pages, three pictures each: {FOLDER / 'index.html'}\n")


def _picture(page: Page, path: Path, width: int) -> int:
    """Store a picture of the page in `FONT`, up to `HIGHEST`, and return the page's height."""
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
        sizes = ", ".join(f"{look} {heights[name, look]}" for look in LOOKS)
        images = "".join(
            f"<a href='{look}/{escape(name)}.png'>"
            f"<img loading='lazy' alt='{look}' src='{look}/{escape(name)}.png'></a>"
            for look in LOOKS
        )
        parts.append(f"<h2 id='{escape(name)}'>{escape(name)}: {sizes} px</h2><div>{images}</div>")
    return "\n".join(parts)


if __name__ == "__main__":
    main(sys.argv[1:])
