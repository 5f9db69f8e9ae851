"""Choose a time from a few chips (`due_chips`), or type any other."""

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
    """Add these times to the choice by their names, and then an option for any other.

    Each value is its time, so that a page left open overnight stays correct.
    """
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
    """Return the selected or typed time, or None. Raises `Refusal` if both differ.

    `untouched` is the earlier value of `typed`, which a browser without scripts sends beside a
    choice.
    """
    picked, at = _moment(choice.raw_data), typed.data
    if not choice.raw_data or choice.raw_data[0] == OTHER:
        return at if isinstance(at, datetime) else None
    shown = untouched and read_moment(f"{untouched.astimezone(zone()):{AS_TYPED}}")
    if at and at not in (shown, picked):
        sentence = "Select “On a date…” above or clear this date"
        raise Refusal(sentence, field=typed.short_name)
    return picked


def _moment(sent: list[Any] | None) -> datetime | None:
    """Return the selected time, or None for no option or the one for other times."""
    try:
        return read_moment(str(sent[0])) if sent else None
    except ValueError:
        return None
