"""Environment of processes on a machine with a wrong clock."""

from pathlib import Path
from typing import Final

SHIFTED: Final = Path(__file__).parent / "shifted"


def wrong_clock(seconds: int) -> dict[str, str]:
    """Return variables that shift the clock of every Python process, or none for 0 seconds."""
    return {"PYTHONPATH": str(SHIFTED), "CLOCK_SHIFT": str(seconds)} if seconds else {}
