"""A webhook's custom headers in its form, and how what is secret comes back without being shown."""

import re
from typing import Any, Final

from flask import request
from wtforms import Field, Form, HiddenField, StringField
from wtforms.widgets import TextInput

from portal.services.core import vault
from portal.services.webhooks.values import Headers
from portal.web.forms.base import tidy
from portal.web.frame.access import actor

# Around the place that a stored value is for. No header has it in its value.
MARK: Final = "\0"
# The box for the value of a custom header, and what keeps the value while the box is empty.
BOX: Final = re.compile(r"headers-(\d+)-(value|kept)")


def person() -> int:
    """For whom secrets are sealed on their way back."""
    return actor().user_id or 0


def opened(field: Field) -> str | None:
    """What a hidden field kept sealed."""
    return vault.open_typed(person(), field.data) if field.data else None


def brings_values(stored: Headers, *, typed: bool = True) -> bool:
    """Whether the form that is sent has a header's value typed into it, or kept from before (from a
    test, or a mistake) that is not the one in `stored`. Without `typed` only those count that were
    stored before, for whatever webhook."""
    values = {name.lower(): value for name, value in stored}
    for name, sent in request.form.items(multi=True):
        if not sent or not (box := BOX.fullmatch(name)):
            continue
        row, kind = box.groups()
        place, value = _parts(vault.open_typed(person(), sent)) if kind == "kept" else ("", sent)
        header = tidy(request.form.get(f"headers-{row}-name")) or ""
        is_new = kind == "value" or (value and values.get(header.lower()) != value)
        if is_new and (typed or place):
            return True
    return False


class Unprinted(TextInput):
    """A text box that never shows what is in it."""

    def __call__(self, field: Field, **kwargs: Any) -> Any:
        """Print the box, empty."""
        return super().__call__(field, **{**kwargs, "value": "", "autocomplete": "off"})


class HeaderForm(Form):
    """One custom header. `kept` is its value, sealed, while the box for it is empty.

    A value that was stored is sealed with its place, and goes to no other (`values.place_of`).
    """

    name = StringField("Header name", filters=[tidy])
    value = StringField("Value", filters=[tidy], widget=Unprinted())
    kept = HiddenField()

    @property
    def resolved(self) -> str:
        """What was typed, or else what was kept; empty when there is neither."""
        return self.value.data or _parts(opened(self.kept))[1]

    @property
    def name_data(self) -> str:
        """The name as it is compared."""
        return (self.name.data or "").lower()

    @property
    def place(self) -> str:
        """The place that the kept value is for; empty where it was typed."""
        return "" if self.value.data else _parts(opened(self.kept))[0]

    @property
    def is_blank(self) -> bool:
        """A row that nobody filled in."""
        return not (self.name.data or self.value.data or self.kept.data)

    def forget(self) -> None:
        """The kept value may not go where the form says."""
        self.kept.data = ""

    def seal(self, whence: str = "", place: str = "") -> None:
        """Take the value out of the page and say by what it can be told, and where it is from.

        `place`: where the values were stored for that fill the form.
        """
        value, bound = self.resolved, self.place or place
        text = f"{MARK}{bound}{MARK}{value}" if bound else value
        self.kept.data = vault.seal_typed(person(), text) if value else ""
        self.value.data = ""
        told = f"{vault.masked(value)}{whence}. Leave empty to keep it."
        self.value.description = told if value else ""


def _parts(kept: str | None) -> tuple[str, str]:
    """The place that a kept value is for, and the value."""
    text = kept or ""
    if not text.startswith(MARK):
        return "", text
    place, _, value = text.removeprefix(MARK).partition(MARK)
    return place, value
