"""Choose a time: from a few, as chips (`due_chips`), or any other that is typed."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from wtforms import RadioField
from wtforms.fields import SelectChoice  # type: ignore[attr-defined]  # newer than its types

from portal.services.core.refusals import Refusal
from portal.web.forms.parsing import AS_TYPED, MomentField, read_moment
from portal.web.frame.wording import due_words, zone

OTHER: Final = "other"


def offer(choice: RadioField, times: Mapping[str, datetime], now: datetime) -> None:
    """Offer these times by their names, after what the choice has, and any other. Each value is
    its time, so that a page that stays open over night means what it says."""
    choice.choices = [
        *(choice.choices or ()),
        *(
            SelectChoice(f"{at:{AS_TYPED}}", f"{name}, {due_words(at, now)}")
            for name, at in times.items()
        ),
        SelectChoice(OTHER, "On a date…"),
    ]


def chosen(
    choice: RadioField, typed: MomentField, untouched: datetime | None = None
) -> datetime | None:
    """Return the time that was chosen or typed; None for neither. `untouched`: what stood in
    `typed` before, which a browser without scripts sends beside a choice. Raises `Refusal` for
    both, where they differ."""
    picked, at = _moment(choice.raw_data), typed.data
    if not choice.raw_data or choice.raw_data[0] == OTHER:
        return at if isinstance(at, datetime) else None
    shown = untouched and read_moment(f"{untouched.astimezone(zone()):{AS_TYPED}}")
    if at and at not in (shown, picked):
        sentence = "Select “On a date…” above or clear this date"
        raise Refusal(sentence, field=typed.short_name)
    return picked


def _moment(sent: list[Any] | None) -> datetime | None:
    """Return the time that was chosen; None where none was, or the one for others."""
    try:
        return read_moment(str(sent[0])) if sent else None
    except ValueError:
        return None
