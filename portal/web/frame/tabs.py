"""The parts of a list that a person chooses between, as `macros/tabs.html` prints them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tab:
    """One part; the other filters stay as they are. `count`: what it holds, in words."""

    label: str
    url: str
    is_here: bool
    count: str | None = None
