"""What needs attention beside the problems, for the start page: one line each, with its way out."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from flask import request

from portal.engine.next_steps import ASK
from portal.services.operations.overview import Overview
from portal.web.frame.wording import counted
from portal.web.help.advice import for_reader


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that wants a person. Tones: danger, warning or info."""

    title: str
    text: str
    label: str
    path: str
    icon: str
    tone: str


def needs(now: Overview) -> list[Need]:
    """Everything that wants a look and is no problem of deliveries, the most pressing first."""
    return [need for source in SOURCES for need in source(now)]


def held_deliveries(now: Overview) -> Iterator[Need]:
    """What is kept because its webhook is off."""
    if not now.held:
        return
    one = now.held == 1
    turn = (
        f"urn {'its' if one else 'their'} webhook on to send or discard {'it' if one else 'them'}."
    )
    text = for_reader("webhooks.switch", f"T{turn}", f"{ASK} to t{turn}")
    yield Need(
        f"{counted(now.held)} {'delivery is' if one else 'deliveries are'} held",
        text,
        "See what is held",
        f"{request.script_root}/deliveries?status=held",
        "pause-circle",
        "warning",
    )


# One line a kind, in the order of the page.
SOURCES: Final[tuple[Callable[[Overview], Iterator[Need]], ...]] = (held_deliveries,)
