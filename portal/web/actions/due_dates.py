"""When something is due back: the times that people mean most often, or any other."""

from datetime import datetime, time, timedelta
from typing import Any, Final
from uuid import UUID

from wtforms import RadioField
from wtforms.fields import SelectChoice  # type: ignore[attr-defined]  # newer than its types

from portal.lib.clock import utcnow
from portal.models.assets import Asset
from portal.services.core.refusals import Refusal
from portal.web.actions.forms import ActionForm
from portal.web.forms.datetime_field import AS_TYPED, MomentField, read_moment
from portal.web.frame.wording import zone

OTHER: Final = "other"
# The end of a working day. Close to it, today is meant to its last minute.
EVENING: Final = time(17)
LAST: Final = time(23, 59)
CLOSE: Final = timedelta(minutes=30)
DAYS: Final = {"Today": 0, "Tomorrow": 1, "1 week": 7}
USUAL: Final = "1 week"


def due_fields() -> tuple[RadioField, MomentField]:
    """The choice, `due`, and what is typed for any other time, `due_at`."""
    typed = MomentField("Date and time", called="time when it is due back")
    return RadioField("Due back", validate_choice=False), typed


def due_times(now: datetime | None = None) -> dict[str, datetime]:
    """The times to choose from by their names, in the person's zone."""
    here = (now or utcnow()).astimezone(zone())
    found = {}
    for name, days in DAYS.items():
        at = datetime.combine(here.date() + timedelta(days=days), EVENING, zone())
        if at - here < CLOSE:
            at = datetime.combine(here.date(), LAST, zone())
        if at > here:
            found[name] = at
    return found


class DueForm(ActionForm):
    """A form that asks until when. Each choice is its time, so that a page which stood open over
    night means what it says."""

    due: RadioField
    due_at: MomentField
    _due_at: datetime | None = None

    @classmethod
    def defaults(cls, asset: Asset, subject: UUID | None) -> dict[str, Any]:
        """A week is meant most often."""
        return {"due": f"{due_times()[USUAL]:{AS_TYPED}}"}

    def prepare(self, asset: Asset, subject: UUID | None) -> None:
        """Fill the choices; one that has gone by stands as the time that was typed."""
        super().prepare(asset, subject)
        times = due_times()
        self.due.choices = [
            *(SelectChoice(f"{at:{AS_TYPED}}", _words(name, at)) for name, at in times.items()),
            SelectChoice(OTHER, "On a date…"),
        ]

    def validate(self, extra_validators: Any = None) -> bool:
        """Read every field; then one time, said in one way."""
        is_well = bool(super().validate(extra_validators))
        chosen = _moment(self.due.raw_data)
        typed = self.due_at.data
        if not self.due_at.errors and chosen is None and typed is None:
            self.refuse(Refusal("Enter when it is due back", field="due_at"))
            return False
        if chosen and typed and chosen != typed:
            sentence = "Choose “On a date…” above for this date, or clear it"
            self.refuse(Refusal(sentence, field="due_at"))
            return False
        self._due_at = chosen or typed
        return is_well

    def filled(self) -> dict[str, Any]:
        """Everything that was filled in, with one time when it is due."""
        found = super().filled()
        del found["due"]
        return found | {"due_at": self._due_at}


def _moment(sent: list[Any] | None) -> datetime | None:
    """The time that a chip stands for; None where none was pressed, or the one for others."""
    try:
        return read_moment(str(sent[0])) if sent else None
    except ValueError:
        return None


def _words(name: str, at: datetime) -> str:
    """ "Tomorrow, Sat 28 Nov 17:00"; today needs no date."""
    clock = f"{at:%H:%M}"
    return f"{name}, {clock}" if name == "Today" else f"{name}, {at:%a} {at.day} {at:%b} {clock}"
