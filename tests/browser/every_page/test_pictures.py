"""`make pictures`: of each page one by day, one by night, one as on a telephone, and an index."""

from pathlib import Path

from flask import Flask
from PIL import Image
from playwright.sync_api import Browser

from tests.browser.support.pictures import HIGHEST, LOOKS, take
from tests.support.factories import make_asset, make_user


def test_each_page_has_three_pictures_beside_each_other(
    chromium: Browser, app: Flask, tmp_path: Path
) -> None:
    for number in range(30):
        make_asset(f"ThinkPad {number}")
    paths = {"assets.index": "/assets", "auth.sign_in": "/sign-in"}
    take(chromium, app, make_user(), paths, tmp_path)
    index = (tmp_path / "index.html").read_text()
    for name in paths:
        ground = set()
        for look, (width, height, _) in LOOKS.items():
            assert f"src='{look}/{name}.png'" in index
            with Image.open(tmp_path / look / f"{name}.png") as picture:
                assert picture.width == width
                assert height <= picture.height <= HIGHEST
                ground.add(picture.convert("RGB").getpixel((4, picture.height - 4)))
        assert len(ground) == 2, "day and night look the same"
    # All of a page, and the page itself rather than the sign-in that stands before it.
    with Image.open(tmp_path / "light" / "assets.index.png") as picture:
        assert picture.height > 1300
