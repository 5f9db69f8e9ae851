"""Small pictures of pages that show layout and colors the same on any machine.

A picture is about a quarter of the screen's size, so that a person can look at it in a review. Two
pictures are compared part by part by average color. A part is as large as a word or a button. Edges
of letters differ between machines, but the average of a part hardly does.
"""

import io
from typing import Final

from PIL import Image, ImageChops, ImageDraw

SMALL_WIDTH: Final = 320  # pixels of a stored picture, at most
QUALITY: Final = 40
COLORS: Final = 200  # of a picture in full size
PART: Final = 8  # pixels of a stored picture
# Of 255. Compression changes up to 20, and other hinting of the same font 5 more.
MOST_APART: Final = 28
# A part with a number or an id of another length can differ.
MOST_PARTS: Final = 2
MARK: Final = (255, 0, 160)

Box = tuple[int, int]


def shrunk(screenshot: bytes) -> Image.Image:
    """Shrink a screenshot to the size that is stored."""
    with Image.open(io.BytesIO(screenshot)) as image:
        times = -(-image.width // SMALL_WIDTH)
        size = (image.width // times, image.height // times)
        return image.convert("RGB").resize(size, Image.Resampling.BOX)


def packed(image: Image.Image) -> bytes:
    """Compress the picture for its file."""
    file = io.BytesIO()
    image.save(file, "WEBP", quality=QUALITY, method=6)
    return file.getvalue()


def whole(screenshot: bytes) -> bytes:
    """Compress a screenshot in its full size, for people to read."""
    with Image.open(io.BytesIO(screenshot)) as image:
        # This keeps rare colors. With all colors, files are three times as large.
        reduced = image.convert("RGB").quantize(COLORS, Image.Quantize.MAXCOVERAGE)
    file = io.BytesIO()
    reduced.save(file, "PNG", optimize=True)
    return file.getvalue()


def unpacked(content: bytes) -> Image.Image:
    """Read a picture from a file's content."""
    with Image.open(io.BytesIO(content)) as image:
        return image.convert("RGB")


def parts_apart(one: Image.Image, other: Image.Image) -> list[Box]:
    """Return the parts (column, row) in which two pictures differ, or [] for a few."""
    difference = ImageChops.difference(_parts(one), _parts(other))
    apart = [
        (column, row)
        for row in range(difference.height)
        for column in range(difference.width)
        if max(difference.getpixel((column, row))) > MOST_APART  # type: ignore[type-var]
    ]
    return apart if len(apart) > MOST_PARTS else []


def marked(image: Image.Image, parts: list[Box]) -> Image.Image:
    """Return a copy of the picture with a frame around these parts."""
    copy = image.copy()
    draw = ImageDraw.Draw(copy)
    for column, row in parts:
        left, top = column * PART, row * PART
        draw.rectangle((left, top, left + PART - 1, top + PART - 1), outline=MARK)
    return copy


def _parts(image: Image.Image) -> Image.Image:
    size = (image.width // PART, image.height // PART)
    whole = image.crop((0, 0, size[0] * PART, size[1] * PART))
    return whole.resize(size, Image.Resampling.BOX)
