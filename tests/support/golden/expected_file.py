"""Compare results with golden files, whose changes people read in a review.

`make golden`, or pytest with `--renew-golden`, rewrites the files.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from portal.config.settings import ROOT
from tests.support.golden.layout_picture import (
    marked,
    packed,
    parts_apart,
    shrunk,
    unpacked,
    whole,
)

RESULTS = ROOT / "test-results"
ADVICE = "If this change is meant: run `make golden`, and read it again in `git diff`."


@dataclass(frozen=True, slots=True)
class Golden:
    """A comparison with files, which it rewrites if `renews` is set."""

    renews: bool

    def text(self, path: Path, text: str) -> None:
        """Fail unless the file has exactly this text."""
        if self.renews:
            write(path, text.encode())
            return
        expected = path.read_text() if path.exists() else ""
        if text != expected:
            names = (f"expected: {path.name}", "now")
            lines = difflib.unified_diff(expected.splitlines(), text.splitlines(), *names, "", "")
            pytest.fail("\n".join([*(line.rstrip("\n") for line in lines), "", ADVICE]), False)

    def said(self, path: Path, said: Mapping[str, object]) -> None:
        """Fail unless the file has exactly these cases, one per line."""
        self.text(path, "".join(f"{case}: {words}\n" for case, words in said.items()))

    def picture(self, path: Path, screenshot: bytes) -> None:
        """Fail unless the picture in the file shows the same, except for the edges of letters.

        A `.png` file has the full size. Other files are small.
        """
        now, is_whole = shrunk(screenshot), path.suffix == ".png"
        if self.renews:
            write(path, whole(screenshot) if is_whole else packed(now))
            return
        read = shrunk if is_whole else unpacked
        expected = read(path.read_bytes()) if path.exists() else None
        if expected is None or expected.size != now.size:
            parts, trouble = [], "There is no picture of this size to compare with"
        else:
            parts = parts_apart(expected, now)
            trouble = f"It looks different in {len(parts)} parts" if parts else ""
        if trouble:
            seen = RESULTS / path.with_suffix(".png").name
            seen.parent.mkdir(exist_ok=True)
            marked(now, parts).save(seen)
            pytest.fail(f"{path.name}: {trouble}; see {seen.relative_to(ROOT)}. {ADVICE}", False)

    def only(self, folder: Path, names: set[str]) -> None:
        """Fail if the folder holds other files than these."""
        spare = {path for path in folder.glob("*") if path.name not in names}
        if self.renews:
            for path in spare:
                path.unlink()
        elif spare:
            listed = ", ".join(sorted(path.name for path in spare))
            pytest.fail(f"Nothing is compared with {listed}. {ADVICE}", False)


def write(path: Path, content: bytes) -> None:
    """Write the file, and create its folder if needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
