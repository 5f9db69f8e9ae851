"""Fields that read a value out of typed text, and say in words what they expect."""

from collections.abc import Callable
from typing import Any, Final

from wtforms import Field, HiddenField
from wtforms.widgets import TextInput

from portal.web.forms.base import tidy

LARGEST_ROW_ID: Final = 2**31 - 1


class TypedField(Field):
    """One line of text that `read` turns into a value; blank is None. What was typed stays.

    `read` raises ValueError with the form it expects ("in digits"), to follow "Enter the" and what
    the value is called.
    """

    widget = TextInput()

    def __init__(
        self, label: str, *, read: Callable[[str], Any], called: str = "", **options: Any
    ) -> None:
        super().__init__(label, **options)
        self.read = read
        self.called = called or label.lower()

    def process_formdata(self, valuelist: list[Any]) -> None:
        """Read what was sent. A line of spaces is as good as an empty one, for validators too."""
        text = tidy(valuelist[0]) if valuelist else ""
        self.raw_data = [text] if valuelist else []
        self.data = None
        if text:
            self.data = self._read(text)

    def _value(self) -> str:
        if self.raw_data:
            return str(self.raw_data[0])
        return "" if self.data is None else str(self.data)

    def _read(self, text: str) -> Any:
        try:
            return self.read(text)
        except ValueError as expected:
            raise ValueError(f"Enter the {self.called} {expected}") from None


class VersionField(HiddenField):
    """The version that a form was opened with: nobody saves over what others have saved since."""

    def process_formdata(self, valuelist: list[Any]) -> None:
        """Read what was sent. WTForms would take what is stored for what was left out."""
        self.data = valuelist[0] if valuelist else None

    @property
    def seen(self) -> int:
        """The version; 0, which none has, where it was left out or is no number."""
        return row_id(self.data) or 0


def read_months(text: str) -> int:
    """A length of time in months, up to fifty years."""
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= 600):
        raise ValueError("in digits, from 1 to 600")
    return int(text)


def row_id(value: Any) -> int | None:
    """A choice from a list of rows: None for none of them, 0 for what cannot be one."""
    text = str(value or "")
    if not text:
        return None
    fits = text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= LARGEST_ROW_ID
    return int(text) if fits else 0
