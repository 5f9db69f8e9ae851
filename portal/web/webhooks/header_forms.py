"""A webhook's custom headers in its form, and how what is secret comes back without being shown."""

from typing import Any

from wtforms import Field, Form, HiddenField, StringField
from wtforms.widgets import TextInput

from portal.services.core import vault
from portal.web.forms.base import tidy
from portal.web.frame.access import actor


def person() -> int:
    """For whom secrets are sealed on their way back."""
    return actor().user_id or 0


def opened(field: Field) -> str | None:
    """What a hidden field kept sealed."""
    return vault.open_typed(person(), field.data) if field.data else None


class Unprinted(TextInput):
    """A text box that never shows what is in it."""

    def __call__(self, field: Field, **kwargs: Any) -> Any:
        """Print the box, empty."""
        return super().__call__(field, **{**kwargs, "value": "", "autocomplete": "off"})


class HeaderForm(Form):
    """One custom header. `kept` is its value, sealed, while the box for it is empty."""

    name = StringField("Header name", filters=[tidy])
    value = StringField("Value", filters=[tidy], widget=Unprinted())
    kept = HiddenField()

    @property
    def resolved(self) -> str:
        """What was typed, or else what was kept; empty when there is neither."""
        return self.value.data or opened(self.kept) or ""

    @property
    def is_blank(self) -> bool:
        """A row that nobody filled in."""
        return not (self.name.data or self.value.data or self.kept.data)

    def seal(self, whence: str = "") -> None:
        """Take the value out of the page and say by what it can be told, and where it is from."""
        value = self.resolved
        self.kept.data = vault.seal_typed(person(), value) if value else ""
        self.value.data = ""
        told = f"{vault.masked(value)}{whence}. Leave empty to keep it."
        self.value.description = told if value else ""
