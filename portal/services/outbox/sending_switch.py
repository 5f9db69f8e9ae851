"""Whether anything is sent at all: a person can stop all sending, to every webhook."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, exists, literal_column, select

from portal.models.operations import SendingSwitch
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import session

THE_ROW: Final = 1
REFUSED: Final = (
    "Sending is stopped for all webhooks. This is possible again once an administrator starts it "
    "under Settings, System."
)


@dataclass(frozen=True, slots=True)
class SendingStop:
    """Since when nothing is sent to any webhook, and the name of who stopped it."""

    since: datetime
    by: str


class SendingStopped(Refusal):
    """Nobody may ask for something to be sent meanwhile."""

    def __init__(self, *, field: str | None = None) -> None:
        super().__init__(REFUSED, field=field)


def is_on() -> ColumnElement[bool]:
    """Whether anything is sent, as a condition that a statement asks once, whatever it reads."""
    return ~exists().where(SendingSwitch.id == literal_column(str(THE_ROW)))


def find_stop() -> SendingStop | None:
    """The stop that is in force. Reads only."""
    wanted = select(SendingSwitch.stopped_at, SendingSwitch.stopped_by)
    row = session().execute(wanted.where(SendingSwitch.id == THE_ROW)).one_or_none()
    return SendingStop(*row) if row else None


def refuse_while_stopped(*, field: str | None = None) -> None:
    """In the transaction that asks for something to be sent: raise `SendingStopped`."""
    if find_stop() is not None:
        raise SendingStopped(field=field)
