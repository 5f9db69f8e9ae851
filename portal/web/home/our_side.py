"""Is our side working? One line for everybody, from what `/readyz` goes by."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from flask import url_for

from portal.engine.next_steps import ASK, SYSTEM
from portal.services.operations.database.look import read_ready
from portal.services.operations.database.pulse import OK, Ready
from portal.web.help.advice import Advice, Matter, advise

PAGE: Final = "/settings/system"
WORKS: Final = "Our side is working: sending, pages and database."
STOPPED: Final = "Pages and database are working. A person has stopped all sending."


@dataclass(frozen=True, slots=True)
class OurSide:
    """`advice`: where one sees more, or whom to ask."""

    is_working: bool
    sentence: str
    advice: Advice


def our_side() -> OurSide:
    """How the portal itself is, for people who may not see System too. Never raises."""
    ready = read_ready()
    works = WORKS if ready.switch == OK else STOPPED
    sentence = works if ready.is_ready() else f"Our side is not working: {_missing(ready)}."
    return OurSide(
        ready.is_ready(),
        sentence,
        advise(
            SYSTEM,
            "System shows every part.",
            f"Only administrators see more: {ASK}.",
            matter=Matter(happened=sentence, path=PAGE),
            link=("System", url_for("system.index")),
            needed="Look under System for what is running.",
        ),
    )


def _missing(ready: Ready) -> str:
    return " and ".join(_parts(ready))


def _parts(ready: Ready) -> Iterator[str]:
    if ready.database != OK:
        yield "the database takes no changes"
    if ready.migrations != OK:
        yield "the database is not of this version"
    if ready.sending != OK:
        yield "no process is sending deliveries, and what is to be sent waits"
