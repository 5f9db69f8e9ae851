"""Take the README's pictures: `python -m tests.browser.support.screenshot`.

Uses a temporary register and sends nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from flask import Flask
from PIL import Image
from playwright.sync_api import sync_playwright

from portal.app import create_app
from portal.config.settings import ROOT, load_settings
from portal.extensions import db
from tests.browser.conftest import QUIET, find_chromium
from tests.browser.support.sample_register import fill
from tests.browser.support.serve_app import served
from tests.browser.support.signed_in_page import session_of
from tests.conftest import ENVIRONMENT, migrate_to_head
from tests.support.factories import make_user

FOLDER = ROOT / "docs"
COLOURS = 200
# Similar to fonts that people use (Debian's fonts-inter). Without it, the system's font is used.
FONT = """() => document.documentElement.style.setProperty(
  "--font", `Inter, ${getComputedStyle(document.documentElement).getPropertyValue("--font")}`)"""


@contextmanager
def register(redis_url: str | None = None) -> Iterator[Flask]:
    """Yield an app with a temporary database."""
    with TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/portal.sqlite"
        migrate_to_head(url, Path(folder))
        # Nothing listens at this socket, so nothing is sent.
        redis_url = redis_url or f"unix://{folder}/none"
        places = {"DATABASE_URL": url, "INSTANCE_DIR": folder, "REDIS_URL": redis_url}
        app = create_app(load_settings({**ENVIRONMENT, **places}))
        with app.app_context():
            yield app
            db.session.remove()
            db.engine.dispose()


def take(folder: Path = FOLDER) -> None:
    """Store pictures of the log and of a delivery, 1280 by 1000, light."""
    with register() as app, served(app) as url, sync_playwright() as playwright:
        person = make_user(name="Ana Gruber")
        filled = fill(person)
        session = session_of(app, person)
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=QUIET)
        page = browser.new_page(
            viewport={"width": 1280, "height": 1000}, color_scheme="light", reduced_motion="reduce"
        )
        page.context.add_cookies([{"name": "session", "value": session, "url": url}])
        pictures = {
            "screenshot.png": "/deliveries",
            "screenshot-delivery.png": f"/deliveries/{filled.deliveries}",
        }
        for name, path in pictures.items():
            page.goto(url + path)
            page.evaluate(FONT)
            with Image.open(BytesIO(page.screenshot())) as picture:
                # This keeps rare colors. With all colors, files are three times as large.
                reduced = picture.convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE)
                reduced.save(folder / name, optimize=True)
        browser.close()


if __name__ == "__main__":
    take()
