"""A machine whose clock is wrong, as its processes see it."""

from pathlib import Path
from typing import Final

SHIFTED: Final = Path(__file__).parent / "shifted"


def wrong_clock(seconds: int) -> dict[str, str]:
    """What makes every Python process of a portal see another time: nothing for 0."""
    return {"PYTHONPATH": str(SHIFTED), "CLOCK_SHIFT": str(seconds)} if seconds else {}
