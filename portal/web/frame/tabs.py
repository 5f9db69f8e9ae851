"""The parts of a list that a person chooses between, as `macros/tabs.html` prints them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tab:
    """One part; the other filters stay as they are. `count`: what it holds, in words.

    `is_bad`: whatever it holds waits for a person.
    """

    label: str
    url: str
    is_here: bool
    count: str | None = None
    is_bad: bool = False
