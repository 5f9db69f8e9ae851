"""Keep filters, orders, and lists in the URL.

A filter that can't be read is refused at its field and shows no rows, because people would take all
rows for filtered ones. `?list=` has the URL of the list that led to a thing, including its filters.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from flask import Flask, g, has_request_context, request, url_for
from wtforms import Form, HiddenField, SelectField, StringField
from wtforms.validators import ValidationError

from portal.web.forms.base import tidy
from portal.web.forms.parsing import row_id
from portal.web.frame.access import local_path
from portal.web.frame.layout import page_url

LONGEST_SEARCH: Final = 120


class FilterForm(Form):
    """A form filled from the URL. `validate` returns whether all of it could be read."""


class ChosenField(SelectField):
    """One value of a list, or none."""

    def pre_validate(self, form: Any) -> None:
        """Refuse a value that isn't on the list."""
        if self.data and all(self.data != value for value, *_ in self.iter_choices()):
            raise ValidationError(f"Choose “{self.label.text}” from the list")


class LinkedField(HiddenField):
    """One of a few values, set by tabs and links, or none."""

    def __init__(self, label: str, *, among: Collection[str], **options: Any) -> None:
        super().__init__(label, **options)
        self.among = among

    def pre_validate(self, form: Any) -> None:
        """Refuse a value that none of our links has."""
        if self.data and self.data not in self.among:
            raise ValidationError(f"{self.label.text} “{self.data[:40]}” isn’t known")


class RowField(HiddenField):
    """The row id of one thing, set by links, or none."""

    @property
    def row_id(self) -> int | None:
        """Return the row id, 0 for an impossible one, or None."""
        return row_id(self.data)

    def pre_validate(self, form: Any) -> None:
        """Refuse a value that can't be a row id."""
        if self.row_id == 0:
            raise ValidationError(f"{self.label.text} “{str(self.data)[:40]}” isn’t known")


class SearchField(StringField):
    """Words to search for."""

    def __init__(self, label: str, **options: Any) -> None:
        super().__init__(label, filters=[partial(tidy, longest=LONGEST_SEARCH)], **options)

    def pre_validate(self, form: Any) -> None:
        """Refuse a text that is too long to be intended."""
        if len(self.data or "") > LONGEST_SEARCH:
            raise ValidationError(f"Enter at most {LONGEST_SEARCH} characters")


def answer_as(endpoint: str) -> None:
    """Let links that only change the query lead to `endpoint`.

    A file or a question with an unreadable filter responds with the list of that filter.
    """
    g.page_endpoint = endpoint


SORT: Final = "sort"


@dataclass(frozen=True, slots=True)
class ListOrder:
    """The order of a list, by a column, descending if `falls`.

    `columns` has each sortable column, and whether it is descending when first selected.
    `otherwise` is the column of the default order, if that is by a column.
    """

    columns: Mapping[str, bool]
    otherwise: str
    by: str
    falls: bool

    @property
    def is_reversed(self) -> bool:
        """Return whether it is the reverse of the column's own order."""
        return bool(self.by) and self.falls is not self.columns[self.by]

    @property
    def value(self) -> str:
        """Return the value for the URL, or "" for the default order."""
        return "" if self._is_usual(self.by, falls=self.falls) else _value(self.by, self.falls)

    def heading(self, name: str) -> dict[str, str]:
        """Return the URL and the current order of a column, for its heading."""
        is_here = name == self.by
        falls = not self.falls if is_here else self.columns[name]
        is_usual = self._is_usual(name, falls=falls)
        url = page_url(sort=None if is_usual else _value(name, falls), cursor=None)
        order = "descending" if self.falls else "ascending"
        return {"url": url, "order": order if is_here else ""}

    def _is_usual(self, name: str, *, falls: bool) -> bool:
        return name == self.otherwise and falls is self.columns.get(name, False)


def order_in(
    columns: Mapping[str, bool], otherwise: str = "", text: str | None = None
) -> ListOrder:
    """Return the order in the URL, or in `text`. If it isn't known, return the default order.

    `columns` and `otherwise` are as in `ListOrder`.
    """
    text = request.args.get(SORT, "") if text is None else text
    name = text.removeprefix("-")
    if name in columns:
        return ListOrder(columns, otherwise, name, falls=text.startswith("-"))
    return ListOrder(columns, otherwise, otherwise, falls=columns.get(otherwise, False))


def _value(name: str, falls: bool) -> str:
    return f"-{name}" if falls else name


LIST: Final = "list"
# Things in lists, by the argument of their routes and the beginning of their endpoints.
THINGS: Final = {"asset_id": "", "public_id": "webhook"}
# Characters. A longer URL, such as with a pasted log, isn't kept.
LONGEST_ADDRESS: Final = 500


def list_here() -> str | None:
    """Return the URL of this list for its links, or None without a query."""
    address = request.script_root + request.full_path
    return address if request.query_string and len(address) <= LONGEST_ADDRESS else None


def list_back(endpoint: str, anchor: str) -> str:
    """Return the URL of this endpoint's list as it was left, at the row `anchor`."""
    usual, address = url_for(endpoint), local_path(request.args.get(LIST))
    parts = urlsplit(address)
    is_it = parts.path == usual and not parts.fragment
    return f"{address if is_it else usual}#{anchor}"


def init_app(app: Flask) -> None:
    """Add the list to every URL of the open page's thing, so that actions lead back to it."""
    app.url_defaults(_carry_on)


def _carry_on(endpoint: str, values: dict[str, Any]) -> None:
    address = request.args.get(LIST) if has_request_context() else None
    if not address or len(address) > LONGEST_ADDRESS or local_path(address) != address:
        return
    here = request.view_args or {}
    for name, family in THINGS.items():
        is_of_it = endpoint.startswith(family) and (request.endpoint or "").startswith(family)
        if is_of_it and name in here and values.get(name) == here[name]:
            values.setdefault(LIST, address)
