"""The comparison with expected files: what it lets pass, what it does not, and how it tells."""

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from tests.support.golden.expected_file import RESULTS, Golden

COMPARES, RENEWS = Golden(False), Golden(True)
FAILURE = pytest.fail.Exception


def page(*, shift: int = 0, button: str = "#0b5394", columns: int = 4, ink: str = "#222") -> bytes:
    """A wide page: text in columns, and a button."""
    image = Image.new("RGB", (1280, 640), "#fff")
    draw = ImageDraw.Draw(image)
    for row in range(10):
        for at in range(columns):
            left, top = 40 + 300 * at, 40 + 50 * row + shift
            draw.rectangle((left, top, left + 180, top + 14), fill=ink)
    draw.rectangle((40, 560, 200, 600), fill=button)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def test_a_text_that_differs_is_shown_line_by_line_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "pages" / "log.txt"
    RENEWS.text(path, "# Log\nTwo\n")
    COMPARES.text(path, "# Log\nTwo\n")
    with pytest.raises(FAILURE) as caught:
        COMPARES.text(path, "# Log\nThree\n")
    said = str(caught.value).splitlines()
    assert "-Two" in said
    assert "+Three" in said
    assert "make golden" in said[-1]
    RENEWS.text(path, "# Log\nThree\n")
    assert path.read_text() == "# Log\nThree\n"


def test_a_text_without_a_file_is_missed(tmp_path: Path) -> None:
    with pytest.raises(FAILURE, match="make golden"):
        COMPARES.text(tmp_path / "new.txt", "# New\n")


def test_a_file_that_nothing_is_compared_with_is_named_and_goes(tmp_path: Path) -> None:
    for name in ("kept.txt", "old.txt"):
        RENEWS.text(tmp_path / name, "x")
    with pytest.raises(FAILURE, match=r"Nothing is compared with old\.txt"):
        COMPARES.only(tmp_path, {"kept.txt"})
    RENEWS.only(tmp_path, {"kept.txt"})
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "a_page_of_no_portal.webp"
    RENEWS.picture(path, page())
    return path


def test_a_picture_bears_fainter_letters(picture: Path) -> None:
    COMPARES.picture(picture, page())
    COMPARES.picture(picture, page(ink="#333"))


@pytest.mark.parametrize(
    "broken", [{"shift": 8}, {"columns": 3}, {"button": "#38761d"}, {"button": "#fff"}]
)
def test_a_picture_does_not_bear_another_look(picture: Path, broken: dict[str, Any]) -> None:
    with pytest.raises(FAILURE, match=r"looks different in .* parts; see test-results"):
        COMPARES.picture(picture, page(**broken))
    (RESULTS / "a_page_of_no_portal.png").unlink()


def test_a_picture_of_another_size_or_none_is_missed(picture: Path, tmp_path: Path) -> None:
    for path, seen in ((picture, _narrow()), (tmp_path / "a_page_new.webp", page())):
        with pytest.raises(FAILURE, match="no picture of this size"):
            COMPARES.picture(path, seen)
        (RESULTS / f"{path.stem}.png").unlink()


def _narrow() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (390, 640)).save(file, "PNG")
    return file.getvalue()
